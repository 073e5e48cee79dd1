//! The first scene: a home whose keys a key file unlocks, and an author.

use anyhow::Result;

use super::stage::{Stage, text};
use crate::shell::heading;

/// The author of the demo's agents.
pub(crate) const AUTHOR: &str = "demo-author";

/// Makes the home; returns the key that verifies its log.
pub(crate) fn create(stage: &Stage) -> Result<String> {
    heading("A new host: keys, trust store and log, without anybody at the keyboard");
    stage.show(&["init", "--key-file", &stage.file("root.key"), "--origin", "demo.kos.dev/log"])?;
    text(&stage.ask(&["log", "checkpoint", "--vkey-only"])?, "/vkey")
}

/// Makes the author's key; returns its identifier.
pub(crate) fn create_author(stage: &Stage) -> Result<String> {
    heading("An author");
    stage.show(&["key", "new", AUTHOR])?;
    text(&stage.ask(&["key", "export", AUTHOR])?, "/did")
}
