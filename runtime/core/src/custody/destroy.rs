//! Destroying everything secret in a home, with no secret and no key: slots first, as nothing else opens without them.
//!
//! In scope: slots, keys, vaults, compiled artifacts, temporary files, and on request the agents' storage. Out of scope: the log
//! and `host.json`, with which anyone still verifies it; signed documents, which hold no secret; files outside of the home.
//!
//! What is promised is crypto-erase: without slots the root key is gone, and with it whatever it encrypted. Files are
//! overwritten as well, which on flash, on copy-on-write file systems and in backups proves nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::home::Home;

/// Written at once.
const BLOCK: usize = 64 * 1024;
/// What a whole-file replacement that died leaves behind.
const TEMPORARY: &str = ".tmp";

/// Whether agents keep what they stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStorage {
    /// They do.
    Kept,
    /// It is destroyed as well.
    Destroyed,
}

/// What was destroyed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// How many files are gone.
    pub files: usize,
    /// What could not be removed.
    pub left: Vec<PathBuf>,
}

/// Destroys everything secret in a home. Goes on where something cannot be removed, and names it.
#[must_use]
pub fn destroy(home: &Home, storage: AgentStorage) -> Destroyed {
    let mut destroyed = Destroyed::default();
    destroyed.remove(&home.slots_file());
    let mut directories = vec![home.keys(), home.vault(), home.cache(), home.messages()];
    if storage == AgentStorage::Destroyed {
        directories.push(home.storage());
    }
    for directory in &directories {
        destroyed.empty(directory);
    }
    for entry in entries(home.root()) {
        if entry.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TEMPORARY)) {
            destroyed.remove(&entry);
        }
    }
    for directory in directories.iter().map(PathBuf::as_path).chain([home.root()]) {
        // What is gone is gone; that a power cut may bring a name back does not bring the slots back.
        let _ = durable::sync_directory(directory);
    }
    destroyed
}

impl Destroyed {
    fn empty(&mut self, directory: &Path) {
        for path in entries(directory) {
            // A link is removed, and what it names is not this home's.
            if fs::symlink_metadata(&path).is_ok_and(|seen| seen.is_dir()) {
                self.empty(&path);
                self.note(&path, fs::remove_dir(&path));
            } else {
                self.remove(&path);
            }
        }
    }

    fn remove(&mut self, path: &Path) {
        // A medium that cannot be written does not keep a file from being removed.
        let _ = overwrite(path);
        let removed = fs::remove_file(path);
        self.files += usize::from(removed.is_ok());
        self.note(path, removed);
    }

    fn note(&mut self, path: &Path, removed: io::Result<()>) {
        if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.left.push(path.to_owned());
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let seen = fs::symlink_metadata(path)?;
    if !seen.is_file() {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    let zeroes = vec![0; BLOCK];
    let mut left = seen.len();
    while left > 0 {
        let count = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        file.write_all(zeroes.get(..count).unwrap_or_default())?;
        left = left.saturating_sub(count as u64);
    }
    file.sync_all()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn everything_secret_goes_and_the_log_and_what_a_link_names_stay() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "not ours").unwrap();
        fs::create_dir(home.storage().join("agent")).unwrap();
        for path in [
            home.slots_file(),
            home.root().join(".slots.json.1.tmp"),
            home.keys().join("host-default.json"),
            home.vault().join("default.json.next"),
            home.cache().join("artifact"),
            home.storage().join("agent/file"),
            home.log().join("journal"),
        ] {
            fs::write(path, "secret").unwrap();
        }
        std::os::unix::fs::symlink(&outside, home.keys().join("link")).unwrap();

        assert_eq!(destroy(&home, AgentStorage::Kept), Destroyed { files: 6, left: Vec::new() });
        assert!(home.storage().join("agent/file").exists() && home.log().join("journal").exists());
        assert_eq!(fs::read(&outside).unwrap(), b"not ours");
        assert!(!home.slots_file().exists() && entries(&home.keys()).is_empty());
        assert_eq!(destroy(&home, AgentStorage::Destroyed), Destroyed { files: 1, left: Vec::new() });
        assert!(entries(&home.storage()).is_empty());
    }
}
