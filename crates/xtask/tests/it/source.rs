//! Reads Rust far enough to judge it: what is code, comment and string, which part is test, which paths are named.
//! Knows the lexical grammar only; what a macro makes is not seen.

use std::collections::BTreeSet;

/// A source file taken apart.
pub(crate) struct Source {
    /// The text with comments and the insides of strings and character literals blanked; as long as the text.
    pub(crate) code: String,
    /// Each string literal's offset and inside, escapes left as written.
    pub(crate) strings: Vec<(usize, String)>,
    /// Where test items lie, as ranges of offsets.
    tests: Vec<(usize, usize)>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let (code, strings) = blank(text);
        let tests = test_items(&code);
        Self { code, strings, tests }
    }

    /// The code outside of test items; those are blanked.
    pub(crate) fn production(&self) -> String {
        let mut bytes = self.code.clone().into_bytes();
        for (from, to) in &self.tests {
            wipe(&mut bytes[*from..*to]);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Lines of the file that no test item covers.
    pub(crate) fn production_lines(&self) -> usize {
        let lines = |part: &str| part.lines().count();
        let tests: usize = self.tests.iter().map(|(from, to)| lines(&self.code[*from..*to])).sum();
        lines(&self.code) - tests
    }

    /// Whether an offset lies in a test item.
    pub(crate) fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|(from, to)| (*from..*to).contains(&offset))
    }
}

/// All names in blanked code.
pub(crate) fn names(code: &str) -> impl Iterator<Item = &str> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// All paths that blanked code names: those written out, and those that a `use` with braces stands for.
/// `use std::time::{self, Duration}` names `std::time` and `std::time::Duration`.
pub(crate) fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for statement in code.split("use ").skip(1) {
        let tree = statement.split(';').next().unwrap();
        if tree.contains(['(', '=']) {
            continue;
        }
        expand("", tree, &mut found);
    }
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let written = code.split(|c: char| !part(c)).filter(|word| word.contains("::") && !word.ends_with("::"));
    found.extend(written.map(|path| path.trim_start_matches(':').to_owned()));
    found
}

/// Adds what a use tree under a prefix stands for.
fn expand(prefix: &str, tree: &str, found: &mut BTreeSet<String>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let prefix = format!("{prefix}{}", head.trim());
        let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
        let mut depth = 0_u32;
        let branches = inside.split(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        });
        branches.for_each(|branch| expand(&prefix, branch, found));
    } else if let Some(leaf) = tree.split_whitespace().next() {
        let path = format!("{prefix}{leaf}");
        found.insert(path.strip_suffix("::self").unwrap_or(&path).trim_start_matches("::").to_owned());
    }
}

