//! AWS Bedrock: Converse and the invocation log.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daybook_fuzz::event::check_family("bedrock", data));
