//! What is asked for: a chain and an address, or a transaction's id, and the one form under which it is looked up.
//!
//! Decides what cannot be answered: a chain that nobody here knows, or text that is no address of its chain. To answer
//! those as clean would hide a slip of the caller's.

use kuraban_trace::tags::{
    address,
    store::{Key, key, subject},
};

use super::{
    refusal::{Refusal, refusal},
    sources::Sources,
};

/// Longest name of a chain.
const CHAIN_BYTES_MAX: usize = 16;
/// As much of what was sent as an answer repeats.
const REPEATED_MAX: usize = 160;

/// The name of a chain in capitals, as packs and keys have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    bytes: [u8; CHAIN_BYTES_MAX],
    length: usize,
}

impl Network {
    fn of(chain: &str) -> Option<Self> {
        let fits = (2..=CHAIN_BYTES_MAX).contains(&chain.len())
            && chain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let mut bytes = [0; CHAIN_BYTES_MAX];
        bytes.get_mut(..chain.len()).filter(|_| fits)?.copy_from_slice(chain.as_bytes());
        bytes.make_ascii_uppercase();
        Some(Self { bytes, length: chain.len() })
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// The key of a subject.
///
/// # Errors
/// Why it cannot be looked up.
pub(super) fn key_of(sources: &Sources, chain: &str, text: &str) -> Result<Key, Refusal> {
    let network = Network::of(chain).ok_or_else(|| unknown_chain(chain))?;
    let network = network.as_str();
    if !address::is_verified(network) && !sources.has(network) {
        return Err(unknown_chain(chain));
    }
    let (kind, checked) = subject(network, text).map_err(|wrong| {
        let detail = format!("{:?} on {}: {wrong}", bounded(text), bounded(chain));
        refusal(422, "malformed-address", "This is no address of its chain", detail)
    })?;
    Ok(key(kind, network, &checked.normal))
}

fn unknown_chain(chain: &str) -> Refusal {
    let detail = format!(
        "{:?}: addresses of this chain are not verified here and no tag is on it, so that none can be called clean; \
         want one such as btc, ltc, bch, eth, xrp, trx",
        bounded(chain)
    );
    refusal(422, "unknown-chain", "This chain is not known", detail)
}

/// As much of what was sent as an answer repeats.
pub(super) fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(REPEATED_MAX)).unwrap_or_default()
}
