//! `s3://`: a bucket of a real server.

use std::sync::Arc;

use data_manager::data_source::S3Source;
use data_manager::data_source::conformance::{ChunkContent, Origin};
use data_manager::data_source::{HttpOptions, S3Options};

use crate::conforms;
use crate::files::put_data_directory;
use crate::support::s3::{Server, server};
use crate::support::temp_dir;

const BUCKET: &str = "conformance";

struct Bucket(Arc<Server>);

impl Origin for Bucket {
    fn put(&self, name: &str, content: &[u8]) -> String {
        self.0.put(BUCKET, name, content);
        format!("s3://{BUCKET}/{name}")
    }

    fn remove(&self, name: &str) {
        self.0.remove(BUCKET, name);
    }

    fn put_chunks(&self, name: &str, chunks: &[ChunkContent]) -> Option<String> {
        let dir = temp_dir();
        put_data_directory(dir.path(), chunks);
        self.0.upload(BUCKET, &format!("{name}/"), dir.path());
        Some(format!("s3://{BUCKET}/{name}"))
    }
}

#[test]
fn s3_conforms() {
    let Some(server) = server(BUCKET) else { return };
    let options: S3Options = server.options();
    let source = S3Source::new(options, HttpOptions::default());
    // Nothing between the server and us cuts or stalls, and nothing of 5 GB is put there.
    let may_skip = [
        "cut",
        "cancelled_while_opening",
        "cancelled_while_stalled",
        "huge",
    ];
    conforms(source, Bucket(server), &may_skip);
}
