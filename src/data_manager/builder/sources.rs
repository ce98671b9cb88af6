//! The settings of a manager that say where bytes come from, and what is made of them.

use std::path::PathBuf;
use std::sync::Arc;

use super::DataManagerBuilder;
use crate::data_manager::sources::Sources;
use crate::data_source::{DataSource, FileSource, HttpSource, MirrorSetting, Rests};
#[cfg(feature = "s3")]
use crate::data_source::{S3Options, S3Source};
use crate::error::Error;

impl DataManagerBuilder {
    /// Lets `file://` URLs name files below `directory`. May be called several times.
    #[must_use]
    pub fn serve_files_from(mut self, directory: impl Into<PathBuf>) -> Self {
        self.file_roots.push(directory.into());
        self
    }

    /// Whom `s3://` URLs are asked of, and as whom. Without it, what the environment says when the
    /// manager is opened: [`S3Options::from_env`](crate::data_source::S3Options::from_env).
    /// They count for `s3://`, whatever their [`scheme`](S3Options::scheme).
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn s3(mut self, options: S3Options) -> Self {
        self.s3 = Some(options);
        self
    }

    /// What is below `prefix` may also be had below each of `alternates`, in this order: all of them
    /// have to serve the same content, which never changes. May be called once for each prefix; the
    /// longest that fits counts. [`mirrors`](crate::data_source::mirrors) says who is asked when.
    #[must_use]
    pub fn mirrors<A: Into<String>>(
        mut self,
        prefix: impl Into<String>,
        alternates: impl IntoIterator<Item = A>,
    ) -> Self {
        let alternates = alternates.into_iter().map(Into::into).collect();
        let setting = MirrorSetting::new(prefix.into(), alternates);
        self.mirrors.push(setting);
        self
    }

    /// Serves URLs of `scheme` from `source`, in place of a built-in source if there is one.
    #[must_use]
    pub fn source(mut self, scheme: &str, source: impl DataSource + 'static) -> Self {
        self.custom.push((scheme.to_owned(), Arc::new(source)));
        self
    }

    pub(in crate::data_manager) fn sources(&self) -> Result<Sources, Error> {
        let mut sources = Sources::default();
        let mut http = self.http.clone();
        // A transfer has one with the host that it asks and one with whom that redirects it to.
        http.max_idle_connections = self.slots.saturating_mul(2);
        let web: Arc<dyn DataSource> = Arc::new(HttpSource::new(http.clone()));
        sources.insert("http", web.clone());
        sources.insert("https", web);
        sources.insert(
            "file",
            Arc::new(FileSource::new(self.file_roots.iter().cloned())),
        );
        #[cfg(feature = "s3")]
        {
            let options = self
                .s3
                .clone()
                .unwrap_or_else(S3Options::from_env)
                .scheme("s3");
            let source = S3Source::new(options, http);
            sources.insert("s3", Arc::new(source));
        }
        for (scheme, source) in &self.custom {
            sources.insert(scheme, source.clone());
        }
        let (first, longest) = (self.first_backoff, self.longest_backoff);
        sources.put_mirrors(&self.mirrors, Rests { first, longest })?;
        Ok(sources)
    }
}
