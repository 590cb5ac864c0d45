//! `kuraban log` on logs of several bundles: verified from folder and server, refused when anything is changed, proofs
//! that others verify.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::hex;
use kuraban_proof::{
    ProofFile, Resource, Tiler, TreeHead,
    quorum::{Threshold, WitnessQuorum},
    tile::{Tile, encode_bundle},
    tree::leaf_hash,
};
use serde_json::{Value, json};

use crate::{
    case::{NOW, WORLD},
    run::{Ran, run},
    server::Server,
    world::cosigned,
};

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index} of a log").into_bytes()
}

fn put(dir: &Path, resource: Resource, bytes: &[u8]) {
    let path = dir.join(resource.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A log of `size` entries as a writer serves it, cosigned by the witnesses 0, 1 and 3.
fn log(dir: &Path, size: u64) -> TreeHead {
    let mut tiler = Tiler::new();
    let mut tiles = tiler.extend((0..size).map(|index| leaf_hash(&entry(index))));
    tiles.extend(tiler.partial());
    for tile in tiles {
        put(dir, Resource::Tile(tile.tile), &tile.bytes);
    }
    for resource in Resource::grown(0, size) {
        if let Resource::Entries(bundle) = resource {
            let indexes = bundle.start()..bundle.start() + u64::from(bundle.width());
            put(dir, resource, &encode_bundle(indexes.map(entry)).unwrap());
        }
    }
    let checkpoint = cosigned(&WORLD, tiler.head(), &[0, 1, 3], NOW);
    put(dir, Resource::Checkpoint, checkpoint.to_string().as_bytes());
    tiler.head()
}

fn verify(more: &[&str]) -> Ran {
    let vkey = WORLD.log().verifier().to_string();
    run(["log", "verify", "--json", "--vkey", &vkey].iter().chain(more))
}

fn witness(number: u8) -> String {
    WORLD.cosigner(number).verifier().to_string()
}

#[test]
fn a_log_verifies_from_a_folder_and_from_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let head = log(folder.path(), 700);
    let root = folder.path().to_owned();
    let server =
        Server::start(move |asked| match fs::read(root.join(asked.path.trim_start_matches("/log/"))) {
            Ok(bytes) => (200, bytes),
            Err(_) => (404, Vec::new()),
        });
    let checkpoint = fs::read_to_string(folder.path().join("checkpoint")).unwrap();
    let (dir, url) = (folder.path().to_str().unwrap(), format!("{}/log", server.url));
    for place in [["--dir", dir], ["--url", &url]] {
        let ran = verify(&[&place[..], &["--witness", &witness(0), &witness(3)]].concat());
        assert_eq!(ran.status, 0, "{}", ran.out);
        let json = ran.json();
        assert_eq!(
            (&json["ok"], &json["origin"], &json["size"]),
            (&json!(true), &json!(WORLD.origin), &json!(700))
        );
        assert_eq!(json["root"].as_str(), checkpoint.lines().nth(2));
        assert_eq!(
            json["witnesses"],
            json!(["kuraban.example/log/signer-1", "kuraban.example/log/watcher-1"])
        );
        assert_eq!((json["entries"].as_u64(), json.get("error")), (Some(head.size), None));
    }
    let checkpoints = server.asked().iter().filter(|asked| asked.path.ends_with("/checkpoint")).count();
    assert_eq!(checkpoints, 1);
}

#[test]
fn a_log_verifies_from_a_size_on() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 700);
    let earlier = tempfile::tempdir().unwrap();
    let head = log(earlier.path(), 300);
    let dir = folder.path().to_str().unwrap();
    fs::remove_file(folder.path().join("tile/entries/000")).unwrap();
    let json = verify(&["--dir", dir, "--from", "300"]).json();
    assert_eq!((&json["ok"], &json["entries"]), (&json!(true), &json!(700 - 256)));
    assert_eq!(json["from"], json!({ "size": 300, "root_hex": head.root.to_string() }));
    let ran = verify(&["--dir", dir]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.json()["error"], json!("tile/entries/000: the log does not serve it"));
    let ran = verify(&["--dir", dir, "--from", "701"]);
    assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)));
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn any_file_changed_or_gone_is_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 300);
    let dir = folder.path().to_str().unwrap();
    let witnesses = [0, 1, 3].map(witness);
    let verify = |place: [&str; 2]| {
        let witnesses = ["--witness", &witnesses[0], &witnesses[1], &witnesses[2]];
        verify(&[&place[..], &witnesses].concat())
    };
    let mut paths = Vec::new();
    files(folder.path(), &mut paths);
    assert_eq!(paths.len(), 6, "{paths:?}");
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, changed).unwrap();
        let ran = verify(["--dir", dir]);
        assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)), "{}: {}", path.display(), ran.out);
        fs::remove_file(&path).unwrap();
        let status = if path.ends_with("checkpoint") { 3 } else { 1 };
        assert_eq!(verify(["--dir", dir]).status, status, "{}", path.display());
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(verify(["--dir", dir]).status, 0);
}

