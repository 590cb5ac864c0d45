//! Starts other programs: with their output shown or taken, and with errors that name the whole command line.
//! Never feeds them standard input, so that nothing can wait for an answer nobody gives, and shows what they print
//! on standard error only, so that our own answer on standard output stays alone.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::stderr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that started this program, or the one on the path.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command with its output shown. `false` if it ended with an error of its own.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(status(command)?.success())
}

/// Runs a command with its output shown; gives how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let status = command.stdin(Stdio::null()).stdout(stderr()).status();
    status.with_context(|| format!("could not start `{}`", line(command)))
}

/// Runs a command with its output shown; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if succeeds(command)? {
        return Ok(());
    }
    bail!("`{}` failed", line(command))
}

/// What a command prints on standard output; its failure is an error with what it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("could not start `{}`", line(command)))?;
    if !out.status.success() {
        bail!("`{}` failed ({}): {}", line(command), out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    String::from_utf8(out.stdout)
        .with_context(|| format!("`{}` printed something that is not UTF-8", line(command)))
}

/// Whether a command starts and ends well. Its output is dropped.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command line as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Where a program is: on the path, or in the folders for daemons, which a user's path often leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH").unwrap_or_default(), program)
}

/// The path with the folders for daemons at its end, for programs that look for one themselves.
pub(crate) fn path_with_daemons() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    // Folders that came out of a path can be joined to one again; ours have no colon.
    env::join_paths(folders(&path)).unwrap_or(path)
}

fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    env::split_paths(path).chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    folders(path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_what_it_said() {
        let error =
            output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("`sh -c echo no luck >&2; exit 3` failed"), "{error}");
        assert!(error.ends_with("no luck"), "{error}");
        let error = run(&mut Command::new("/nonexistent/program")).unwrap_err().to_string();
        assert_eq!(error, "could not start `/nonexistent/program`");
    }

    #[test]
    fn commands_get_no_input() {
        assert_eq!(output(&mut Command::new("cat")).unwrap(), "");
    }

    #[test]
    fn programs_are_files_that_may_be_run() {
        assert!(find_in(OsStr::new("/usr/bin:/bin"), "sh").is_some());
        assert_eq!(find_in(OsStr::new(""), "no-such-program"), None);
        // A folder may be entered, which has the same permission bit; a file without the bit is no program.
        assert_eq!(find_in(OsStr::new("/"), "etc"), None);
        assert_eq!(find_in(OsStr::new("/etc"), "passwd"), None);
    }
}
