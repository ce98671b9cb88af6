//! Mirrors: what is below a prefix may be had elsewhere, too. Set up with
//! [`mirrors`](crate::data_manager::DataManagerBuilder::mirrors) of the builder.
//!
//! A URL below a prefix is asked for at one *place* after the other until one gives it: where it
//! says first, then below each alternate, with the rest of the URL appended.
//!
//! ```
//! use data_manager::data_manager::DataManagerImpl;
//!
//! let builder = DataManagerImpl::builder()
//!     .serve_files_from("/mnt/data")
//!     .mirrors("https://a.example/data/", ["https://b.example/data/", "file:///mnt/data/"]);
//! ```
//!
//! * **Which URLs.** A prefix ends at a slash, which is added if it is missing: `http://a/data` is
//!   not the beginning of `http://a/database/f`. Scheme and host are compared without case, and user
//!   info does not count. A URL with a query has no alternates: a signature in it is for its host
//!   only. Nor has one with `.` or `..` in its path, however it is encoded.
//! * **Credentials.** User info in a URL goes to its own host only. An alternate has its own.
//! * **Who is asked when.** A place that cannot be reached, breaks off, stalls, or asks for a rest
//!   (`Retry-After`) gets one, at once; one that was too slow for three transfers in a row, too.
//!   Meanwhile it is asked last. The first rest takes up to `first_backoff`; each is twice as long as
//!   the one before, up to `longest_backoff`; then one transfer finds out. A place without the file
//!   (404), or that refuses it (403), is well: the next one is asked at once.
//! * **A file that came badly from a place**, too slowly or without its declared digest, is asked for
//!   elsewhere the next time, for five minutes, also while the place is well.
//! * **Going on.** A broken transfer goes on at another place only if that gives its rest with the
//!   same strong ETag; a date goes back to where it came from, and nowhere else. So bytes of two
//!   places never meet in one file, unless both call them by the same strong ETag. Those that are
//!   made of a date and a length (nginx) can agree by chance: places have to serve the same content,
//!   which never changes, and a declared digest (`#sha256=`) is what proves it.
//! * **Errors.** `NotFound` is what all places have to say. As long as one may have it, the attempt is
//!   repeated. The error names every place and its reason.
//! * **What does not change.** Slots, rests and `HostResting` of the manager go by the host that a URL
//!   names, whoever gives the file; the host has failed when all places have.

mod attempt;
mod breaker;
mod failures;
mod prefix;
mod recollection;
mod setting;
mod tag;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use self::attempt::{Attempt, Watched};
use self::breaker::{Breaker, Sign};
use self::failures::{Failure, most_telling, sign_of};
use self::prefix::{Prefix, comparable_url};
use self::recollection::Recollection;
use self::tag::{Presentable, presentable, tagged};
use super::{CancelToken, DataSource, ListRequest, OpenRequest, Opened, SourceError};
use crate::data_chunk::DataChunk;
use crate::error::ErrorKind;

pub(crate) use breaker::Rests;
pub(crate) use setting::MirrorSetting;

/// The time since some moment.
type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A source, and where else what it serves may be had. Sleeps nowhere, and asks no place twice for
/// the same.
///
/// * `setting`, `prefix`: which URLs, and which places.
/// * `breaker`: a place that fails rests.
/// * `recollection`: which file came badly from which place.
/// * `attempt`: how reading ends says how well the place is.
/// * `tag`: whose a validator is.
/// * `failures`: one error out of several.
#[derive(Clone, Debug)]
pub(crate) struct MirrorSource {
    /// Whatever has no alternates is its own.
    inner: Arc<dyn DataSource>,
    /// The longest prefix first.
    rules: Vec<Arc<Rule>>,
}

/// A prefix and its places.
struct Rule {
    /// The prefix's own place first.
    places: Vec<Place>,
    /// Protects the notes; held for a moment.
    files: Mutex<Recollection>,
    rests: Rests,
    clock: Clock,
}

struct Place {
    prefix: Prefix,
    source: Arc<dyn DataSource>,
    /// Protects what is known of the place; held for a moment, and never while it is asked.
    breaker: Mutex<Breaker>,
}

impl MirrorSource {
    /// A source for each scheme of a prefix, in front of that scheme's own among `sources`; or the
    /// reason why `settings` cannot be worked with.
    pub(crate) fn in_front_of(
        sources: &BTreeMap<String, Arc<dyn DataSource>>,
        settings: &[MirrorSetting],
        rests: Rests,
    ) -> Result<BTreeMap<String, MirrorSource>, String> {
        let began = Instant::now();
        let clock: Clock = Arc::new(move || began.elapsed());
        MirrorSource::with_clock(sources, settings, rests, &clock)
    }

