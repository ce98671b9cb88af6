//! What came of a run.

use std::fmt;

/// What came of each case of a run. `Display` has a line for each.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody looks at tests nothing"]
pub struct Report {
    pub(super) cases: Vec<Case>,
}

/// What came of one case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The case's name, such as `resumed`.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The source keeps what it has to.
    Passed,
    /// It does not, and this is what it did.
    Failed(String),
    /// The origin or the source cannot do what the case is about.
    Skipped(String),
}

impl Report {
    /// Every case, in the order in which they ran.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// What came of the case of this name, if there is one.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        let case = self.cases.iter().find(|case| case.name == name)?;
        Some(&case.outcome)
    }

    /// The names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The names of the cases that were skipped.
    pub fn skipped(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// Whether no case failed. Some may have been skipped.
    pub fn is_sound(&self) -> bool {
        self.failed().is_empty()
    }

    /// For tests.
    ///
    /// # Panics
    /// With the whole report, if a case failed.
    pub fn assert(&self) {
        assert!(self.is_sound(), "the source does not conform:\n{self}");
    }

    fn names(&self, is_meant: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        let meant = self.cases.iter().filter(|case| is_meant(&case.outcome));
        meant.map(|case| case.name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Case { name, outcome } in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "passed   {name}")?,
                Outcome::Failed(reason) => writeln!(f, "FAILED   {name}: {reason}")?,
                Outcome::Skipped(reason) => writeln!(f, "skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}
