//! `cargo xtask setup`: gets the target that agents are compiled for.
//!
//! Three ways, tried in order: it is there already; rustup downloads it; the standard library is built from the
//! distribution's signed source package. What the last one builds is moved into the toolchain only when a program
//! compiled with it, so an interrupted run leaves the toolchain as it was.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, heading, say};
use crate::workspace::AGENT_TARGET;
use toolchain::Toolchain;

mod debian;
pub(crate) mod message_server;
mod standard_library;
mod toolchain;

/// Makes the target available, or says why it cannot.
pub(crate) fn execute() -> Result<()> {
    let toolchain = Toolchain::active()?;
    if toolchain.has_target()? {
        say(format!("{AGENT_TARGET} is there already (rustc {})", toolchain.release));
        return Ok(());
    }
    heading(format!("{AGENT_TARGET} is missing from rustc {}; asking rustup", toolchain.release));
    let Err(refusal) = ask_rustup(&toolchain) else {
        say(format!("{AGENT_TARGET} is installed"));
        return Ok(());
    };
    say(format!("{refusal:#}"));
    build(&toolchain).with_context(|| {
        format!(
            "the target {AGENT_TARGET} is missing, rustup could not install it ({refusal:#}), and building it failed. \
             Either give rustup a way to its server and run `rustup target add {AGENT_TARGET}`, or run this as root \
             on Debian"
        )
    })
}

fn ask_rustup(toolchain: &Toolchain) -> Result<()> {
    if !shell::is_available("rustup") {
        bail!("there is no rustup on this machine");
    }
    let output = Command::new("rustup")
        .args(["target", "add", AGENT_TARGET])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .context("cannot start rustup")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = complaint.lines().find_map(|line| line.strip_prefix("error: "));
        bail!("rustup: {}", reason.unwrap_or("no reason given"));
    }
    if !toolchain.has_target()? {
        bail!("rustup reported success, but no program compiles for {AGENT_TARGET}");
    }
    Ok(())
}

fn build(toolchain: &Toolchain) -> Result<()> {
    heading("Building the standard library from the distribution's source package (about two minutes)");
    toolchain.check_writable()?;
    let packages = debian::fetch(&toolchain.release)?;
    standard_library::install(toolchain, &packages)?;
    say(format!("{AGENT_TARGET} is installed"));
    Ok(())
}
