//! URLs of files, and what is shown of them.
#![no_main]

use data_manager::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzzing::url(text);
    fuzzing::file_url(text);
});
