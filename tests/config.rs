//! A config says what the builder says: the same settings, defaults and ranges. What is wrong with one
//! is told by its place, and no secret that stands in it shows up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "config/properties.rs"]
mod properties;
#[path = "config/refused.rs"]
mod refused;
#[path = "config/secrets.rs"]
mod secrets;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use data_manager::ErrorKind;
use data_manager::data_manager::{Config, DataManagerImpl};
use serde_json::{Value, json};
use support::origin::Origin;
use support::{DEADLINE, bytes, chunk, temp_dir};

const CANARY: &str = "canary7f3a";

fn source(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A config's keys with their values.
fn object(config: &Config) -> BTreeMap<String, Value> {
    serde_json::from_value(serde_json::to_value(config).unwrap()).unwrap()
}

fn keys(config: &Config) -> BTreeSet<String> {
    object(config).into_keys().collect()
}

/// Each setting as the builder's table has it: the methods, and the keys.
fn table() -> Vec<(Vec<String>, Vec<String>)> {
    let quoted = |cell: &str| -> Vec<String> {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let text = source("src/data_manager/builder.rs");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("/// | [`") || line.starts_with("/// | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!(cells.len(), 7, "{row}");
        assert!(
            cells
                .iter()
                .skip(1)
                .take(5)
                .all(|cell| !cell.trim().is_empty()),
            "{row}"
        );
        // The name of the feature stands beside the setting.
        let setting = cells[1].split(" (feature").next().unwrap();
        (quoted(setting), quoted(cells[2]))
    })
    .collect()
}

#[test]
fn every_setting_of_the_builder_is_in_a_config_and_the_other_way_round() {
    let mut methods = BTreeSet::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data_manager/builder");
    let mut files = support::read_dir(&dir);
    files.push(dir.with_extension("rs"));
    for file in files {
        for found in std::fs::read_to_string(file)
            .unwrap()
            .split("pub fn ")
            .skip(1)
        {
            let end = found.find(['(', '<']).unwrap();
            methods.insert(found[..end].to_owned());
        }
    }
    // What is no plain value, and what is no setting.
    assert!(methods.remove("source") && methods.remove("open"));
    let (settings, named): (Vec<_>, Vec<_>) = table().into_iter().unzip();
    assert_eq!(
        settings.concat().into_iter().collect::<BTreeSet<_>>(),
        methods
    );
    let mut named: BTreeSet<String> = named.concat().into_iter().collect();
    if !cfg!(feature = "s3") {
        named.remove("s3");
    }
    assert_eq!(named, keys(&Config::default()));
    for (methods, keys) in table() {
        for (method, key) in methods.iter().zip(&keys) {
            let ruled = [method.clone(), format!("{method}_ms"), format!("{method}s")];
            assert!(ruled.contains(key), "{method} {key}");
        }
    }
}

#[test]
fn the_docs_of_each_field_tell_its_default() {
    for (file, defaults) in [
        ("config.rs", object(&Config::default())),
        ("config/parts.rs", s3_defaults()),
    ] {
        let text = source(&format!("src/data_manager/{file}"));
        let mut docs = String::new();
        let mut told = BTreeSet::new();
        for line in text.lines().map(str::trim) {
            match (line.strip_prefix("///"), line.strip_prefix("pub ")) {
                (Some(doc), _) => docs += doc,
                (None, Some(field)) => {
                    let name = field.split(':').next().unwrap();
                    let default = docs.split("Default: `").nth(1);
                    if let (Some(default), Some(value)) = (default, defaults.get(name)) {
                        let default = default.split('`').next().unwrap();
                        assert_eq!(default, value.to_string(), "{name}");
                        told.insert(name.to_owned());
                    }
                    docs.clear();
                }
                (None, None) if line.starts_with("#[") => {}
                (None, None) => docs.clear(),
            }
        }
        assert_eq!(told, defaults.into_keys().collect());
    }
}

#[cfg(feature = "s3")]
fn s3_defaults() -> BTreeMap<String, Value> {
    let s3 = data_manager::data_manager::S3Config::default();
    serde_json::from_value(serde_json::to_value(s3).unwrap()).unwrap()
}

#[cfg(not(feature = "s3"))]
fn s3_defaults() -> BTreeMap<String, Value> {
    BTreeMap::new()
}

#[test]
fn an_empty_config_is_the_builder_as_it_is_made() {
    let config = Config::from_json("{}").unwrap();
    assert_eq!(config, Config::default());
    let builder = format!("{:?}", config.into_builder().unwrap());
    assert_eq!(builder, format!("{:?}", DataManagerImpl::builder()));
}

/// A value for each key that is not its default.
fn others() -> BTreeMap<&'static str, Value> {
    let pem = rcgen::generate_simple_self_signed(["h".to_owned()])
        .unwrap()
        .cert
        .pem();
    let mut others = BTreeMap::from([
        ("data_dir", json!("elsewhere")),
        ("slots", json!(3)),
        ("slots_per_host", json!(2)),
        ("threads", json!(num_cpus::get() + 1)),
        ("first_backoff_ms", json!(501)),
        ("longest_backoff_ms", json!(60_001)),
        ("connect_timeout_ms", json!(1)),
        ("stall_timeout_ms", json!(1)),
        ("min_rate", json!(0)),
        ("rate_window_ms", json!(1)),
        ("root_certificates", json!([pem])),
        (
            "http_headers",
            json!([{"host": "h", "name": "n", "value": "v"}]),
        ),
        ("proxy", json!("http://127.0.0.1:1")),
        ("no_proxy", json!(true)),
        ("allow_private_redirects", json!(true)),
        ("accept_unframed", json!(true)),
        ("max_file_bytes", json!(1)),
        ("event_queue", json!(7)),
        ("shutdown_timeout_ms", json!(0)),
        ("partials_max_bytes", json!(0)),
        ("partials_max_age_ms", json!(0)),
        ("max_bytes", json!(0)),
        ("min_free_bytes", json!(1)),
        ("durability", json!("ordered")),
        ("dir_mode", json!("0750")),
        ("file_mode", json!("0640")),
        ("serve_files_from", json!(["/srv"])),
        (
            "mirrors",
            json!([{"prefix": "http://a/", "alternates": ["http://b/"]}]),
        ),
        ("bandwidth_limit", json!(1)),
        ("scrub_rate", json!(1)),
    ]);
    if cfg!(feature = "s3") {
        others.insert("s3", json!({"anonymous": true}));
    }
    others
}

