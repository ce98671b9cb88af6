//! What the tool is told of how: flags, the environment, and a file.

use std::path::Path;

use crate::support::origin::{Origin, Reply};
use crate::support::temp_dir;
use crate::tool::{Said, assignment, described, run, served, tool};

fn config(dir: &Path, json: &serde_json::Value) -> String {
    let file = dir.join("config.json");
    std::fs::write(&file, json.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Without `--data-dir`.
fn run_plain(args: &[&str], dir_of_environment: Option<&Path>) -> Said {
    let mut command = tool(Path::new("unused"), &[]);
    let program = command.get_program().to_owned();
    command = std::process::Command::new(program);
    command.args(args).env_remove("DATA_MANAGER_DIR");
    command.envs(dir_of_environment.map(|dir| ("DATA_MANAGER_DIR", dir)));
    command.output().unwrap().into()
}

#[test]
fn the_directory_is_the_one_typed_or_of_the_environment_or_of_the_file() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let [typed, environment, file] =
        ["typed", "environment", "file"].map(|name| dir.path().join(name));
    let config = config(dir.path(), &serde_json::json!({ "data_dir": &file }));
    let assignment = assignment(dir.path(), [served(&origin, 1)]);
    let args = ["--config", &config, "sync", "--assignment", &assignment];
    run_plain(&args, None).ended_with(0);
    assert!(file.is_dir() && !environment.exists());
    run_plain(&args, Some(&environment)).ended_with(0);
    assert!(environment.is_dir() && !typed.exists());
    let with_dir = [&["--data-dir", typed.to_str().unwrap()], &args[..]].concat();
    run_plain(&with_dir, Some(&environment)).ended_with(0);
    assert!(typed.is_dir());
    // The commands that only look take it, too.
    let said = run_plain(&["--config", &config, "ls"], None).ended_with(0);
    assert!(said.out.contains(&"01".repeat(4)), "{said:?}");
}

#[test]
fn the_file_says_what_no_flag_says_and_a_bad_one_is_refused_by_its_field() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1)]);
    let small = config(dir.path(), &serde_json::json!({ "max_bytes": 10 }));
    let args = ["--config", &small, "sync", "--assignment", &file];
    let said = run(&data_dir, &args).ended_with(1);
    assert!(said.err.contains("--max-bytes"), "{said:?}");
    // What is typed counts.
    let flag = [&args[..], &["--max-bytes", "1MB"]].concat();
    run(&data_dir, &flag).ended_with(0);
    let bad = config(dir.path(), &serde_json::json!({ "slots": 0 }));
    let said = run(&data_dir, &["--config", &bad, "status"]).ended_with(2);
    assert!(
        said.err.contains("slots: ") && said.err.lines().count() == 1,
        "{said:?}"
    );
    run(&data_dir, &["--config", "/none/such", "status"]).ended_with(4);
    let said = run(&data_dir, &["sync", "--assignment", &file, "--slots", "0"]).ended_with(2);
    assert!(said.err.contains("slots: "), "{said:?}");
}

#[test]
fn a_header_goes_to_its_host_and_a_mirror_is_asked() {
    let (dir, origin, mirror) = (temp_dir(), Origin::start(), Origin::start());
    let data_dir = dir.path().join("data");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "Authorization: Bearer canary\n").unwrap();
    let secret = format!("@{}", secret.display());
    served(&mirror, 1);
    origin.serve("chunk-1", Reply::Status(404));
    let file = assignment(dir.path(), [described(1, origin.url("chunk-1"))]);
    let (host, prefix, alternate) = (origin.url(""), origin.url(""), mirror.url(""));
    let args = [
        "sync",
        "--assignment",
        &file,
        "--header",
        host.trim_end_matches('/'),
        &secret,
    ];
    let args = [&args[..], &["--mirror", &prefix, &alternate]].concat();
    let said = run(&data_dir, &args).ended_with(0);
    assert!(!format!("{said:?}").contains("canary"));
    let header = |origin: &Origin| origin.requests()[0].headers.get("authorization").cloned();
    assert_eq!(header(&origin).unwrap(), "Bearer canary");
    assert_eq!(header(&mirror), None);
}

#[test]
fn the_assignment_and_its_chunks_may_be_objects_of_s3() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let mut chunk = served(&origin, 1);
    chunk
        .files
        .insert("f.parquet".into(), "s3://bucket/chunk".into());
    origin.file("bucket/chunk", vec![7; 500]);
    let file = assignment(dir.path(), [chunk]);
    origin.file("bucket/a.json", std::fs::read(file).unwrap());
    let s3 = serde_json::json!({ "s3": { "endpoint": origin.url(""), "anonymous": true } });
    let config = config(dir.path(), &s3);
    let args = [
        "--config",
        &config,
        "sync",
        "--assignment",
        "s3://bucket/a.json",
    ];
    let said = run(&data_dir, &args).ended_with(0);
    assert_eq!(
        said.out,
        "1 of 1 chunk there, 500 B; 1 fetched, 0 removed\n"
    );
}
