//! Gemini and Vertex AI.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::check_family("google", data));
