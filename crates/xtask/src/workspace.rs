//! What cargo says about this workspace: where it is, its members and their programs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::{cargo, output};

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    members: Vec<Member>,
}

struct Member {
    name: String,
    programs: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self> {
        let here = env!("CARGO_MANIFEST_DIR");
        let text =
            output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(here))?;
        let said: Value = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
        let members = array(&said, "packages").iter().map(member).collect();
        Ok(Self {
            root: text_at(&said, "workspace_root").into(),
            target: text_at(&said, "target_directory").into(),
            members,
        })
    }

    pub(crate) fn has_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// Whether some member builds this program.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.programs.iter().any(|program| program == name))
    }
}

fn member(package: &Value) -> Member {
    let is_program = |target: &&Value| array(target, "kind").iter().any(|kind| kind == "bin");
    let programs = array(package, "targets").iter().filter(is_program).map(|target| text_at(target, "name"));
    Member { name: text_at(package, "name"), programs: programs.collect() }
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_at(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::read().unwrap();
        assert!(workspace.root.join("deny.toml").is_file());
        assert!(workspace.has_member("kuraban-base") && workspace.has_program("xtask"));
        assert!(!workspace.has_member("base") && !workspace.has_program("kuraban-base"));
    }
}
