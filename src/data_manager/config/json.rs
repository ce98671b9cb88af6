//! Text to [`Config`]. What is wrong is told by its place: the field, the line and the column, and what
//! has to be there. What stands there is not repeated, since it may be a secret.

use std::path::Path;

use serde_json::error::Category;

use super::Config;
use super::text::read_file;
use crate::error::Error;

impl Config {
    /// Reads a file in JSON, of at most 1 MiB: [`from_json`](Self::from_json).
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused), with the field, line and column; otherwise what the
    /// file system said.
    pub fn from_json_file(path: impl AsRef<Path>) -> Result<Config, Error> {
        let path = path.as_ref();
        let shown = path.display();
        let text =
            read_file(path).map_err(|error| Error::io(format_args!("read {shown}"), error))?;
        Self::from_json(&text).map_err(|error| error.with_file(&shown.to_string()))
    }

    /// Reads JSON. What can be judged by itself is: syntax, names, types, ranges. Whether the texts
    /// that stand [elsewhere](super::ConfigText) can be had, and what URLs, headers and certificates say, is
    /// looked at by [`into_builder`](Self::into_builder) and when the manager is opened.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused), with the field, and the line and column where they are
    /// known; values are not repeated.
    pub fn from_json(text: &str) -> Result<Config, Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let config: Config = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            misread(&path, error.inner())
        })?;
        json.end().map_err(|error| misread(".", &error))?;
        // Serde would take a list for the values in their order, which no one else knows.
        if !text.trim_start().starts_with('{') {
            return Err(Error::refused("config", "has to be an object, {…}"));
        }
        config.check_values()?;
        Ok(config)
    }
}

fn misread(path: &str, error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    let message = text.strip_suffix(&place).unwrap_or(&text);
    let reason = match error.classify() {
        Category::Data => reason_of(message),
        // These texts are fixed: they say what JSON is like.
        Category::Syntax | Category::Eof | Category::Io => format!("not JSON: {message}"),
    };
    let field = match path {
        "." | "?" => "config",
        path if path.chars().all(may_be_shown) => path,
        _ => "an unknown field",
    };
    Error::refused(
        field,
        format_args!("{reason} (line {line}, column {column})"),
    )
}

/// The characters of a path of our fields. What else stands in the place of a name may be a secret.
fn may_be_shown(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "_.[]".contains(c)
}

/// What serde says, without the value that it says it of.
fn reason_of(message: &str) -> String {
    if message.starts_with("unknown field") {
        let s3 = message.starts_with("unknown field `s3`") && cfg!(not(feature = "s3"));
        return if s3 {
            "needs the feature `s3` of data_manager".to_owned()
        } else {
            "is the name of no setting".to_owned()
        };
    }
    // The last one: values come before it.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("has to be {}", plain(expected)),
        // Our own, or the name of one of our fields that is missing or comes twice.
        None => message.to_owned(),
    }
}

/// What is expected, without the names of types in Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "u64" | "usize" | "u32" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "an object, {…}",
        other => other,
    }
}
