//! A bundle in one file.
#![no_main]

use daybook_fuzz::bundle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bundle::check_archive(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = bundle::start_over(data, size, max_size, seed, bundle::genuine_archive);
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
});
