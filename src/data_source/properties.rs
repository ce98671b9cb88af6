//! What holds for every text that a source or the store reads, for the targets in `fuzz/`.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

pub use super::file::properties::file_url;
pub use super::http::properties::headers;
pub use super::listing::properties::listing;
pub use super::local::properties::{directory_name, manifest, manifest_with_checksum, part_record};
#[cfg(feature = "s3")]
pub use super::s3::page as s3_page;
