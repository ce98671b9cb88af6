//! What the builder says of mirrors, and whether it can be worked with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::prefix::Prefix;
use crate::data_chunk::redact_url;
use crate::data_source::DataSource;

/// The most places for a prefix. Each may cost an attempt its time-out.
const PLACES_MAX: usize = 16;

/// A prefix and its alternates, as they were given.
#[derive(Clone)]
pub(crate) struct MirrorSetting {
    prefix: String,
    alternates: Vec<String>,
}

/// By scheme in lower case.
type Sources = BTreeMap<String, Arc<dyn DataSource>>;

/// A place that is fit to be asked.
pub(super) type CheckedPlace = (Prefix, Arc<dyn DataSource>);

impl MirrorSetting {
    pub(crate) fn new(prefix: String, alternates: Vec<String>) -> Self {
        MirrorSetting { prefix, alternates }
    }

    /// The places, the prefix itself first; or the reason why not, without credentials.
    pub(super) fn check(&self, sources: &Sources) -> Result<Vec<CheckedPlace>, String> {
        if self.alternates.is_empty() {
            return Err(format!("{} has no alternates", redact_url(&self.prefix)));
        }
        if self.alternates.len() >= PLACES_MAX {
            let (prefix, max) = (redact_url(&self.prefix), PLACES_MAX - 1);
            return Err(format!("{prefix} has more than {max} alternates"));
        }
        let mut places: Vec<CheckedPlace> = Vec::new();
        for text in std::iter::once(&self.prefix).chain(&self.alternates) {
            let reason = |reason: String| format!("{} {reason}", redact_url(text));
            let place = checked_place(text, sources).map_err(reason)?;
            if places.is_empty() && place.0.has_user_info {
                return Err(reason("has user info, which URLs bring themselves".into()));
            }
            if places.iter().any(|(other, _)| other.shown == place.0.shown) {
                return Err(reason("is named twice".into()));
            }
            places.push(place);
        }
        Ok(places)
    }
}

fn checked_place(text: &str, sources: &Sources) -> Result<CheckedPlace, String> {
    let prefix = Prefix::parse(text)?;
    let source = sources
        .get(&prefix.scheme)
        .ok_or_else(|| format!("has the scheme {:?}, which no source serves", prefix.scheme))?;
    // A directory may be refused where what is in it is served.
    let example = format!("{}f", prefix.sent);
    source
        .check(&example)
        .map_err(|error| format!("cannot be served: a URL below it {error}"))?;
    Ok((prefix, source.clone()))
}

impl fmt::Debug for MirrorSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternates = self.alternates.iter().map(|url| redact_url(url));
        f.debug_struct("MirrorSetting")
            .field("prefix", &redact_url(&self.prefix))
            .field("alternates", &alternates.collect::<Vec<_>>())
            .finish()
    }
}
