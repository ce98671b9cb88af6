//! Credentials and query strings of URLs show up nowhere: not in an error, an event, a `Debug`,
//! a status, or a file on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use support::origin::{Origin, Reply};
use support::{DEADLINE, bytes, chunk, id, open, read_dir, temp_dir};

const CANARY: &str = "canary7f3a";

fn with_secrets(url: &str) -> String {
    url.replace("http://", &format!("http://user:{CANARY}@")) + &format!("?X-Signature={CANARY}")
}

fn grep(dir: &Path, found: &mut Vec<String>) {
    for path in read_dir(dir) {
        if path.to_string_lossy().contains(CANARY) {
            found.push(path.display().to_string());
        }
        if path.is_dir() {
            grep(&path, found);
        } else if let Ok(content) = std::fs::read(&path)
            && content
                .windows(CANARY.len())
                .any(|window| window == CANARY.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn urls_are_redacted_everywhere() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    let path = format!("ok?X-Signature={CANARY}");
    origin.file(&path, bytes(1, 10));
    let stalls = format!("stalls?X-Signature={CANARY}");
    origin.serve(&stalls, Reply::Stall(bytes(1, 10_000).into(), 5000));
    let mut shown = Vec::new();
    let replies = [
        ("ok", None),
        ("missing", None),
        ("denied", Some(Reply::Status(403))),
        ("moved", Some(Reply::Raw(format!("HTTP/1.1 302 Found\r\nLocation: http://h:{CANARY}/\r\nContent-Length: 0\r\n\r\n").into_bytes()))),
        ("garbage", Some(Reply::Raw(b"nonsense\r\n\r\n".to_vec()))),
        ("busy", Some(Reply::Status(503))),
        ("stalls", None),
    ];
    for (n, (name, reply)) in (1..).zip(replies) {
        if let Some(reply) = reply {
            origin.serve(&format!("{name}?X-Signature={CANARY}"), reply);
        }
        let description = chunk(n, 0..5, [("f", with_secrets(&origin.url(name)))]);
        shown.push(format!("{description:?}"));
        let task = manager.download_chunk(description);
        shown.push(format!("{task:?}"));
        if matches!(name, "moved" | "garbage" | "busy" | "stalls") {
            // These are tried for ever.
            origin.wait_for_hits(&format!("{name}?X-Signature={CANARY}"), 1);
            continue;
        }
        let outcome = task.wait_timeout(DEADLINE).unwrap();
        assert_eq!(outcome.is_ok(), name == "ok", "{name}: {outcome:?}");
        shown.push(format!("{outcome:?}"));
        if let Err(error) = outcome {
            shown.push(format!(
                "{error} {error:#?} {}",
                serde_json::to_string(&error).unwrap()
            ));
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                shown.push(format!("{cause} {cause:?}"));
                source = cause.source();
            }
        }
    }
    let sent = &origin.requests()[0];
    assert_eq!(
        sent.headers["authorization"],
        format!(
            "Basic {}",
            data_encoding::BASE64.encode(format!("user:{CANARY}").as_bytes())
        )
    );
    let mut refused = with_secrets(&origin.url("x")) + "#nonsense";
    refused.insert(0, ' ');
    for url in [
        refused.clone(),
        refused.trim().to_owned(),
        format!("ftp://{CANARY}@h/?{CANARY}"),
    ] {
        let error = manager
            .download_chunk(chunk(99, 0..5, [("f", url)]))
            .wait()
            .unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }
    for n in 1..8 {
        let status = manager.chunk_status(&id(n)).unwrap();
        shown.push(format!(
            "{status:?} {}",
            serde_json::to_string(&status).unwrap()
        ));
    }
    let stats = manager.stats();
    shown.push(format!(
        "{manager:?} {stats:?} {}",
        serde_json::to_string(&stats).unwrap()
    ));
    while let Ok(event) = events.try_recv() {
        shown.push(format!(
            "{event:?} {}",
            serde_json::to_string(&event).unwrap()
        ));
    }
    for text in shown {
        assert!(!text.contains(CANARY), "{text}");
    }
    let mut found = Vec::new();
    grep(dir.path(), &mut found);
    drop(manager);
    grep(dir.path(), &mut found);
    assert!(found.is_empty(), "{found:?}");
}
