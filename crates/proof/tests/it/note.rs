//! Notes, keys and checkpoints: the specification's vector, a real witnessed checkpoint, the crates `signed_note`
//! and `tlog_tiles`, and hostile input.

use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use kuraban_base::Instant;
use kuraban_proof::{
    Checkpoint, CheckpointError, Cosigner, KeyKind, Note, NoteError, NoteSigner, SignedCheckpoint,
    VerifierKey,
    note::{KeyError, NOTE_LENGTH_MAX, SIGNATURES_MAX},
};
use proptest::prelude::*;
use signed_note::{StandardVerifier, VerifierList};

use crate::oracle::{NOW, cosigned, head, leaves, log, name, signed, witness};

/// C2SP signed-note: its example's key and note.
const SPEC_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// A checkpoint that a public Certificate Transparency log served in May 2026, with four witnesses' cosignatures
/// and a signature of a type that is not understood here.
const REAL: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const REAL_LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const REAL_WITNESSES: [&str; 3] = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
];

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

#[test]
fn the_specifications_note_verifies_and_is_written_as_it_was_read() {
    let (spec, note) = (key(SPEC_KEY), Note::parse(SPEC_NOTE.as_bytes()).unwrap());
    assert_eq!((spec.to_string(), spec.kind()), (SPEC_KEY.to_owned(), KeyKind::Note));
    assert_eq!(note.to_string(), SPEC_NOTE);
    let verified = note.verify([&spec]).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!((&verified[0].key, verified[0].at), (&spec, None));
}

#[test]
fn a_public_logs_checkpoint_and_its_witnesses_cosignatures_verify() {
    let witnesses = REAL_WITNESSES.map(key);
    let checkpoint = SignedCheckpoint::open(REAL.as_bytes(), &[key(REAL_LOG)], &witnesses).unwrap();
    assert_eq!(checkpoint.head().size, 1_432_088_532);
    assert_eq!(checkpoint.to_string(), REAL);
    let by: Vec<&VerifierKey> = checkpoint.cosignatures().iter().map(|made| &made.key).collect();
    assert_eq!(by, witnesses.iter().collect::<Vec<_>>());
    for made in checkpoint.cosignatures() {
        assert_eq!(made.at, Instant::from_ms(0x6a12_2120 * 1000));
    }
}

#[test]
fn a_real_checkpoint_with_any_byte_of_its_body_changed_is_refused() {
    let (logs, witnesses) = ([key(REAL_LOG)], REAL_WITNESSES.map(key));
    let body = REAL.find("\n\n").unwrap();
    for at in 0..=body {
        let mut bytes = REAL.as_bytes().to_vec();
        bytes[at] ^= 1;
        assert!(SignedCheckpoint::open(&bytes, &logs, &witnesses).is_err(), "byte {at}");
    }
}

#[test]
fn keys_are_refused_with_what_is_wrong() {
    let check =
        |text: &str, want: &str| assert_eq!(text.parse::<VerifierKey>().unwrap_err().to_string(), want);
    let form = "verifier key is not <name>+<8 hexadecimal digits>+<base64>";
    check("", form);
    check("example.com/foo+530d903a", form);
    check("example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", form);
    check("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=", form);
    check("example.com/foo+530d903a+", form);
    let name = "is not 1 to 255 bytes without spaces, control characters or +";
    check("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &format!("key name \"\" {name}"));
    check("a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &format!("key name \"a b\" {name}"));
    check(
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "key example.com/bar has id 530d903a, but its bytes give c6fb2e3e",
    );
    check(
        "example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "key example.com/foo has type 0x06, want 0x01 (Ed25519) or 0x04 (Ed25519 cosignature)",
    );
    let public = "key weak is not a usable Ed25519 public key of 32 bytes";
    check("weak+00000000+AQ==", public);
    // The point of order one, for which anybody can sign.
    check("weak+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", public);
}

#[test]
fn key_names_have_1_to_255_bytes() {
    let check = |text: &str, want: bool| assert_eq!(text.parse::<kuraban_proof::KeyName>().is_ok(), want);
    check("", false);
    check("a", true);
    check(&"a".repeat(255), true);
    check(&"a".repeat(256), false);
    check("蔵番.example", true);
    for bad in ["a b", "a\u{3000}b", "a\u{a0}b", "a+b", "a\nb", "a\u{1}b"] {
        check(bad, false);
    }
}

