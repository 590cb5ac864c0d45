//! A signer's process, its folder and its files as an operator lays them out.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use kuraban_base::hex;
use kuraban_link::{Connection, Identity, LinkError, connect};
use kuraban_vault::wire::{Request, Response};
use tempfile::TempDir;

use crate::kit;

/// Far longer than anything here takes; a test that runs into it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A signer's folder, with everything in it that the process needs.
pub(crate) struct Home {
    pub(crate) number: u8,
    folder: TempDir,
}

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&kit::seed(number, 0xb4))
}

pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

impl Home {
    /// The files of signer `number`. Odd signers keep their key to coins as a seed, even ones as an extended key.
    pub(crate) fn new(number: u8) -> Self {
        let home = Self { number, folder: TempDir::new().unwrap() };
        home.write("roster.toml", &kit::roster_toml());
        home.write("policy.toml", &kit::policy_toml());
        home.write("hot.toml", &kit::hot_toml());
        home.write("signer.toml", &home.config());
        let seed = |purpose| hex::encode(&kit::seed(number, purpose));
        for (name, purpose) in [("tls", 0xb4), ("witness", 0xb1), ("statement", 0xb2)] {
            write_secret(&home.path(name), &format!("{}\n", seed(purpose)));
        }
        let coin = if number % 2 == 1 { seed(0xb3) } else { kit::coin_key(number).to_text().to_string() };
        write_secret(&home.path("hot"), &coin);
        home
    }

    /// As [`new`](Self::new), with its store.
    pub(crate) fn with_store(number: u8) -> Self {
        let home = Self::new(number);
        let done = home.command("init");
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn config(&self) -> String {
        format!(
            "machine = \"{}\"\nlisten = \"127.0.0.1:0\"\nstore = \"signer.redb\"\nroster = \"roster.toml\"\n\
             policy = \"policy.toml\"\nvaults = [\"hot.toml\"]\n[secrets]\ntls = \"tls\"\nwitness = \"witness\"\n\
             statement = \"statement\"\n[[coin]]\nvault = \"hot\"\nnetwork = \"bitcoin-regtest\"\npath = \"\"\n\
             secret = \"hot\"\n",
            kit::machine(self.number)
        )
    }

    /// Runs a command that ends by itself.
    pub(crate) fn command(&self, command: &str) -> Output {
        run(&[command, "--config", self.path("signer.toml").to_str().unwrap()])
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn start(&self) -> Daemon {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kuraban-signerd"))
            .args(["run", "--config", self.path("signer.toml").to_str().unwrap()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let listening = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let told: serde_json::Value = serde_json::from_str(&line).unwrap();
            said.lock().unwrap().push(line);
            (told["event"] == "listening").then(|| told["addr"].as_str().unwrap().parse().unwrap())
        });
        let keep = Arc::clone(&said);
        let Some(addr) = listening else { panic!("it never listened: {:?}", said.lock().unwrap()) };
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| keep.lock().unwrap().push(line)));
        Daemon { key: identity(self.number).public(), addr, child, said }
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kuraban-signerd")).args(arguments).output().unwrap()
}

/// A running signer. Dropping it kills it.
pub(crate) struct Daemon {
    key: [u8; 32],
    pub(crate) addr: SocketAddr,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// A link to it as the machine of that number.
    pub(crate) fn link(&self, number: u8) -> Result<Connection, LinkError> {
        connect(self.addr, &identity(number), &self.key, LONG)
    }

    /// One question as that machine, on a connection of its own.
    pub(crate) fn ask(&self, number: u8, request: &Request) -> Response {
        ask(&mut self.link(number).unwrap(), request).unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has logged so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Waits until it has logged `what`.
    pub(crate) fn wait_for(&self, what: &str) {
        let begun = std::time::Instant::now();
        while !self.said().contains(what) {
            assert!(begun.elapsed() < LONG, "it never said {what}: {}", self.said());
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn ask(link: &mut Connection, request: &Request) -> Result<Response, LinkError> {
    link.send(&request.encode())?;
    Ok(Response::decode(&link.recv()?).unwrap())
}
