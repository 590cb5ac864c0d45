//! Any bytes as a pack of tags: what is read can be written and read again.
#![no_main]

use kuraban_trace::tags::{ActorPack, Pack, pack::write};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let none = |_: &str| Err(String::new());
    drop(ActorPack::parse(text, none));
    let Ok(pack) = Pack::parse(text, none) else { return };
    if pack.tags.is_empty() {
        return;
    }
    let again = Pack::parse(&write(&pack.title, &pack.creator, &pack.tags), none).unwrap();
    assert_eq!(again.tags, pack.tags);
});
