//! Entries as they stand in the log: deterministic CBOR, version 1. One entry has one encoding.

use kuraban_base::{
    Digest, Height, Instant,
    cbor::{self, CborError, Fields, Value},
};
use kuraban_proof::entry::ENTRY_LENGTH_MAX;

use super::entry::{
    Block, Body, Entry, NAMED_MAX, Opened, Reach, Rules, SEEDS_MAX, Seed, Since, Subject, Tag, Taint, Words,
};
use crate::{
    tags::{Confidence, address::TEXT_MAX, taxonomy},
    taint::Method,
};

const VERSION: u8 = 1;

/// Why bytes are no entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// More bytes than an entry of a log may have.
    #[error("entry has {got} bytes, want at most {max}", max = ENTRY_LENGTH_MAX)]
    Long {
        /// How many.
        got: usize,
    },
    /// Not the one encoding of an entry.
    #[error(transparent)]
    Cbor(#[from] CborError),
}

impl Entry {
    /// The entry's bytes in the log.
    ///
    /// # Errors
    /// A value that an entry may not have, or more bytes than an entry may have: what is written can be read.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let bytes = self.to_value().encode();
        let read = Self::decode(&bytes)?;
        debug_assert_eq!(read, *self, "an entry is read as it was written");
        Ok(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else: another version, an unknown kind or field, a value that its field may not have.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > ENTRY_LENGTH_MAX {
            return Err(WireError::Long { got: bytes.len() });
        }
        let mut fields = Fields::of("entry", Value::decode(bytes)?)?;
        let version: u8 = fields.uint("v")?;
        if version != VERSION {
            return Err(cbor::invalid("v", format!("{version}, want {VERSION}")).into());
        }
        let at = Instant::from_ms(fields.uint("at")?);
        let kind = fields.text("kind")?;
        let body = match kind.as_str() {
            "opened" => Body::Opened(opened(&mut fields)?),
            "tag" => Body::Tag(tag(&mut fields)?),
            "confirmed" => Body::Confirmed { tags: named(&mut fields)?, block: block(&mut fields)? },
            "revoked" => Body::Revoked { tags: named(&mut fields)?, reason: fields.parse("reason")? },
            "appealed" => Body::Appealed { tag: fields.uint("tag")?, reference: fields.parse("reference")? },
            "closed" => Body::Closed { case: fields.parse("case")?, reason: fields.parse("reason")? },
            "heartbeat" => Body::Heartbeat { chain: fields.parse("chain")?, tip: block(&mut fields)? },
            _ => return Err(cbor::invalid("kind", "is none of a tag feed's entries").into()),
        };
        fields.end()?;
        Ok(Self { at, body })
    }

    fn to_value(&self) -> Value {
        let mut fields = vec![("v", Value::uint(VERSION)), ("at", Value::uint(self.at.ms()))];
        let kind = match &self.body {
            Body::Opened(opened) => {
                fields.extend(of_opened(opened));
                "opened"
            }
            Body::Tag(tag) => {
                fields.extend(of_tag(tag));
                "tag"
            }
            Body::Confirmed { tags, block } => {
                fields.push(("tags", of_named(tags)));
                fields.extend(of_block(block));
                "confirmed"
            }
            Body::Revoked { tags, reason } => {
                fields.extend([("tags", of_named(tags)), ("reason", Value::text(reason.name()))]);
                "revoked"
            }
            Body::Appealed { tag, reference } => {
                fields.extend([("tag", Value::uint(*tag)), ("reference", Value::text(reference))]);
                "appealed"
            }
            Body::Closed { case, reason } => {
                fields.extend([("case", Value::text(case)), ("reason", Value::text(reason))]);
                "closed"
            }
            Body::Heartbeat { chain, tip } => {
                fields.push(("chain", Value::text(chain.name())));
                fields.extend(of_block(tip));
                "heartbeat"
            }
        };
        fields.push(("kind", Value::text(kind)));
        Value::fields(fields)
    }
}

