//! `kos log export`: the log for others, as files or as entries with their proofs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::log::proof;
use kos_core::log::reader::LogReader;
use serde_json::{Value, json};

use super::entries::{self, Filter};
use super::source::Source;
use crate::command::Ended;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};

/// The log's public part besides the checkpoint.
const TILES: &str = "tile";
/// The signed head.
const CHECKPOINT: &str = "checkpoint";

/// `kos log export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos log export COPY            and then: kos log verify --dir COPY --vkey VKEY
  kos log export --entries --since 24h > entries.jsonl")]
pub struct Export {
    /// The folder to write, which must be new or empty.
    #[arg(required_unless_present = "entries", conflicts_with = "entries")]
    folder: Option<PathBuf>,
    /// Print entries with their `merkleProof` instead, a c2sp.org/tlog-proof@v1 in each.
    #[arg(long)]
    entries: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    source: Source,
}

impl Export {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let directory = self.source.directory(context)?;
        match &self.folder {
            Some(folder) => copy(context, &directory, folder)?,
            None => self.print(context, &directory)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, context: &Context, directory: &Path) -> Result<(), Failure> {
        let reader = LogReader::open(directory)?;
        for listed in entries::from(&reader, 0, reader.unverified_checkpoint().size) {
            let listed = listed?;
            if !self.filter.accepts(&listed.entry) {
                continue;
            }
            let proof = proof::prove(directory, listed.index)?;
            let mut value = listed.to_json();
            if let Some(object) = value.as_object_mut() {
                let proof = String::from_utf8_lossy(&proof).into_owned();
                object.insert("merkleProof".to_owned(), Value::String(proof));
            }
            context.output.line(value)?;
        }
        Ok(())
    }
}

/// The checkpoint is read before the tiles that it covers and written after them, so that the copy is whole at every
/// moment at which it has a checkpoint.
fn copy(context: &Context, from: &Path, to: &Path) -> Result<(), Failure> {
    if to.is_dir() && fs::read_dir(to)?.next().is_some() {
        return Err(Failure::new(format!("{} is not empty", to.display())).remedy("name a new folder"));
    }
    let reader = LogReader::open(from)?;
    fs::create_dir_all(to).doing(format!("cannot create {}", to.display()))?;
    if from.join(TILES).is_dir() {
        copy_tree(&from.join(TILES), &to.join(TILES))?;
    }
    write_public(&to.join(CHECKPOINT), reader.note())?;
    let size = reader.unverified_checkpoint().size;
    context.output.answer(&json!({ "folder": to, "size": size }), || {
        paint(GOOD, format!("copied {size} entries to {}", to.display()))
    })
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        let name = item.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        let target = to.join(&name);
        if item.file_type()?.is_dir() {
            copy_tree(&item.path(), &target)?;
            continue;
        }
        match fs::read(item.path()) {
            Ok(bytes) => write_public(&target, &bytes)?,
            // A partial tile goes when its full one is there.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
