//! The house's rules for sources, manifests and tables.
//!
//! Reason codes are read like this: in any `reason.rs` of a crate's `src`, the body of `fn code` is a match whose
//! arms read `Self::Variant … => "the-code"`; every string literal in that body is a code, and the last
//! `Self::Variant` before it is its variant. A code is documented when a table row of `docs/reasons.md` begins with
//! it in backticks, and tested when test code names the variant or holds the code as a string.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::repository::{Tracked, none, root, rust, tracked};
use crate::source::{Source, names};

/// Lines of production code that a file may have.
const LINES_MAX: usize = 800;

/// Names of other people's crates.
const OTHERS: &[&str] = &["hyper_util"];
/// Where a trait of other people asks for a name: the file and the name.
const ASKED_FOR: &[(&str, &str)] = &[("crates/guardd/src/screen/body.rs", "Data")];

/// The manifest of the one member whose lints are not inherited, the one file with `unsafe` in it, and why.
const UNSAFE: (&str, &str, &str) = (
    "crates/trace/Cargo.toml",
    "crates/trace/src/index/map.rs",
    "an index is larger than memory, and the standard library does not map files",
);

/// Words that say nothing, wherever they stand in a name.
const EMPTY_WORDS: &[&str] = &["manager", "helper", "helpers", "util", "utils"];
/// Words that say nothing when they are the whole name of an item or its last word.
const EMPTY_ENDS: &[&str] = &["info", "data"];

/// Words that leave work behind; spelled so that this file does not hold them.
const LEFT_BEHIND: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders of one machine that mean nothing on another; spelled so that this file does not hold them.
const LOCAL_FOLDERS: &[&str] = &[concat!("/", "work"), concat!("/", "root"), concat!("/", "home")];

/// Where floating point numbers may stand: points on paper, and a JSON number that is passed over. Never money.
const NO_MONEY: &[&str] = &[
    "crates/cli/src/ink.rs",
    "crates/cli/src/ink/",
    "crates/cli/src/trace/report/paper/",
    "crates/guardd/src/screen/bulk/row.rs",
];

#[test]
fn every_module_says_what_it_decides() {
    none(rust().iter().flat_map(|file| opening(&file.path, &file.text)).collect());
}

fn opening(path: &str, text: &str) -> Option<String> {
    (!text.starts_with("//! ")).then(|| format!("{path} does not open with `//!` and what it decides"))
}

#[test]
fn every_member_inherits_lints_and_versions() {
    // What something of ours is measured beside is no member: its packages stay out of the workspace's tree.
    let is_member = |path: &str| path.starts_with("crates/") && !path.contains("/benches/peers/");
    let manifests =
        tracked().into_iter().filter(|file| is_member(&file.path) && file.path.ends_with("/Cargo.toml"));
    let root: Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let lints = &root["workspace"]["lints"];
    none(manifests.flat_map(|file| inherits(&file.path, &file.text, lints)).collect());
}

fn inherits(path: &str, text: &str, lints: &Value) -> Vec<String> {
    let manifest: Table = text.parse().unwrap();
    let mut found = Vec::new();
    let inherited =
        |value: Option<&Value>| value.and_then(|value| value.get("workspace")) == Some(&Value::Boolean(true));
    if path == UNSAFE.0 {
        if manifest.get("lints") != Some(&lowered(lints)) {
            found.push(format!("{path} has other lints than the workspace's with `unsafe_code` denied"));
        }
    } else if !inherited(manifest.get("lints")) {
        found.push(format!("{path} has no `[lints] workspace = true`; it is not implied"));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let dependencies = manifest.get(section).and_then(Value::as_table).into_iter().flatten();
        let own = dependencies.filter(|(_, value)| !inherited(Some(value)));
        found.extend(
            own.map(|(name, _)| {
                format!("{path} declares {name} itself; versions stand in the root manifest")
            }),
        );
    }
    found
}

/// The workspace's lints with `unsafe_code` denied, so that one module can expect it, and no longer forbidden.
fn lowered(lints: &Value) -> Value {
    let mut lints = lints.clone();
    lints["rust"]["unsafe_code"] = Value::String("deny".to_owned());
    lints
}

#[test]
fn only_one_module_is_unsafe() {
    let files = rust();
    let found: Vec<&str> =
        files.iter().filter(|file| names_unsafe(&file.text)).map(|file| file.path.as_str()).collect();
    assert_eq!(found, [UNSAFE.1], "unsafe there alone: {}", UNSAFE.2);
}

fn names_unsafe(text: &str) -> bool {
    names(&Source::read(text).code).any(|name| name == "unsafe" || name == "unsafe_code")
}

