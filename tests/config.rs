//! A config says what the builder says: the same settings, defaults and ranges. What is wrong with one
//! is told by its place, and no secret that stands in it shows up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use data_manager::ErrorKind;
use data_manager::data_manager::{
    Config, ConfigText, DataManagerImpl, Durability, HttpHeaderConfig, MirrorConfig,
};
use proptest::prelude::*;
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
fn what_is_wrong_is_told_by_its_place() {
    for (json, told) in [
        (
            "{\"slots\": 8,\n  \"slotz\": 4}",
            "slotz: is the name of no setting (line 2, column 9)",
        ),
        (
            "{\"slots\": \"8\"}",
            "slots: has to be a whole number, 0 or more (line 1, column 13)",
        ),
        (
            "{\"slots\": -1}",
            "slots: has to be a whole number, 0 or more (line 1, column 12)",
        ),
        (
            "{\"slots\": 1.5}",
            "slots: has to be a whole number, 0 or more (line 1, column 13)",
        ),
        (
            "{\"no_proxy\": 1}",
            "no_proxy: has to be true or false (line 1, column 14)",
        ),
        (
            "{\"durability\": \"fast\"}",
            "durability: has to be one of `full`, `ordered`, `none` (line 1, column 21)",
        ),
        (
            "{\"file_mode\": 640}",
            "file_mode: has to be a mode in octal, as a string such as \"0750\" (line 1, column 18)",
        ),
        (
            "{\"file_mode\": \"rw\"}",
            "file_mode: has to be a mode in octal, as a string such as \"0750\" (line 1, column 19)",
        ),
        (
            "{\"slots\": 1, \"slots\": 2}",
            "config: duplicate field `slots` (line 1, column 20)",
        ),
        (
            "{\"slots\": 1",
            "config: not JSON: EOF while parsing an object (line 1, column 11)",
        ),
        (
            "{} {}",
            "config: not JSON: trailing characters (line 1, column 4)",
        ),
        ("[\"elsewhere\"]", "config: has to be an object, {…}"),
        (
            "{\"http_headers\": {}}",
            "http_headers: has to be a list (line 1, column 17)",
        ),
        (
            "{\"http_headers\": [{\"host\": \"h\", \"value\": \"v\"}]}",
            "http_headers[0]: missing field `name` (line 1, column 45)",
        ),
        (
            "{\"proxy\": {\"file\": \"a\", \"env\": \"b\"}}",
            "proxy: has to be a text, {\"file\": PATH} or {\"env\": NAME} (line 1, column 35)",
        ),
    ] {
        assert_eq!(refused(json), told, "{json}");
    }
}

#[test]
fn what_is_out_of_its_range_is_told_by_its_key() {
    for (json, told) in [
        (json!({"slots": 0}), "slots: has to be at least 1"),
        (
            json!({"slots_per_host": 0}),
            "slots_per_host: has to be at least 1",
        ),
        (json!({"threads": 0}), "threads: has to be at least 1"),
        (
            json!({"bandwidth_limit": 0}),
            "bandwidth_limit: has to be at least 1",
        ),
        (json!({"scrub_rate": 0}), "scrub_rate: has to be at least 1"),
        (
            json!({"max_file_bytes": 0}),
            "max_file_bytes: has to be at least 1",
        ),
        (
            json!({"first_backoff_ms": 0}),
            "first_backoff_ms: has to be more than nothing",
        ),
        (
            json!({"rate_window_ms": 0}),
            "rate_window_ms: has to be more than nothing",
        ),
        (
            json!({"connect_timeout_ms": 0}),
            "connect_timeout_ms: has to be more than nothing",
        ),
        (
            json!({"stall_timeout_ms": 0}),
            "stall_timeout_ms: has to be more than nothing",
        ),
        (
            json!({"longest_backoff_ms": 100}),
            "longest_backoff_ms: is shorter than first_backoff",
        ),
        (
            json!({"dir_mode": "0600"}),
            "dir_mode: has to let the owner read, write and enter",
        ),
        (
            json!({"file_mode": "0400"}),
            "file_mode: has to let the owner read and write",
        ),
    ] {
        // As soon as it is read, so that a bad file is found before it counts.
        let error = Config::from_json(&json.to_string()).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Refused, told)
        );
        let config: Config = serde_json::from_value(json).unwrap();
        assert_eq!(config.into_builder().unwrap_err().to_string(), told);
    }
    for (json, field) in [
        (json!({"proxy": "socks5://h"}), "proxy: "),
        (
            json!({"proxy": "http://h", "no_proxy": true}),
            "no_proxy: is set beside proxy",
        ),
        (
            json!({"http_headers": [{"host": "h", "name": "Host", "value": "v"}]}),
            "http_headers: ",
        ),
        (
            json!({"root_certificates": ["none"]}),
            "root_certificates: ",
        ),
        (
            json!({"proxy": {"env": "NO_SUCH_VARIABLE"}}),
            "proxy: the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            json!({"root_certificates": [{"file": "/no/such"}]}),
            "root_certificates[0]: cannot read /no/such: ",
        ),
    ] {
        let told = refused(&json.to_string());
        assert!(told.starts_with(field), "{told}");
    }
    #[cfg(feature = "s3")]
    for (json, field) in [
        (json!({"s3": {"access_key": "a"}}), "s3: "),
        (
            json!({"s3": {"anonymous": true, "expires_in_ms": 10}}),
            "s3: ",
        ),
        (
            json!({"s3": {"secret_key": {"env": "NO_SUCH_VARIABLE"}}}),
            "s3.secret_key: ",
        ),
    ] {
        let told = refused(&json.to_string());
        assert!(told.starts_with(field), "{told}");
    }
}

