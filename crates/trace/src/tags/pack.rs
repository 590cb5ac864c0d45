//! TagPacks in and out: GraphSense's YAML of tags with a header that they inherit from.
//!
//! Decides which tags can be used and why others cannot, by the rules of GraphSense's schema and validator. Reads no file:
//! what a header includes is handed in.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::{
    SubjectKind, Tag,
    address::{self, shown},
    taint::Taint,
    taxonomy::{self, Confidence, TagType},
    yaml::{self, Node, Value, YamlError},
};

/// Most tags of a pack.
const TAGS_MAX: usize = 10_000_000;
/// Most bytes of a text field.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most concepts of a tag.
const CONCEPTS_MAX: usize = 100;
/// More tags than this on one address are a warning.
const TAGS_ON_ONE: usize = 100;

/// Fields that only the header has.
const OF_HEADER: [&str; 7] = ["title", "creator", "description", "owner", "is_public", "tags", "header"];
/// Fields that a tag has, or the header for all of its tags.
const OF_TAG: [&str; 15] = [
    "address",
    "tx_hash",
    "label",
    "source",
    "currency",
    "network",
    "confidence",
    "context",
    "is_cluster_definer",
    "lastmod",
    "category",
    "abuse",
    "concepts",
    "actor",
    "tag_type",
];

/// A pack: its tags, what was rejected, and what was noted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pack {
    /// Its title.
    pub title: String,
    /// Who made it.
    pub creator: String,
    /// What it is about.
    pub description: Option<String>,
    /// Tags that can be used.
    pub tags: Vec<Tag>,
    /// Tags that cannot.
    pub rejects: Vec<Reject>,
    /// Things that are odd and stop nothing.
    pub notes: Notes,
}

/// A tag that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Where it begins, from 1.
    pub line: usize,
    /// Its subject, as far as it has one.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// What is odd: how often, and in which line first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Notes(pub BTreeMap<String, (usize, usize)>);

impl Notes {
    fn add(&mut self, line: usize, what: impl Into<String>) {
        let note = self.0.entry(what.into()).or_insert((0, line));
        note.0 = note.0.saturating_add(1);
    }
}

/// Why a file is no pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not YAML that is read here.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A field of the header.
    #[error("line {line}: {field}: {problem}")]
    Header {
        /// Where, from 1.
        line: usize,
        /// Which field.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

pub(super) type Fields<'a> = HashMap<&'a str, &'a Node>;

/// The header of a pack of any kind, with the list of what it is a pack of.
pub(super) struct Header<'a> {
    root: &'a Node,
    fields: Fields<'a>,
}

impl<'a> Header<'a> {
    /// The fields of `what`, each known by one of two lists and there once.
    pub(super) fn of(
        root: &'a Node,
        pairs: impl Iterator<Item = &'a (String, Node)>,
        what: &str,
        (of_header, of_item): (&[&str], &[&str]),
    ) -> Result<Self, PackError> {
        let mut fields = Fields::new();
        for (key, node) in pairs {
            if !of_header.contains(&key.as_str()) && !of_item.contains(&key.as_str()) {
                return Err(wrong(node, key, format!("is no field of {what}")));
            }
            if key != "header" && fields.insert(key.as_str(), node).is_some() {
                return Err(wrong(node, key, "stands in the pack and in its header, want it once"));
            }
        }
        Ok(Self { root, fields })
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    fn node(&self, field: &str) -> Result<&'a Node, PackError> {
        self.fields.get(field).copied().ok_or_else(|| wrong(self.root, field, "is missing"))
    }

    /// A text that must be there.
    pub(super) fn required(&self, field: &str) -> Result<String, PackError> {
        let node = self.node(field)?;
        words(node).map_err(|problem| wrong(node, field, problem))
    }

    /// What it is a pack of: the list and its items, at least one.
    pub(super) fn items(&self, field: &str, max: usize) -> Result<(&'a Node, &'a [Node]), PackError> {
        let node = self.node(field)?;
        let Value::List(items) = &node.value else {
            return Err(wrong(node, field, format!("is {}, want a list", node.value.kind())));
        };
        if items.is_empty() || items.len() > max {
            return Err(wrong(node, field, format!("has {} {field}, want 1 to {max}", items.len())));
        }
        Ok((node, items))
    }

    /// What every item takes over that does not say otherwise.
    pub(super) fn inherited(&self, of_item: &[&str]) -> Fields<'a> {
        self.fields.iter().filter(|(key, _)| of_item.contains(key)).map(|(key, node)| (*key, *node)).collect()
    }
}