#[test]
fn witnesses_that_are_named_must_have_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 5);
    let dir = folder.path().to_str().unwrap();
    let all: Vec<String> = (0..4).map(witness).collect();
    let check = |more: &[&str], status: i32, count: usize| {
        let ran = verify(&[&["--dir", dir], more].concat());
        assert_eq!(ran.status, status, "{more:?}: {}", ran.out);
        assert_eq!(ran.json()["witnesses"].as_array().map_or(0, Vec::len), count, "{more:?}");
    };
    let w: Vec<&str> = all.iter().map(String::as_str).collect();
    check(&["--witness", w[0], w[1], w[3]], 0, 3);
    check(&["--witness", w[0], w[1], w[2], w[3]], 1, 3);
    check(&["--witness", w[0], w[1], w[2], w[3], "--witnesses-min", "3"], 0, 3);
    check(&["--witness", w[0], w[0]], 1, 1);
    check(&["--witness", w[0], "--witnesses-min", "2"], 2, 0);
}

#[test]
fn only_the_named_key_vouches() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 5);
    let dir = folder.path().to_str().unwrap();
    let stranger = crate::world::World { secret: [8; 32], origin: WORLD.origin };
    let ran =
        run(["log", "verify", "--json", "--dir", dir, "--vkey", &stranger.log().verifier().to_string()]);
    assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)));
    let ran = run(["log", "verify", "--dir", dir, "--vkey", &witness(0)]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("is not a log's key"), "{}", ran.err);
}

#[test]
fn what_cannot_be_reached_could_not_be_done() {
    let check = |place: &[&str], status: i32| assert_eq!(verify(place).status, status, "{place:?}");
    check(&["--url", "http://127.0.0.1:1/log"], 3);
    check(&["--dir", "/does/not/exist"], 2);
    check(&["--url", "https://127.0.0.1/log"], 2);
    let failing = Server::start(|_| (500, Vec::new()));
    check(&["--url", &failing.url], 3);
    let endless = Server::start(|_| (200, vec![b'a'; 2_000_000]));
    check(&["--url", &endless.url], 3);
}

#[test]
fn a_proof_is_one_that_others_verify() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 700);
    let dir = folder.path().to_str().unwrap();
    let vkey = WORLD.log().verifier().to_string();
    let out = folder.path().join("proof");
    let file = out.to_str().unwrap();
    let witnesses = (0..4).map(|number| WORLD.cosigner(number).verifier().clone()).collect();
    let quorum = WitnessQuorum::new(witnesses, Threshold { needed: 3, faulty: 1 }).unwrap();
    let logs = [WORLD.log().verifier().clone()];
    for index in [0_u64, 255, 256, 511, 512, 699] {
        let number = index.to_string();
        let ran =
            run(["log", "prove", "--json", "--dir", dir, "--vkey", &vkey, "--index", &number, "--out", file]);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        let json = ran.json();
        assert_eq!((&json["ok"], json["index"].as_u64()), (&json!(true), Some(index)));
        assert_eq!(json["entry"], json!(hex::encode(&entry(index))));
        let text = fs::read(&out).unwrap();
        assert_eq!(json["proof"].as_str().map(str::as_bytes), Some(text.as_slice()));
        let proof = ProofFile::parse(&text).unwrap();
        assert!(proof.verify_by_quorum(leaf_hash(&entry(index)), &logs, &quorum).is_ok());
        assert!(proof.verify_by_quorum(leaf_hash(&entry(index + 1)), &logs, &quorum).is_err());
    }
    let ran = run(["log", "prove", "--dir", dir, "--vkey", &vkey, "--index", "0"]);
    assert!(ran.out.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n"), "{}", ran.out);
    assert!(ran.out.ends_with('\n') && ProofFile::parse(ran.out.as_bytes()).is_ok());
    let ran = run(["log", "prove", "--dir", dir, "--vkey", &vkey, "--index", "700"]);
    assert_eq!(ran.status, 2);
}

#[test]
fn a_proof_from_changed_tiles_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 300);
    let dir = folder.path().to_str().unwrap();
    let vkey = WORLD.log().verifier().to_string();
    let tile = folder.path().join(Resource::Tile(Tile::of(300, 0, 0).unwrap()).to_string());
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let out = folder.path().join("proof");
    let ran = run([
        "log",
        "prove",
        "--json",
        "--dir",
        dir,
        "--vkey",
        &vkey,
        "--index",
        "0",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!((ran.status, &ran.json()["ok"]), (1, &Value::Bool(false)));
    assert!(!out.exists());
}
