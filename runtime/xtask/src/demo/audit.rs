//! The last scene: the log, verified on the spot, from a copy without the home, and one entry by itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::stage::{Stage, alter};
use crate::shell::{heading, say};

/// Plays it; returns how many checks came out wrong.
pub(crate) fn play(stage: &Stage, vkey: &str) -> Result<usize> {
    heading("The log");
    stage.show(&["log", "verify"])?;
    let mut unexpected = 0;

    heading("One entry and its proof, checked by somebody who has neither the home nor the log");
    let (index, _) = stage.last_exit("notary")?;
    let (proof, entry) = (stage.file("exit.proof"), stage.file("exit.json"));
    stage.show(&["log", "prove", &index.to_string(), "-o", &proof, "--entry", &entry])?;
    let check = ["log", "prove", "--verify", &proof, "--entry", &entry, "--vkey", vkey];
    unexpected += expect(stage, true, &check)?;
    let forged = stage.file("exit.forged.json");
    alter(&stage.whole(&entry), &stage.whole(&forged))?;
    unexpected +=
        expect(stage, false, &["log", "prove", "--verify", &proof, "--entry", &forged, "--vkey", vkey])?;

    heading("A copy of the whole log, checked the same way, before and after one bit of it is altered");
    let copy = stage.file("log-copy");
    stage.show(&["log", "export", &copy])?;
    let check = ["log", "verify", "--dir", &copy, "--vkey", vkey];
    unexpected += expect(stage, true, &check)?;
    let tampered = stage.file("log-tampered");
    stage.show(&["log", "export", &tampered])?;
    let bundle = first_bundle(&stage.whole(&tampered))?;
    alter(&bundle, &bundle)?;
    unexpected += expect(stage, false, &["log", "verify", "--dir", &tampered, "--vkey", vkey])?;
    Ok(unexpected)
}

/// Runs a check away from the home; 1 if it did not end as it must, else 0.
fn expect(stage: &Stage, is_true: bool, arguments: &[&str]) -> Result<usize> {
    let (succeeded, said) = stage.elsewhere(arguments)?;
    let is_right = succeeded == is_true;
    say(format!(
        "{} {}: {said}",
        if is_right { "ok " } else { "NOT" },
        if succeeded { "accepted" } else { "refused" }
    ));
    Ok(usize::from(!is_right))
}

/// The file with the first entries (c2sp.org/tlog-tiles).
fn first_bundle(log: &Path) -> Result<PathBuf> {
    let folder = log.join("tile/entries");
    let full = folder.join("000");
    if full.is_file() {
        return Ok(full);
    }
    let partial = folder.join("000.p");
    let mut entries = fs::read_dir(&partial).with_context(|| format!("cannot list {}", partial.display()))?;
    let entry = entries.next().with_context(|| format!("{} is empty", partial.display()))?;
    Ok(entry.with_context(|| format!("cannot list {}", partial.display()))?.path())
}
