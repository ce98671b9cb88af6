//! Entries of a listing, and the pages that a service sends.
#![no_main]

use data_manager::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::s3_page(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzzing::listing(text);
    }
});
