//! A bundle of which one file is another.
#![no_main]

use daybook_fuzz::bundle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bundle::check_file(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = bundle::start_over(data, size, max_size, seed, bundle::genuine_file);
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
});
