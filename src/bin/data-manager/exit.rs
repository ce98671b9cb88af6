//! How the tool ends: the exit codes, and what it says of a failure, in one line and with what to do.

use std::borrow::Cow;
use std::fmt;
use std::io;

use data_manager::{Error, ErrorKind};

/// The table in the help and in the man page.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done: everything that was asked for is so
    1  something failed; what could be done is done
    2  the command line, or a file that it names, cannot be understood
    3  somebody else owns the data directory
    4  something is not there: a directory, a chunk, a block, a part of a range
    5  something that is there is damaged
  130  interrupted before the end: by a signal, or since nobody reads what is written";

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for is so.
    Done,
    /// Something failed; what could be done is done.
    Failed,
    /// What was asked for cannot be understood.
    Usage,
    /// Somebody else owns the data directory.
    Locked,
    /// Something is not there.
    Missing,
    /// Something that is there is damaged.
    Damaged,
    /// By a signal, or since nobody reads the output, before the end.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Locked => 3,
            Exit::Missing => 4,
            Exit::Damaged => 5,
            Exit::Interrupted => 130,
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told.
    Said {
        exit: Exit,
        /// What went wrong.
        message: String,
        /// What to do about it.
        advice: Option<Cow<'static, str>>,
    },
    /// Nobody reads the output any more: there is nobody to tell. Whoever only looks has seen enough.
    NoReader,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let (message, advice) = (message.into(), None);
        Failure::Said {
            exit,
            message,
            advice,
        }
    }

    /// What was asked for cannot be understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    /// Something is not there.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Failure::new(Exit::Missing, message)
    }

    /// Says what to do about it; a sentence, without its full stop.
    #[must_use]
    pub(crate) fn advise(self, what: impl Into<Cow<'static, str>>) -> Self {
        match self {
            Failure::Said { exit, message, .. } => {
                let advice = Some(what.into());
                Failure::Said {
                    exit,
                    message,
                    advice,
                }
            }
            Failure::NoReader => self,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Said { exit, .. } => *exit,
            Failure::NoReader => Exit::Done,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoReader => f.write_str("nobody reads the output"),
            Failure::Said {
                message, advice, ..
            } => {
                f.write_str(&one_line(message))?;
                advice.as_ref().map_or(Ok(()), |what| write!(f, ". {what}"))
            }
        }
    }
}

/// An error of the library, with what to do about errors of its kind.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Failure::new(exit_of(error.kind()), error.to_string());
        match advice_for(error.kind()) {
            Some(what) => failure.advise(what),
            None => failure,
        }
    }
}

/// An error of the standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NoReader,
            _ => Failure::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

/// How the tool ends if an error of this kind ends it.
pub(crate) fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Refused => Exit::Usage,
        ErrorKind::Locked => Exit::Locked,
        ErrorKind::NotFound => Exit::Missing,
        ErrorKind::Damaged => Exit::Damaged,
        _ => Exit::Failed,
    }
}

/// What to do about errors of this kind; a sentence, without its full stop.
pub(crate) fn advice_for(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Refused => "Correct what it names",
        ErrorKind::Locked => {
            "Stop that process or name another --data-dir; ls, find, cover, status and verify work all the same"
        }
        ErrorKind::NotFound => "Correct the URL, or ask whoever serves it",
        ErrorKind::Denied => {
            "Give the right credentials (--header, AWS_ variables), or the right to read and write there"
        }
        ErrorKind::Unavailable | ErrorKind::Network | ErrorKind::Timeout => {
            "Run it again later: what arrived is kept"
        }
        ErrorKind::Protocol => "Ask whoever serves it to mend it",
        ErrorKind::Digest => {
            "What is served is not what was described: ask whoever serves it, or correct the digest"
        }
        ErrorKind::NoSpace => "Make room (prune, rm), or raise --max-bytes",
        ErrorKind::Io => "Look at the disk and its log",
        ErrorKind::Damaged => "Run rm with the chunk's id, and then sync: it fetches it again",
        ErrorKind::Internal => "This is a defect: report it with this line",
        _ => return None,
    })
}

/// As one line that does nothing to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_end_matches('.').chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Locked,
            Exit::Missing,
            Exit::Damaged,
            Exit::Interrupted,
        ];
        let listed = EXIT_CODES.lines().skip(1);
        let listed = listed.map(|line| line.split_whitespace().next().unwrap());
        let codes: Vec<String> = all.iter().map(|exit| exit.code().to_string()).collect();
        assert_eq!(listed.collect::<Vec<_>>(), codes);
    }

    #[test]
    fn a_failure_is_one_line_with_what_to_do() {
        let failure = Failure::usage("no\nsuch\u{1b}[31m thing.").advise("Do better");
        assert_eq!(failure.to_string(), "no such [31m thing. Do better");
        assert_eq!(failure.exit().code(), 2);
    }

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), Exit::Done);
    }
}
