//! OpenTelemetry, CloudEvents, audit records.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("standards", data));
