//! `kuraban books import` out of a PostgreSQL database.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::books::books;

/// A database of its own in a temporary folder, on a socket there; ended when dropped.
struct Database {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Database {
    /// One that runs, unless PostgreSQL is not installed.
    fn start() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut programs: Vec<PathBuf> =
            versions.flatten().map(|version| version.path().join("bin")).collect();
        programs.sort();
        let programs = programs.pop().filter(|folder| folder.join("initdb").exists())?;
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let database = Self { folder, programs };
        let of_root = fs::metadata(database.folder.path()).ok()?;
        if std::os::unix::fs::MetadataExt::uid(&of_root) == 0 {
            assert!(
                Command::new("chown").arg("postgres").arg(database.folder.path()).status().unwrap().success()
            );
        }
        let cluster = database.cluster();
        database.run(
            "initdb",
            &["-D", &cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        );
        let options = format!("-k {} -c listen_addresses='' -c fsync=off", database.folder.path().display());
        let log = database.folder.path().join("log");
        database.run(
            "pg_ctl",
            &["-D", &cluster, "-w", "-t", "60", "-o", &options, "-l", log.to_str().unwrap(), "start"],
        );
        Some(database)
    }

    fn cluster(&self) -> String {
        self.folder.path().join("data").to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, args: &[&str]) {
        assert!(self.runs(program, args), "{program}");
    }

    /// Runs one of its programs, as a user who may.
    fn runs(&self, program: &str, args: &[&str]) -> bool {
        let program = self.programs.join(program);
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
        let mut command = if owner == 0 { Command::new("runuser") } else { Command::new(&program) };
        if owner == 0 {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(args).status().unwrap().success()
    }

    fn parameters(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.folder.path().display())
    }

    fn tell(&self, sql: &str) {
        let host = self.folder.path().to_str().unwrap();
        self.run("psql", &["-h", host, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Where it never ran there is nothing to stop.
        let _stopped = self.runs("pg_ctl", &["-D", &self.cluster(), "-m", "immediate", "-w", "stop"]);
    }
}

#[test]
fn journals_come_out_of_postgresql() {
    let Some(database) = Database::start() else {
        println!("skipped: PostgreSQL is not installed at /usr/lib/postgresql");
        return;
    };
    database.tell(
        "create table journal (entry bigint, at timestamptz, account text, asset text, side text, amount numeric(38,18), \
         near double precision, memo text); \
         insert into journal values \
         (1, '2024-05-31 13:12:00+09', 'hot', 'BTC', 'debit', 4502.9, 4502.9, null), \
         (1, '2024-05-31 13:12:00+09', '山田, 太郎', 'BTC', 'credit', 4502.9, 4502.9, null);",
    );
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("books");
    let ask = |query: &str| {
        let parameters = database.parameters();
        let from = ["--postgres", &parameters, "--query", query, "--own", "hot"];
        books(&[&["import", "--json", "--books", kept.to_str().unwrap()], from.as_slice()].concat())
    };
    let refused = |query: &str, want: &str| {
        let ran = ask(query);
        assert_eq!(ran.status, 2, "{query}: {}", ran.err);
        assert!(ran.err.contains(want), "{query}: {}", ran.err);
        assert!(!kept.exists(), "{query}");
    };
    let all = "entry, at as time, account, asset, side, memo";
    refused("select * from nothing", "relation \"nothing\" does not exist");
    refused(
        &format!("select {all}, near as amount from journal"),
        "column amount is of type float8, which is not exact",
    );
    refused("select entry, account, asset, side, amount from journal", "there is no column \"time\"");
    refused(
        &format!("select {all}, amount from journal where side = 'debit'"),
        "debits of BTC are 4502.9 and credits 0",
    );
    refused("delete from journal returning entry", "read-only transaction");
    let ran = ask(&format!("select {all}, amount from journal order by account;"));
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.json()["assets"][0]["owed_units"], "450290000000");
    let out = folder.path().join("held.csv");
    let ran = books(&[
        "holdings",
        "--books",
        kept.to_str().unwrap(),
        "--at",
        "2024-05-31T04:12:00Z",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(fs::read_to_string(out).unwrap(), "customer,asset,amount\n\"山田, 太郎\",BTC,4502.9\n");
    let gone =
        books(&["import", "--books", "x", "--postgres", "host=/nowhere user=a", "--query", "select 1"]);
    assert_eq!(gone.status, 3, "{}", gone.err);
}
