//! Any bytes as a customer's inclusion file: what is read has one spelling, and shows nothing under a root that is not its own.
#![no_main]

use kuraban_inclusion::{Inclusion, Refused, Root, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let none = Root::from_bytes([0; 32]);
    let file = match Inclusion::decode(bytes) {
        Ok(file) => file,
        Err(problem) => {
            assert_eq!(verify(bytes, none), Err(problem));
            return;
        }
    };
    assert_eq!(file.encode(), bytes);
    // The root that the file would have is in the refusal; under it the file shows what it says.
    let Err(Refused::Root { found, .. }) = file.clone().verify(none) else { return };
    let shown = verify(bytes, found).unwrap();
    assert_eq!((shown.name, &shown.amounts), (file.opening.name, &file.opening.amounts));
    assert!(shown.totals.iter().zip(&shown.amounts).all(|(total, own)| total >= own));
});