#[test]
fn notes_are_refused_with_what_is_wrong() {
    let line = SPEC_NOTE.split_once("\n\n").unwrap().1;
    let check =
        |text: &str, want: &str| assert_eq!(Note::parse(text.as_bytes()).unwrap_err().to_string(), want);
    check("", "note is malformed: want an empty line before the signatures");
    check(&format!("body\n{line}"), "note is malformed: want an empty line before the signatures");
    check("body\n\n", "note is malformed: want signature lines that end in a newline");
    check(
        &format!("body\n\n{}", line.trim_end()),
        "note is malformed: want signature lines that end in a newline",
    );
    check(&format!("bo\tdy\n\n{line}"), "note is malformed: want no control characters but newlines");
    check(&format!("body\r\n\n{line}"), "note is malformed: want no control characters but newlines");
    let wrong = "signature line 1 is not \"— <key name> <base64 of key id and signature>\"";
    check("body\n\n\n\n", "note is malformed: want signature lines that end in a newline");
    check("body\n\n \n", wrong);
    check(&format!("body\n\n{}", line.replace('—', "-")), wrong);
    check(&format!("body\n\n{}", line.replace("— ", "—  ")), wrong);
    check("body\n\n— example.com/foo Uw2QOg==\n", wrong);
    check("body\n\n— example.com/foo Uw2QO\n", wrong);
    check("body\n\n— example+com Uw2QOkk=\n", wrong);
    assert!(matches!(Note::parse(b"bo\xffdy\n\n"), Err(NoteError::Malformed { problem: "want UTF-8" })));
    let long = format!("{}\n\n{line}", "a".repeat(1_000_000));
    assert!(matches!(Note::parse(long.as_bytes()), Err(NoteError::Long { .. })));
}

#[test]
fn notes_are_read_and_signed_up_to_a_million_bytes() {
    let line = SPEC_NOTE.split_once("\n\n").unwrap().1;
    let rest = format!("\n\n{line}");
    let read = |length: usize| Note::parse(format!("{}{rest}", "a".repeat(length - rest.len())).as_bytes());
    assert_eq!(read(NOTE_LENGTH_MAX).unwrap().body().len(), NOTE_LENGTH_MAX - rest.len() + 1);
    assert_eq!(read(NOTE_LENGTH_MAX + 1), Err(NoteError::Long { got: NOTE_LENGTH_MAX + 1 }));
    let signer = NoteSigner::from_seed(name("example.com/foo"), &[1; 32]);
    let sign = |length: usize| signer.sign(&format!("{}\n", "a".repeat(length - 1)));
    assert_eq!(sign(NOTE_LENGTH_MAX).unwrap().body().len(), NOTE_LENGTH_MAX);
    assert_eq!(sign(NOTE_LENGTH_MAX + 1), Err(NoteError::Long { got: NOTE_LENGTH_MAX + 1 }));
    for body in ["", "no end", "a tab\t\n", "a return\r\n", "\u{1}\n"] {
        let problem = "want a final newline and no other control characters";
        assert_eq!(signer.sign(body), Err(NoteError::Malformed { problem }), "{body:?}");
    }
}

#[test]
fn a_key_is_shown_as_it_is_written() {
    assert_eq!(format!("{:?}", key(SPEC_KEY)), format!("VerifierKey({SPEC_KEY})"));
}

#[test]
fn a_note_has_at_most_100_signatures() {
    let line = SPEC_NOTE.split_once("\n\n").unwrap().1;
    let note = |count: usize| Note::parse(format!("body\n\n{}", line.repeat(count)).as_bytes());
    let mut most = note(SIGNATURES_MAX).unwrap();
    assert_eq!(most.signatures().len(), SIGNATURES_MAX);
    assert_eq!(note(SIGNATURES_MAX + 1), Err(NoteError::Signatures));
    let line = most.signatures()[0].clone();
    assert_eq!(most.add(line), Err(NoteError::Signatures));
}

