//! A directory that is gone when its owner is.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use anyhow::{Context as _, Result};

/// Names that are tried; a taken one is left over from a killed process or another's doing.
const ATTEMPTS: u32 = 100;

/// A new, empty directory of this user alone; removed on drop, whatever happened in between.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one inside `parent`, which others may be able to write: a name that exists is never used.
    pub(crate) fn inside(parent: &Path, purpose: &str) -> Result<Self> {
        for attempt in 0..ATTEMPTS {
            let path = parent.join(format!(".kos-{purpose}-{}-{attempt}", process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create {}", path.display()));
                }
            }
        }
        anyhow::bail!("{} is full of left-over .kos-{purpose} directories", parent.display())
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_exists_is_not_taken_over_and_ours_goes_away() {
        let outer = Scratch::inside(&std::env::temp_dir(), "test").unwrap();
        let first = Scratch::inside(outer.path(), "inner").unwrap();
        let second = Scratch::inside(outer.path(), "inner").unwrap();
        assert_ne!(first.path(), second.path());
        let gone = second.path().to_path_buf();
        drop(second);
        assert!(!gone.exists() && first.path().exists());
    }
}
