//! `cargo xtask agents`: builds every sample agent as a component.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::{self, heading, say};
use crate::workspace::{AGENT_TARGET, Workspace};

/// Builds them all in one cargo call and lists what came out.
pub(crate) fn execute() -> Result<()> {
    crate::setup::execute()?;
    let workspace = Workspace::find()?;
    heading("Building the agents");
    build(&workspace)?;
    for name in workspace.agents()? {
        let path = folder(&workspace).join(format!("{name}.wasm"));
        let size = fs::metadata(&path).with_context(|| format!("cannot find {}", path.display()))?.len();
        say(format!("{:>8} KiB  {}", size.div_ceil(1024), path.display()));
    }
    Ok(())
}

/// Builds them; the target must be there.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["build", "--release", "--locked", "--target", AGENT_TARGET]);
    for name in workspace.agents()? {
        command.args(["--package", &name]);
    }
    shell::run(&mut command)
}

/// Where the build puts the components, each as `NAME.wasm`.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target().join(AGENT_TARGET).join("release")
}