#[test]
fn unknown_keys_are_ignored_and_a_known_keys_wrong_signature_spoils_the_note() {
    let (spec, stranger) = (key(SPEC_KEY), NoteSigner::from_seed(name("example.com/foo"), &[1; 32]));
    let mut note = stranger.sign("body\n").unwrap();
    assert_eq!(note.verify([&spec]).unwrap(), []);
    assert_eq!(note.verify([&spec, stranger.verifier()]).unwrap().len(), 1);
    // The line of the specification's key is over another body.
    note.add(Note::parse(SPEC_NOTE.as_bytes()).unwrap().signatures()[0].clone()).unwrap();
    let error = note.verify([stranger.verifier(), &spec]).unwrap_err();
    assert_eq!(error, NoteError::Signature { name: name("example.com/foo") });
    assert_eq!(note.verify([stranger.verifier()]).unwrap().len(), 1);
}

#[test]
fn a_log_key_is_no_witness_and_a_witness_key_no_log() {
    let (checkpoint, witness) = (signed(head(&leaves("kinds", 3))), witness(1));
    let bytes = checkpoint.to_string().into_bytes();
    let opened =
        SignedCheckpoint::open(&bytes, &[log().verifier().clone()], &[log().verifier().clone()]).unwrap();
    assert_eq!(opened.cosignatures(), []);
    let cosigned = cosigned(checkpoint.head(), &[(1, NOW)]).to_string().into_bytes();
    let error = SignedCheckpoint::open(&cosigned, &[witness.verifier().clone()], &[]).unwrap_err();
    assert_eq!(error, CheckpointError::Unsigned { origin: "example.com/log".into() });
}

#[test]
fn a_note_key_among_the_witnesses_is_no_log() {
    let bytes = signed(head(&leaves("among", 3))).to_string().into_bytes();
    let error = SignedCheckpoint::open(&bytes, &[], &[log().verifier().clone()]).unwrap_err();
    assert_eq!(error, CheckpointError::Unsigned { origin: "example.com/log".into() });
}

#[test]
fn a_cosignature_has_a_time_from_1_to_2_to_the_63_less_1() {
    let checkpoint = signed(head(&leaves("time", 3)));
    let witness = Cosigner::from_seed(name("w"), &[5; 32]).verifier().clone();
    let check = |at_s: u64, want: bool| {
        let message = format!("cosignature/v1\ntime {at_s}\n{}", checkpoint.checkpoint());
        let signature = SigningKey::from_bytes(&[5; 32]).sign(message.as_bytes()).to_bytes();
        let blob = [witness.id().as_slice(), &at_s.to_be_bytes(), &signature].concat();
        let answer = format!("— w {}\n", base64::engine::general_purpose::STANDARD.encode(blob));
        let taken = checkpoint.clone().add_cosignatures(&answer, std::slice::from_ref(&witness));
        assert_eq!(taken.is_ok(), want, "time {at_s}");
    };
    check(0, false);
    check(1, true);
    check(u64::MAX >> 1, true);
    check(1 << 63, false);
}

#[test]
fn a_log_speaks_only_for_its_own_origin() {
    let other = NoteSigner::from_seed(name("example.com/other"), &[9; 32]);
    let body = Checkpoint::new(&name("example.com/log"), head(&leaves("origin", 3))).to_string();
    let note = other.sign(&body).unwrap().to_string();
    let logs = [log().verifier().clone(), other.verifier().clone()];
    let error = SignedCheckpoint::open(note.as_bytes(), &logs, &[]).unwrap_err();
    assert_eq!(error, CheckpointError::Unsigned { origin: "example.com/log".into() });
}