impl Pack {
    /// Reads a pack. `include` gives the text of a file that the header includes.
    ///
    /// # Errors
    /// What makes the whole file unusable; what makes a tag unusable is among the [rejects](Pack::rejects).
    pub fn parse(
        text: &str,
        include: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, PackError> {
        let root = yaml::read(text)?;
        let top = map(&root, "pack")?;
        let included = included(top, include)?;
        let header = Header::of(&root, included.iter().chain(top), "a pack", (&OF_HEADER, &OF_TAG))?;
        let (title, creator) = (header.required("title")?, header.required("creator")?);
        let description = match header.has("description") {
            true => Some(header.required("description")?),
            false => None,
        };
        let (tags, items) = header.items("tags", TAGS_MAX)?;
        let mut pack = Self {
            title,
            creator,
            description,
            tags: Vec::new(),
            rejects: Vec::new(),
            notes: Notes::default(),
        };
        if header.has("is_public") {
            pack.notes.add(tags.line, "is_public is deprecated: whoever imports decides");
        }
        pack.gather(items, &header.inherited(&OF_TAG));
        Ok(pack)
    }

    fn gather(&mut self, items: &[Node], inherited: &Fields<'_>) {
        let mut seen = Seen::default();
        for item in items {
            let tag = tag(item, inherited, &mut self.notes)
                .and_then(|tag| seen.judge(tag, item.line, &mut self.notes));
            match tag {
                Ok(Some(tag)) => self.tags.push(tag),
                Ok(None) => {}
                Err(reason) => {
                    self.rejects.push(Reject {
                        line: item.line,
                        subject: subject_of(item, inherited),
                        reason,
                    });
                }
            }
        }
        for count in seen.counts.values().filter(|count| **count > TAGS_ON_ONE) {
            self.notes.add(0, format!("more than {TAGS_ON_ONE} tags on one subject ({count})"));
        }
    }
}

fn wrong(node: &Node, field: &str, problem: impl Into<String>) -> PackError {
    PackError::Header { line: node.line, field: field.to_owned(), problem: problem.into() }
}

pub(super) fn map<'a>(node: &'a Node, what: &str) -> Result<&'a [(String, Node)], PackError> {
    match &node.value {
        Value::Map(fields) => Ok(fields),
        Value::Null | Value::Text(_) | Value::Include(_) | Value::List(_) => {
            Err(wrong(node, what, format!("is {}, want a map", node.value.kind())))
        }
    }
}

/// The fields of `header:`, or of the file that it includes.
pub(super) fn included(
    top: &[(String, Node)],
    include: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Vec<(String, Node)>, PackError> {
    let Some((_, node)) = top.iter().find(|(key, _)| key == "header") else { return Ok(Vec::new()) };
    match &node.value {
        Value::Map(fields) => Ok(fields.clone()),
        Value::Include(name) => {
            let text = include(name).map_err(|problem| wrong(node, "header", problem))?;
            let root = yaml::read(&text)?;
            map(&root, "header").map(<[_]>::to_vec)
        }
        Value::Null | Value::Text(_) | Value::List(_) => {
            Err(wrong(node, "header", format!("is {}, want a map or an include", node.value.kind())))
        }
    }
}

/// The text of a field that has some.
pub(super) fn words(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => Err("holds a NUL character".to_owned()),
        Value::Text(text) if text.len() > TEXT_BYTES_MAX => {
            Err(format!("has {} bytes, want at most {TEXT_BYTES_MAX}", text.len()))
        }
        Value::Text(text) if matches!(text.trim(), "" | "None") => Err("is empty".to_owned()),
        Value::Text(text) => Ok(text.trim().to_owned()),
        Value::Null => Err("is empty".to_owned()),
        Value::Include(_) | Value::List(_) | Value::Map(_) => {
            Err(format!("is {}, want text", node.value.kind()))
        }
    }
}

fn subject_of(item: &Node, inherited: &Fields<'_>) -> String {
    let Value::Map(fields) = &item.value else { return String::new() };
    let own = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, node)| node);
    let found =
        ["address", "tx_hash"].into_iter().find_map(|name| own(name).or(inherited.get(name).copied()));
    found.and_then(|node| words(node).ok()).map_or_else(String::new, |text| shown(&text))
}

/// One tag's fields over the header's.
pub(super) struct Reading<'a> {
    own: Fields<'a>,
    inherited: &'a Fields<'a>,
}