#[test]
fn every_external_crate_has_its_reason() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    none(reasons_for_crates(&read("Cargo.toml"), &read("DEPENDENCIES.md")));
}

fn reasons_for_crates(manifest: &str, table: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().unwrap();
    let declared = manifest["workspace"]["dependencies"].as_table().unwrap();
    let external = declared.iter().filter(|(_, value)| value.get("path").is_none());
    let external: BTreeSet<&str> = external.map(|(name, _)| name.as_str()).collect();
    let explained: BTreeSet<&str> = rows(table).map(|(name, _)| name).collect();
    let missing =
        external.difference(&explained).map(|name| format!("DEPENDENCIES.md has no reason for {name}"));
    let stale = explained
        .difference(&external)
        .map(|name| format!("DEPENDENCIES.md explains {name}, which nothing uses"));
    let empty = rows(table).filter(|(_, rest)| rest.trim_matches(['|', ' ']).is_empty());
    let empty = empty.map(|(name, _)| format!("DEPENDENCIES.md names {name} without a reason"));
    missing.chain(stale).chain(empty).collect()
}

/// Rows of a table whose first cell begins with a word in backticks: the word, and the other cells.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("| `")?.split_once('|')?;
        Some((first.split_once('`')?.0, rest))
    })
}

#[test]
fn every_reason_is_documented_and_tested() {
    let files = rust();
    let documented = std::fs::read_to_string(root().join("docs/reasons.md")).unwrap_or_default();
    let tests: Vec<String> = files.iter().map(tests_of).collect();
    let enums = files.iter().filter(|file| file.path.contains("/src/") && file.path.ends_with("/reason.rs"));
    let found = enums.flat_map(|file| {
        let codes = codes(&file.text);
        assert!(!codes.is_empty(), "{} has no code that this test can read", file.path);
        uncovered(&codes, &documented, &tests)
    });
    none(found.collect());
}

/// The test code of a file: all of it, or its test items. Strings are kept, so that codes in them are seen.
fn tests_of(file: &Tracked) -> String {
    if file.is_test() {
        return file.text.clone();
    }
    let source = Source::read(&file.text);
    file.text.char_indices().filter(|(at, _)| source.is_test(*at)).map(|(_, c)| c).collect()
}

