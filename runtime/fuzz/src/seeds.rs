//! What the search begins with: for each target, a folder of texts that kOS itself has written.
//!
//! A finding becomes one more file of its folder, and is tried with every test from then on.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The seeds of all targets.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// The seeds of one target, in the order of their names.
///
/// # Errors
/// Those of the file system; a target without a folder has none to begin with.
pub fn of(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder().join(target))?.map(|found| Ok(found?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}