fn wipe(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

/// Blanks comments, strings and characters, and collects the strings.
fn blank(text: &str) -> (String, Vec<(usize, String)>) {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let after_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        if rest.starts_with(b"//") {
            let end = find(rest, b"\n").unwrap_or(rest.len());
            wipe(&mut out[at..at + end]);
            at += end;
        } else if rest.starts_with(b"/*") {
            let end = comment(rest);
            wipe(&mut out[at..at + end]);
            at += end;
        } else if let Some((open, inside)) = string(rest, after_name) {
            strings.push((at, text[at + open..at + open + inside].to_owned()));
            wipe(&mut out[at + open..at + open + inside]);
            at += open + inside + open - usize::from(rest[0] != b'"');
        } else if let Some(inside) = character(rest) {
            wipe(&mut out[at + 1..=at + inside]);
            at += inside + 2;
        } else {
            at += 1;
        }
    }
    (String::from_utf8(out).unwrap(), strings)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Length of a block comment; they nest.
fn comment(bytes: &[u8]) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// If a string begins here: the lengths of its opening (`"` or `r#"`) and of its inside.
fn string(bytes: &[u8], after_name: bool) -> Option<(usize, usize)> {
    if bytes[0] == b'"' {
        let mut at = 1;
        while at < bytes.len() && bytes[at] != b'"' {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        return Some((1, at.min(bytes.len()) - 1));
    }
    if bytes[0] != b'r' || (after_name && bytes.first() == Some(&b'_')) {
        return None;
    }
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let open = 2 + hashes;
    Some((open, find(&bytes[open..], &close).unwrap_or(bytes.len() - open)))
}

/// If a character literal begins here, and not a lifetime: the length of its inside.
fn character(bytes: &[u8]) -> Option<usize> {
    if bytes[0] != b'\'' || bytes.len() < 3 {
        return None;
    }
    if bytes[1] == b'\\' {
        // The escaped character itself may be a quote.
        return Some(2 + find(&bytes[3..], b"'")?);
    }
    let length = std::str::from_utf8(&bytes[1..bytes.len().min(5)]).map_or_else(
        |cut| std::str::from_utf8(&bytes[1..1 + cut.valid_up_to()]).unwrap().chars().next(),
        |whole| whole.chars().next(),
    );
    let length = length?.len_utf8();
    (bytes.get(1 + length) == Some(&b'\'')).then_some(length)
}

/// Finds the items under `#[cfg(test)]` and `#[test]`, attribute included.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items: Vec<(usize, usize)> = Vec::new();
    let marks = ["#[cfg(test)]", "#[cfg(all(test,", "#[test]"];
    let mut starts: Vec<usize> =
        marks.iter().flat_map(|mark| code.match_indices(mark).map(|(at, _)| at)).collect();
    starts.sort_unstable();
    for start in starts {
        if items.last().is_none_or(|(_, end)| start >= *end) {
            items.push((start, item_end(code, start)));
        }
    }
    items
}

/// Where the item ends whose attributes begin at `start`: at its closing brace, or at the semicolon before any brace.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_u32;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == '}' || c == ';') {
            return start + at + 1;
        }
    }
    code.len()
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let check = |text: &str, code: &str, strings: &[&str]| {
        let source = Source::read(text);
        assert_eq!(source.code, code, "{text}");
        assert_eq!(
            source.strings.iter().map(|(_, inside)| inside.as_str()).collect::<Vec<_>>(),
            strings,
            "{text}"
        );
    };
    check("a // b\nc", "a     \nc", &[]);
    check("a /* b /* c */ d */ e", "a                   e", &[]);
    check("/* open", "       ", &[]);
    check(r#"f("a\"b//", x)"#, r#"f("      ", x)"#, &[r#"a\"b//"#]);
    check("f(r#\"a\"b\"#, x)", "f(r#\"   \"#, x)", &["a\"b"]);
    check("f(b\"ab\", br\"c\")", "f(b\"  \", br\" \")", &["ab", "c"]);
    check("var\"a\"", "var\" \"", &["a"]);
    check("\"open", "\"    ", &["open"]);
    check("let c = '\"'; x", "let c = ' '; x", &[]);
    check("let c = '\\''; x", "let c = '  '; x", &[]);
    check("let c = '\\u{1F}'; x", "let c = '      '; x", &[]);
    check("let c = '蔵'; x", "let c = '   '; x", &[]);
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}", &[]);
    check("'x: loop { break 'x }", "'x: loop { break 'x }", &[]);
}

#[test]
fn tests_are_no_production() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\"; }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n#[test]\nfn d() -> [u8; 2] { [1, 2] }\nfn e() {}\n";
    let source = Source::read(text);
    let production = source.production();
    assert_eq!(names(&production).filter(|name| *name != "fn").collect::<Vec<_>>(), ["a", "c", "e"]);
    assert_eq!(source.production_lines(), 3);
    assert!(source.is_test(text.find("fn b").unwrap()) && !source.is_test(text.find("fn c").unwrap()));
}

#[test]
fn paths_are_found_however_they_are_written() {
    let check = |text: &str, want: &[&str]| {
        let found = paths(&Source::read(text).code);
        for path in want {
            assert!(found.contains(*path), "{text}: {path} not in {found:?}");
        }
    };
    check("use std::fs;", &["std::fs"]);
    check(
        "use std::{fs::File, time::{self, Duration}};",
        &["std::fs::File", "std::time", "std::time::Duration"],
    );
    check("pub use ::std::net as wire;", &["std::net"]);
    check("use std::time::*;", &["std::time::*"]);
    check("use std as s;", &["std"]);
    check("let t = std::time::Instant::now();", &["std::time::Instant::now"]);
    check("fn f(p: &::std::fs::File) {}", &["std::fs::File"]);
}
