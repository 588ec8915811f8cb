//! Gemini and Vertex AI.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("google", data));
