//! A mirrored source is a source: the suite that all have to pass, where the first place has nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::data_source::conformance::{Origin, run};
use crate::data_source::{FileSource, MirrorSetting};

/// Puts files into one directory, and names them as if they were in another.
struct Elsewhere {
    named: PathBuf,
    kept: PathBuf,
}

impl Origin for Elsewhere {
    fn put(&self, name: &str, content: &[u8]) -> String {
        let new = self.kept.join(format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(new, self.kept.join(name)).unwrap();
        format!("file://{}", self.named.join(name).display())
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.kept.join(name));
    }
}

#[test]
fn a_mirrored_source_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let (named, kept) = (dir.path().join("named"), dir.path().join("kept"));
    fs::create_dir(&named).unwrap();
    fs::create_dir(&kept).unwrap();
    let files: Arc<dyn DataSource> = Arc::new(FileSource::new([dir.path().to_owned()]));
    let sources = BTreeMap::from([("file".to_owned(), files)]);
    let url = |dir: &PathBuf| format!("file://{}/", dir.display());
    let setting = MirrorSetting::new(url(&named), vec![url(&kept)]);
    let rests = Rests {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(1),
    };
    let mut made = MirrorSource::in_front_of(&sources, &[setting], rests).unwrap();
    let source = made.remove("file").unwrap();
    run(source, Elsewhere { named, kept }).assert();
}
