//! `http://`, from the scripted origin.

use std::time::Duration;

use data_manager::data_source::conformance::Origin as Held;
use data_manager::data_source::{HttpOptions, HttpSource};

use crate::conforms;
use crate::support::origin::{Origin, Reply};

/// A source whose own time limits are far beyond what cancelling may take.
pub(crate) fn patient() -> HttpOptions {
    let mut options = HttpOptions::default();
    options.stall_timeout = Duration::from_secs(30);
    options
}

impl Held for Origin {
    fn put(&self, name: &str, content: &[u8]) -> String {
        self.file(name, content);
        self.url(name)
    }

    fn remove(&self, name: &str) {
        self.serve(name, Reply::Status(404));
    }

    fn put_cut(&self, name: &str, content: &[u8], after_bytes: usize) -> Option<String> {
        self.serve(name, Reply::Cut(content.to_vec().into(), after_bytes));
        Some(self.url(name))
    }

    fn put_stalled(
        &self,
        name: &str,
        content: &[u8],
        after_bytes: Option<usize>,
    ) -> Option<String> {
        self.serve(
            name,
            match after_bytes {
                Some(after) => Reply::Stall(content.to_vec().into(), after),
                None => Reply::Silence,
            },
        );
        Some(self.url(name))
    }
}

#[test]
fn http_conforms() {
    let source = HttpSource::new(patient());
    // 5 GB are served by the others; HTTP has no lists.
    conforms(source, Origin::start(), &["huge", "list"]);
}
