//! OpenAI and those who host its models: every API of theirs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("openai", data));
