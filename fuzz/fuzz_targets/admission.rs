#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pratique::fuzzing::run("admission", bytes));
