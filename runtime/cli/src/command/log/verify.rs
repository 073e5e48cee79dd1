//! `kos log verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::durable;
use kos_core::log::note::MAX_NOTE;
use kos_core::log::verify;
use serde_json::json;

use super::source::{Key, Source};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Explain as _;
use crate::output::{CARE, Columns, GOOD, paint, to_second};

/// `kos log verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
A copied folder needs no home:  kos log verify --dir LOGDIR --vkey VKEY
That a log was cut back to an older state is only seen against a checkpoint that was kept:
  kos log checkpoint -o KEPT        and later:   kos log verify --checkpoint KEPT
Exit status: 0 the log is true, 1 it is not.")]
pub struct Verify {
    /// A checkpoint that was kept from before: the log must continue it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    key: Key,
}

impl Verify {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let directory = self.source.directory(context)?;
        let vkey = self.key.resolve(context, Some(&self.source))?;
        let pinned = self.checkpoint.as_deref().map(|path| durable::read_capped(path, MAX_NOTE as u64));
        let pinned = pinned.transpose()?;
        let report = context
            .output
            .while_working("verifying the log", || verify::verify(&directory, &vkey, pinned.as_deref()))
            .doing("the log does not verify")?;
        let checkpoint = &report.checkpoint;
        let value = json!({
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "rootHash": kos_core::canonical::base64_encode(&checkpoint.root),
            "first": report.first,
            "last": report.last,
            "unpublished": report.tail,
            "isTorn": report.torn,
            "isPinned": pinned.is_some(),
        });
        context.output.answer(&value, || {
            let mut facts = Columns::facts();
            facts.fact("log", &checkpoint.origin);
            facts.fact("entries", checkpoint.size);
            if let (Some(first), Some(last)) = (report.first, report.last) {
                facts.fact("from", to_second(first));
                facts.fact("until", to_second(last));
            }
            if report.tail > 0 {
                facts.fact("not yet published", format!("{} entries, verified as well", report.tail));
            }
            let pinned = if pinned.is_some() {
                paint(GOOD, "it continues the checkpoint that was kept")
            } else {
                paint(CARE, "no checkpoint was given, so a log cut back to an older state would not be seen")
            };
            format!("{}\n{}\n{pinned}", paint(GOOD, "the log verifies"), facts.or_else(""))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
