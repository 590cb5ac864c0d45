//! Builds Bitcoin Core's daemon once from the source inside a crate, and keeps it outside the repository.
//! Never runs a node: whoever asked for the program does.

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{cargo, find, line, output, run};
use crate::say::{self, Progress};
use crate::setup::{Need, ensure_debian};

/// The crate whose folder `bitcoin/` is the source, and the version we know to build.
const CRATE: &str = "libbitcoinkernel-sys";
const CRATE_VERSION: &str = "0.4.1";

/// What that source calls itself.
const BITCOIND_VERSION: &str = "v31.99.0";

/// The compiler and the one library that the daemon needs when everything optional is off.
const NEEDS: [Need; 4] = [
    Need::program("cmake", "cmake"),
    Need::program("make", "make"),
    Need::program("g++", "g++"),
    Need::package("libboost-dev"),
];

/// The daemon and its command line, and nothing else: no wallet, because Kuraban holds the keys.
const CONFIGURE: [&str; 18] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_DAEMON=ON",
    "-DBUILD_CLI=ON",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DBUILD_GUI=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_FUZZ_BINARY=OFF",
    "-DBUILD_KERNEL_LIB=OFF",
    "-DENABLE_WALLET=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DENABLE_IPC=OFF",
    "-DWITH_ZMQ=OFF",
    "-DWITH_USDT=OFF",
    // The crate leaves the file out that this would embed.
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DINSTALL_MAN=OFF",
];

const PROGRAMS: [&str; 2] = ["bitcoind", "bitcoin-cli"];

/// Lines of the compiler's that are shown when it fails.
const LOG_LINES_SHOWN: usize = 30;

/// The daemon, if this user has built it before.
pub(crate) fn built() -> Result<Option<PathBuf>> {
    let program = home(&cache()?).join("bin").join("bitcoind");
    if program.is_file() { verified(program).map(Some) } else { Ok(None) }
}

/// The daemon, built if this user has none yet.
pub(crate) fn ensure_bitcoind() -> Result<PathBuf> {
    if let Some(program) = built()? {
        return Ok(program);
    }
    let cache = cache()?;
    let home = home(&cache);
    let program = home.join("bin").join("bitcoind");
    ensure_debian(&NEEDS)?;
    fs::create_dir_all(&cache).with_context(|| format!("could not make {}", cache.display()))?;
    // One builder at a time; who waited finds the program there.
    let lock_file = cache.join("bitcoind.lock");
    let lock = File::create(&lock_file).with_context(|| format!("could not make {}", lock_file.display()))?;
    lock.lock().with_context(|| format!("could not lock {}", lock_file.display()))?;
    if !program.is_file() {
        build(&cache, &home)?;
    }
    verified(program)
}

/// Builds in a folder that an interrupted build left half done, and moves the programs into place at the end.
fn build(cache: &Path, home: &Path) -> Result<()> {
    say::step("building bitcoind, once for this user; 5 to 10 min on two cores");
    let work = cache.join(format!("bitcoind-{CRATE}-{CRATE_VERSION}.building"));
    let objects = work.join("objects");
    fs::create_dir_all(&objects).with_context(|| format!("could not make {}", objects.display()))?;
    let source = source(&work.join("fetch"))?;
    output(Command::new("cmake").arg("-S").arg(&source).arg("-B").arg(&objects).args(CONFIGURE))?;
    compile(&objects, &work.join("build.log"))?;

    let bin = work.join("done").join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("could not make {}", bin.display()))?;
    for program in PROGRAMS {
        let built = objects.join("bin").join(program);
        fs::copy(&built, bin.join(program))
            .with_context(|| format!("no {} after the build", built.display()))?;
    }
    verified(bin.join("bitcoind"))?;
    fs::rename(work.join("done"), home).with_context(|| format!("could not move into {}", home.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("could not clear {}", work.display()))
}

