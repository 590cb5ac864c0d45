//! Any change to any file of an index: it is opened and read as it was, or names what is wrong.
#![no_main]

#[path = "../../crates/trace/tests/it/index_bytes.rs"]
mod index_bytes;

use std::sync::LazyLock;

use index_bytes::Whole;

static WHOLE: LazyLock<Whole> = LazyLock::new(Whole::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    WHOLE.check(bytes);
});
