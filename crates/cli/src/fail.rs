//! Why a command has no answer, and the exit status that follows. A refusal is an answer and stands elsewhere.

use core::fmt::Display;

use kuraban_trace::index::reading;

use crate::say::tame;

/// Longest problem that is told whole.
const PROBLEM_BYTES_MAX: usize = 4_096;

/// A command that ends without an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was given cannot be used: exit status 2.
    Input(anyhow::Error),
    /// What was asked could not be done: exit status 3.
    Undone(anyhow::Error),
}

impl Failure {
    /// Something given that cannot be used.
    pub(crate) fn input(problem: impl Display) -> Self {
        Self::Input(anyhow::anyhow!("{problem}"))
    }

    /// Something that could not be done.
    pub(crate) fn undone(problem: impl Display) -> Self {
        Self::Undone(anyhow::anyhow!("{problem}"))
    }

    /// The exit status.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Undone(_) => 3,
        }
    }

    /// The problem with its causes, outermost first. A cause that the text before it ends with is not said again. What stood in a
    /// file and is repeated steers no terminal, and a long text is cut in its middle.
    pub(crate) fn problem(&self) -> String {
        let (Self::Input(error) | Self::Undone(error)) = self;
        let whole = error.chain().map(ToString::to_string).fold(String::new(), |said, cause| {
            match said.ends_with(&cause) {
                true => said,
                false if said.is_empty() => cause,
                false => format!("{said}: {cause}"),
            }
        });
        let lines: Vec<String> = cut(&whole).lines().map(tame).collect();
        lines.join("\n")
    }
}

/// The beginning and the end of a long text.
fn cut(text: &str) -> String {
    let (head, tail) = (PROBLEM_BYTES_MAX / 2, text.len().saturating_sub(PROBLEM_BYTES_MAX / 2));
    let parts = (text.get(..text.floor_char_boundary(head)), text.get(text.ceil_char_boundary(tail)..));
    match parts {
        (Some(head), Some(tail)) if text.len() > PROBLEM_BYTES_MAX => format!("{head} … {tail}"),
        (Some(_) | None, _) => text.to_owned(),
    }
}

/// Runs a command that may read an index. Where a piece of it is corrupted there is no answer but that.
pub(crate) fn whole<T>(command: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    reading(command).unwrap_or_else(|corrupted| Err(Failure::Input(corrupted.into())))
}

/// Names what failed, and whether the input or the world is to blame.
pub(crate) trait OrFail<T> {
    /// The input is.
    fn or_input(self, what: impl Display) -> Result<T, Failure>;
    /// The world is.
    fn or_undone(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E> OrFail<T> for Result<T, E>
where
    E: Into<anyhow::Error>,
{
    fn or_input(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Input(error.into().context(what.to_string())))
    }

    fn or_undone(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Undone(error.into().context(what.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let check = |causes: &[&'static str], want: &str| {
            let (last, outer) = causes.split_last().unwrap();
            let error = outer.iter().rev().fold(anyhow::anyhow!(*last), |error, said| error.context(*said));
            assert_eq!(Failure::Input(error).problem(), want);
        };
        check(&["refused"], "refused");
        check(&["a.yaml", "line 2: no colon"], "a.yaml: line 2: no colon");
        check(&["a.yaml", "line 2: no colon", "line 2: no colon"], "a.yaml: line 2: no colon");
        check(&["GET x: refused", "refused"], "GET x: refused");
        check(&["refused", "refused by x"], "refused: refused by x");
    }

    #[test]
    fn what_a_file_holds_steers_no_terminal_and_fills_none() {
        let told = |problem: &str| Failure::input(problem).problem();
        assert_eq!(told("line 1\n| a\u{1b}[2Jb\n"), "line 1\n| a\\u{1b}[2Jb");
        let exact = "x".repeat(PROBLEM_BYTES_MAX);
        assert_eq!(told(&exact), exact);
        let long = format!("a{}z", "蔵".repeat(PROBLEM_BYTES_MAX));
        let found = told(&long);
        assert!(found.starts_with("a蔵") && found.ends_with("蔵z") && found.contains(" … "), "{found}");
        assert!(found.len() <= PROBLEM_BYTES_MAX + 5, "{}", found.len());
    }
}
