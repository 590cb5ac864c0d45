//! Has cargo-deny judge what came into the program, by the rules of `deny.toml`. Known weaknesses are judged only
//! where their list is present, because it comes from the network; when it is not, that is said.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{cargo, succeeds};
use crate::setup::ensure_cargo_deny;
use crate::{Outcome, say};

pub(crate) fn deny() -> Result<Outcome> {
    ensure_cargo_deny()?;
    say::step("bans, licences and sources of all dependencies");
    let rules = ["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    let mut pass = succeeds(cargo().args(rules))?;
    match database(&cargo_home()) {
        Some(found) => {
            say::step(&format!("known weaknesses, from the list in {}", found.display()));
            pass &= succeeds(cargo().args(["deny", "--locked", "--offline", "check", "advisories"]))?;
        }
        None => say::note(
            "known weaknesses were NOT judged: there is no list of them on this machine; `cargo deny fetch` brings it",
        ),
    }
    Ok(if pass { Outcome::Good } else { Outcome::Bad })
}

/// Where cargo-deny keeps lists of weaknesses, if it holds any that was fetched whole.
fn database(home: &Path) -> Option<PathBuf> {
    let folder = home.join("advisory-dbs");
    let lists = folder.read_dir().ok()?.flatten();
    lists.map(|list| list.path()).find(|list| list.join(".git").exists())
}

fn cargo_home() -> PathBuf {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    named.unwrap_or_else(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_counts_only_when_it_was_fetched() {
        let home = env::temp_dir().join(format!("xtask-deny-{}", std::process::id()));
        let list = home.join("advisory-dbs").join("advisory-db-1");
        assert_eq!(database(&home), None);
        std::fs::create_dir_all(&list).unwrap();
        assert_eq!(database(&home), None);
        std::fs::create_dir(list.join(".git")).unwrap();
        assert_eq!(database(&home), Some(list));
        std::fs::remove_dir_all(&home).unwrap();
    }
}