#[test]
fn checkpoints_are_refused_with_the_line_that_is_wrong() {
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let check = |body: &str, want: &str| assert_eq!(Checkpoint::parse(body).unwrap_err().to_string(), want);
    check("", "checkpoint line 1: want a final newline");
    check("\n", "checkpoint line 1: want the log's origin, 1 to 255 bytes");
    check(
        &format!("{}\n0\n{root}\n", "a".repeat(256)),
        "checkpoint line 1: want the log's origin, 1 to 255 bytes",
    );
    check("log\n", "checkpoint line 2: want the tree's size in decimal");
    for size in ["", "00", "01", "-1", "+1", "1 ", "9223372036854775808", "x"] {
        check(&format!("log\n{size}\n{root}\n"), "checkpoint line 2: want the tree's size in decimal");
    }
    for root in
        ["", "47DEQpj8", &root[..43], &format!("{root}="), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="]
    {
        check(&format!("log\n1\n{root}\n"), "checkpoint line 3: want the root hash in base64");
    }
    check(&format!("log\n1\n{root}"), "checkpoint line 1: want a final newline");
    check(
        &format!("log\n1\n{root}\nmore\n\n"),
        "checkpoint line 5: want an extension line that is not empty",
    );
    let most = format!("{}\n9223372036854775807\n{root}\nmore\nand more\n", "a".repeat(255));
    let checkpoint = Checkpoint::parse(&most).unwrap();
    assert_eq!((checkpoint.to_string(), checkpoint.extensions().len()), (most, 2));
}

#[test]
fn an_empty_log_has_the_empty_root() {
    let forged = kuraban_proof::TreeHead { size: 0, root: head(&leaves("forged", 1)).root };
    let open = |head| {
        SignedCheckpoint::open(signed(head).to_string().as_bytes(), &[log().verifier().clone()], &[])
            .map(|_| ())
    };
    assert_eq!(open(forged), Err(CheckpointError::EmptyRoot));
    assert_eq!(open(kuraban_proof::TreeHead::empty()), Ok(()));
}

#[test]
fn secrets_are_not_shown() {
    let (log, cosigner) = (log(), Cosigner::from_seed(name("witness"), &[5; 32]));
    assert_eq!(format!("{log:?}"), "NoteSigner { name: example.com/log, secret: <redacted> }");
    assert_eq!(format!("{cosigner:?}"), "Cosigner { name: witness, secret: <redacted> }");
}

#[test]
fn a_witnesss_answer_is_taken_up_once_and_only_if_it_verifies() {
    let (mut checkpoint, witness) = (signed(head(&leaves("answer", 3))), witness(1));
    let known = [witness.verifier().clone()];
    let answer = cosigned(checkpoint.head(), &[(1, NOW), (2, NOW)]);
    let lines: String = answer.note().signatures()[1..].iter().map(|line| format!("{line}\n")).collect();
    let other = cosigned(head(&leaves("other", 3)), &[(1, NOW)]);
    let wrong = format!("{lines}{}\n", other.note().signatures()[1]);
    assert!(matches!(checkpoint.add_cosignatures(&wrong, &known), Err(CheckpointError::Note(_))));
    assert_eq!(checkpoint, signed(checkpoint.head()));
    assert_eq!(checkpoint.add_cosignatures(&lines, &known), Ok(1));
    assert_eq!(checkpoint.add_cosignatures(&lines, &known), Ok(0));
    assert!(checkpoint.add_cosignatures("", &known).is_err());
    let reopened =
        SignedCheckpoint::open(checkpoint.to_string().as_bytes(), &[log().verifier().clone()], &known)
            .unwrap();
    assert_eq!(reopened, checkpoint);
}

#[test]
fn a_checkpoint_is_refused_at_every_truncation_and_with_any_bit_flipped() {
    let checkpoint = cosigned(head(&leaves("bits", 5)), &[(1, NOW), (2, NOW)]);
    let (text, logs) = (checkpoint.to_string(), [log().verifier().clone()]);
    let witnesses = [1, 2].map(|number| witness(number).verifier().clone());
    assert_eq!(SignedCheckpoint::open(text.as_bytes(), &logs, &witnesses), Ok(checkpoint.clone()));
    let whole = |bytes: &[u8]| {
        let opened = SignedCheckpoint::open(bytes, &logs, &witnesses);
        opened.is_ok_and(|opened| opened.cosignatures().len() == 2)
    };
    for end in 0..text.len() {
        assert!(!whole(&text.as_bytes()[..end]), "{end} bytes");
    }
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(!whole(&bytes), "bit {bit} of byte {at}");
        }
    }
}

