//! Assignment documents.
#![no_main]

use data_manager::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::assignment(bytes));
