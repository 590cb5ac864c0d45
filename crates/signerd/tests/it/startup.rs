//! What an operator meets: keys made and kept, stores created and never replaced, and every wrong file told by name.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Output,
};

use kuraban_base::hex;
use kuraban_vault::Roster;

use crate::{
    daemon::{Home, run, write_secret},
    kit,
};

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The command ends with that status and says so; no secret of the signer is in what it says.
fn check(home: &Home, command: &str, status: i32, want: &str) {
    let output = home.command(command);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(status), "{told}");
    let problem: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&problem["event"], &problem["level"]), (&"stopped".into(), &"error".into()));
    let problem = problem["problem"].as_str().unwrap();
    assert!(problem.contains(want), "{problem}\nwant {want}");
    for purpose in [0xb1, 0xb2, 0xb3, 0xb4] {
        assert!(!told.contains(&hex::encode(&kit::seed(home.number, purpose))), "{told}");
    }
    assert!(!told.contains("prv"), "{told}");
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let home = Home::with_store(1);
    let config = home.config();
    let rows = [
        (format!("permissive = true\n{config}"), "unknown field `permissive`"),
        (config.replace("[secrets]\n", "[secrets]\nseed = \"00\"\n"), "unknown field `seed`"),
        (config.replace("store = \"signer.redb\"\n", ""), "missing field `store`"),
        (config.replace("127.0.0.1:0", "127.0.0.1"), "is no address with a port"),
        (config.replace("roster.toml", "nowhere.toml"), "cannot read "),
        (config.replace("\"hot.toml\"", ""), "has a key to vault hot, but no file of that vault"),
        (
            config.replace("bitcoin-regtest", "litecoin-regtest"),
            "has a key to vault hot, but no file of that vault",
        ),
        (config.replace("path = \"\"", "path = \"0\""), "is none of those in the descriptor of vault hot"),
        (config.replace("path = \"\"", "path = \"x\""), "path step \"x\""),
        (config.replace("signer-1", "signer-9"), "the roster has no signer signer-9"),
        (config.replace("signer-1", "watcher-1"), "the roster has no signer watcher-1"),
        (config.replace("signer-1", "signer-2"), "as tls of signer-2"),
        (config.replace("witness = \"witness\"", "witness = \"tls\""), "as witness of signer-1"),
        (config.replace("statement = \"statement\"", "statement = \"tls\""), "as statement of signer-1"),
    ];
    for (config, want) in rows {
        home.write("signer.toml", &config);
        check(&home, "run", 2, want);
    }
}

#[test]
fn a_secret_that_others_can_read_or_that_is_malformed_is_refused() {
    let home = Home::with_store(1);
    for name in ["tls", "witness", "statement", "hot"] {
        let path = home.path(name);
        let good = fs::read_to_string(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            check(
                &home,
                "run",
                2,
                &format!("{name} has mode {mode:04o}, so others than its owner have access"),
            );
        }
        write_secret(&path, &good[1..]);
        check(&home, "run", 2, "63 characters, want 64");
        write_secret(&path, "");
        check(&home, "run", 2, name);
        fs::remove_file(&path).unwrap();
        check(&home, "run", 2, "cannot read the secret in ");
        fs::create_dir(&path).unwrap();
        check(&home, "run", 2, "is not a regular file");
        fs::remove_dir(&path).unwrap();
        write_secret(&path, &good);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    }
    // All is well again, read-only files too.
    drop(home.start());
}

