//! The demo's processes: started with their output in files, ended by their own ids, also when the demo itself is killed.
//! Decides nothing.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// A process of the demo. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Dropped after the child has ended.
    _will: Will,
}

impl Process {
    /// Starts `command` with standard error in `<dir>/<name>.log` and standard output in `<dir>/<name>.out`.
    pub(super) fn start(dir: &Path, name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let error = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let output = File::create(dir.join(format!("{name}.out")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(error)
            .spawn()
            .with_context(|| cannot_start(name, command))?;
        let will = Will::new("kill -9 \"$1\"", child.id().to_string())?;
        Ok(Self { name: name.to_owned(), child, log, _will: will })
    }

    /// What it was started as.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log if it has stopped.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} stopped ({status}). Its last words:\n{}", self.name, tail(&self.log)),
        }
    }

    /// Ends it as a crash would: without warning.
    pub(super) fn kill(&mut self) {
        // A process that is already gone is as good as ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What is still done when this process is gone, however it went: a shell waits for the end of a pipe whose other end only
/// this process holds. Dropping the will revokes it.
#[derive(Debug)]
pub(super) struct Will(Child);

impl Will {
    /// A folder that is not to outlive this process, with what is written into it to the last.
    pub(super) fn remove(dir: &Path) -> anyhow::Result<Self> {
        Self::new("sleep 1; rm -rf -- \"$1\"", dir)
    }

    /// Has the shell do `what` with `$1`.
    fn new(what: &str, subject: impl AsRef<OsStr>) -> anyhow::Result<Self> {
        let script = format!("trap '' HUP INT TERM; read -r revoked || {{ {what}; }}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(subject);
        // In a group of its own, where the terminal's Ctrl-C does not reach it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("cannot start sh")?))
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A shell that is already gone has nothing to be told.
            drop(pipe.write_all(b"revoked\n"));
        }
        drop(self.0.wait());
    }
}

fn tail(path: &Path) -> String {
    let Ok(file) = File::open(path) else { return String::new() };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    let from = lines.len().saturating_sub(12);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Which program could not be started, and what brings it.
fn cannot_start(name: &str, command: &Command) -> String {
    let path = Path::new(command.get_program());
    let program = path.file_name().unwrap_or_default().to_string_lossy();
    let remedy = match &*program {
        tool @ ("nginx" | "litecoind" | "bitcoind") => format!(
            "`cargo xtask setup {tool}` installs it and says where; give that as {}",
            if tool == "nginx" { "--nginx" } else { "--node-binary" }
        ),
        _ => "`cargo xtask demo` builds and finds everything".to_owned(),
    };
    format!("cannot start {name} ({}); {remedy}", path.display())
}

/// A port on loopback that was free a moment ago.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Asks `ready` again and again until it says so; an error names what was waited for.
pub(super) fn wait_for(
    what: &str,
    limit: Duration,
    processes: &mut [Process],
    mut ready: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let problem = match ready() {
            Ok(true) => return Ok(()),
            Ok(false) => None,
            Err(problem) => Some(problem),
        };
        for process in processes.iter_mut() {
            process.check()?;
        }
        if start.elapsed() > limit {
            let why = problem.map(|problem| format!(": {problem:#}")).unwrap_or_default();
            bail!("waited {} s for {what}{why}", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_will_is_carried_out_when_its_pipe_ends_and_not_when_it_is_revoked() {
        let mut child = sleeper();
        let will = Will::new("kill -9 \"$1\"", child.id().to_string()).unwrap();
        drop(will);
        assert_eq!(child.try_wait().unwrap(), None);
        let mut will = Will::new("kill -9 \"$1\"", child.id().to_string()).unwrap();
        // As the kernel does when the process that holds it is gone.
        drop(will.0.stdin.take());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_folder_goes_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("demo");
        std::fs::create_dir_all(inner.join("node")).unwrap();
        let mut will = Will::remove(&inner).unwrap();
        drop(will.0.stdin.take());
        assert!(will.0.wait().unwrap().success());
        assert!(!inner.exists());
    }
}
