//! Vendors and servers that speak OpenAI's dialect with words of their own.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("compatible", data));
