//! Everything that is printed is printed here. Decides how an answer looks, never what it is.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::fail::{Failure, OrFail as _};

/// Longest line that is read from the terminal, in bytes.
const LINE_MAX: u64 = 4096;
/// How often a spinner turns.
const TICK: core::time::Duration = core::time::Duration::from_millis(100);

/// The language of what people read. JSON, codes and error texts are in English always.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Lang {
    /// 日本語
    Ja,
    /// English
    En,
}

impl Lang {
    /// One of two texts.
    pub(crate) const fn pick<'a>(self, en: &'a str, ja: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Ja => ja,
        }
    }

    /// What the environment asks for, by POSIX precedence; English if nothing.
    fn of_environment(read: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &&str| read(name).filter(|value| !value.is_empty());
        let first = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set);
        if first.is_some_and(|value| value.starts_with("ja")) { Self::Ja } else { Self::En }
    }
}

/// Whether the answer is yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Done, allowed, verified: exit status 0.
    Yes,
    /// Refused or not verified: exit status 1.
    No,
}

/// A command's answer in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    answer: Answer,
    json: Result<String, serde_json::Error>,
    text: String,
    silent: bool,
}

impl Report {
    /// The end of a command that said everything while it ran.
    pub(crate) fn silent() -> Self {
        Self { silent: true, ..Self::done(&(), "") }
    }

    /// An answer.
    pub(crate) fn new(answer: Answer, json: &impl Serialize, text: impl Into<String>) -> Self {
        Self { answer, json: serde_json::to_string(json), text: text.into(), silent: false }
    }

    /// The answer of a command that is done.
    pub(crate) fn done(json: &impl Serialize, text: impl Into<String>) -> Self {
        Self::new(Answer::Yes, json, text)
    }
}

/// Standard output, standard error and the terminal.
#[derive(Debug)]
pub(crate) struct Say {
    json: bool,
    lang: Lang,
}

impl Say {
    /// As the command line asks; the environment decides the language where it does not.
    pub(crate) fn new(json: bool, lang: Option<Lang>) -> Self {
        Self { json, lang: lang.unwrap_or_else(|| Lang::of_environment(|name| std::env::var(name).ok())) }
    }

    /// The language of texts.
    pub(crate) const fn lang(&self) -> Lang {
        self.lang
    }

    /// Prints the answer, or why there is none, and gives the exit status.
    pub(crate) fn end(&self, outcome: Result<Report, Failure>) -> ExitCode {
        let printed = match outcome {
            Ok(report) => self.print(&report).map(|()| match report.answer {
                Answer::Yes => 0,
                Answer::No => 1,
            }),
            Err(failure) => self.fail(&failure),
        };
        // Nobody reads on: there is nowhere left to say so.
        ExitCode::from(printed.unwrap_or(3))
    }

