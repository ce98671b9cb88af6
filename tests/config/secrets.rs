//! Tokens and keys: where they come from, and where they never show up.

use serde_json::{Value, json};

use super::support::origin::Origin;
use super::support::{DEADLINE, bytes, chunk, id, temp_dir};
use super::{CANARY, refused};
use data_manager::ErrorKind;
use data_manager::data_manager::{Config, HttpHeaderConfig, MirrorConfig};

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
        manager.delete_chunk(id(1)).wait().unwrap();
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

/// What the environment says of S3 goes with what a config says, and its keys do not go with others.
#[cfg(feature = "s3")]
#[test]
fn keys_of_s3_go_together() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_REGION", "its-region"),
    ];
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "secrets::with_keys_in_the_environment",
        ])
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_ENDPOINT_URL_S3")
        .envs(variables)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[cfg(feature = "s3")]
#[test]
#[ignore = "run by keys_of_s3_go_together, with an environment"]
fn with_keys_in_the_environment() {
    let builder = |s3: Value| {
        let config = Config::from_json(&json!({ "s3": s3 }).to_string()).unwrap();
        let builder = config.into_builder();
        builder.map(|builder| format!("{builder:?}"))
    };
    let shown = builder(json!({"endpoint": "http://h"})).unwrap();
    for part in [
        "has_keys: true",
        "has_session_token: true",
        "its-region",
        "http://h",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown =
        builder(json!({"access_key": "other", "secret_key": "other", "region": "r"})).unwrap();
    for part in [
        "has_keys: true",
        "has_session_token: false",
        "region: Some(\"r\")",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Half of a pair is not made whole by the environment's.
    assert_eq!(
        builder(json!({"access_key": "other"})).unwrap_err().kind(),
        ErrorKind::Refused
    );
}
