//! The command-line tool, as a person or a script sees it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "cli/help.rs"]
mod help;
#[path = "cli/others.rs"]
mod others;
#[path = "cli/settings.rs"]
mod settings;
mod support;
#[path = "cli/sync.rs"]
mod sync;
#[path = "cli/tool.rs"]
mod tool;
#[path = "cli/watch.rs"]
mod watch;
