//! Writes JSON (RFC 8259): the few forms that log lines and printed answers need. Reads none.

/// A string.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Control characters must be escaped; the others are those that could disturb a terminal or a line reader.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An object of members whose values are JSON already.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let members: Vec<String> =
        members.into_iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// An array of values that are JSON already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_read_back_by_another_implementation() {
        let all: String = ('\0'..='\u{2fff}').chain(['蔵', '\u{10ffff}']).collect();
        let written = object([("s", text(&all)), ("a", array([text("\"\\\n")])), ("n", "7".to_owned())]);
        assert!(!written.contains(|c: char| c.is_control()));
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, serde_json::json!({ "s": all, "a": ["\"\\\n"], "n": 7 }));
    }
}
