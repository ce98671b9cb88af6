//! What the tool says of itself.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::temp_dir;
use crate::tool::{run, tool};

const COMMANDS: [&str; 12] = [
    "sync",
    "get",
    "ls",
    "find",
    "cover",
    "rm",
    "verify",
    "status",
    "prune",
    "export",
    "completions",
    "man",
];

#[test]
fn every_command_has_an_example_that_names_it() {
    let dir = temp_dir();
    for command in COMMANDS {
        let said = run(dir.path(), &[command, "--help"]).ended_with(0);
        let examples = said.out.split("Examples:").nth(1).unwrap_or_default();
        assert!(
            examples.contains("data-manager") && examples.contains(command),
            "{}",
            said.out
        );
    }
    let said = run(dir.path(), &["--help"]).ended_with(0);
    for command in COMMANDS {
        let line = said
            .out
            .lines()
            .find(|line| line.trim_start().starts_with(command));
        // With a word on what it does.
        assert!(line.unwrap().split_whitespace().count() > 2, "{}", said.out);
    }
    assert!(
        said.out.contains("Exit codes:") && said.out.contains("130"),
        "{}",
        said.out
    );
    run(dir.path(), &[]).ended_with(2);
    run(dir.path(), &["synk"]).ended_with(2);
}

#[test]
fn the_manual_has_a_page_for_the_tool_and_for_each_command() {
    let dir = temp_dir();
    let page = run(dir.path(), &["man"]).ended_with(0).out;
    assert!(
        page.contains(".TH data-manager 1") && page.contains("Exit codes:"),
        "{page}"
    );
    for command in COMMANDS {
        let page = run(dir.path(), &["man", command]).ended_with(0).out;
        assert!(
            page.contains(&format!(".TH data-manager-{command} 1")),
            "{page}"
        );
        assert!(page.contains("Examples:"), "{page}");
    }
    run(dir.path(), &["man", "synk"]).ended_with(2);
}

#[test]
fn completions_come_out_and_bash_takes_them() {
    let dir = temp_dir();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(dir.path(), &["completions", shell]).ended_with(0).out;
        assert!(
            script.contains("data-manager") && script.contains("assignment"),
            "{shell}"
        );
    }
    let script = run(dir.path(), &["completions", "bash"]).out;
    let file = dir.path().join("completions");
    std::fs::write(&file, script).unwrap();
    match Command::new("bash").arg("-n").arg(&file).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => println!("skipped: needs bash"),
    }
}

/// `data-manager … | head -1`.
#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let dir = temp_dir();
    let mut child = tool(dir.path(), &["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It goes before the tool has begun to write, or on the way.
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}