impl<'a> Reading<'a> {
    /// The fields of a list's item, if it has no others than these.
    pub(super) fn of(
        item: &'a Node,
        inherited: &'a Fields<'a>,
        known: &[&str],
        what: &str,
    ) -> Result<Self, String> {
        let Value::Map(fields) = &item.value else {
            return Err(format!("is {}, want a map", item.value.kind()));
        };
        if let Some((key, _)) = fields.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            return Err(format!("{}: is no field of {what}", shown(key)));
        }
        let own = fields.iter().map(|(key, node)| (key.as_str(), node)).collect();
        Ok(Self { own, inherited })
    }

    fn node(&self, field: &str) -> Option<&Node> {
        self.own.get(field).or_else(|| self.inherited.get(field)).copied()
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, String> {
        self.node(field).map(|node| words(node).map_err(|problem| format!("{field}: {problem}"))).transpose()
    }

    pub(super) fn required(&self, field: &str) -> Result<String, String> {
        self.text(field)?.ok_or_else(|| format!("{field}: is missing"))
    }

    fn flag(&self, field: &str) -> Result<bool, String> {
        let Some(text) = self.text(field)? else { return Ok(false) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err(format!("{field}: is {:?}, want true or false", shown(&text))),
        }
    }

    /// A day, or a day and a time.
    pub(super) fn day(&self, field: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let number =
            |range: core::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok());
        let marks = text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let day = (number(0..4), number(5..7), number(8..10));
        let rest = text.get(10..).unwrap_or("x");
        let time = rest.is_empty() || rest.starts_with(['T', ' ']) && rest.len() >= 9;
        let fits = matches!(day, (Some(_), Some(1..=12), Some(1..=31)));
        if marks && fits && time && text.is_ascii() {
            Ok(Some(text))
        } else {
            Err(format!("{field}: is {:?}, want a day such as 2024-05-31", shown(&text)))
        }
    }

    pub(super) fn list(&self, field: &str, max: usize) -> Result<Option<Vec<String>>, String> {
        let Some(node) = self.node(field) else { return Ok(None) };
        let Value::List(items) = &node.value else {
            return Err(format!("{field}: is {}, want a list", node.value.kind()));
        };
        if items.len() > max {
            return Err(format!("{field}: has {} items, want at most {max}", items.len()));
        }
        let texts = items.iter().map(|item| words(item).map_err(|problem| format!("{field}: {problem}")));
        texts.collect::<Result<_, _>>().map(Some)
    }

    fn concepts(&self) -> Result<Vec<&'static str>, String> {
        let mut found = Vec::new();
        let mut add = |field: &str, text: &str| match taxonomy::concept(text) {
            Some(concept) => {
                if !found.contains(&concept) {
                    found.push(concept);
                }
                Ok(())
            }
            None => Err(format!("{field}: {:?} is no concept of the taxonomy", shown(text))),
        };
        for field in ["category", "abuse"] {
            if let Some(text) = self.text(field)? {
                add(field, &text)?;
            }
        }
        for text in self.list("concepts", CONCEPTS_MAX)?.unwrap_or_default() {
            add("concepts", &text)?;
        }
        Ok(found)
    }
}

fn tag(item: &Node, inherited: &Fields<'_>, notes: &mut Notes) -> Result<Tag, String> {
    let reading = Reading::of(item, inherited, &OF_TAG, "a tag")?;
    let (kind, subject) = subject(&reading)?;
    let currency = reading.required("currency")?.to_ascii_uppercase();
    let network = match reading.text("network")? {
        Some(network) => network.to_ascii_uppercase(),
        None => address::network_of(&currency, &subject),
    };
    let checked = match kind {
        SubjectKind::Address => address::address(&network, &subject),
        SubjectKind::Tx => address::tx_hash(&network, &subject),
    };
    let checked = checked.map_err(|error| format!("{}: {error}", kind.field()))?;
    if !checked.verified {
        notes.add(item.line, format!("{network}: form not verified, its addresses are taken as they stand"));
    }
    let confidence = match reading.text("confidence")? {
        Some(id) => Confidence::of(&id).ok_or_else(|| format!("confidence: {:?} is no level", shown(&id)))?,
        None => {
            notes.add(item.line, "no confidence: taken as unknown (5)");
            Confidence::UNKNOWN
        }
    };
    let actor = reading.text("actor")?;
    if actor.is_none() {
        notes.add(item.line, "no actor");
    }
    let tag_type = match reading.text("tag_type")? {
        Some(name) => TagType::of(&name).ok_or_else(|| {
            format!("tag_type: {:?} is none of actor, event, attribute, mention", shown(&name))
        })?,
        None => TagType::Actor,
    };
    let context = reading.text("context")?;
    let taint = match &context {
        Some(context) => taint_of(context)?,
        None => None,
    };
    Ok(Tag {
        kind,
        normal: checked.normal,
        verified: checked.verified,
        subject,
        currency,
        network,
        label: reading.required("label")?,
        source: reading.required("source")?,
        confidence,
        concepts: reading.concepts()?,
        actor,
        tag_type,
        cluster_definer: reading.flag("is_cluster_definer")?,
        lastmod: reading.day("lastmod")?,
        context,
        taint,
    })
}