    fn with_clock(
        sources: &BTreeMap<String, Arc<dyn DataSource>>,
        settings: &[MirrorSetting],
        rests: Rests,
        clock: &Clock,
    ) -> Result<BTreeMap<String, MirrorSource>, String> {
        let mut made: BTreeMap<String, MirrorSource> = BTreeMap::new();
        for setting in settings {
            let places = setting.check(sources)?;
            let (prefix, inner) = places[0].clone();
            let of_scheme = made.entry(prefix.scheme).or_insert(MirrorSource {
                inner,
                rules: Vec::new(),
            });
            let same = |rule: &Arc<Rule>| rule.prefix() == prefix.shown;
            if of_scheme.rules.iter().any(same) {
                return Err(format!("{} has alternates already", prefix.shown));
            }
            of_scheme.rules.push(Arc::new(Rule {
                places: places.into_iter().map(Place::new).collect(),
                files: Mutex::default(),
                rests,
                clock: clock.clone(),
            }));
            let rules = &mut of_scheme.rules;
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix().len()));
        }
        Ok(made)
    }

    /// The rule for a URL, and what of the URL comes after its prefix.
    fn rule_for(&self, comparable: &str) -> Option<(&Arc<Rule>, String)> {
        self.rules.iter().find_map(|rule| {
            let rest = comparable.strip_prefix(rule.prefix())?;
            Some((rule, rest.to_owned()))
        })
    }
}

impl DataSource for MirrorSource {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        self.inner.check(url)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let url = comparable_url(request.url());
        let found = url.as_deref().and_then(|url| self.rule_for(url));
        let Some((rule, rest)) = found else {
            return self.inner.open(request);
        };
        let file = xxh3_64(rest.as_bytes());
        let order = rule.order(file, &rest, request);
        let wanted = Wanted {
            url: request.url(),
            rest: &rest,
            file: Some(file),
            cancel: request.cancel(),
        };
        let ask = |place: &Place, url: &str| place.open(url, &rest, request);
        let (mut opened, attempt) = rule.first_with_an_end(order, &wanted, ask)?;
        attempt.note_opened();
        let extent = (opened.start, opened.total);
        opened.reader = Box::new(Watched::new(
            opened.reader,
            extent,
            attempt,
            request.cancel(),
        ));
        Ok(opened)
    }

    /// Chunks that an alternate lists are given with URLs below the prefix, so that they have the
    /// same alternates.
    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let url = comparable_url(request.url());
        let url = url.map(|url| url.trim_end_matches('/').to_owned() + "/");
        let rule = url.as_deref().and_then(|url| self.rule_for(url));
        let Some((rule, rest)) = rule else {
            return self.inner.list(request, found);
        };
        let wanted = Wanted {
            url: request.url(),
            rest: &rest,
            file: None,
            cancel: request.cancel(),
        };
        // A place that fails half way has listed some of what the next one lists.
        let mut seen = HashSet::new();
        let ask = |place: &Place, url: &str| {
            let mut once = |mut chunk: DataChunk| {
                if seen.insert(chunk.id) {
                    rule.bring_home(place, &mut chunk);
                    found(chunk);
                }
            };
            let request = ListRequest::new(url, request.cancel());
            place.source.list(&request, &mut once)
        };
        let order = (0..rule.places.len()).collect();
        let ((), attempt) = rule.first_to_give(order, &wanted, ask)?;
        attempt.end(Sign::Answered);
        Ok(())
    }
}

/// What the places are asked for.
struct Wanted<'a> {
    /// What the URL's own place is asked for: it may bring credentials, which are nobody else's.
    url: &'a str,
    /// What comes after the prefix.
    rest: &'a str,
    file: Option<u64>,
    cancel: &'a CancelToken,
}

impl Rule {
    fn prefix(&self) -> &str {
        &self.places[0].prefix.shown
    }

    /// Which place to ask first: one that the file did not come badly from, of those the one that
    /// can go on with what is there, of those the first that was named.
    fn order(&self, file: u64, rest: &str, request: &OpenRequest<'_>) -> VecDeque<usize> {
        let note = self.files.lock().of((self.clock)(), file);
        let validator = request.validator().or(request.unless_validator());
        let goes_on = |place: usize| {
            let shown = self.places[place].shown(rest);
            let presentable = validator.and_then(|text| presentable(text, &shown));
            presentable
                .is_some_and(|it| it.of_this_place || note.last.map(usize::from) == Some(place))
        };
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        // Who polls asks again for what came well.
        let polls = request.is_polled();
        order.sort_by_key(|place| (!polls && note.is_struck(*place), !goes_on(*place)));
        order.into()
    }

