//! `kos log checkpoint`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::canonical::base64_encode;
use kos_core::log::checkpoint as core;
use kos_core::log::reader::LogReader;
use serde_json::json;

use super::source::{Key, Source};
use crate::command::Ended;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::Explain as _;
use crate::output::{GOOD, paint};

/// `kos log checkpoint`.
#[derive(Debug, Args)]
#[command(after_help = "\
Keep it on another machine: `kos log verify --checkpoint FILE` then sees a log that was cut back.")]
pub struct Checkpoint {
    /// Write it to FILE instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the verification key instead.
    #[arg(long, conflicts_with = "output")]
    vkey_only: bool,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    key: Key,
}

impl Checkpoint {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let vkey = self.key.resolve(context, Some(&self.source))?;
        if self.vkey_only {
            context.output.answer(&json!({ "vkey": vkey.to_string() }), || vkey.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        let reader = LogReader::open(&self.source.directory(context)?)?;
        let checkpoint =
            core::Checkpoint::open(reader.note(), &vkey).doing("the checkpoint does not verify")?;
        if let Some(path) = &self.output {
            write_public(path, reader.note())?;
        }
        if !context.output.is_json() && self.output.is_none() {
            context.output.raw(reader.note())?;
            return Ok(ExitCode::SUCCESS);
        }
        let value = json!({
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "rootHash": base64_encode(&checkpoint.root),
            "note": String::from_utf8_lossy(reader.note()),
            "vkey": vkey.to_string(),
            "file": self.output,
        });
        context.output.answer(&value, || {
            let path = self.output.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            paint(GOOD, format!("wrote the checkpoint of {} entries to {path}", checkpoint.size))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
