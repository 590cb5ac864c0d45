//! A demo's folder that is kept: the people's SSH keys in it, and the commands with which somebody can go on from there.
//! Decides nothing.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use ssh_key::{LineEnding, PrivateKey};

use super::setup::{Exchange, PEOPLE, REQUESTER};

/// Writes everybody's private key as ssh-keygen does, readable by the owner alone, named after the person.
pub(super) fn write_people(dir: &Path, exchange: &Exchange) -> anyhow::Result<()> {
    let people = [REQUESTER].into_iter().chain(PEOPLE);
    for (person, key) in people.zip([&exchange.requester].into_iter().chain(&exchange.approvers)) {
        write(&dir.join(format!("{person}.key")), key)?;
    }
    Ok(())
}

fn write(path: &Path, key: &PrivateKey) -> anyhow::Result<()> {
    let text = key.to_openssh(LineEnding::LF).map_err(anyhow::Error::msg)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Where everything is, and how to verify the log and look at the payouts.
pub(super) fn words(dir: &Path, exchange: &Exchange) -> String {
    let (place, url) = (dir.display(), format!("http://127.0.0.1:{}", exchange.ports.writer));
    let vkey = exchange.charter.roster().log();
    format!(
        "\nKeys, logs and stores are in {place}\n\
         The daemons have ended. To look at the log and the payouts, start the writer again in one terminal:\n\n  \
         kuraban-guardd guard run --config {}\n\nand in another:\n\n  \
         kuraban log verify --url {url}/log \\\n    --vkey {vkey}\n  \
         kuraban approve --writer {url} \\\n    --roster {place}/roster.toml \\\n    \
         --policy {place}/policy.toml \\\n    --vault {place}/hot.toml\n\n\
         {REQUESTER}.key there may request, {} may approve.",
        exchange.configs.writer.display(),
        PEOPLE.map(|person| format!("{person}.key")).join(", "),
    )
}
