//! Signatures against OpenSSH itself: what `ssh-keygen -Y sign` makes verifies here, and what is made here verifies
//! with `ssh-keygen -Y verify`.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use kuraban_api::ApprovalSubmit;

use crate::{
    approve::{Home, current, view, writer},
    case::{Case, Signature, codes},
};

/// Runs ssh-keygen; `None` where there is none.
fn keygen(args: &[&str], stdin: Option<&Path>) -> Option<Output> {
    let mut command = Command::new("ssh-keygen");
    let stdin = stdin.map_or_else(Stdio::null, |path| Stdio::from(fs::File::open(path).unwrap()));
    match command.args(args).stdin(stdin).output() {
        Ok(output) => Some(output),
        Err(_) => {
            println!("skipped: there is no ssh-keygen");
            None
        }
    }
}

/// A case whose approver 2 holds a key that ssh-keygen made, in a file of a folder.
fn with_made_key(case: &mut Case, dir: &Path) -> Option<String> {
    let key = dir.join("made").display().to_string();
    let made = keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "made", "-f", &key], None)?;
    assert!(made.status.success(), "{made:?}");
    let public = fs::read_to_string(format!("{key}.pub")).unwrap();
    let own = crate::case::WORLD.person(3).public_key().to_openssh().unwrap();
    assert!(case.roster.contains(&own));
    case.roster = case.roster.replace(&own, public.trim());
    Some(key)
}

#[test]
fn what_openssh_signs_is_an_approval_here() {
    let dir = tempfile::tempdir().unwrap();
    let mut case = Case::honest();
    let Some(key) = with_made_key(&mut case, dir.path()) else { return };
    let message = dir.path().join("digest");
    fs::write(&message, case.digest().as_bytes()).unwrap();
    let mut check = |namespace: &str, want: &[&str]| {
        let signed = keygen(&["-q", "-Y", "sign", "-n", namespace, "-f", &key], Some(&message)).unwrap();
        assert!(signed.status.success(), "{signed:?}");
        case.approvals = vec![Signature::By(2), Signature::Text(String::from_utf8(signed.stdout).unwrap())];
        assert_eq!(codes(&case.judge(&["--json"])), want);
    };
    check("kuraban-payout", &[]);
    check("kuraban-request", &["approval-other", "approvals-missing"]);
    fs::write(&message, [0; 32]).unwrap();
    check("kuraban-payout", &["approval-other", "approvals-missing"]);
}

#[test]
fn what_is_approved_here_verifies_with_openssh() {
    let dir = tempfile::tempdir().unwrap();
    let mut case = current(|_| {});
    let Some(key) = with_made_key(&mut case, dir.path()) else { return };
    case.approvals.truncate(1);
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let mut args = home.args(&["approve", "w-1", "--yes", "--json"], &server.url);
    args.extend(["--key".to_owned(), key.clone()]);
    let ran = crate::run::run(&args);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let submit: ApprovalSubmit = serde_json::from_str(&server.asked().last().unwrap().body).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("signature"), submit.signature).unwrap();
    let public = fs::read_to_string(format!("{key}.pub")).unwrap();
    fs::write(path("allowed"), format!("approver-2 {public}")).unwrap();
    let message = dir.path().join("digest");
    let verify = |namespace: &str| {
        let (allowed, signature) = (path("allowed"), path("signature"));
        let args = ["-Y", "verify", "-f", &allowed, "-I", "approver-2", "-n", namespace, "-s", &signature];
        keygen(&args, Some(&message)).unwrap().status.success()
    };
    fs::write(&message, case.digest().as_bytes()).unwrap();
    assert!(verify("kuraban-payout"));
    assert!(!verify("kuraban-request"));
    fs::write(&message, [0; 32]).unwrap();
    assert!(!verify("kuraban-payout"));
}

#[test]
fn a_key_with_a_passphrase_is_not_used_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let case = current(|_| {});
    let key = dir.path().join("locked").display().to_string();
    let Some(made) = keygen(&["-q", "-t", "ed25519", "-N", "open sesame", "-f", &key], None) else { return };
    assert!(made.status.success());
    let server = writer(vec![view(&case)]);
    let home = Home::of(&case);
    let mut args = home.args(&["approve", "w-1", "--yes"], &server.url);
    args.extend(["--key".to_owned(), key]);
    let typed = |line: &str| crate::approve::on_terminal(&args, line);
    let Some(wrong) = typed("open\n") else { return };
    assert!(wrong.starts_with("Some(2)"), "{wrong}");
    // Opened, it is found to be nobody's on the roster, which is an answer.
    let Some(right) = typed("open sesame\n") else { return };
    assert!(right.starts_with("Some(1)") && right.contains("approval-unknown-key"), "{right}");
}