fn of_block(block: &Block) -> [(&'static str, Value); 2] {
    [("height", Value::uint(block.height.blocks())), ("hash", Value::bytes(block.hash.as_bytes()))]
}

fn block(fields: &mut Fields) -> Result<Block, CborError> {
    let height = Height::new(fields.uint("height")?);
    Ok(Block { height, hash: Digest::from_bytes(fields.array("hash")?) })
}

fn of_named(tags: &[u64]) -> Value {
    Value::array(tags.iter().copied().map(Value::uint))
}

fn named(fields: &mut Fields) -> Result<Vec<u64>, CborError> {
    let items = fields.items("tags")?;
    let number = |item| match item {
        Value::Uint(number) => u64::try_from(number).ok(),
        Value::Bytes(_) | Value::Text(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            None
        }
    };
    let tags: Option<Vec<u64>> = items.into_iter().map(number).collect();
    let ascending = |tags: &Vec<u64>| tags.is_sorted_by(|one, next| one < next);
    let fits = |tags: &Vec<u64>| (1..=NAMED_MAX).contains(&tags.len()) && ascending(tags);
    let want = || cbor::invalid("tags", format!("want 1 to {NAMED_MAX} numbers of tags, ascending"));
    tags.filter(fits).ok_or_else(want)
}

fn of_opened(opened: &Opened) -> [(&'static str, Value); 8] {
    let seed = |seed: &Seed| {
        Value::array([Value::bytes(seed.tx.as_bytes()), Value::uint(seed.index), Value::uint(seed.units)])
    };
    [
        ("case", Value::text(&opened.case)),
        ("chain", Value::text(opened.chain.name())),
        ("token", Value::option(opened.token.as_ref().map(Value::text))),
        ("label", Value::text(&opened.label)),
        ("concept", Value::text(opened.concept)),
        ("source", Value::text(&opened.source)),
        ("seeds", Value::array(opened.seeds.iter().map(seed))),
        ("rules", of_rules(&opened.rules)),
    ]
}

fn opened(fields: &mut Fields) -> Result<Opened, CborError> {
    let concept = fields.text("concept")?;
    let unknown = || cbor::invalid("concept", format!("{concept:?} is no concept of the taxonomy"));
    Ok(Opened {
        case: fields.parse("case")?,
        chain: fields.parse("chain")?,
        token: optional(fields, "token", words)?,
        label: fields.parse("label")?,
        concept: taxonomy::concept(&concept).ok_or_else(unknown)?,
        source: fields.parse("source")?,
        seeds: seeds(fields.items("seeds")?)?,
        rules: rules(fields.value("rules")?)?,
    })
}

fn seeds(items: Vec<Value>) -> Result<Vec<Seed>, CborError> {
    let seed = |item| {
        let Value::Array(parts) = item else { return None };
        let [Value::Bytes(tx), Value::Uint(index), Value::Uint(units)] = parts.as_slice() else {
            return None;
        };
        let tx = Digest::from_bytes(tx.as_slice().try_into().ok()?);
        Some(Seed { tx, index: u32::try_from(*index).ok()?, units: *units })
    };
    let seeds: Option<Vec<Seed>> = items.into_iter().map(seed).collect();
    let ascending = |seeds: &Vec<Seed>| {
        seeds.is_sorted_by(|one, next| (one.tx.as_bytes(), one.index) < (next.tx.as_bytes(), next.index))
    };
    let fits = |seeds: &Vec<Seed>| (1..=SEEDS_MAX).contains(&seeds.len()) && ascending(seeds);
    let want = || cbor::invalid("seeds", format!("want 1 to {SEEDS_MAX} of [tx, index, units], ascending"));
    seeds.filter(fits).ok_or_else(want)
}

fn of_rules(rules: &Rules) -> Value {
    Value::map([
        ("methods", Value::array(rules.methods.iter().map(Value::text))),
        ("follow_fees", Value::Bool(rules.follow_fees)),
        ("dust_units", Value::uint(rules.dust_units)),
        ("tag_units_min", Value::uint(rules.tag_units_min)),
        ("hub_outputs_min", Value::option(rules.hub_outputs_min.map(Value::uint))),
        ("lasts_ms", Value::option(rules.lasts_ms.map(Value::uint))),
    ])
}

fn rules(value: Value) -> Result<Rules, CborError> {
    let mut fields = Fields::of("rules", value)?;
    let method = |item: Value| match item {
        Value::Text(name) => name.parse::<Method>().map_err(|error| cbor::invalid("methods", error)),
        Value::Uint(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            Err(cbor::invalid("methods", "want names of methods"))
        }
    };
    let methods = fields.items("methods")?.into_iter().map(method).collect::<Result<Vec<_>, _>>()?;
    if methods.is_empty() || !methods.is_sorted_by(|one, next| one < next) {
        return Err(cbor::invalid("methods", "want at least one, each once and in their order"));
    }
    let rules = Rules {
        methods,
        follow_fees: fields.bool("follow_fees")?,
        dust_units: fields.uint("dust_units")?,
        tag_units_min: fields.uint("tag_units_min")?,
        hub_outputs_min: optional(&mut fields, "hub_outputs_min", number)?,
        lasts_ms: optional(&mut fields, "lasts_ms", number)?,
    };
    fields.end()?;
    Ok(rules)
}

fn of_tag(tag: &Tag) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("case", Value::text(&tag.case))];
    match &tag.subject {
        Subject::Output { tx, index, address } => {
            let output = Value::array([Value::bytes(tx.as_bytes()), Value::uint(*index)]);
            fields
                .extend([("output", output), ("address", Value::option(address.as_ref().map(Value::text)))]);
        }
        Subject::Account(address) => {
            fields.extend([("output", Value::Null), ("address", Value::text(address))]);
        }
    }
    let (method, least, most) = match tag.taint {
        Taint::Span { least, most } => (Value::Null, least, most),
        Taint::By { method, units } => (Value::text(method), units, units),
    };
    let to = match &tag.reach {
        Reach::Followed => Value::Null,
        Reach::HandedOver { to } => Value::text(to),
    };
    let since = match &tag.since {
        Since::Mempool => Value::Null,
        Since::Block(block) => Value::map(of_block(block)),
    };
    fields.extend([
        ("method", method),
        ("least", Value::uint(least)),
        ("most", Value::uint(most)),
        ("value", Value::option(tag.value.map(Value::uint))),
        ("handed_over_to", to),
        ("since", since),
        ("confidence", Value::text(tag.confidence.id)),
        ("expires", Value::option(tag.expires.map(|at| Value::uint(at.ms())))),
    ]);
    fields
}

