//! What is printed, and where: data on the standard output, talk on the standard error.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use crate::args::Global;
use crate::exit::{Failure, one_line};

/// The two streams, and how much goes to them.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    json: bool,
    quiet: bool,
    verbose: u8,
    at_terminal: bool,
    talks_to_terminal: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Output {
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout()),
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            at_terminal: io::stdout().is_terminal(),
            talks_to_terminal: io::stderr().is_terminal(),
        }
    }

    /// Whether to write JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the standard output is a terminal: only then anything is drawn there.
    pub(crate) fn is_terminal(&self) -> bool {
        self.at_terminal
    }

    /// Whether to draw on the standard error what changes while one looks at it.
    pub(crate) fn draws(&self) -> bool {
        self.talks_to_terminal && !self.quiet && !self.json
    }

    /// Whether to say nothing but what was asked for, and what failed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How often `-v` was said.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// A line of data. It may wait to be written until [`flush`](Self::flush).
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// One object, on a line of its own.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, object).map_err(io::Error::from)?;
        Ok(writeln!(self.stdout)?)
    }

    /// Text as it stands: a script, a page.
    pub(crate) fn text(&mut self, text: &[u8]) -> Result<(), Failure> {
        Ok(self.stdout.write_all(text)?)
    }

    /// Writes what waits: before waiting for anything that takes its time.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    /// Rows with a head, in columns; the columns in `right` (counted from 0) end on one line.
    pub(crate) fn table(
        &mut self,
        head: &[&str],
        rows: &[Vec<String>],
        right: &[usize],
    ) -> Result<(), Failure> {
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let mut widths = vec![0; head.len()];
        for row in std::iter::once(&head).chain(rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in std::iter::once(&head).chain(rows) {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (cell, width))| match right.contains(&at) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(format_args!("{}", line.trim_end()))?;
        }
        Ok(())
    }

    /// Talk: what a person wants to know and no program reads. Not with `--quiet`.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            tell(line);
        }
    }

    /// What failed: also with `--quiet`.
    pub(crate) fn complain(&self, line: fmt::Arguments<'_>) {
        tell(line);
    }

    /// Why the tool ends.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        // What was found until then is not lost; if it cannot be written, the failure is told all
        // the same.
        let _ = self.stdout.flush();
        match failure {
            Failure::NoReader => {}
            Failure::Said {
                exit,
                message,
                advice,
            } if self.json => {
                let object = serde_json::json!({
                    "error": { "message": one_line(message), "advice": advice, "exit_code": exit.code() }
                });
                tell(format_args!("{object}"));
            }
            Failure::Said { .. } => tell(format_args!("data-manager: {failure}")),
        }
    }
}

/// Writes a line to the standard error. There is nobody to tell if that fails.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