fn theirs(key: &VerifierKey) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key.to_string()).unwrap())])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_we_sign_another_crate_verifies_and_the_reverse(seed in any::<[u8; 32]>(), text in "[^\\x00-\\x1f]{0,80}(\n[^\\x00-\\x1f]{0,80}){0,4}") {
        let signer = NoteSigner::from_seed(name("example.com/key"), &seed);
        let (body, public) = (format!("{text}\n"), signer.verifier());
        let ours = signer.sign(&body).unwrap();
        let read = signed_note::Note::from_bytes(ours.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.text(), body.as_bytes());
        prop_assert_eq!(read.verify(&theirs(public)).unwrap().0.len(), 1);

        let id = u32::from_be_bytes(public.id());
        let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [&[1], seed.as_slice()].concat());
        let private = format!("PRIVATE+KEY+example.com/key+{id:08x}+{key}");
        let signer = signed_note::StandardSigner::new(&private).unwrap();
        let mut note = signed_note::Note::new(body.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&signer]).unwrap();
        prop_assert_eq!(Note::parse(&note.to_bytes()).unwrap(), ours);
    }

    #[test]
    fn another_crate_reads_the_same_notes(body in "[a\n— ]{0,6}", lines in "(\n|\n\n)(— k AAAAAAA=\n|— k AAAA\n|— k\n|— k+ AAAAAAA=\n|\n|x){0,3}") {
        let text = body + &lines;
        let (ours, theirs) = (Note::parse(text.as_bytes()), signed_note::Note::from_bytes(text.as_bytes()));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.body().as_bytes(), theirs.text());
            prop_assert_eq!(ours.to_string().into_bytes(), theirs.to_bytes());
        }
    }

    #[test]
    fn another_crate_reads_the_same_checkpoint(size in 0_u64..=(u64::MAX >> 1), root in any::<[u8; 32]>(), more in "[a-z]{0,5}") {
        let more = if more.is_empty() { more } else { format!("{more}\n") };
        let root = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, root);
        let body = format!("example.com/log\n{size}\n{root}\n{more}");
        let (ours, theirs) = (Checkpoint::parse(&body).unwrap(), tlog_tiles::Checkpoint::from_bytes(body.as_bytes()).unwrap());
        prop_assert_eq!(ours.origin(), theirs.origin());
        prop_assert_eq!(ours.head().size, theirs.size());
        prop_assert_eq!(*ours.head().root.as_bytes(), theirs.hash().0);
        prop_assert_eq!(ours.to_string(), body);
    }

    #[test]
    fn a_key_is_written_as_it_is_read(seed in any::<[u8; 32]>()) {
        for key in [NoteSigner::from_seed(name("a"), &seed).verifier(), Cosigner::from_seed(name("a"), &seed).verifier()] {
            prop_assert_eq!(&key.to_string().parse::<VerifierKey>(), &Ok::<_, KeyError>(key.clone()));
        }
    }
}

#[test]
fn a_checkpoint_can_be_cosigned_again_for_ever() {
    let (mut checkpoint, witness) = (signed(head(&leaves("again", 3))), witness(1));
    let known = [witness.verifier().clone()];
    let lines_at = |at: Instant| {
        let answer = cosigned(head(&leaves("again", 3)), &[(1, at)]);
        answer.note().signatures()[1..].iter().map(|line| format!("{line}\n")).collect::<String>()
    };
    for s in 0..150 {
        assert_eq!(checkpoint.add_cosignatures(&lines_at(NOW.plus_ms(s * 1000)), &known), Ok(1), "{s}");
    }
    // One that comes late changes nothing.
    assert_eq!(checkpoint.add_cosignatures(&lines_at(NOW), &known), Ok(0));
    let log = [log().verifier().clone()];
    let reopened = SignedCheckpoint::open(checkpoint.to_string().as_bytes(), &log, &known).unwrap();
    let times: Vec<_> = reopened.cosignatures().iter().map(|cosignature| cosignature.at.s()).collect();
    assert_eq!((times, reopened.note().signatures().len()), (vec![NOW.plus_ms(149_000).s()], 2));
}