/// The one of address and transaction that a tag is on.
fn subject(reading: &Reading<'_>) -> Result<(SubjectKind, String), String> {
    match (reading.text("address")?, reading.text("tx_hash")?) {
        (Some(address), None) => Ok((SubjectKind::Address, address)),
        (None, Some(tx)) => Ok((SubjectKind::Tx, tx)),
        (Some(_), Some(_)) => Err("has an address and a tx_hash, want one of them".to_owned()),
        (None, None) => Err("has neither address nor tx_hash, want one of them".to_owned()),
    }
}

fn taint_of(context: &str) -> Result<Option<Taint>, String> {
    let value: serde_json::Value =
        serde_json::from_str(context).map_err(|error| format!("context: is not JSON: {error}"))?;
    Taint::of_context(&value).map_err(|error| format!("context: {error}"))
}

/// Tags of a pack so far, each by the first 16 bytes of a hash: packs can be large.
#[derive(Default)]
struct Seen {
    raw: HashSet<[u8; 16]>,
    normal: HashMap<[u8; 16], usize>,
    counts: HashMap<[u8; 16], usize>,
}

impl Seen {
    /// The tag, nothing if it repeats another word for word, or the reason why it collides with another.
    fn judge(&mut self, tag: Tag, line: usize, notes: &mut Notes) -> Result<Option<Tag>, String> {
        let raw = [&tag.subject, &tag.currency, &tag.network, &tag.label, &tag.source]
            .map(|text| text.to_lowercase());
        if !self.raw.insert(print(raw.each_ref().map(String::as_str))) {
            notes.add(line, "repeats another tag and is dropped");
            return Ok(None);
        }
        let normal = print([&tag.normal, &tag.network, &tag.label, &tag.source].map(String::as_str));
        if let Some(first) = self.normal.get(&normal) {
            return Err(format!("says the same of the same {} as the tag in line {first}", tag.kind.field()));
        }
        self.normal.insert(normal, line);
        let count = self.counts.entry(print([tag.network.as_str(), tag.normal.as_str()])).or_insert(0);
        *count = count.saturating_add(1);
        Ok(Some(tag))
    }
}

/// The first 16 bytes of SHA-256 over texts, each after its length.
fn print<const N: usize>(texts: [&str; N]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(text);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *first
}

/// Writes tags as a pack that can be read again; nothing is inherited, so that each tag can be taken out by itself.
#[must_use]
pub fn write(title: &str, creator: &str, tags: &[Tag]) -> String {
    let mut text = format!("title: {}\ncreator: {}\ntags:\n", quoted(title), quoted(creator));
    for tag in tags {
        let mut fields = vec![
            (tag.kind.field(), quoted(&tag.subject)),
            ("currency", quoted(&tag.currency)),
            ("network", quoted(&tag.network)),
            ("label", quoted(&tag.label)),
            ("source", quoted(&tag.source)),
            ("confidence", tag.confidence.id.to_owned()),
            ("tag_type", tag.tag_type.name().to_owned()),
            ("is_cluster_definer", tag.cluster_definer.to_string()),
        ];
        if !tag.concepts.is_empty() {
            fields.push(("concepts", format!("[{}]", tag.concepts.join(", "))));
        }
        for (name, value) in [("actor", &tag.actor), ("lastmod", &tag.lastmod), ("context", &tag.context)] {
            fields.extend(value.as_deref().map(|value| (name, quoted(value))));
        }
        for (place, (name, value)) in fields.iter().enumerate() {
            text += &format!("{} {name}: {value}\n", if place == 0 { "-" } else { " " });
        }
    }
    text
}

/// Text in double quotes: JSON's are YAML's, but for characters that YAML wants escaped too.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::String(text.to_owned()).to_string();
    let escaped = |found: char| match found {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(found)),
        plain => plain.to_string(),
    };
    json.chars().map(escaped).collect()
}
