//! The metrics are what a scraper reads, and say what `stats` says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, METRICS_CONTENT_TYPE, Stats};
use prometheus_parse::{HistogramCount, Scrape, Value};
use support::origin::{Origin, Reply};
use support::{DATASET, DEADLINE, builder, bytes, chunk, id, temp_dir};

const CANARY: &str = "canary9b2d";

/// What a scraper makes of it.
struct Scraped {
    text: String,
    scrape: Scrape,
}

fn scrape(manager: &DataManagerImpl) -> Scraped {
    let text = manager.metrics();
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    Scraped { text, scrape }
}

impl Scraped {
    /// The values of a family, by its label.
    fn family(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let samples = self.scrape.samples.iter();
        let samples = samples.filter(|sample| sample.metric == format!("data_manager_{name}"));
        let pair = |sample: &prometheus_parse::Sample| {
            let of = sample.labels.get(label).unwrap_or_default().to_owned();
            (of, whole(&sample.value))
        };
        samples.map(pair).collect()
    }

    fn one(&self, name: &str) -> u64 {
        let family = self.family(name, "");
        assert_eq!(family.len(), 1, "{name}: {family:?}");
        family[""]
    }

    fn histogram(&self, name: &str) -> &[HistogramCount] {
        let mut samples = self.scrape.samples.iter();
        let found = samples.find(|sample| sample.metric == format!("data_manager_{name}"));
        match &found.unwrap().value {
            Value::Histogram(counts) => counts,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// How many there were, in all buckets and by the count, which have to agree.
    fn observed(&self, name: &str) -> u64 {
        let counts = self.histogram(name);
        let ascends = counts.is_sorted_by_key(|bucket| bucket.count)
            && counts.is_sorted_by(|a, b| a.less_than < b.less_than);
        assert!(ascends, "{name}: {counts:?}");
        let last = counts.last().unwrap();
        assert!(last.less_than.is_infinite(), "{name}: {counts:?}");
        let count = self.one(&format!("{name}_count"));
        assert_eq!(integer(last.count), count);
        count
    }
}

fn whole(value: &Value) -> u64 {
    match value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => integer(*value),
        _ => 0,
    }
}

fn integer(value: f64) -> u64 {
    format!("{value:.0}").parse().unwrap()
}

fn of(origin: &Origin, n: u8, name: &str) -> DataChunk {
    let url = origin.url(name);
    let url = url.replace("://", &format!("://u{CANARY}:p{CANARY}@"));
    let block = u64::from(n);
    let url = format!("{url}?X-Signature={CANARY}");
    chunk(n, block..block + 1, [("f", url)])
}

/// A manager at rest: one chunk that stalls, one that failed for good, one that is deleted and held,
/// one that is gone, and two that are there.
fn busy(dir: &std::path::Path, origin: &Origin) -> DataManagerImpl {
    let query = |name: &str| format!("{name}?X-Signature={CANARY}");
    origin.file(&query("good"), bytes(1, 1000));
    origin.script(&query("gone"), vec![Reply::Status(404)]);
    let content = bytes(2, 5000);
    origin.script(&query("stalls"), vec![Reply::Stall(content.into(), 100)]);
    let content = Reply::File(bytes(3, 10).into());
    origin.script(&query("busy"), vec![Reply::Status(503), content]);
    let manager = builder(dir).longest_backoff(Duration::from_secs(3600));
    let manager = manager.open().unwrap();
    for n in [1, 2, 3] {
        let task = manager.download_chunk(of(origin, n, "good"));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    let task = manager.download_chunk(of(origin, 4, "busy"));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let task = manager.download_chunk(of(origin, 5, "gone"));
    task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    let gone = manager.delete_chunk(id(1));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    manager
}

fn agrees(scraped: &Scraped, stats: &Stats) {
    let states = scraped.family("chunks", "state");
    let said = serde_json::to_value(&stats.chunks).unwrap();
    for (state, count) in &states {
        assert_eq!(said[state], *count, "{state}");
    }
    // All that there are, but for the bytes of those that are visible.
    assert_eq!(states.len(), said.as_object().unwrap().len() - 1);
    let waits = scraped.family("waiting_chunks", "reason");
    let said = serde_json::to_value(stats.waits).unwrap();
    for (reason, count) in &waits {
        assert_eq!(said[reason], *count, "{reason}");
    }
    assert_eq!(waits.len(), said.as_object().unwrap().len());
    let space = &stats.space;
    let bytes = scraped.family("bytes", "kind");
    let said = [
        ("committed", space.committed_bytes),
        ("quarantine", space.quarantine_bytes),
        ("reserved", space.reserved_bytes),
        ("staged", space.staged_bytes),
        ("trash", space.trash_bytes),
    ];
    assert_eq!(bytes, said.map(|(kind, sum)| (kind.to_owned(), sum)).into());
    assert_eq!(scraped.one("available_bytes"), stats.chunks.available_bytes);
    let totals = &stats.totals;
    assert_eq!(
        scraped.one("downloaded_bytes_total"),
        totals.downloaded_bytes
    );
    assert_eq!(scraped.one("attempts_total"), totals.attempts);
    assert_eq!(scraped.one("retries_total"), totals.retries);
    assert_eq!(scraped.one("failed_attempts_total"), totals.failed_attempts);
    let failures = scraped.family("failures_total", "kind");
    assert_eq!(failures.values().sum::<u64>(), totals.failed_attempts);
    assert_eq!(scraped.one("slots"), stats.slots as u64);
    assert_eq!(scraped.one("files_in_flight"), stats.files_in_flight as u64);
    assert_eq!(scraped.one("held_contents"), stats.held.contents as u64);
    assert_eq!(
        scraped.one("left_chunks"),
        stats.estimate.left_chunks as u64
    );
    let mut held_up = scraped.family("held_up", "by");
    held_up.retain(|_, value| *value == 1);
    let by = serde_json::to_value(stats.estimate.held_up_by).unwrap();
    assert_eq!(held_up.keys().collect::<Vec<_>>(), [by.as_str().unwrap()]);
    assert_eq!(
        scraped.observed("attempt_seconds"),
        totals.downloaded_chunks
    );
    assert_eq!(scraped.observed("commit_seconds"), totals.downloaded_chunks);
    assert_eq!(scraped.observed("removal_seconds"), totals.removed_chunks);
}

#[test]
fn what_is_scraped_is_what_stats_say() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = busy(dir.path(), &origin);
    let guard = manager.find_chunk(DATASET, 2).unwrap();
    drop(manager.delete_chunk(id(2)));
    assert!(manager.wait_idle(DEADLINE));
    drop(manager.download_chunk(of(&origin, 6, "stalls")));
    let query = format!("stalls?X-Signature={CANARY}");
    origin.wait_for_hits(&query, 1);
    let arrived = 3 * 1000 + 10 + 100;
    let deadline = std::time::Instant::now() + DEADLINE;
    while manager.stats().totals.downloaded_bytes < arrived {
        assert!(std::time::Instant::now() < deadline, "it never arrives");
        std::thread::yield_now();
    }

    let (scraped, stats) = (scrape(&manager), manager.stats());
    agrees(&scraped, &stats);
    let states = scraped.family("chunks", "state");
    let of = |state: &str| states[state];
    assert_eq!((of("available"), of("failed")), (2, 1));
    assert_eq!((of("held"), of("transferring")), (1, 1));
    let failures = scraped.family("failures_total", "kind");
    assert_eq!((failures["not_found"], failures["unavailable"]), (1, 1));
    assert_eq!(scraped.observed("file_transfer_seconds"), 4);
    assert_eq!(scraped.one("paused"), 0);
    manager.pause();
    assert_eq!(scrape(&manager).one("paused"), 1);

    drop(guard);
    assert!(!manager.wait_idle(Duration::ZERO));
    drop(manager.delete_chunk(id(6)));
    assert!(manager.wait_idle(DEADLINE));
    let scraped = scrape(&manager);
    agrees(&scraped, &manager.stats());
    assert_eq!(scraped.observed("removal_seconds"), 2);
}

fn is_legal(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    first && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Line by line, as the format is written down: a parser takes much that it does not.
#[test]
fn every_family_is_described_once_and_every_name_is_legal() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = busy(dir.path(), &origin);
    let text = scrape(&manager).text;
    assert!(text.ends_with('\n') && METRICS_CONTENT_TYPE.starts_with("text/plain; version=0.0.4"));
    let (mut helped, mut typed, mut seen) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            assert!(helped.insert(name), "twice: {line}");
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            typed.insert(name, kind);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(seen.insert(series), "twice: {line}");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            assert!(
                is_legal(name) && name.starts_with("data_manager_"),
                "{line}"
            );
            let family = match typed[&*current] {
                "histogram" => name.rsplit_once('_').unwrap().0,
                _ => name,
            };
            assert_eq!(family, current, "{line}");
            if let Some((label, of)) = labels.split_once('=') {
                assert!(is_legal(label), "{line}");
                assert!(of.starts_with('"') && of.ends_with("\"}"), "{line}");
            }
        }
    }
    assert_eq!(helped, typed.keys().copied().collect());
    assert!(!text.contains(CANARY) && !text.contains("0101"), "{text}");
}

/// A scraper pays for each series: there are no more of them where more happens.
#[test]
fn there_are_as_many_series_on_a_busy_worker_as_on_an_empty_one() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path()).open().unwrap();
    let series = |manager: &DataManagerImpl| {
        let text = manager.metrics();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        names.collect::<BTreeSet<String>>()
    };
    let empty = series(&manager);
    drop(manager);
    let manager = busy(dir.path(), &origin);
    let more = series(&manager);
    let new: Vec<_> = more.difference(&empty).collect();
    let optional = ["failures_total{", "free_bytes", "held_oldest", "left_"];
    let may_come = |name: &&&String| !optional.iter().any(|part| name.contains(part));
    assert_eq!(new.iter().filter(may_come).count(), 0, "{new:?}");
    assert!(more.len() < 200, "{}", more.len());
}