#[test]
fn each_key_reaches_the_builder() {
    let others = others();
    let all: BTreeSet<String> = others.keys().map(|key| (*key).to_owned()).collect();
    assert_eq!(all, keys(&Config::default()));
    for (key, value) in others {
        let config = Config::from_json(&json!({key: value}).to_string()).unwrap();
        assert_ne!(config, Config::default(), "{key}");
        let again = Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        let builder = config.into_builder().unwrap();
        assert_ne!(
            format!("{builder:?}"),
            format!("{:?}", DataManagerImpl::builder()),
            "{key}"
        );
    }
}

fn refused(json: &str) -> String {
    let error = Config::from_json(json)
        .and_then(Config::into_builder)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    error.to_string()
}

#[test]
fn a_file_that_is_none() {
    let dir = temp_dir();
    let file = dir.path().join("worker.json");
    let error = Config::from_json_file(&file).unwrap_err();
    assert!(error.to_string().contains("worker.json"), "{error}");
    std::fs::write(&file, "{\"slots\": no}").unwrap();
    let error = Config::from_json_file(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.file().unwrap().ends_with("worker.json"), "{error}");
    assert!(
        error.to_string().starts_with("slots: not JSON: "),
        "{error}"
    );
    std::fs::write(&file, vec![b' '; (1 << 20) + 1]).unwrap();
    let error = Config::from_json_file(&file).unwrap_err();
    assert!(error.to_string().contains("longer than 1 MiB"), "{error}");
    std::fs::write(&file, b"{\"data_dir\": \"\xff\"}").unwrap();
    Config::from_json_file(&file).unwrap_err();
}

/// Times are added to the time of day, and sizes to each other.
#[test]
fn the_far_ends_of_the_ranges_work() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 10));
    let mut config = Config::default();
    config.data_dir = dir.path().to_owned();
    for time in [
        &mut config.first_backoff_ms,
        &mut config.longest_backoff_ms,
        &mut config.connect_timeout_ms,
        &mut config.stall_timeout_ms,
        &mut config.rate_window_ms,
        &mut config.shutdown_timeout_ms,
        &mut config.partials_max_age_ms,
        &mut config.partials_max_bytes,
        &mut config.max_file_bytes,
    ] {
        *time = u64::MAX;
    }
    for bytes in [
        &mut config.max_bytes,
        &mut config.bandwidth_limit,
        &mut config.scrub_rate,
    ] {
        *bytes = Some(u64::MAX);
    }
    config.slots = usize::MAX;
    config.slots_per_host = Some(usize::MAX);
    config.event_queue = usize::MAX;
    let json = serde_json::to_string(&config).unwrap();
    let manager = Config::from_json(&json).unwrap().open().unwrap();
    let task = manager.download_chunk(chunk(
        1,
        0..5,
        [("f", origin.url("f")), ("g", origin.url("none"))],
    ));
    assert_eq!(
        task.wait_timeout(DEADLINE).unwrap().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let task = manager.download_chunk(chunk(2, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

#[test]
fn the_examples_in_the_cookbook_are_configs() {
    let text = source("docs/cookbook.md");
    let examples: Vec<&str> = text.split("```json\n").skip(1).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let json = example.split("```").next().unwrap();
        let config = Config::from_json(json).unwrap();
        assert_ne!(config, Config::default(), "{json}");
    }
}