/// (variant, code) of every reason.
fn codes(text: &str) -> Vec<(String, String)> {
    let source = Source::read(text);
    let Some(start) = source.code.find("fn code(") else { return Vec::new() };
    let open = start + source.code[start..].find('{').unwrap();
    let mut depth = 0_u32;
    let close = source.code[open..].char_indices().find(|(_, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let close = open + close.unwrap().0;
    let inside = source.strings.iter().filter(|(at, _)| (open..close).contains(at));
    let pairs = inside.map(|(at, code)| {
        let before = &source.code[open..*at];
        let variant = before.rsplit_once("Self::").map_or("", |(_, rest)| rest);
        (names(variant).next().unwrap_or_default().to_owned(), code.clone())
    });
    pairs.collect()
}

fn uncovered(codes: &[(String, String)], documented: &str, tests: &[String]) -> Vec<String> {
    let rows: BTreeSet<&str> = rows(documented).map(|(code, _)| code).collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (variant, code) in codes {
        if !seen.insert(code) {
            found.push(format!("two reasons have the code {code}"));
        }
        if !rows.contains(code.as_str()) {
            found.push(format!("docs/reasons.md has no row for {code}"));
        }
        let named = |test: &String| {
            test.contains(&format!("\"{code}\""))
                || (!variant.is_empty() && names(test).any(|name| name == variant))
        };
        if !tests.iter().any(named) {
            found.push(format!("no test names {code}"));
        }
    }
    let known: BTreeSet<&str> = codes.iter().map(|(_, code)| code.as_str()).collect();
    found.extend(
        rows.difference(&known).map(|code| format!("docs/reasons.md explains {code}, which no reason has")),
    );
    found
}

/// Money is whole base units and decimals. A type or a literal of floating point in production code is a fault everywhere else.
#[test]
fn no_float_reaches_money() {
    let files = rust();
    let shipped = |path: &str| {
        path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/xtask/")
    };
    let exempt = |path: &str| NO_MONEY.iter().any(|other| path.starts_with(other));
    let money = files.iter().filter(|file| shipped(&file.path) && !exempt(&file.path) && !file.is_test());
    none(money.flat_map(|file| floats(&file.path, &file.text)).collect());
}

fn floats(path: &str, text: &str) -> Vec<String> {
    let code = Source::read(text).production();
    let lines = code.lines().enumerate().filter(|(_, line)| {
        let typed = names(line).any(|name| ["f16", "f32", "f64", "f128"].contains(&name));
        typed || has_float_literal(line)
    });
    lines
        .map(|(at, _)| {
            format!("{path}:{} holds a floating point number; count in base units or decimals", at + 1)
        })
        .collect()
}

/// Digits, a point and a digit, where the digits begin a word and no point stands before them: `1.5`, and not `pair.0.1` or `x1.0`.
fn has_float_literal(line: &str) -> bool {
    let bytes = line.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (1..bytes.len()).any(|at| {
        let mut begin = at;
        while begin > 0 && (digit(begin - 1) || bytes[begin - 1] == b'_') {
            begin -= 1;
        }
        let before = begin.checked_sub(1).map(|before| bytes[before]);
        let starts = begin < at
            && digit(begin)
            && !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
        bytes[at] == b'.' && digit(at + 1) && starts
    })
}

#[test]
fn files_stay_short() {
    let files = rust();
    let production = files.iter().filter(|file| !file.is_test());
    none(production.flat_map(|file| length(&file.path, &file.text)).collect());
}

fn length(path: &str, text: &str) -> Option<String> {
    let lines = Source::read(text).production_lines();
    (lines > LINES_MAX).then(|| format!("{path} has {lines} lines without its tests, at most {LINES_MAX}"))
}

#[test]
fn names_say_something() {
    none(rust().iter().flat_map(|file| empty_names(&file.path, &file.text)).collect());
}

fn empty_names(path: &str, text: &str) -> Vec<String> {
    let source = Source::read(text);
    let all: Vec<&str> = names(&source.code).collect();
    let says_nothing = |name: &str| {
        !OTHERS.contains(&name) && words(name).iter().any(|word| EMPTY_WORDS.contains(&word.as_str()))
    };
    let mut empty: BTreeSet<&str> = all.iter().copied().filter(|name| says_nothing(name)).collect();
    let items =
        all.windows(2).filter(|pair| ["fn", "struct", "enum", "trait", "mod", "type"].contains(&pair[0]));
    for item in items {
        let words = words(item[1]);
        let ends_empty = words.last().is_some_and(|word| EMPTY_ENDS.contains(&word.as_str()))
            && !ASKED_FOR.contains(&(path, item[1]));
        if ends_empty || (item[0] == "fn" && words.len() > 1 && words[0] == "get") {
            empty.insert(item[1]);
        }
    }
    empty.into_iter().map(|name| format!("{path}: `{name}` says nothing; name what it is or does")).collect()
}

/// The words of a name, lower case: `TxManager` and `tx_manager` are `tx`, `manager`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_'
            || (c.is_uppercase() && words.last().is_some_and(|word| word.ends_with(char::is_lowercase)))
        {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn nothing_is_left_behind() {
    none(tracked().iter().flat_map(|file| left_behind(&file.path, &file.text)).collect());
}

fn left_behind(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(at, line)| {
        let word = LEFT_BEHIND.iter().find(|word| names(line).any(|name| name == **word));
        let folder = LOCAL_FOLDERS.iter().find(|folder| names_folder(line, folder));
        word.or(folder).map(|what| format!("{path}:{} holds {what}", at + 1))
    });
    found.collect()
}

/// Whether a line names a folder at the root of a disk: not as the tail of a longer path or the head of a longer word.
fn names_folder(line: &str, folder: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-.~}".contains(c);
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-')
    })
}

