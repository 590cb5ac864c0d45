//! Appeals: the owner of an address says why a tag on it is wrong. What is signed is made here, so that whoever signs and
//! whoever checks make the same text.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest text of an appeal, in bytes.
pub const APPEAL_TEXT_BYTES_MAX: usize = 4_000;

/// An appeal against a tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealSubmit {
    /// The chain: `btc`, `ltc`, or a network such as `bitcoin-regtest`.
    pub chain: String,
    /// The address, whose owner signs.
    pub address: String,
    /// The hit's `from`: a store's name, or `feed`.
    pub from: String,
    /// The hit's `case`.
    pub case: String,
    /// The hit's `feed_number`, where it is of the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_number: Option<u64>,
    /// Why the tag is wrong: 1 to 4,000 bytes.
    pub text: String,
    /// The signature over the message (BIP 322, simple or full), in base64.
    pub signature: String,
}

impl AppealSubmit {
    /// What is signed: which tag, of which origin, on which address, and the text. The origin is that of the feed, or the
    /// store's SHA-256.
    #[must_use]
    pub fn message(&self, origin: &str) -> String {
        let number = self.feed_number.map(|number| format!("tag: {number}\n")).unwrap_or_default();
        format!(
            "kuraban appeal 1\norigin: {origin}\ncase: {}\n{number}chain: {}\naddress: {}\n\n{}",
            self.case, self.chain, self.address, self.text
        )
    }
}

/// An appeal that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppealView {
    /// Its number, from 1.
    pub number: u64,
    /// When it came; milliseconds since 1970.
    pub at_ms: u64,
    /// Whose tag it is: the feed's origin, or the store's SHA-256.
    pub origin: String,
    /// `simple` or `full`.
    pub signed_as: String,
    /// The appeal.
    pub appeal: AppealSubmit,
}

/// Appeals, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppealList {
    /// At most 100 of them.
    pub appeals: Vec<AppealView>,
    /// What `after` is for the next page, if there is one.
    pub next: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_names_tag_origin_address_and_text() {
        let mut appeal = AppealSubmit {
            chain: "btc".to_owned(),
            address: "bc1x".to_owned(),
            from: "feed".to_owned(),
            case: "c-1".to_owned(),
            feed_number: Some(7),
            text: "It was\nmine.".to_owned(),
            signature: String::new(),
        };
        let want =
            "kuraban appeal 1\norigin: o\ncase: c-1\ntag: 7\nchain: btc\naddress: bc1x\n\nIt was\nmine.";
        assert_eq!(appeal.message("o"), want);
        appeal.feed_number = None;
        assert_eq!(appeal.message("o"), want.replace("tag: 7\n", ""));
    }
}