    /// One JSON document on standard output while a command runs on: where a server listens.
    pub(crate) fn announce(&self, document: &impl Serialize) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(document)?)?;
        Ok(out.flush()?)
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        if report.silent {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match (&report.json, self.json) {
            (Ok(json), true) => writeln!(out, "{json}")?,
            (Err(error), true) => return Err(io::Error::other(error.to_string())),
            // It was told as it happened.
            (Ok(_) | Err(_), false) if report.text.is_empty() => {}
            (Ok(_) | Err(_), false) => writeln!(out, "{}", report.text.trim_end())?,
        }
        out.flush()
    }

    fn fail(&self, failure: &Failure) -> io::Result<u8> {
        let problem = failure.problem();
        if self.json {
            let mut out = io::stdout().lock();
            writeln!(out, "{}", serde_json::json!({ "error": problem }))?;
            out.flush()?;
        }
        writeln!(io::stderr().lock(), "kuraban: {problem}")?;
        Ok(failure.status())
    }

    /// Text for the person at the terminal while a command runs; goes to standard error, so that standard output
    /// has the answer alone.
    pub(crate) fn show(&self, text: &str) -> Result<(), Failure> {
        writeln!(io::stderr().lock(), "{text}").or_undone("standard error is closed")
    }

    /// A part of the answer in words, as soon as it is known: on standard output, or beside it if that is for JSON.
    pub(crate) fn tell(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            return self.show(text);
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).or_undone("standard output is closed")
    }

    /// Whether somebody can be asked.
    pub(crate) fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// One line from the terminal, without its end.
    pub(crate) fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut err = io::stderr().lock();
        write!(err, "{question} ").and_then(|()| err.flush()).or_undone("standard error is closed")?;
        let mut line = String::new();
        let mut limited = io::Read::take(io::stdin().lock(), LINE_MAX);
        limited.read_line(&mut line).or_undone("the terminal could not be read")?;
        Ok(line.trim().to_owned())
    }

    /// A passphrase from the terminal, not shown while it is typed.
    pub(crate) fn ask_secret(&self, question: &str) -> Result<Zeroizing<String>, Failure> {
        let answer = rpassword::prompt_password(format!("{question} "));
        answer.map(Zeroizing::new).or_undone("there is no terminal to ask for the passphrase")
    }

    /// A progress bar over `length` steps; hidden where nobody looks.
    pub(crate) fn progress(&self, length: u64) -> indicatif::ProgressBar {
        self.bar(length, "{bar:40} {pos}/{len} {per_sec} {eta}")
    }

    /// A progress bar over bytes, with a message; hidden where nobody looks.
    pub(crate) fn progress_bytes(&self) -> indicatif::ProgressBar {
        self.bar(0, "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}")
    }

    /// A progress bar over bytes of a command that prints while it runs; hidden where both would be on one terminal.
    pub(crate) fn progress_beside(&self, bytes: u64) -> indicatif::ProgressBar {
        if io::stdout().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let bar = self.progress_bytes();
        bar.set_length(bytes);
        bar
    }

    /// As [`Self::progress`], of a command that prints while it runs.
    pub(crate) fn progress_of(&self, length: u64) -> indicatif::ProgressBar {
        if io::stdout().is_terminal() { indicatif::ProgressBar::hidden() } else { self.progress(length) }
    }

    /// A sign that work goes on whose length nobody knows; hidden where nobody looks.
    pub(crate) fn spinner(&self, what: &str) -> indicatif::ProgressBar {
        let bar = self.bar(0, "{spinner} {msg} {elapsed}");
        if !bar.is_hidden() {
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn bar(&self, length: u64, template: &'static str) -> indicatif::ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let bar = indicatif::ProgressBar::new(length);
        // The template is a constant of a known form; without it the default bar shows.
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// Answers a command line that cannot be used: clap's words on standard error, and with `--json` the problem alone on
/// standard output. Help and the version are what was asked for.
pub(crate) fn usage(problem: &clap::Error) -> ExitCode {
    // Where nobody reads on there is nowhere left to say so.
    drop(problem.print());
    if !problem.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json") {
        let json = serde_json::json!({ "error": unusable(problem) });
        drop(writeln!(io::stdout().lock(), "{json}"));
    }
    ExitCode::from(2)
}

/// What clap finds wrong, in one line and without its advice.
fn unusable(problem: &clap::Error) -> String {
    if problem.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "there is no command, want one; --help lists them".to_owned();
    }
    let text = problem.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
    words.strip_prefix("error: ").unwrap_or(&words).to_owned()
}

/// Which side of its column a cell stands at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows with aligned columns, indented by two; the last column is not padded.
pub(crate) fn table<const N: usize>(sides: [Side; N], rows: &[[String; N]]) -> String {
    let mut widths = [0_usize; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).zip(sides).map(|((cell, widest), side)| {
            let padding = " ".repeat(widest.saturating_sub(width(cell)));
            match side {
                Side::Left => format!("{cell}{padding}"),
                Side::Right => format!("{padding}{cell}"),
            }
        });
        let line = format!("  {}", cells.collect::<Vec<_>>().join("  "));
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Columns that text takes on a terminal: two for each character of the scripts of East Asia.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

/// An address in groups of four characters, as people compare them.
pub(crate) fn grouped(address: &str) -> String {
    let characters: Vec<char> = address.chars().collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// A decimal number, which may have a sign, with its thousands apart.
pub(crate) fn thousands(number: &str) -> String {
    if let Some(number) = number.strip_prefix('-') {
        return format!("-{}", thousands(number));
    }
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let digits: Vec<char> = whole.chars().collect();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at_checked(first).unwrap_or((&digits, &[]));
    let mut groups: Vec<String> = tail.chunks(3).map(|group| group.iter().collect()).collect();
    if !head.is_empty() {
        groups.insert(0, head.iter().collect());
    }
    let whole = groups.join(",");
    part.map_or_else(|| whole.clone(), |part| format!("{whole}.{part}"))
}

/// Text that somebody else wrote, without what would steer a terminal: control characters, and marks that turn the
/// direction of writing.
pub(crate) fn tame(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Text as HTML: nothing in it can open or close an element, an attribute or a script.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_the_language_by_precedence() {
        let check = |set: &[(&str, &str)], want| {
            let read =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Lang::of_environment(read), want, "{set:?}");
        };
        check(&[], Lang::En);
        check(&[("LANG", "ja_JP.UTF-8")], Lang::Ja);
        check(&[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "C")], Lang::En);
        check(&[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "ja")], Lang::Ja);
        check(&[("LC_ALL", ""), ("LANG", "ja")], Lang::Ja);
    }

    #[test]
    fn addresses_are_grouped_by_four() {
        assert_eq!(grouped("1B6rJRfjTX"), "1B6r JRfj TX");
        assert_eq!(grouped("abcd"), "abcd");
        assert_eq!(grouped(""), "");
    }

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(tame("蔵 ok"), "蔵 ok");
        assert_eq!(tame("a\u{1b}[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".into(), "a".into()], ["20".into(), "bc".into()]];
        assert_eq!(table([Side::Right, Side::Left], &rows), "   1  a\n  20  bc\n");
        let rows = [["宛先".into(), "a".into()], ["to".into(), "b".into()]];
        assert_eq!(table([Side::Left, Side::Left], &rows), "  宛先  a\n  to    b\n");
    }
}
