//! Any bytes as what a feed serves: what is taken up is what was signed, and can be kept, restored and written again.
#![no_main]

#[path = "../../crates/trace/tests/it/feed_bytes.rs"]
mod feed_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    feed_bytes::check(bytes);
});
