//! `cargo xtask demo`: the main job from end to end, through the real binaries.
//!
//! A new host, an author, an agent that does useful work and one that attacks; then the log is verified. It needs
//! nobody at the keyboard, and ends with a failure if anything comes out otherwise than it must. Its home is made anew
//! each time; the builds stay.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell::{self, heading, say};
use crate::workspace::Workspace;
use crate::{agents, setup};
use stage::Stage;

mod attacks;
mod audit;
mod host;
mod notary;
mod receipt;
mod stage;

/// Which builds of the binaries play.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    /// As they are shipped.
    Release,
    /// As the tests use them, which are there already after `cargo xtask test`.
    Development,
}

impl Build {
    /// cargo's name of the profile.
    fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Development => "dev",
        }
    }

    /// The folder that cargo builds it into.
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Development => "debug",
        }
    }
}

/// Builds, plays every scene, and says where to look.
pub(crate) fn execute(build: Build) -> Result<()> {
    setup::execute()?;
    let workspace = Workspace::find()?;
    heading("Building the binaries and the agents (the first time takes minutes)");
    let profile = build.profile();
    shell::run(workspace.cargo().args([
        "build",
        "--profile",
        profile,
        "--locked",
        "--package",
        "kos",
        "--bins",
    ]))?;
    agents::build(&workspace)?;

    let begun = Instant::now();
    let stage = Stage::fresh(&workspace, build)?;
    let vkey = host::create(&stage)?;
    let author = host::create_author(&stage)?;
    let mut unexpected = notary::play(&stage, &author)?;
    unexpected += attacks::play(&stage)?;
    unexpected += audit::play(&stage, &vkey)?;
    if unexpected > 0 {
        bail!("{unexpected} outcomes are not what they must be; look for NOT in the tables above");
    }
    close(&stage, &vkey, begun);
    Ok(())
}

fn close(stage: &Stage, vkey: &str, begun: Instant) {
    heading(format!(
        "Everything came out as it must, in {:.1} s without the builds",
        begun.elapsed().as_secs_f64()
    ));
    let folder = stage.folder().display();
    say(format!("{folder} holds the home, the signed agents, the receipt and a copy of the log."));
    say("Look at:");
    let home = stage.home().display().to_string();
    let kos = stage.kos_path().display().to_string();
    for (command, purpose) in [
        (format!("{kos} --home {home} log show"), "what happened, refusals included"),
        (format!("{kos} --home {home} grants list"), "who may do what"),
        (format!("{kos} inspect --home {home} {folder}/notary.signed.wasm"), "what an agent wants and gets"),
        (format!("cat {folder}/receipt/receipt.json"), "what the notary signed"),
        (
            format!("{kos} log verify --dir {folder}/log-copy --vkey {vkey}"),
            "the log, verified without the home",
        ),
    ] {
        say(format!("  {purpose}:"));
        say(format!("    {command}"));
    }
}
