//! Names of directories on disk, and of the files of a chunk.
#![no_main]

use data_manager::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    fuzzing::directory_name(name);
    fuzzing::file_name(name);
});
