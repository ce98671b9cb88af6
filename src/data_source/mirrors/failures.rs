//! Several places failed; one error says so.

use std::time::Duration;

use super::breaker::Sign;
use crate::data_source::SourceError;
use crate::error::ErrorKind;

/// One place's failure.
#[derive(Debug)]
pub(super) struct Failure {
    /// The place's number: 0 is the URL's own.
    pub(super) place: usize,
    /// What was asked for, redacted.
    pub(super) shown: String,
    pub(super) error: SourceError,
}

/// What a failure before the first byte says of the place.
pub(super) fn sign_of(error: &SourceError) -> Sign {
    match (error.host_wide, error.retry_after) {
        (true, asked) => Sign::Failed(asked),
        // That it has no such file, or gives it to nobody, is an answer.
        (false, _) if error.permanent => Sign::Answered,
        (false, Some(asked)) => Sign::Failed(Some(asked)),
        (false, None) => Sign::Doubtful,
    }
}

/// The most telling failure, with the others in its text. Permanent if all are: as long as one of
/// them may pass, that place may have the file. There has to be at least one.
pub(super) fn most_telling(mut failures: Vec<Failure>) -> SourceError {
    let permanent = failures.iter().all(|failure| failure.error.permanent);
    let host_wide = failures.iter().all(|failure| failure.error.host_wide);
    let retry_after = retry_after(&failures);
    failures.sort_by_key(|failure| telling(failure, permanent));
    let tried = failures.len();
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else {
        return SourceError::transient(anyhow::anyhow!("no place was asked"));
    };
    let others: Vec<String> = failures
        .map(|other| format!("{}: {}", other.shown, other.error))
        .collect();
    let SourceError { kind, cause, .. } = first.error;
    let text = match tried {
        1 => first.shown,
        _ => format!(
            "none of {tried} places; {}; {}",
            others.join("; "),
            first.shown
        ),
    };
    SourceError {
        kind,
        permanent,
        host_wide,
        retry_after,
        cause: cause.context(text),
    }
}

/// The least comes first. Where something may pass, what cannot is not the reason. An answer tells
/// more than silence, and "there is no such file" less than any other answer.
fn telling(failure: &Failure, permanent: bool) -> (bool, bool, u8, usize) {
    let error = &failure.error;
    let rank = match error.kind {
        ErrorKind::Unsupported => 2,
        ErrorKind::NotFound => 1,
        _ => 0,
    };
    let may_not_pass = error.permanent && !permanent;
    (may_not_pass, error.host_wide, rank, failure.place)
}

/// The shortest, if everybody asks for one who may give the file later. Who asks for none may be
/// back at any time.
fn retry_after(failures: &[Failure]) -> Option<Duration> {
    let passing = failures.iter().filter(|failure| !failure.error.permanent);
    let asked: Option<Vec<Duration>> = passing.map(|failure| failure.error.retry_after).collect();
    asked?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn of(errors: impl IntoIterator<Item = SourceError>) -> SourceError {
        let failure = |(place, error)| Failure {
            place,
            shown: format!("http://{place}/f"),
            error,
        };
        most_telling(errors.into_iter().enumerate().map(failure).collect())
    }

    fn missing() -> SourceError {
        SourceError::permanent(anyhow!("missing"))
    }

    fn denied() -> SourceError {
        SourceError::permanent(anyhow!("denied")).with_kind(ErrorKind::Denied)
    }

    fn down() -> SourceError {
        SourceError::transient(anyhow!("down")).host_wide()
    }

    fn busy(seconds: u64) -> SourceError {
        let busy = SourceError::transient(anyhow!("busy")).with_kind(ErrorKind::Unavailable);
        busy.with_retry_after(Duration::from_secs(seconds))
    }

    #[test]
    fn not_found_is_what_all_have_to_say() {
        let error = of([missing(), missing()]);
        assert_eq!((error.permanent, error.kind), (true, ErrorKind::NotFound));
        let error = of([missing(), denied()]);
        assert_eq!((error.permanent, error.kind), (true, ErrorKind::Denied));
        let error = of([missing(), down(), denied()]);
        assert_eq!((error.permanent, error.kind), (false, ErrorKind::Network));
        let unsupported = || SourceError::unsupported(anyhow!("no lists"));
        let error = of([unsupported(), missing()]);
        assert_eq!((error.permanent, error.kind), (true, ErrorKind::NotFound));
        assert_eq!(of([unsupported()]).kind, ErrorKind::Unsupported);
    }

    #[test]
    fn it_is_the_hosts_failure_if_it_is_that_of_all() {
        assert!(of([down(), down()]).host_wide);
        assert!(!of([down(), busy(1)]).host_wide);
        assert!(!of([down(), missing()]).host_wide);
        assert_eq!(of([down(), busy(1)]).kind, ErrorKind::Unavailable);
    }

    #[test]
    fn the_shortest_wait_that_means_something() {
        let seconds = |error: SourceError| error.retry_after.map(|after| after.as_secs());
        assert_eq!(seconds(of([busy(9), busy(5), missing()])), Some(5));
        assert_eq!(seconds(of([busy(9), down()])), None);
        assert_eq!(seconds(of([missing(), denied()])), None);
    }

    #[test]
    fn the_text_names_every_place_and_its_reason() {
        let text = of([down(), missing(), busy(1)]).to_string();
        assert_eq!(
            text,
            "none of 3 places; http://0/f: down; http://1/f: missing; http://2/f: busy"
        );
    }

    #[test]
    fn what_a_failure_says_of_the_place() {
        assert_eq!(sign_of(&missing()), Sign::Answered);
        assert_eq!(sign_of(&down()), Sign::Failed(None));
        let asked = Some(Duration::from_secs(3));
        assert_eq!(sign_of(&busy(3)), Sign::Failed(asked));
        let odd = SourceError::transient(anyhow!("odd"));
        assert_eq!(sign_of(&odd), Sign::Doubtful);
        // A bad certificate is everybody's.
        assert_eq!(sign_of(&missing().host_wide()), Sign::Failed(None));
    }
}
