//! What the store reads back: manifests, and records of partial files.
#![no_main]

use data_manager::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::manifest(bytes);
    fuzzing::manifest_with_checksum(bytes);
    fuzzing::part_record(bytes);
});
