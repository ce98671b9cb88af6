//! Texts of a config that may stand elsewhere.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Files that a config consists of, or names, are no longer than this. A bundle of all the world's
/// certificates has a quarter of it.
pub(super) const FILE_MAX_BYTES: u64 = 1 << 20;

/// A text of a [`Config`](super::Config), such as a token: said in place, or where it stands.
///
/// | in JSON | the text |
/// | --- | --- |
/// | `"abc"` | `abc` |
/// | `{"file": "/run/secrets/token"}` | what the file holds, without white space at its ends; at most 1 MiB of UTF-8 |
/// | `{"env": "TOKEN"}` | what the environment variable holds |
/// | `{"file": "/run/secrets/token", "prefix": "Bearer "}` | the prefix, then what the file holds; with `env` as well |
///
/// Files and variables are read once, when the config becomes a builder; one that is missing or
/// empty is refused. `Debug` shows where a text stands, and never the text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigText {
    /// In place.
    Here(String),
    /// In a file.
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// What comes before what it holds; mostly nothing.
        prefix: String,
    },
    /// In a variable of the environment.
    #[non_exhaustive]
    Env {
        /// The variable.
        name: String,
        /// What comes before what it holds; mostly nothing.
        prefix: String,
    },
}

impl ConfigText {
    /// What `path` holds.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let (path, prefix) = (path.into(), String::new());
        ConfigText::File { path, prefix }
    }

    /// What the environment variable `name` holds.
    pub fn env(name: impl Into<String>) -> Self {
        let (name, prefix) = (name.into(), String::new());
        ConfigText::Env { name, prefix }
    }

    /// The text itself, or why it cannot be had; the reason never repeats it.
    pub(super) fn read(&self) -> Result<String, String> {
        let (prefix, place, text) = match self {
            ConfigText::Here(text) => return Ok(text.clone()),
            ConfigText::File { path, prefix } => {
                let place = path.display().to_string();
                let text =
                    read_file(path).map_err(|reason| format!("cannot read {place}: {reason}"))?;
                (prefix, place, text)
            }
            ConfigText::Env { name, prefix } => {
                let place = format!("the environment variable {name}");
                let text = std::env::var_os(name).ok_or_else(|| format!("{place} is not set"))?;
                let text = text
                    .into_string()
                    .map_err(|_| format!("{place} is not UTF-8"))?;
                (prefix, place, text)
            }
        };
        // Whoever writes a file ends it with a line break.
        match text.trim() {
            "" => Err(format!("{place} is empty")),
            text => Ok(format!("{prefix}{text}")),
        }
    }
}

/// A small file of text.
pub(super) fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    // One byte more tells a file that is too long.
    let mut file = File::open(path)?.take(FILE_MAX_BYTES + 1);
    file.read_to_string(&mut text)?;
    if file.limit() == 0 {
        return Err(std::io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

impl From<String> for ConfigText {
    fn from(text: String) -> Self {
        ConfigText::Here(text)
    }
}

impl From<&str> for ConfigText {
    fn from(text: &str) -> Self {
        ConfigText::Here(text.to_owned())
    }
}

impl fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigText::Here(_) => f.write_str("Here(..)"),
            // A prefix is in place, and might be most of a secret.
            ConfigText::File { path, .. } => write!(f, "File({})", path.display()),
            ConfigText::Env { name, .. } => write!(f, "Env({name})"),
        }
    }
}

/// A text that stands elsewhere, as JSON has it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reference {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    prefix: String,
}

impl Serialize for ConfigText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reference = Reference::default();
        match self {
            ConfigText::Here(text) => return serializer.serialize_str(text),
            ConfigText::File { path, prefix } => {
                reference.file = Some(path.clone());
                reference.prefix.clone_from(prefix);
            }
            ConfigText::Env { name, prefix } => {
                reference.env = Some(name.clone());
                reference.prefix.clone_from(prefix);
            }
        }
        reference.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ConfigText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

const EXPECTED: &str = "a text, {\"file\": PATH} or {\"env\": NAME}";

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = ConfigText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E>(self, text: &str) -> Result<ConfigText, E> {
        Ok(text.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConfigText, A::Error> {
        let said = Reference::deserialize(MapAccessDeserializer::new(map))?;
        let prefix = said.prefix;
        match (said.file, said.env) {
            (Some(path), None) => Ok(ConfigText::File { path, prefix }),
            (None, Some(name)) => Ok(ConfigText::Env { name, prefix }),
            _ => Err(A::Error::custom(format_args!("has to be {EXPECTED}"))),
        }
    }
}
