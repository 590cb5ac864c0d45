//! One subject of many as it was sent. What is no subject becomes a row that says so, so that it costs no other row.

use core::fmt;
use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::super::{
    ask,
    refusal::{Refusal, refusal},
};

/// A request's rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows<'a> {
    #[serde(borrow)]
    pub(super) subjects: Vec<Row<'a>>,
}

/// A chain and an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subject<'a> {
    pub(super) chain: Cow<'a, str>,
    pub(super) address: Cow<'a, str>,
}

/// A subject, or why it is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row<'a> {
    pub(super) read: Result<Subject<'a>, Refusal>,
}

impl<'a> Row<'a> {
    /// One line of a stream.
    pub(super) fn of_line(line: &'a [u8]) -> Self {
        serde_json::from_slice(line).unwrap_or_else(|problem| Self::wrong(problem.to_string()))
    }

    pub(super) fn wrong(detail: String) -> Self {
        let detail = format!("{detail}; want {{\"chain\":…,\"address\":…}}");
        Self { read: Err(refusal(422, "malformed-row", "This row cannot be read", detail)) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reads).map(|value| match value {
            Value::Fields(read) => Self { read },
            Value::Text(_) | Value::Other => Self::wrong("is no object".to_owned()),
        })
    }
}

/// A JSON value as far as it matters here.
enum Value<'a> {
    Text(Cow<'a, str>),
    Fields(Result<Subject<'a>, Refusal>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reads)
    }
}

struct Reads;

impl<'de> Visitor<'de> for Reads {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value<'de>, A::Error> {
        let (mut chain, mut address, mut wrong) = (None, None, None);
        while let Some(name) = fields.next_key::<Value<'de>>()? {
            let Value::Text(name) = name else { return Err(A::Error::custom("a field's name is no text")) };
            let place = match name.as_ref() {
                "chain" => &mut chain,
                "address" => &mut address,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    wrong = Some(format!("field {:?} is not known", ask::bounded(&name)));
                    continue;
                }
            };
            // No deeper than one object: what lies within a field is passed over.
            match fields.next_value::<Field<'de>>()?.0 {
                Some(text) if place.is_none() => *place = Some(text),
                Some(_) => wrong = Some(format!("field {name:?} stands there twice")),
                None => wrong = Some(format!("field {name:?} is no text")),
            }
        }
        let missing = |field: &str| format!("field {field:?} is missing");
        let read = match (wrong, chain, address) {
            (Some(wrong), _, _) => Row::wrong(wrong).read,
            (None, Some(chain), Some(address)) => Ok(Subject { chain, address }),
            (None, None, _) => Row::wrong(missing("chain")).read,
            (None, Some(_), None) => Row::wrong(missing("address")).read,
        };
        Ok(Value::Fields(read))
    }
}

/// Text, or something else that is passed over.
struct Field<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reads).map(|value| match value {
            Value::Text(text) => Self(Some(text)),
            Value::Fields(_) | Value::Other => Self(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_subject_costs_no_other_row() {
        let text = r#"{"subjects":[{"chain":"btc","address":"x"},7,null,"x",[1,[2]],{},{"chain":1,"address":"x"},
            {"chain":"a","chain":"b","address":"x"},{"chain":"a","address":"x","memo":{"y":1}},{"address":"x"},
            {"chain":"a","address":{"chain":"b"}},-1,2.5,true,{"address":"\u0031","chain":"btc"}]}"#;
        let Rows { subjects } = serde_json::from_str(text).unwrap();
        let got = subjects.iter().map(|row| match &row.read {
            Ok(subject) => format!("{} {}", subject.chain, subject.address),
            Err(problem) => problem.detail.split(';').next().unwrap_or_default().to_owned(),
        });
        let no = "is no object";
        let want = [
            "btc x",
            no,
            no,
            no,
            no,
            "field \"chain\" is missing",
            "field \"chain\" is no text",
            "field \"chain\" stands there twice",
            "field \"memo\" is not known",
            "field \"chain\" is missing",
            "field \"address\" is no text",
            no,
            no,
            no,
            "btc 1",
        ];
        assert_eq!(got.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_line_that_is_no_json_is_a_row_that_says_so() {
        for line in ["", "{", "btc x", "{\"chain\":\"a\",\"address\":\"b\"} x"] {
            assert!(Row::of_line(line.as_bytes()).read.is_err(), "{line}");
        }
        assert!(Row::of_line(b" {\"chain\":\"a\",\"address\":\"b\"}\r").read.is_ok());
    }
}