#[test]
fn start_never_creates_a_store_and_init_never_replaces_one() {
    let home = Home::new(1);
    check(&home, "run", 3, "there is no store at ");
    assert!(!home.path("signer.redb").exists());
    let made = home.command("init");
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    let mode = fs::metadata(home.path("signer.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(home.path("signer.redb")).unwrap();
    check(&home, "init", 3, "is there already; init never touches a store");
    assert!(fs::read(home.path("signer.redb")).unwrap() == before);
    // A draft that an earlier attempt left behind is in nobody's way.
    fs::rename(home.path("signer.redb"), home.path("signer.redb.new")).unwrap();
    assert_eq!(home.command("init").status.code(), Some(0));
    assert!(!home.path("signer.redb.new").exists());
    drop(home.start());
}

#[test]
fn a_store_belongs_to_one_roster_policy_and_machine() {
    let home = Home::with_store(1);
    let roster = kit::roster_toml();
    home.write("roster.toml", &roster.replace("\"p3\", \"p4\"]", "\"p3\"]"));
    check(&home, "run", 2, "the store was made for roster ");
    home.write("roster.toml", &roster);
    home.write("policy.toml", &kit::policy_toml().replace("fee_max = 100000\n", "fee_max = 100001\n"));
    check(&home, "run", 2, "the store was made for policy ");
    home.write("policy.toml", &kit::policy_toml());
    drop(home.start());
    let other = Home::new(2);
    fs::copy(home.path("signer.redb"), other.path("signer.redb")).unwrap();
    check(&other, "run", 2, "the store was made for machine signer-1, this is signer-2");
}

#[test]
fn a_store_is_one_process_s_and_a_file_that_is_none_is_refused() {
    let home = Home::with_store(1);
    let daemon = home.start();
    check(&home, "run", 3, "the store failed");
    drop(daemon);
    home.write("signer.redb", "not a database");
    check(&home, "run", 3, "the store failed");
    home.write("signer.redb", "");
    check(&home, "run", 3, "");
}

#[test]
fn bad_usage_is_told_with_the_usage() {
    for arguments in [&[][..], &["run"], &["start", "--config", "x"], &["run", "--config", "x", "--verbose"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains("usage: kuraban-signerd COMMAND --config FILE"), "{}", told(&output));
    }
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().starts_with("usage: "));
}

#[test]
fn keygen_makes_what_is_missing_keeps_what_is_there_and_shows_public_halves_only() {
    let home = Home::new(1);
    let known = String::from_utf8(home.command("keygen").stdout).unwrap();
    // Keys that were there: the very lines of the roster, but for the witness's name.
    let tls = hex::encode(&crate::daemon::identity(1).public());
    assert!(known.contains(&format!("id = \"signer-1\"\nrole = \"signer\"\ntls = \"{tls}\"\n")), "{known}");
    let root = kit::coin_key(1);
    let key = format!("[{}]{}/<0;1>/*", hex::encode(&root.fingerprint()), root.xpub());
    assert!(known.contains(&format!("# for the descriptor of vault hot:\n# {key}\n")), "{known}");

    for name in ["tls", "witness", "statement", "hot"] {
        fs::remove_file(home.path(name)).unwrap();
    }
    home.write("signer.toml", &home.config().replace("path = \"\"", "path = \"48'/1'/0'/2'\""));
    let config = home.path("signer.toml");
    let made = run(&["keygen", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    let keys: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_ne!(keys["machine"]["tls"], tls.as_str());
    let coin = keys["coins"][0]["key"].as_str().unwrap();
    assert!(coin.contains("/48h/1h/0h/2h]tpub") && coin.ends_with("/<0;1>/*"), "{coin}");
    let said = [made.stdout.clone(), made.stderr.clone()].concat();
    for name in ["tls", "witness", "statement", "hot"] {
        let mode = fs::metadata(home.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
        let secret = fs::read(home.path(name)).unwrap();
        assert!(!said.windows(64).any(|window| window == &secret[..64]), "{name} was shown");
    }
    let again = run(&["keygen", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(again.stdout, made.stdout);

    // What it prints is what a roster takes, and the signer then starts on it.
    let printed = String::from_utf8(home.command("keygen").stdout).unwrap();
    let roster = kit::roster_toml();
    let (from, until) = (
        roster.find("[[machine]]\nid = \"signer-1\"").unwrap(),
        roster.find("[[machine]]\nid = \"signer-2\"").unwrap(),
    );
    let roster = format!("{}{printed}{}", &roster[..from], &roster[until..]);
    assert!(Roster::from_toml(&roster).is_ok());
    home.write("roster.toml", &roster);
    let old = format!("{}/<0;1>/*", root.xpub());
    home.write("hot.toml", &kit::hot_toml().replace(&old, coin));
    let created = home.command("init");
    assert_eq!(created.status.code(), Some(0), "{}", told(&created));
    drop(home.start());
}
