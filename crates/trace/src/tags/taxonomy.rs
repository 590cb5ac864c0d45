//! The words that tags may use: concepts, confidences, types. A table and look-ups; decides nothing.
//!
//! Source: GraphSense's TagPack taxonomies, of which the concepts are INTERPOL's Dark Web and Virtual Assets taxonomy and
//! Iknaio's additions to it.

/// How sure whoever tagged was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Confidence {
    /// Its name in packs.
    pub id: &'static str,
    /// From 0 to 100.
    pub level: u8,
}

impl Confidence {
    /// What a tag has that says nothing.
    pub const UNKNOWN: Self = Self { id: "unknown", level: 5 };

    /// By its name.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        CONFIDENCES.iter().find(|(name, _)| *name == id).map(|(id, level)| Self { id, level: *level })
    }

    /// Its place in the table, for files; tables only grow at their end.
    pub(super) fn place(self) -> u8 {
        CONFIDENCES
            .iter()
            .position(|(id, _)| *id == self.id)
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(0)
    }

    pub(super) fn at(place: u8) -> Option<Self> {
        CONFIDENCES.get(usize::from(place)).map(|(id, level)| Self { id, level: *level })
    }
}

const CONFIDENCES: [(&str, u8); 14] = [
    ("unknown", 5),
    ("override", 100),
    ("ownership", 100),
    ("ledger_immanent", 100),
    ("manual_transaction", 90),
    ("service_api", 70),
    ("forensic_investigation", 70),
    ("authority_data", 60),
    ("trusted_provider", 50),
    ("service_data", 50),
    ("forensic", 50),
    ("untrusted_transaction", 40),
    ("web_crawl", 20),
    ("heuristic", 10),
];

/// What a tag speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TagType {
    /// Who somebody is.
    Actor,
    /// Something that happened.
    Event,
    /// A property.
    Attribute,
    /// That somebody spoke of it.
    Mention,
}

impl TagType {
    /// Every type, in the order of files.
    pub const ALL: [Self; 4] = [Self::Actor, Self::Event, Self::Attribute, Self::Mention];

    /// Its name in packs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Event => "event",
            Self::Attribute => "attribute",
            Self::Mention => "mention",
        }
    }

    /// By its name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The concept of this name.
#[must_use]
pub fn concept(id: &str) -> Option<&'static str> {
    CONCEPTS.iter().flat_map(|(_, ids)| ids.split(' ')).find(|known| *known == id)
}

/// The concept above a concept.
#[must_use]
pub fn broader(id: &str) -> Option<&'static str> {
    CONCEPTS.iter().find(|(_, ids)| ids.split(' ').any(|known| known == id)).map(|(above, _)| *above)
}

/// Concepts under the one above them; `-` stands above the first.
const CONCEPTS: [(&str, &str); 28] = [
    ("-", "behaviour source entity item unknown"),
    (
        "abuse",
        "sexual_abuse violence human_trafficking scam financial_crime extortion phishing hacking drugs weapons sanction",
    ),
    ("abuse", "counterfeit extremism black_list"),
    ("sexual_abuse", "child_sexual_abuse"),
    ("violence", "murder torture"),
    ("financial_crime", "investment_fraud money_laundering payment_card_fraud"),
    ("investment_fraud", "ponzi_scheme"),
    ("ponzi_scheme", "pyramid_scheme"),
    ("extortion", "sextortion ransomware"),
    ("hacking", "service_hack account_hack exploit data_breach social_engineering malware"),
    ("extremism", "terrorism terrorism_financing"),
    ("black_list", "gov_black_list"),
    ("gray_usage", "mixing"),
    ("mixing", "coinjoin"),
    ("white_usage", "cold_wallet hot_wallet warm_wallet deposit_wallet white_list"),
    ("white_list", "gov_white_list"),
    ("behaviour", "abuse gray_usage white_usage deployer funder"),
    ("source", "mention dark_web"),
    ("mention", "website_mention"),
    ("website_mention", "forum_mention"),
    ("entity", "organization user service"),
    ("user", "victim perpetrator donation miner"),
    (
        "service",
        "exchange wallet_service filesharing index market messaging_service mixing_service mining_service gambling",
    ),
    ("service", "search_engine shop faucet payment_processor atm hosting vpn nameservice defi"),
    ("wallet_service", "escrow_wallet ico_wallet"),
    (
        "defi",
        "defi_token defi_lending defi_dex defi_derivatives defi_bridge defi_dao defi_staking defi_custody",
    ),
    ("defi_dex", "defi_dex_pair"),
    ("item", "collectible"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_by_their_names() {
        assert_eq!(Confidence::of("web_crawl").map(|confidence| confidence.level), Some(20));
        assert_eq!(Confidence::of(""), None);
        for place in 0..14 {
            assert_eq!(Confidence::at(place).unwrap().place(), place);
        }
        assert_eq!(concept("pyramid_scheme"), Some("pyramid_scheme"));
        assert_eq!(broader("pyramid_scheme"), Some("ponzi_scheme"));
        assert_eq!(concept("pyramid"), None);
        assert_eq!(concept(""), None);
        assert_eq!(TagType::of("event"), Some(TagType::Event));
    }

    #[test]
    fn each_concept_stands_once() {
        let mut ids: Vec<_> = CONCEPTS.iter().flat_map(|(_, ids)| ids.split(' ')).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(
            ids.iter().all(|id| broader(id).is_some_and(|above| above == "-" || concept(above).is_some()))
        );
    }
}