#[test]
fn planted_floats_are_seen() {
    for text in ["fn a(x: f64) {}", "let x = 1.5;", "let x = 1_000.25e3;", "let x = y as f32;"] {
        assert_eq!(floats("x.rs", text).len(), 1, "{text}");
    }
    for text in [
        "let x = pair.0.1;",
        "// 1.5 f64",
        "let x = \"1.5 f64\";",
        "for x in 0..5 {}",
        "let x1 = y1.0;",
        "#[cfg(test)]\nmod tests { fn a(x: f64) {} }",
    ] {
        assert_eq!(floats("x.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn planted_untidiness_is_seen() {
    assert_eq!(opening("x.rs", "//! Decides.\nfn a() {}"), None);
    assert!(opening("x.rs", "// Decides.\n").is_some() && opening("x.rs", "").is_some());

    let good = "[lints]\nworkspace = true\n[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }\n";
    let lints: Value = "[rust]\nunsafe_code = \"forbid\"\nx = \"deny\"".parse::<Table>().unwrap().into();
    assert_eq!(inherits("x", good, &lints), Vec::<String>::new());
    let own = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = { path = \"b\" }\n";
    assert_eq!(inherits("x", own, &lints).len(), 3);
    let denied = "[lints.rust]\nunsafe_code = \"deny\"\nx = \"deny\"\n";
    let check = |path: &str, text: &str, want: usize| {
        assert_eq!(inherits(path, text, &lints).len(), want, "{path}: {text}");
    };
    check(UNSAFE.0, denied, 0);
    check("x", denied, 1);
    check(UNSAFE.0, good, 1);
    check(UNSAFE.0, "[lints.rust]\nunsafe_code = \"deny\"\n", 1);
    check(UNSAFE.0, "[lints.rust]\nunsafe_code = \"allow\"\nx = \"deny\"\n", 1);
    assert!(names_unsafe("unsafe { x() }") && names_unsafe("#![allow(unsafe_code)]"));
    assert!(!names_unsafe("// unsafe\nlet x = \"unsafe\"; let unsafely = 1;"));

    let manifest = "[workspace.dependencies]\na = \"1\"\nb = { version = \"2\" }\nown = { path = \"own\" }\n";
    let check = |table: &str, want: &[&str]| assert_eq!(reasons_for_crates(manifest, table), want, "{table}");
    check("| crate | why |\n|---|---|\n| `a` | x |\n| `b` | y |\n", &[]);
    check("| `a` | x |", &["DEPENDENCIES.md has no reason for b"]);
    check("| `a` | x |\n| `b` | |", &["DEPENDENCIES.md names b without a reason"]);
    check("| `a` | x |\n| `b` | y |\n| `c` | z |", &["DEPENDENCIES.md explains c, which nothing uses"]);

    assert_eq!(length("x", &"\n".repeat(LINES_MAX)), None);
    assert!(length("x", &"\n".repeat(LINES_MAX + 1)).is_some());
    assert_eq!(
        length("x", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(800), "\n".repeat(800))),
        None
    );

    let check = |text: &str, want: usize| assert_eq!(left_behind("x", text).len(), want, "{text}");
    check(&format!("a\n// {}: later\nb", LEFT_BEHIND[0]), 1);
    check("todo, mastodon", 0);
    check(&format!("see {}/x", LOCAL_FOLDERS[0]), 1);
    check(&format!("`{}`", LOCAL_FOLDERS[1]), 1);
    check(&format!("a{}/x, {}shop, ${{dir}}{}", LOCAL_FOLDERS[0], LOCAL_FOLDERS[0], LOCAL_FOLDERS[1]), 0);
}

#[test]
fn planted_empty_names_are_seen() {
    let check = |text: &str, want: &[&str]| {
        let want: Vec<String> =
            want.iter().map(|name| format!("x: `{name}` says nothing; name what it is or does")).collect();
        assert_eq!(empty_names("x", text), want, "{text}");
    };
    check("fn judge(policy: &Policy, data: &[u8]) {} // manager", &[]);
    check("struct KeyManager; mod tx_util; let helper = 1;", &["KeyManager", "helper", "tx_util"]);
    check("fn utility() {} struct Database; fn inform() {}", &[]);
    check("fn get_fee() {} fn get() {} fn widget_get() {}", &["get_fee"]);
    check("struct TxInfo; fn metadata() {} type Data = u8;", &["Data", "TxInfo"]);
}

#[test]
fn planted_reasons_are_seen() {
    let text = "impl Reason {\n    /// \"no-code\"\n    pub const fn code(&self) -> &'static str {\n        match self {\n            Self::NoRule { .. } => \"no-rule\",\n            Self::Expired(_) => { \"expired\" }\n        }\n    }\n    fn text() -> &'static str { \"later\" }\n}\n";
    let codes = codes(text);
    let pair = |variant: &str, code: &str| (variant.to_owned(), code.to_owned());
    assert_eq!(codes, [pair("NoRule", "no-rule"), pair("Expired", "expired")]);
    let check = |documented: &str, tests: &str, want: &[&str]| {
        assert_eq!(uncovered(&codes, documented, &[tests.to_owned()]), want, "{documented} {tests}");
    };
    let all = "| `no-rule` | write one |\n| `expired` | ask again |\n";
    check(all, "check(\"no-rule\"); Reason::Expired", &[]);
    check("| `no-rule` | write one |", "NoRule Expired", &["docs/reasons.md has no row for expired"]);
    check(all, "NoRule; \"not expired\"; Expiredly", &["no test names expired"]);
    let stale = format!("{all}| `old` | x |\n");
    check(&stale, "NoRule Expired", &["docs/reasons.md explains old, which no reason has"]);
    let twice = [codes[0].clone(), codes[0].clone()];
    assert_eq!(
        uncovered(&twice, "| `no-rule` | x |", &["NoRule".to_owned()]),
        ["two reasons have the code no-rule"]
    );
}