    /// Asks for a file whose end can be told from a cut; where no place has one, for any.
    fn first_with_an_end(
        self: &Arc<Self>,
        order: VecDeque<usize>,
        wanted: &Wanted<'_>,
        ask: impl Fn(&Place, &str) -> Result<Opened, SourceError>,
    ) -> Result<(Opened, Attempt), SourceError> {
        let unframed = Cell::new(false);
        let framed = |place: &Place, url: &str| {
            let opened = ask(place, url)?;
            if opened.total.is_none() && !opened.self_delimiting {
                unframed.set(true);
                let reason = "the body's end cannot be told from a cut";
                let error = SourceError::transient(anyhow!(reason));
                return Err(error.with_kind(ErrorKind::Protocol));
            }
            Ok(opened)
        };
        match self.first_to_give(order.clone(), wanted, framed) {
            // Whoever asked may know the digest.
            Err(_) if unframed.get() && !wanted.cancel.is_cancelled() => {
                self.first_to_give(order, wanted, ask)
            }
            given => given,
        }
    }

    /// Asks one place after the other, those that rest last. Says who gave it.
    fn first_to_give<T>(
        self: &Arc<Self>,
        order: VecDeque<usize>,
        wanted: &Wanted<'_>,
        mut ask: impl FnMut(&Place, &str) -> Result<T, SourceError>,
    ) -> Result<(T, Attempt), SourceError> {
        let mut failures = Vec::new();
        let mut queue: VecDeque<_> = order.into_iter().map(|index| (index, false)).collect();
        while let Some((index, anyway)) = queue.pop_front() {
            let Some(attempt) = Attempt::begin(self, index, wanted.file, anyway) else {
                queue.push_back((index, true));
                continue;
            };
            let place = &self.places[index];
            let url = match index {
                0 => wanted.url.to_owned(),
                _ => format!("{}{}", place.prefix.sent, wanted.rest),
            };
            match ask(place, &url) {
                Ok(given) => return Ok((given, attempt)),
                Err(error) if wanted.cancel.is_cancelled() => return Err(error),
                Err(error) if error.kind == ErrorKind::Unchanged => {
                    attempt.end(Sign::Answered);
                    return Err(error);
                }
                Err(error) => {
                    attempt.end(sign_of(&error));
                    failures.push(Failure {
                        place: index,
                        shown: place.shown(wanted.rest),
                        error,
                    });
                }
            }
        }
        Err(most_telling(failures))
    }

    /// Names the files of a chunk that `place` lists as if its own place had listed it.
    fn bring_home(&self, place: &Place, chunk: &mut DataChunk) {
        let home = &self.places[0].prefix.sent;
        for url in chunk.files.values_mut() {
            if let Some(rest) = url.strip_prefix(&place.prefix.sent) {
                *url = format!("{home}{rest}");
            }
        }
    }
}

impl Place {
    fn new((prefix, source): setting::CheckedPlace) -> Place {
        Place {
            prefix,
            source,
            breaker: Mutex::default(),
        }
    }

    /// The URL of what is asked for, as it may be shown.
    fn shown(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix.shown)
    }

    /// Asks this place, with whatever of the request's validators is its own or passes anywhere.
    fn open(
        &self,
        url: &str,
        rest: &str,
        request: &OpenRequest<'_>,
    ) -> Result<Opened, SourceError> {
        let shown = self.shown(rest);
        let known = |validator: Option<&str>| presentable(validator?, &shown);
        let whole = OpenRequest::new(url, request.cancel());
        let mut opened = if let Some(known) = known(request.validator()) {
            self.go_on(&whole, request.offset(), &known)?
        } else if let Some(known) = known(request.unless_validator()) {
            self.source.open(&whole.unless(&known.text))?
        } else {
            self.source.open(&whole)?
        };
        opened.validator = opened.validator.map(|validator| tagged(validator, &shown));
        Ok(opened)
    }

    /// The rest from `offset` on, or else the whole file, since it is not sure to be the rest of the
    /// same.
    fn go_on(
        &self,
        whole: &OpenRequest<'_>,
        offset: u64,
        known: &Presentable,
    ) -> Result<Opened, SourceError> {
        match self.source.open(&whole.resume(offset, &known.text)) {
            Ok(opened) if opened.start == 0 => Ok(opened),
            Ok(opened) if opened.start == offset && known.agrees(&opened) => Ok(opened),
            // It goes on with something else; dropped before it is asked again.
            Ok(other) => {
                drop(other);
                self.source.open(whole)
            }
            // An answer that makes no sense may be one to "the rest of it".
            Err(error) if !error.permanent && error.kind == ErrorKind::Protocol => {
                self.source.open(whole)
            }
            Err(error) => Err(error),
        }
    }
}

impl Presentable {
    /// Whether an answer that goes on is about the same bytes.
    fn agrees(&self, opened: &Opened) -> bool {
        match opened.validator() {
            Some(validator) => validator == self.text,
            // The place that knows its own validator need not say it again.
            None => self.of_this_place,
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.places).finish()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("prefix", &self.prefix.shown)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
