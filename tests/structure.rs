//! The structure that ARCHITECTURE.md promises: which module may use which, no async runtime in
//! the tree, no `unsafe`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each top-level module, and what it may use of the crate.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("error", &[]),
    ("data_chunk", &["error", "Error", "ErrorKind"]),
    (
        "data_source",
        &["error", "data_chunk", "Error", "ErrorKind"],
    ),
    (
        "data_catalogue",
        &["error", "data_chunk", "Error", "ErrorKind"],
    ),
    ("tasks_manager", &[]),
    ("io_operation", &["tasks_manager"]),
    (
        "data_manager",
        &[
            "error",
            "Error",
            "ErrorKind",
            "data_chunk",
            "data_source",
            "data_catalogue",
            "tasks_manager",
            "io_operation",
        ],
    ),
];

/// Crates that are an async runtime, or the core of one.
const RUNTIMES: [&str; 14] = [
    "tokio",
    "async-std",
    "smol",
    "futures-executor",
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-task",
    "blocking",
    "glommio",
    "monoio",
    "embassy-executor",
    "actix-rt",
    "compio",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let (dir, file) = (
        root().join("src").join(module),
        root().join(format!("src/{module}.rs")),
    );
    let mut files = if dir.is_dir() {
        rust_files(&dir)
    } else {
        Vec::new()
    };
    files.extend(file.is_file().then_some(file));
    assert!(!files.is_empty(), "the module {module} is gone");
    files
}

/// Code without comments and without the tests at a file's end.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .to_owned();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The first segments of all paths that start with `crate::`, also inside braces.
fn uses(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => {
                found.insert(word(rest));
            }
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn modules_use_only_what_is_below_them() {
    for (module, allowed) in MAY_USE {
        for file in files_of(module) {
            if file.ends_with("tests.rs") {
                continue;
            }
            for used in uses(&code_of(&file)) {
                let fine = used == module || allowed.contains(&used.as_str());
                assert!(fine, "{} uses crate::{used}", file.display());
            }
        }
    }
}

#[test]
fn every_module_has_its_rule() {
    let src = root().join("src");
    let modules: BTreeSet<String> = std::fs::read_dir(&src)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        // The command-line tool is a crate of its own, which uses what everybody can.
        .filter(|name| name != "lib" && name != "bin")
        .collect();
    let known: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(modules, known);
}

#[test]
fn the_executor_half_could_be_a_crate_of_its_own() {
    for module in ["tasks_manager", "io_operation"] {
        for file in files_of(module) {
            let code = code_of(&file).to_lowercase();
            for word in ["chunk", "url", "http", "std::fs", "std::path", "parquet"] {
                assert!(!code.contains(word), "{} names {word:?}", file.display());
            }
        }
    }
}

/// What a model checker has to replace is named in `sync` alone. The timer is a static, outside of any model.
#[test]
fn the_executor_synchronises_through_one_door() {
    let doors = ["sync.rs", "modelled.rs", "sleep.rs"];
    for module in ["tasks_manager", "io_operation"] {
        for file in files_of(module) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let is_model = file
                .components()
                .any(|part| Path::new(&part).file_stem() == Some("models".as_ref()));
            if is_model || doors.contains(&name) {
                continue;
            }
            let code = code_of(&file);
            for other in [
                "parking_lot",
                "std::thread",
                "std::sync::atomic",
                "std::sync::Mutex",
                "std::sync::Condvar",
                "loom::",
            ] {
                assert!(!code.contains(other), "{} names {other}", file.display());
            }
        }
    }
}

#[test]
fn the_data_half_never_polls_by_hand() {
    for module in [
        "data_chunk",
        "data_source",
        "data_catalogue",
        "data_manager",
    ] {
        for file in files_of(module) {
            let code = code_of(&file);
            for call in [
                ".poll(",
                "Context::from_waker",
                "thread::spawn",
                "thread::Builder",
            ] {
                // A test's server may have a thread. The system's resolver cannot be cancelled, so no job may wait in it.
                let resolves = call == "thread::Builder" && file.ends_with("http/resolve.rs");
                // Nothing runs yet when a data directory is opened, and `open` joins it.
                let opens = call == "thread::Builder"
                    && (file.ends_with("local/names.rs") || file.ends_with("data_manager/core.rs"));
                // A source under test may hang: what asks it has a thread to leave behind.
                let suite = call == "thread::Builder"
                    && file
                        .components()
                        .any(|part| part.as_os_str() == "conformance");
                let fine = resolves
                    || opens
                    || suite
                    || file.ends_with("tests.rs")
                    || !code.contains(call);
                assert!(fine, "{} calls {call}", file.display());
            }
        }
    }
}

#[test]
fn nothing_is_unsafe() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![forbid(unsafe_code)]"));
    for file in rust_files(&root().join("src")) {
        let code = code_of(&file).replace("unsafe_code", "");
        assert!(!code.contains("unsafe"), "{}", file.display());
    }
}

/// The names of the crates that the library is built with.
fn tree(features: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .arg("tree")
        .args(features)
        .args(["--target", "all", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}", "--locked"])
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn no_runtime_is_in_the_tree_of_any_feature() {
    let names = tree(&["--all-features"]);
    assert!(names.contains("ureq"), "{names:?}");
    for runtime in RUNTIMES {
        assert!(!names.contains(runtime), "{runtime} is in the tree");
    }
}

#[test]
fn who_does_not_want_the_tool_does_not_build_it() {
    let tools = [
        "clap",
        "clap_complete",
        "clap_mangen",
        "indicatif",
        "signal-hook",
    ];
    let (with, without) = (tree(&["--features", "cli"]), tree(&[]));
    for tool in tools {
        assert!(with.contains(tool) && !without.contains(tool), "{tool}");
    }
}

#[test]
fn the_examples_of_wrong_code_are_found() {
    assert!(uses("use crate::data_source::X;").contains("data_source"));
    assert!(uses("use crate::{error::E, data_manager};").contains("data_manager"));
    assert!(uses("let x = crate::tasks_manager::sleep();").contains("tasks_manager"));
}