fn tag(fields: &mut Fields) -> Result<Tag, CborError> {
    let confidence = fields.text("confidence")?;
    let level = Confidence::of(&confidence);
    let value = optional(fields, "value", number)?;
    let to = optional(fields, "handed_over_to", words)?;
    let since = match fields.option("since")? {
        None => Since::Mempool,
        Some(value) => {
            let mut fields = Fields::of("since", value)?;
            let block = block(&mut fields)?;
            fields.end()?;
            Since::Block(block)
        }
    };
    Ok(Tag {
        case: fields.parse("case")?,
        subject: subject(fields)?,
        taint: taint(fields, value)?,
        value,
        reach: to.map_or(Reach::Followed, |to| Reach::HandedOver { to }),
        since,
        confidence: level
            .ok_or_else(|| cbor::invalid("confidence", format!("{confidence:?} is no level")))?,
        expires: optional(fields, "expires", number)?.map(Instant::from_ms),
    })
}

fn subject(fields: &mut Fields) -> Result<Subject, CborError> {
    let address = optional(fields, "address", |value, field| {
        let Value::Text(text) = value else { return Err(cbor::invalid(field, "want text")) };
        let fits = (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(text)
        } else {
            Err(cbor::invalid(field, format!("want 1 to {TEXT_MAX} ASCII characters")))
        }
    })?;
    let wrong = || cbor::invalid("output", "want [tx, index], or null and an address");
    match (fields.option("output")?, address) {
        (Some(Value::Array(parts)), address) => {
            let [Value::Bytes(tx), Value::Uint(index)] = parts.as_slice() else { return Err(wrong()) };
            let tx = tx.as_slice().try_into().map(Digest::from_bytes).map_err(|_| wrong())?;
            let index = u32::try_from(*index).map_err(|_| wrong())?;
            Ok(Subject::Output { tx, index, address })
        }
        (None, Some(address)) => Ok(Subject::Account(address)),
        (None, None) | (Some(_), _) => Err(wrong()),
    }
}

fn taint(fields: &mut Fields, value: Option<u128>) -> Result<Taint, CborError> {
    let (least, most) = (fields.uint("least")?, fields.uint("most")?);
    let method = optional(fields, "method", |value, field| {
        let Value::Text(name) = value else { return Err(cbor::invalid(field, "want text")) };
        name.parse::<Method>().map_err(|error| cbor::invalid(field, error))
    })?;
    let bounded = value.is_none_or(|value| most <= value);
    match method {
        Some(method) if bounded && most > 0 && least == most => Ok(Taint::By { method, units: most }),
        None if bounded && most > 0 && least <= most => Ok(Taint::Span { least, most }),
        Some(_) | None => Err(cbor::invalid("most", "want more than nothing, at least least, at most value")),
    }
}

fn optional<T>(
    fields: &mut Fields,
    field: &'static str,
    read: impl FnOnce(Value, &'static str) -> Result<T, CborError>,
) -> Result<Option<T>, CborError> {
    fields.option(field)?.map(|value| read(value, field)).transpose()
}

fn number<T: TryFrom<u128>>(value: Value, field: &'static str) -> Result<T, CborError> {
    let Value::Uint(number) = value else { return Err(cbor::invalid(field, "want a number")) };
    T::try_from(number).map_err(|_| cbor::invalid(field, "is too large"))
}

fn words(value: Value, field: &'static str) -> Result<Words, CborError> {
    let Value::Text(text) = value else { return Err(cbor::invalid(field, "want text")) };
    text.parse().map_err(|error| cbor::invalid(field, error))
}
