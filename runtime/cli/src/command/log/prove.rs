//! `kos log prove`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::durable;
use kos_core::log::entry::Entry;
use kos_core::log::proof;
use kos_core::log::reader::LogReader;
use serde_json::json;

use super::source::{Key, Source};
use crate::command::Ended;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, paint};

/// The longest entry that a log holds (C2SP tlog-tiles).
const ENTRY_MAX: u64 = 65_535;
/// A proof holds a checkpoint and some dozens of hashes; the core caps it more closely.
const PROOF_MAX: u64 = 1 << 20;

/// `kos log prove INDEX` and `kos log prove --verify FILE`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos log prove 12 -o 12.proof --entry 12.json      a proof and the entry, to hand to somebody
  kos log prove --verify 12.proof --entry 12.json --vkey VKEY     needs neither home nor log
The proof is a c2sp.org/tlog-proof@v1, which other programs check too.")]
pub struct Prove {
    /// Which entry.
    #[arg(required_unless_present = "verify")]
    index: Option<u64>,
    /// Where to write the proof [default: stdout].
    #[arg(short, long, value_name = "FILE", conflicts_with = "verify")]
    output: Option<PathBuf>,
    /// Check this proof instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with = "index")]
    verify: Option<PathBuf>,
    /// The entry: written here beside a new proof, read from here for a check [default: from the log].
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    key: Key,
}

impl Prove {
    pub(super) fn run(&self, context: &Context) -> Ended {
        match (&self.verify, self.index) {
            (Some(proof), _) => self.check(context, proof),
            (None, Some(index)) => self.prove(context, index),
            (None, None) => Err(Failure::new("no entry is named").remedy("kos log prove INDEX")),
        }
    }

    fn prove(&self, context: &Context, index: u64) -> Ended {
        let directory = self.source.directory(context)?;
        let proof = proof::prove(&directory, index).doing(format!("entry {index} cannot be proven"))?;
        if let Some(path) = &self.entry {
            write_public(path, &entry_at(&directory, index)?)?;
        }
        let Some(path) = &self.output else {
            context.output.raw(&proof)?;
            return Ok(ExitCode::SUCCESS);
        };
        write_public(path, &proof)?;
        context.output.answer(&json!({ "index": index, "file": path, "entry": self.entry }), || {
            paint(GOOD, format!("wrote the proof of entry {index} to {}", path.display()))
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn check(&self, context: &Context, path: &Path) -> Ended {
        let bytes = durable::read_capped(path, PROOF_MAX)?;
        let entry = match &self.entry {
            Some(path) => durable::read_capped(path, ENTRY_MAX)?,
            None => entry_at(&self.source.directory(context)?, index_of(&bytes)?)?,
        };
        let vkey = self.key.resolve(context, None)?;
        let proven = proof::verify(&bytes, &vkey, &entry).doing("the proof does not hold")?;
        let entry = Entry::verify(&entry, &vkey.did())
            .doing("the entry is in the log, and is not one of the host's own")?;
        let value = json!({
            "index": proven.index,
            "origin": proven.checkpoint.origin,
            "size": proven.checkpoint.size,
            "entry": entry,
        });
        context.output.answer(&value, || {
            let mut facts = Columns::facts();
            facts.fact("log", &proven.checkpoint.origin);
            facts.fact("entry", format!("{} of {}", proven.index, proven.checkpoint.size));
            facts.fact("event", entry.event_type.as_str());
            facts.fact("time", entry.timestamp);
            format!(
                "{}\n{}",
                paint(GOOD, "the entry is in the log, and the host signed both"),
                facts.or_else("")
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The bytes of one entry.
pub(super) fn entry_at(directory: &Path, index: u64) -> Result<Vec<u8>, Failure> {
    let reader = LogReader::open(directory)?;
    let found = reader.entries(index..index.saturating_add(1)).next();
    let (_, bytes) = found.ok_or_else(|| Failure::new(format!("the log has no entry {index}")))??;
    Ok(bytes)
}

/// Which entry a proof is about, as it says itself; the check decides whether that is so.
fn index_of(proof: &[u8]) -> Result<u64, Failure> {
    std::str::from_utf8(proof)
        .ok()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("index ")))
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| Failure::new("the file is no proof").remedy("--entry FILE, if it is one"))
}
