//! The state directory: where each thing lies, and the host's own configuration.
//!
//! Signed documents are plain files here, so that a machine is provisioned by copying them. In scope: paths, the
//! directory's mode, `host.json`. Out of scope: what the files hold, which each module reads itself.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::clock::Timestamp;
use crate::durable::{self, DurableError};
use crate::id::Did;

/// The format of `host.json` that this program writes and reads.
const CONFIG_VERSION: u32 = 1;
/// Room for hundreds of operators.
const CONFIG_MAX: u64 = 64 * 1024;
/// The directories of a home.
const DIRECTORIES: [&str; 11] =
    ["keys", "agents", "grants", "uses", "trust", "vault", "log", "messages", "storage", "cache", "run"];

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is none.
    #[error("there is no kOS home at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error("there is a kOS home at {} already", path.display())]
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// Others than the owner could read or change it.
    #[error("{} has mode {mode:03o}; a home must be its owner's alone (0700)", path.display())]
    Open {
        /// The home.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, not to you", path.display())]
    Owner {
        /// The home.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// `host.json` is malformed.
    #[error("{} cannot be used: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CanonicalError,
    },
    /// `host.json` is of another format, or its threshold cannot be met.
    #[error("{} cannot be used: {cause}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// What a host knows of itself and of who governs it. The operator writes it once, with `kos init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostConfig {
    /// The format of this file.
    pub version: u32,
    /// The host's own key, which signs the log.
    pub host: Did,
    /// The log's name: the origin line of its checkpoints.
    pub origin: String,
    /// Whose signatures count on grants and on the trust store.
    pub operators: Vec<Did>,
    /// How many different operators must sign; at least one.
    pub threshold: usize,
    /// When the home was made.
    pub created: Timestamp,
}

impl HostConfig {
    /// A configuration in the current format.
    #[must_use]
    pub fn new(host: Did, origin: String, operators: Vec<Did>, threshold: usize, created: Timestamp) -> Self {
        Self { version: CONFIG_VERSION, host, origin, operators, threshold, created }
    }

    /// How many different operators must sign.
    #[must_use]
    pub fn required_operators(&self) -> std::num::NonZeroUsize {
        std::num::NonZeroUsize::new(self.threshold).unwrap_or(std::num::NonZeroUsize::MAX)
    }
}

