//! Where an assignment is: a file, the standard input, or what a URL names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use data_manager::ErrorKind;
use data_manager::data_chunk::{AssignmentDocument, DataChunk, redact_url};
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl};
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};

use crate::exit::Failure;
use crate::settings::unreadable;

/// The one URL of [`OneFile`].
const FILE_URL: &str = "assignment-file:it";

/// No assignment is longer, as the library has it for what it reads itself.
const MOST_BYTES: u64 = 1 << 30;

/// Where an assignment is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Stdin,
    File(PathBuf),
    Url(String),
}

impl FromStr for Place {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Place::Stdin,
            url if url.contains("://") => Place::Url(url.to_owned()),
            file => Place::File(file.into()),
        })
    }
}

impl Place {
    /// What it says, if that can be known without a manager.
    pub(crate) fn read_local(&self) -> Result<Option<Vec<DataChunk>>, Failure> {
        let mut json = Vec::new();
        match self {
            Place::Url(_) => return Ok(None),
            Place::Stdin => io::stdin()
                .lock()
                .take(MOST_BYTES + 1)
                .read_to_end(&mut json),
            Place::File(file) => {
                File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut json))
            }
        }
        .map_err(|error| unreadable(Path::new(&self.to_string()), &error))?;
        if json.len() as u64 > MOST_BYTES {
            let message = format!("{self}: it is longer than {MOST_BYTES} bytes");
            return Err(Failure::usage(message).advise("Name an assignment"));
        }
        let document = AssignmentDocument::from_json(&json);
        let document = document.map_err(|error| {
            let failure = Failure::usage(format!("{self}: {error}"));
            failure.advise("Correct it, or ask whoever wrote it")
        })?;
        Ok(Some(document.chunks))
    }

    /// What it says, asked with what the manager fetches with. Blocks.
    pub(crate) fn read(&self, manager: &DataManagerImpl) -> Result<Vec<DataChunk>, Failure> {
        if let Some(chunks) = self.read_local()? {
            return Ok(chunks);
        }
        match self {
            Place::Url(url) => Ok(manager.read_assignment(url)?.chunks),
            Place::Stdin | Place::File(_) => Ok(Vec::new()),
        }
    }

    /// The URL to follow, and a builder whose manager can.
    pub(crate) fn to_follow(
        &self,
        builder: DataManagerBuilder,
    ) -> Result<(String, DataManagerBuilder), Failure> {
        match self {
            Place::Stdin => Err(Failure::usage("--watch: what comes once cannot be watched")
                .advise("Name a file or a URL")),
            Place::Url(url) => Ok((url.clone(), builder)),
            Place::File(file) => {
                let file = std::path::absolute(file).map_err(|error| unreadable(file, &error))?;
                let builder = builder.source("assignment-file", OneFile(file));
                Ok((FILE_URL.to_owned(), builder))
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Stdin => f.write_str("the standard input"),
            Place::File(file) => file.display().fmt(f),
            Place::Url(url) => f.write_str(&redact_url(url)),
        }
    }
}

/// As `Display`: the derived one would show the URL whole.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({self})")
    }
}

/// Serves one file, whatever `--serve-files-from` says: naming it was the permission, and it is none
/// for its neighbours.
#[derive(Debug)]
struct OneFile(PathBuf);

impl DataSource for OneFile {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        ensure!(url == FILE_URL, "is no URL that anybody else can use");
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        self.check(request.url()).map_err(SourceError::permanent)?;
        let name = || format!("cannot read {}", self.0.display());
        let file = File::open(&self.0).with_context(name).map_err(as_it_is)?;
        // Without a validator it is read each time and compared: that is cheap, and a clock cannot tell
        // two writes in one tick.
        Ok(Opened::new(file))
    }
}

/// It may be there the next time.
fn as_it_is(error: anyhow::Error) -> SourceError {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    SourceError::transient(error).with_kind(match kind {
        Some(io::ErrorKind::NotFound) => ErrorKind::NotFound,
        Some(io::ErrorKind::PermissionDenied) => ErrorKind::Denied,
        _ => ErrorKind::Io,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_file_unless_it_is_a_url() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        assert_eq!(place("-"), Place::Stdin);
        assert_eq!(place("a:b.json"), Place::File("a:b.json".into()));
        assert_eq!(place("s3://b/a"), Place::Url("s3://b/a".into()));
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        let place: Place = "https://u:canary@h/a.json?canary=1".parse().unwrap();
        assert_eq!(place.to_string(), "https://h/a.json");
        assert!(!format!("{place:?}").contains("canary"));
    }
}
