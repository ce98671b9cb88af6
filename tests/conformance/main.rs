//! Every source of this crate, through the suite that is there for every other one; and the suite
//! itself, on a source that makes each mistake that it is to find.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod files;
mod http;
mod memory;
mod nginx;
#[cfg(feature = "s3")]
mod s3;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use data_manager::data_source::DataSource;
use data_manager::data_source::conformance::{Origin, Outcome, run, run_only};
use memory::{Defect, Memory};

/// The whole suite on a source, of which exactly these cases may be skipped.
fn conforms(source: impl DataSource + 'static, origin: impl Origin + 'static, may_skip: &[&str]) {
    let report = run(source, origin);
    eprintln!("{report}");
    report.assert();
    let skipped = report.skipped();
    let unforeseen: Vec<_> = skipped
        .iter()
        .filter(|name| !may_skip.contains(name))
        .collect();
    assert!(unforeseen.is_empty(), "skipped: {unforeseen:?}\n{report}");
}

#[test]
fn a_sound_source_passes_every_case() {
    let memory = Memory::default();
    let report = run(memory.clone(), memory);
    for case in report.cases() {
        assert_eq!(case.outcome, Outcome::Passed, "{}", case.name);
    }
}

/// Each defect, and a case that has to name it.
const DEFECTS: [(Defect, &[&str]); 24] = [
    (Defect::IgnoresOffset, &["ranged", "resumed"]),
    (Defect::ResumesAnything, &["another_validator"]),
    (Defect::LiesAboutTotal, &["whole", "total"]),
    (Defect::SwallowsCut, &["cut"]),
    (Defect::LeaksQuery, &["secrets"]),
    (Defect::LeaksInCause, &["secrets"]),
    (
        Defect::IgnoresCancel,
        &[
            "cancelled_before",
            "cancelled_while_opening",
            "cancelled_while_stalled",
        ],
    ),
    (Defect::CancelIsEnd, &["cancelled_while_reading"]),
    (
        Defect::MissingIsTransient,
        &["missing", "removed_between_attempts"],
    ),
    (Defect::MissingIsDenied, &["missing"]),
    (Defect::CutIsPermanent, &["cut"]),
    (Defect::MixesVersions, &["changed_while_open"]),
    (
        Defect::ValidatorOfOther,
        &["another_validator", "changed_between_attempts"],
    ),
    (Defect::ValidatorDrifts, &["validator"]),
    (Defect::AlwaysUnchanged, &["unless"]),
    (Defect::NarrowOffset, &["huge"]),
    (Defect::AcceptsAnyScheme, &["check"]),
    (Defect::ChecksByLooking, &["check"]),
    (Defect::EndIsPermanent, &["at_the_end"]),
    (Defect::SharesPosition, &["at_once"]),
    (Defect::EmptyIsMissing, &["empty"]),
    (Defect::ListsTwice, &["list"]),
    (Defect::ListsWrongUrls, &["list"]),
    (Defect::Panics, &["whole"]),
];

#[test]
fn each_planted_defect_is_named() {
    // Side by side: those that hang take their time.
    std::thread::scope(|scope| {
        for (defect, names) in DEFECTS {
            scope.spawn(move || {
                let memory = Memory::with(defect);
                let report = run_only(names, memory.clone(), memory);
                let failed = report.failed();
                for name in names {
                    assert!(failed.contains(name), "{defect:?} passes {name}:\n{report}");
                }
            });
        }
    });
}
