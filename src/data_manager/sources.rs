//! Which source serves which scheme.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data_chunk::{ChunkSpec, redact_url};
use crate::data_source::{DataSource, MirrorSetting, MirrorSource, Rests};
use crate::error::Error;

/// The sources of one manager, by scheme in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(BTreeMap<String, Arc<dyn DataSource>>);

impl Sources {
    pub(super) fn insert(&mut self, scheme: &str, source: Arc<dyn DataSource>) {
        self.0.insert(scheme.to_ascii_lowercase(), source);
    }

    /// Puts the mirrors in front of the sources that are there. A place of a mirror is asked by its
    /// own source, not by another mirror.
    pub(super) fn put_mirrors(
        &mut self,
        settings: &[MirrorSetting],
        rests: Rests,
    ) -> Result<(), Error> {
        let mirrored = MirrorSource::in_front_of(&self.0, settings, rests)
            .map_err(|reason| Error::refused("mirrors", reason))?;
        for (scheme, source) in mirrored {
            self.0.insert(scheme, Arc::new(source));
        }
        Ok(())
    }

    pub(super) fn get(&self, scheme: &str) -> Option<&Arc<dyn DataSource>> {
        self.0.get(scheme)
    }

    /// Refuses a description with a URL that no source serves.
    pub(super) fn check(&self, spec: &ChunkSpec) -> Result<(), Error> {
        for file in &spec.files {
            let reason = match self.get(&file.scheme) {
                None => Some(format!(
                    "no source serves the scheme {:?} of the URL",
                    file.scheme
                )),
                Some(source) => source
                    .check(&file.url)
                    .err()
                    .map(|error| format!("the URL {error}")),
            };
            if let Some(reason) = reason {
                return Err(Error::refused("files", reason)
                    .with_chunk(spec.id)
                    .with_file(&file.name)
                    .with_url(redact_url(&file.url)));
            }
        }
        Ok(())
    }
}