#[test]
fn no_secret_is_repeated() {
    let header =
        |value: Value| json!({"http_headers": [{"host": "h", "name": "n", "value": value}]});
    let mut wrong = vec![
        header(json!([CANARY])).to_string(),
        header(json!({"file": [CANARY]})).to_string(),
        header(json!({"Bearer": CANARY})).to_string(),
        header(json!(format!("{CANARY}\n"))).to_string(),
        json!({"http_headers": {"Authorization": CANARY}}).to_string(),
        json!({"http_headers": CANARY}).to_string(),
        json!({"http_headers": [{"host": format!("a {CANARY}"), "name": "n", "value": CANARY}]})
            .to_string(),
        json!({"http_headers": [{"host": "h", "name": "n", "value": {"Bearer canary7f3a": 1}}]})
            .to_string(),
        json!({"slots": CANARY}).to_string(),
        json!({"slots": format!("{CANARY}, expected {CANARY}")}).to_string(),
        json!({"durability": format!("{CANARY}`, expected one of `{CANARY}")}).to_string(),
        json!({"proxy": format!("ftp://u:{CANARY}@h")}).to_string(),
        json!({"file_mode": CANARY}).to_string(),
        json!({"root_certificates": [CANARY]}).to_string(),
        header(json!(CANARY)).to_string() + "}",
    ];
    if cfg!(feature = "s3") {
        wrong.push(json!({"s3": {"access_key": CANARY}}).to_string());
        wrong.push(json!({"s3": CANARY}).to_string());
        wrong.push(
            json!({"s3": {"endpoint": format!("ftp://u:{CANARY}@h"), "anonymous": true}})
                .to_string(),
        );
    }
    for json in wrong {
        let told = refused(&json);
        assert!(!told.contains(CANARY), "{json}: {told}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut config = Config::default();
    config.proxy = Some(CANARY.into());
    config.root_certificates = vec![CANARY.into()];
    config.http_headers = vec![HttpHeaderConfig::new("h", CANARY, CANARY)];
    let url = format!("http://u:{CANARY}@h/?{CANARY}");
    config.mirrors = vec![MirrorConfig::new(url.clone(), [url.clone()])];
    #[cfg(feature = "s3")]
    {
        let mut s3 = data_manager::data_manager::S3Config::default();
        s3.endpoint = Some(url);
        s3.secret_key = Some(CANARY.into());
        s3.session_token = Some(CANARY.into());
        config.s3 = Some(s3);
    }
    let shown = format!("{config:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(shown.contains("slots: 8"), "{shown}");
}

#[test]
fn a_token_comes_from_its_file() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 10));
    let token = dir.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let value = |place: Value| json!({"host": format!("http://{}", origin.address()), "name": "Authorization", "value": place});
    let file = dir.path().join("worker.json");
    let mut said = json!({
        "data_dir": dir.path().join("chunks"),
        "http_headers": [value(json!({"file": token, "prefix": "Bearer "}))],
    });
    let download = |said: &Value| {
        std::fs::write(&file, said.to_string()).unwrap();
        let manager = Config::from_json_file(&file).unwrap().open().unwrap();
        let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        manager.delete_chunk(support::id(1)).wait().unwrap();
        origin.requests().pop().unwrap().headers["authorization"].clone()
    };
    assert_eq!(download(&said), "Bearer secret");
    // Cargo sets it where it runs a test.
    said["http_headers"] = json!([value(json!({"env": "CARGO_PKG_NAME"}))]);
    assert_eq!(download(&said), "data_manager");
    std::fs::write(&token, " \n").unwrap();
    said["http_headers"] = json!([value(json!({"file": token}))]);
    let told = refused(&said.to_string());
    assert!(
        told.starts_with("http_headers[0].value: ") && told.ends_with("token is empty"),
        "{told}"
    );
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

fn text() -> impl Strategy<Value = ConfigText> {
    let reference = ("[ -~]{1,12}", prop::option::of("[ -~]{1,8}"), any::<bool>());
    prop_oneof![
        any::<String>().prop_map(ConfigText::from),
        reference.prop_map(|(place, prefix, in_file)| {
            let mut json = json!({ if in_file { "file" } else { "env" }: place });
            if let Some(prefix) = prefix {
                json["prefix"] = prefix.into();
            }
            serde_json::from_value(json).unwrap()
        }),
    ]
}

proptest! {
    #[test]
    fn a_config_comes_back_as_it_was(
        numbers in prop::array::uniform8(any::<u64>()),
        sizes in prop::collection::vec(1..=usize::MAX, 3),
        limits in prop::array::uniform2(prop::option::of(1..=u64::MAX)),
        flags in prop::array::uniform3(any::<bool>()),
        modes in (prop::option::of(0o0..=0o77u32), prop::option::of(0o0..=0o77u32)),
        durability in prop::sample::select(vec![Durability::Full, Durability::Ordered, Durability::None]),
        texts in prop::collection::vec(text(), 0..4),
        words in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let mut config = Config::default();
        config.data_dir = words.concat().into();
        config.slots = sizes[0];
        config.slots_per_host = sizes.get(1).copied();
        config.threads = sizes.get(2).copied();
        config.first_backoff_ms = numbers[0].max(1);
        config.longest_backoff_ms = u64::MAX;
        config.connect_timeout_ms = numbers[1].max(1);
        config.stall_timeout_ms = numbers[2].max(1);
        config.min_rate = numbers[3];
        config.rate_window_ms = numbers[4].max(1);
        config.shutdown_timeout_ms = numbers[5];
        config.partials_max_bytes = numbers[6];
        config.partials_max_age_ms = numbers[7];
        [config.bandwidth_limit, config.scrub_rate] = limits;
        config.max_bytes = limits[0].map(|limit| limit - 1);
        [config.no_proxy, config.allow_private_redirects, config.accept_unframed] = flags;
        config.dir_mode = modes.0.map(|mode| mode | 0o700);
        config.file_mode = modes.1.map(|mode| mode | 0o600);
        config.durability = durability;
        config.proxy = texts.first().cloned();
        config.http_headers = texts.iter().map(|value| HttpHeaderConfig::new("h", "n", value.clone())).collect();
        config.root_certificates = texts;
        config.serve_files_from = words.iter().map(Into::into).collect();
        config.mirrors = vec![MirrorConfig::new("p", words)];
        let json = serde_json::to_string_pretty(&config).unwrap();
        prop_assert_eq!(Config::from_json(&json).unwrap(), config);
    }

    #[test]
    fn no_text_makes_it_panic_or_say_what_it_read(text in "[ -~]{0,40}", key in prop::sample::select(others().into_keys().collect::<Vec<_>>())) {
        let _ = Config::from_json(&text);
        // In the place of any value; the names of our own things may be in what is told.
        let told = Config::from_json(&json!({key: [{"x": format!("{CANARY}{text}")}]}).to_string()).unwrap_err();
        prop_assert!(!told.to_string().contains(CANARY), "{}", told);
    }
}
