//! OFAC's lists of sanctioned addresses as plain lists, one address a line, one list for each asset.
//!
//! Decides which lines are addresses; takes the asset from the list's name, as the lists in circulation have it
//! (`sanctioned_addresses_XBT.txt`).

use super::{
    SubjectKind, Tag, TagType,
    address::{self, shown},
    pack::{Notes, Pack, Reject},
    taxonomy::Confidence,
};

/// The asset in a list's name: what stands after `sanctioned_addresses_` before the extension; OFAC calls Bitcoin XBT. A file of
/// any other name is no list of OFAC's, whose word must not stand for it.
#[must_use]
pub fn asset_of(name: &str) -> Option<String> {
    let list = name.strip_prefix("sanctioned_addresses_")?;
    let asset = list.rsplit_once('.').map_or(list, |(stem, _)| stem).to_ascii_uppercase();
    let plain = (2..=10).contains(&asset.len()) && asset.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| if asset == "XBT" { "BTC".to_owned() } else { asset })
}

/// Reads a list as a pack. Blank lines and those that begin with `#` are passed over.
#[must_use]
pub fn parse(text: &str, asset: &str, source: &str) -> Pack {
    let mut pack = Pack {
        title: format!("OFAC sanctioned addresses, {asset}"),
        creator: "US Treasury, Office of Foreign Assets Control".to_owned(),
        description: None,
        tags: Vec::new(),
        rejects: Vec::new(),
        notes: Notes::default(),
    };
    let mut seen = std::collections::HashSet::new();
    for (line, subject) in (1..).zip(text.lines()) {
        let subject = subject.trim();
        if subject.is_empty() || subject.starts_with('#') {
            continue;
        }
        let network = address::network_of(asset, subject);
        match address::address(&network, subject) {
            Ok(checked) if seen.insert(checked.normal.clone()) => pack.tags.push(Tag {
                kind: SubjectKind::Address,
                subject: subject.to_owned(),
                normal: checked.normal,
                verified: checked.verified,
                currency: asset.to_owned(),
                network,
                label: "OFAC SDN".to_owned(),
                source: source.to_owned(),
                confidence: Confidence::of("authority_data").unwrap_or(Confidence::UNKNOWN),
                concepts: vec!["sanction"],
                actor: None,
                tag_type: TagType::Actor,
                cluster_definer: false,
                lastmod: None,
                context: None,
                taint: None,
            }),
            Ok(_) => {
                let note =
                    pack.notes.0.entry("repeats another line and is dropped".to_owned()).or_insert((0, line));
                note.0 = note.0.saturating_add(1);
            }
            Err(error) => {
                pack.rejects.push(Reject {
                    line,
                    subject: shown(subject),
                    reason: format!("address: {error}"),
                });
            }
        }
    }
    pack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asset_stands_in_the_name() {
        let check = |name: &str, want: Option<&str>| assert_eq!(asset_of(name).as_deref(), want, "{name}");
        check("sanctioned_addresses_XBT.txt", Some("BTC"));
        check("sanctioned_addresses_eth.txt", Some("ETH"));
        check("sanctioned_addresses_USDT", Some("USDT"));
        check("sanctioned_addresses_a-b.txt", None);
        check("sanctioned_addresses_.txt", None);
        check("addresses.txt", None);
        check("customers_XBT.txt", None);
    }

    #[test]
    fn a_list_is_a_pack() {
        let good = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";
        let pack = parse(&format!("# list\n\n{good}\n{good}x\n{good}\n"), "BTC", "list");
        assert_eq!(pack.tags.len(), 1);
        assert_eq!(pack.tags[0].concepts, ["sanction"]);
        assert_eq!(pack.rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [4]);
        assert_eq!(pack.notes.0.values().copied().collect::<Vec<_>>(), [(1, 5)]);
    }
}
