//! A directory that is gone when its owner is.

use std::path::{Path, PathBuf};
use std::{fs, process};

use anyhow::{Context as _, Result};

/// A new, empty directory; removed on drop, whatever happened in between.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one inside `parent`; the name carries the process, so that two runs at a time do not meet.
    pub(crate) fn inside(parent: &Path, purpose: &str) -> Result<Self> {
        let path = parent.join(format!(".kos-{purpose}-{}", process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("  could not remove {}: {error}", self.path.display());
        }
    }
}
