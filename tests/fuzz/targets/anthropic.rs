//! Anthropic Messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("anthropic", data));
