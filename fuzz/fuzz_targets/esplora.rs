//! Any bytes as a transaction of an explorer, and as a memo: what is read can be classified.
#![no_main]

use kuraban_trace::patterns::{Chain, Known, classify, esplora::Transaction, swap_memo};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(swap_memo(bytes));
    let Ok(transaction) = Transaction::parse(bytes) else { return };
    let known = Known { chain: Chain::Bitcoin, exchange_spends: false };
    assert!(!classify(&transaction.view, known).is_empty());
});
