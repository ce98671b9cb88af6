//! The text format of Prometheus, version 0.0.4.
//!
//! Names, labels and their values are constants of the library and help is plain text, so nothing here
//! needs an escape; a test parses what comes out.

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// What every name begins with.
const PREFIX: &str = "data_manager_";

/// What a family is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What was written so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn head(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = kind.as_str();
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        // A string takes whatever it is given.
        let _ = writeln!(self.0, "{line}");
    }

    /// A family of one.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.head(kind, name, help);
        self.line(format_args!("{PREFIX}{name} {value}"));
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.one(Kind::Counter, name, help, value);
    }

    /// Left out where there is no value.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(Kind::Gauge, name, help, value);
        }
    }

    /// One for each value of a label.
    pub(super) fn each<V: Display>(
        &mut self,
        kind: Kind,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.head(kind, name, help);
        for (of, value) in values {
            self.line(format_args!("{PREFIX}{name}{{{label}=\"{of}\"}} {value}"));
        }
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(Kind::Histogram, name, help);
        let count = histogram.count();
        for (bound, up_to) in histogram.up_to() {
            self.line(format_args!(
                "{PREFIX}{name}_bucket{{le=\"{bound}\"}} {up_to}"
            ));
        }
        self.line(format_args!("{PREFIX}{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!(
            "{PREFIX}{name}_sum {}",
            histogram.sum_seconds()
        ));
        self.line(format_args!("{PREFIX}{name}_count {count}"));
    }
}
