#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backfence_foreign::client_request(bytes));