/// Has cargo fetch the crate by name, through a project that has nothing else, and says where its source lies.
fn source(project: &Path) -> Result<PathBuf> {
    fs::create_dir_all(project.join("src"))
        .with_context(|| format!("could not make {}", project.display()))?;
    let manifest = project.join("Cargo.toml");
    let text = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{CRATE} = \"={CRATE_VERSION}\"\n"
    );
    fs::write(&manifest, text).with_context(|| format!("could not write {}", manifest.display()))?;
    fs::write(project.join("src").join("lib.rs"), "").context("could not write the empty library")?;
    run(cargo().args(["fetch", "--quiet"]).current_dir(project))?;
    let said = output(cargo().args(["metadata", "--format-version", "1", "--offline"]).current_dir(project))?;
    let said: Value = serde_json::from_str(&said).context("cargo metadata printed no JSON")?;
    let packages =
        said.get("packages").and_then(Value::as_array).context("cargo metadata names no packages")?;
    let ours = packages.iter().find(|package| package.get("name").and_then(Value::as_str) == Some(CRATE));
    let manifest = ours.and_then(|package| package.get("manifest_path")).and_then(Value::as_str);
    let manifest = manifest.with_context(|| format!("cargo metadata does not know {CRATE}"))?;
    let source = Path::new(manifest).with_file_name("bitcoin");
    if !source.join("CMakeLists.txt").is_file() {
        bail!("{} is not the source of Bitcoin Core", source.display());
    }
    Ok(source)
}

fn compile(objects: &Path, log: &Path) -> Result<()> {
    // At the lowest urgency, so that the machine stays usable.
    let nice: &[&str] = if find("nice").is_some() { &["nice", "-n", "15"] } else { &[] };
    let words = [nice, &["cmake", "--build"]].concat();
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or("cmake"));
    command.args(words).arg(objects).args(["-j2", "--target"]).args(PROGRAMS);
    let log = log.to_str().context("the cache's path is not UTF-8")?;
    // The shell joins the two streams, in order, which two pipes would not keep.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$@" 2>&1"#, "sh"]).arg(command.get_program()).args(command.get_args());
    let spawned = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("could not start `{}`", line(&command)))?;
    let said = child.stdout.take().context("the build has no output")?;
    let last =
        follow(BufReader::new(said), File::create(log).with_context(|| format!("could not write {log}"))?)?;
    if child.wait().context("the build was lost")?.success() {
        return Ok(());
    }
    bail!("`{}` failed; all it said is in {log}, the end was:\n{}", line(&command), last.join("\n"))
}

/// Writes the build's output down, shows how far it is, and keeps the last lines.
fn follow(said: impl BufRead, mut log: File) -> Result<Vec<String>> {
    let mut last = VecDeque::new();
    let mut progress = Progress::begin("building bitcoind");
    let mut most = 0;
    for said in said.split(b'\n') {
        let said = String::from_utf8_lossy(&said.context("could not read what the build says")?).into_owned();
        writeln!(log, "{said}").context("could not write the build's log")?;
        // Each program's count starts anew; only what goes beyond the count before is progress.
        if let Some(done) = percent(&said).filter(|done| *done > most) {
            most = done;
            progress.at(done);
        }
        last.push_back(said);
        if last.len() > LOG_LINES_SHOWN {
            last.pop_front();
        }
    }
    progress.end();
    Ok(last.into())
}

/// `[ 51%] Building …` → 51.
fn percent(said: &str) -> Option<u8> {
    said.strip_prefix('[')?.split_once("%]")?.0.trim_start().parse().ok().filter(|done| *done <= 100)
}

/// The program, once it has said that it is what we wanted.
fn verified(program: PathBuf) -> Result<PathBuf> {
    let said = output(Command::new(&program).arg("--version"))?;
    let first = said.lines().next().unwrap_or_default();
    if first.starts_with("Bitcoin Core") && first.contains(BITCOIND_VERSION) {
        return Ok(program);
    }
    bail!(
        "{} says it is `{first}`, expected Bitcoin Core {BITCOIND_VERSION}; delete it to have it built again",
        program.display()
    )
}

/// Where the finished programs lie in the cache.
fn home(cache: &Path) -> PathBuf {
    cache.join(format!("bitcoind-{CRATE}-{CRATE_VERSION}"))
}

fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set to an absolute path")?.join("kuraban"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, want: Option<u8>) {
        assert_eq!(percent(said), want, "{said}");
    }

    #[test]
    fn progress_is_read_from_the_build() {
        check("[  2%] Building CXX object src/a.o", Some(2));
        check("[ 51%] Building CXX object src/b.o", Some(51));
        check("[100%] Built target bitcoind", Some(100));
        check("[101%] Built target bitcoind", None);
        check("[-1%] x", None);
        check("src/init.cpp:12: warning: [ 51%] is not progress", None);
        check("[ 51 %] x", None);
        check("", None);
    }

    #[test]
    fn another_program_is_not_taken_for_bitcoind() {
        let error = verified("/bin/true".into()).unwrap_err().to_string();
        assert!(error.contains("expected Bitcoin Core v31.99.0"), "{error}");
    }
}
