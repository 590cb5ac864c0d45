//! YAML read into a tree with line numbers, within limits. Decides that keys are unique and that aliases cannot multiply a
//! small file into a large one; never what a value means.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// Most bytes of a file; larger packs are passed over elsewhere too.
pub const FILE_BYTES_MAX: usize = 200 * 1024 * 1024;
/// Most levels of lists and maps.
const DEPTH_MAX: usize = 16;
/// Most values that a file has, and most that its aliases repeat.
const NODES_MAX: usize = 40_000_000;
const REPEATED_MAX: usize = 1_000_000;
/// Most anchors of a file.
const ANCHORS_MAX: usize = 1_000;

/// Why a file is no YAML that is read here.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// More than is read.
    #[error("file has {got} bytes, want at most {max}")]
    Length {
        /// Its bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not YAML.
    #[error("line {line}: not YAML: {problem}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What the parser found.
        problem: String,
    },
    /// A key that stands twice in one map.
    #[error("line {line}: key {key:?} stands here a second time, want each once")]
    Key {
        /// Where the second is, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A list or a map as a key.
    #[error("line {line}: a key is a list or a map, want text")]
    KeyKind {
        /// Where, from 1.
        line: usize,
    },
    /// More than there may be of something.
    #[error("line {line}: more than {max} {what}")]
    Many {
        /// Where, from 1.
        line: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Not one document.
    #[error("file has no document or more than one, want one")]
    Documents,
}

/// A value with the line where it begins, from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The line.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// A value. Scalars stay text: what a field wants decides whether they are numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing: empty, `null` or `~` without quotes.
    Null,
    /// Text.
    Text(String),
    /// `!include FILE`.
    Include(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// What it is, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Text(_) => "text",
            Self::Include(_) => "an include",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads one document.
///
/// # Errors
/// What is wrong, and in which line.
pub fn read(text: &str) -> Result<Node, YamlError> {
    let got = text.len();
    if got > FILE_BYTES_MAX {
        return Err(YamlError::Length { got, max: FILE_BYTES_MAX });
    }
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: Vec::new(), nodes: 0, repeated: 0 };
    let mut document = None;
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => {
                if document.is_some() {
                    return Err(YamlError::Documents);
                }
                document = Some(reader.node(event, line, 0)?);
            }
        }
    }
    document.ok_or(YamlError::Documents)
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: Vec<Anchor>,
    nodes: usize,
    repeated: usize,
}

/// A value that aliases repeat.
struct Anchor {
    id: usize,
    node: Node,
    /// How many values it is.
    nodes: usize,
    /// How many levels.
    levels: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), YamlError> {
        let syntax = |error: &ScanError| YamlError::Syntax {
            line: error.marker().line(),
            problem: error.info().to_owned(),
        };
        match self.parser.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn count(&mut self, line: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            return Err(YamlError::Many { line, what: "values", max: NODES_MAX });
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, YamlError> {
        levels(line, depth, 1)?;
        let before = self.nodes.saturating_add(self.repeated);
        self.count(line)?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let found = self.anchors.iter().find(|known| known.id == anchor).ok_or_else(|| {
                    YamlError::Syntax {
                        line,
                        problem: "an alias before the end of what it repeats".to_owned(),
                    }
                })?;
                levels(line, depth, found.levels)?;
                self.repeated = self.repeated.saturating_add(found.nodes);
                if self.repeated > REPEATED_MAX {
                    return Err(YamlError::Many { line, what: "repeated values", max: REPEATED_MAX });
                }
                return Ok(Node { line, value: found.node.value.clone() });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let include = tag.is_some_and(|tag| tag.suffix == "include");
                (anchor, scalar(&text, style, include))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                return Err(YamlError::Syntax { line, problem: "a value ends before it begins".to_owned() });
            }
        };
        let node = Node { line, value };
        if anchor > 0 {
            if self.anchors.len() >= ANCHORS_MAX {
                return Err(YamlError::Many { line, what: "anchors", max: ANCHORS_MAX });
            }
            let (nodes, levels) =
                (self.nodes.saturating_add(self.repeated).saturating_sub(before), height(&node));
            self.anchors.push(Anchor { id: anchor, node: node.clone(), nodes, levels });
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, line, depth.saturating_add(1))?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let (event, line) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(fields));
            }
            let key = self.node(event, line, depth.saturating_add(1))?;
            let Value::Text(key) = key.value else { return Err(YamlError::KeyKind { line }) };
            if !keys.insert(key.clone()) {
                return Err(YamlError::Key { line, key });
            }
            let (event, line) = self.next()?;
            fields.push((key, self.node(event, line, depth.saturating_add(1))?));
        }
    }
}

fn levels(line: usize, depth: usize, more: usize) -> Result<(), YamlError> {
    if depth.saturating_add(more) > DEPTH_MAX {
        return Err(YamlError::Many { line, what: "levels", max: DEPTH_MAX });
    }
    Ok(())
}

/// Levels of a value, itself included.
fn height(node: &Node) -> usize {
    let below = match &node.value {
        Value::Null | Value::Text(_) | Value::Include(_) => None,
        Value::List(items) => items.iter().map(height).max(),
        Value::Map(fields) => fields.iter().map(|(_, node)| height(node)).max(),
    };
    below.unwrap_or(0).saturating_add(1)
}

fn scalar(text: &str, style: ScalarStyle, include: bool) -> Value {
    let plain = style == ScalarStyle::Plain;
    if include {
        Value::Include(text.to_owned())
    } else if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_its_lines() {
        let node = read("a: 1\nb:\n- x\n- ~\nc: !include h.yaml\nd: \"null\"\n").unwrap();
        let Value::Map(fields) = node.value else { panic!() };
        let found: Vec<_> =
            fields.iter().map(|(key, node)| (key.as_str(), node.line, node.value.kind())).collect();
        assert_eq!(found, [("a", 1, "text"), ("b", 3, "a list"), ("c", 5, "an include"), ("d", 6, "text")]);
    }

    #[test]
    fn what_could_hide_or_multiply_is_refused() {
        let check = |text: &str, want: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        };
        check("a: 1\nb: 2\na: 3\n", "line 3: key \"a\" stands here a second time");
        check("? [a]\n: 1\n", "a key is a list or a map");
        check("a: [\n", "not YAML");
        check("", "no document or more than one");
        check("a: 1\n---\nb: 2\n", "no document or more than one");
        check(&format!("{}{}", "[".repeat(17), "]".repeat(17)), "more than 16 levels");
        assert!(read(&format!("{}{}", "[".repeat(16), "]".repeat(16))).is_ok());
        // Nine levels of nine aliases each would be 387 million values.
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(",");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        check(&bomb, "more than");
    }
}
