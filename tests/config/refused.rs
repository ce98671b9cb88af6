//! What is wrong with a config is told by its place.

use serde_json::json;

use super::refused;
use data_manager::ErrorKind;
use data_manager::data_manager::Config;

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
fn no_name_goes_unseen_further_down() {
    let mut wrong = vec![
        json!({"http_headers": [{"host": "h", "name": "n", "value": "v", "values": "v"}]}),
        json!({"http_headers": [{"host": "h", "name": "n", "value": {"file": "f", "prefixes": ""}}]}),
        json!({"mirrors": [{"prefix": "http://a/", "alternates": [], "alternate": "b"}]}),
    ];
    if cfg!(feature = "s3") {
        wrong.push(json!({"s3": {"anonymous": true, "acess_key": "a"}}));
    }
    for json in wrong {
        let told = refused(&json.to_string());
        assert!(told.contains(": is the name of no setting ("), "{told}");
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
