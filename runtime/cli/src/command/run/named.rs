//! Which agents a command line names: components, and directories of them.
//!
//! In scope: finding and reading the files, and what becomes of one that is refused: named itself it refuses all, in a
//! directory it is told and left out. Out of scope: judging.

use std::fs;
use std::path::{Path, PathBuf};

use kos_core::manifest::UnverifiedComponent;

use crate::context::Context;
use crate::failure::{Explain as _, Failure};

/// What the file of a component ends in.
const EXTENSION: &str = "wasm";

/// An agent that the command line names, or a directory that it names.
pub(super) struct Named {
    pub(super) path: PathBuf,
    is_of_directory: bool,
}

impl Named {
    /// How it is called in messages.
    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// An agent's file that was read.
pub(super) struct Read {
    pub(super) named: Named,
    pub(super) component: UnverifiedComponent,
}

/// The files that a command line names, those of a directory in the order of their names.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<Named>, Failure> {
    let mut named = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = components(path).doing(format!("cannot read {}", path.display()))?;
            if found.is_empty() {
                return Err(Failure::new(format!(
                    "there is no agent in {}: no file *.{EXTENSION}",
                    path.display()
                )));
            }
            named.extend(found.into_iter().map(|path| Named { path, is_of_directory: true }));
        } else {
            named.push(Named { path: path.clone(), is_of_directory: false });
        }
    }
    Ok(named)
}

fn components(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The agents of directories that were refused and left out.
#[derive(Default)]
pub(super) struct LeftOut {
    statuses: Vec<u8>,
}

impl LeftOut {
    /// What came out well; none where it was left out, which is told.
    ///
    /// # Errors
    /// The failure of an agent that was named itself.
    pub(super) fn keep<T>(
        &mut self,
        context: &Context,
        named: &Named,
        outcome: Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(failure) if named.is_of_directory => {
                failure.report("kos-run", context.output.is_json());
                self.statuses.push(failure.exit_status());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The status of the first.
    pub(super) fn exit_status(&self) -> Option<u8> {
        self.statuses.first().copied()
    }
}
