//! The server by which the tests send messages between hosts: the distribution's own, installed where it is missing.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::shell::{self, heading, say};

/// The program, and Debian's package of it.
const SERVER: &str = "nats-server";

/// Makes the server available, or says which command does.
pub(crate) fn execute() -> Result<()> {
    if shell::is_available(SERVER) {
        return Ok(());
    }
    heading(format!("{SERVER} is missing; installing the distribution's"));
    install().with_context(|| {
        format!("the tests of messages between hosts need {SERVER}. As root: apt-get install {SERVER}")
    })?;
    say(format!("{SERVER} is installed"));
    Ok(())
}

fn install() -> Result<()> {
    apt_get(&["update"])?;
    apt_get(&["install", "--no-install-recommends", "-y", SERVER])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(command.stdin(Stdio::null()).stdout(Stdio::null()))
}