/// A state directory, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at `root`, whether it is there or not.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the directories of a new home, for the owner alone.
    ///
    /// # Errors
    /// [`HomeError::Exists`] when `host.json` is there, [`HomeError::Durable`] otherwise.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let home = Self::at(root);
        if home.host_file().exists() {
            return Err(HomeError::Exists { path: home.root });
        }
        durable::create_private_dir(&home.root)?;
        home.check_mode()?;
        for directory in DIRECTORIES {
            durable::create_private_dir(&home.root.join(directory))?;
        }
        Ok(home)
    }

    /// Opens a home that is there: checks that it is the owner's alone and reads `host.json`.
    ///
    /// # Errors
    /// [`HomeError`], each variant with its cause.
    pub fn open(root: impl Into<PathBuf>) -> Result<(Self, HostConfig), HomeError> {
        let home = Self::at(root);
        home.check_mode()?;
        let path = home.host_file();
        let bytes = durable::read_capped(&path, CONFIG_MAX).map_err(|error| {
            if error.is_not_found() { HomeError::Missing { path: home.root.clone() } } else { error.into() }
        })?;
        let config: HostConfig = canonical::from_strict(&bytes, bytes.len())
            .map_err(|source| HomeError::Config { path: path.clone(), source })?;
        let refused = |cause| HomeError::Unsupported { path: path.clone(), cause };
        if config.version != CONFIG_VERSION {
            return Err(refused("it has a format that this version does not know"));
        }
        let mut distinct = config.operators.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() != config.operators.len() || !(1..=distinct.len()).contains(&config.threshold) {
            return Err(refused("its threshold must be between 1 and the number of its different operators"));
        }
        Ok((home, config))
    }

    /// Writes `host.json`: the last step of making a home, and the one that makes it one.
    ///
    /// # Errors
    /// [`HomeError::Durable`] or [`HomeError::Config`].
    pub fn write_config(&self, config: &HostConfig) -> Result<(), HomeError> {
        let path = self.host_file();
        let bytes = canonical::to_canonical(config)
            .map_err(|source| HomeError::Config { path: path.clone(), source })?;
        Ok(durable::replace(&path, &bytes)?)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `host.json`: the configuration.
    #[must_use]
    pub fn host_file(&self) -> PathBuf {
        self.root.join("host.json")
    }

    /// `slots.json`: the ways to unlock the root key.
    #[must_use]
    pub fn slots_file(&self) -> PathBuf {
        self.root.join("slots.json")
    }

    /// Where keys lie, their private halves encrypted.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Where the agents' public records lie.
    #[must_use]
    pub fn agents(&self) -> PathBuf {
        self.root.join("agents")
    }

    /// Where the signed grants lie.
    #[must_use]
    pub fn grants(&self) -> PathBuf {
        self.root.join("grants")
    }

    /// Where the counts of used grants lie.
    #[must_use]
    pub fn uses(&self) -> PathBuf {
        self.root.join("uses")
    }

    /// Where the signed trust store lies.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// Where the vaults lie, encrypted.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.root.join("vault")
    }

    /// Where the log lies; this directory alone can be copied and verified elsewhere.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where it stands up to when each agent has received.
    #[must_use]
    pub fn messages(&self) -> PathBuf {
        self.root.join("messages")
    }

    /// Where agents with persistent storage have their directories.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.root.join("storage")
    }

    /// Where compiled artifacts lie; it may be emptied at any time.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// `alerts.toml`: which entries of the log are worth an alert; an operator writes it by hand.
    #[must_use]
    pub fn alerts_file(&self) -> PathBuf {
        self.root.join("alerts.toml")
    }

    /// Up to which entry the log has been looked at for alerts.
    #[must_use]
    pub fn alerts_seen(&self) -> PathBuf {
        self.root.join("alerts.seen")
    }

    /// How often keys were not unlocked since the log could be told last.
    #[must_use]
    pub fn failed_unlocks(&self) -> PathBuf {
        self.run().join("failed-unlocks.json")
    }

    /// Where live hosts have their locks and control sockets.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    fn check_mode(&self) -> Result<(), HomeError> {
        let metadata = std::fs::metadata(&self.root).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => HomeError::Missing { path: self.root.clone() },
            _ => DurableError::Io { action: "look at", path: self.root.clone(), source }.into(),
        })?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Open { path: self.root.clone(), mode });
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(HomeError::Owner { path: self.root.clone(), owner: metadata.uid() });
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::crypto::{SecretKey, Signer as _};

    fn config(threshold: usize) -> HostConfig {
        let did = |seed| SecretKey::from_seed(&[seed; 32]).did();
        HostConfig::new(
            did(1),
            "kos.test/log".to_owned(),
            vec![did(2), did(3)],
            threshold,
            Timestamp::from_millis(1),
        )
    }

    fn home_with(threshold: usize) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        home.write_config(&config(threshold)).unwrap();
        (folder, home)
    }

    #[test]
    fn a_new_home_is_the_owners_alone_and_opens() {
        let (_folder, home) = home_with(2);
        assert_eq!(fs::metadata(home.root()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.keys()).unwrap().permissions().mode() & 0o777, 0o700);
        let (opened, read) = Home::open(home.root()).unwrap();
        assert_eq!((opened, read), (home, config(2)));
    }

    #[test]
    fn a_home_is_not_made_over_another() {
        let (_folder, home) = home_with(1);
        assert!(matches!(Home::create(home.root()), Err(HomeError::Exists { .. })));
    }

    #[test]
    fn a_home_that_others_can_read_is_refused() {
        let (_folder, home) = home_with(1);
        fs::set_permissions(home.root(), Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(Home::open(home.root()), Err(HomeError::Open { mode: 0o750, .. })));
    }

    #[test]
    fn a_missing_home_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Home::open(folder.path().join("none")), Err(HomeError::Missing { .. })));
    }

    #[test]
    fn a_threshold_that_nobody_or_anybody_meets_is_refused() {
        for threshold in [0, 3] {
            let (_folder, home) = home_with(threshold);
            assert!(matches!(Home::open(home.root()), Err(HomeError::Unsupported { .. })), "{threshold}");
        }
    }

    #[test]
    fn a_configuration_with_an_unknown_field_or_another_version_is_refused() {
        let (_folder, home) = home_with(1);
        let text = fs::read_to_string(home.host_file()).unwrap();
        fs::write(home.host_file(), text.replacen('{', "{\"debug\":true,", 1)).unwrap();
        assert!(matches!(Home::open(home.root()), Err(HomeError::Config { .. })));
        fs::write(home.host_file(), text.replace("\"version\":1", "\"version\":2")).unwrap();
        assert!(matches!(Home::open(home.root()), Err(HomeError::Unsupported { .. })));
    }
}
