//! How a command comes to the root key: which slot, and where its secret is read from.
//!
//! In scope: the order in which the ways are tried, and asking a person. Out of scope: what a slot is
//! (`kos_core::custody::slot`). A secret is never an argument and never an environment variable; a path may be.

use std::path::{Path, PathBuf};

use clap::Args;
use kos_core::custody::{self, CustodyError, SlotSpec, ThreadCustodian, Unlock, slot};
use kos_core::durable;
use kos_core::home::Home;
use zeroize::Zeroizing;

use crate::failed_unlocks;
use crate::failure::{Explain as _, Failure};
use crate::prompt;

/// Names a key file for a machine on which nobody types; a path, not a secret.
const KEY_FILE_VARIABLE: &str = "KOS_KEY_FILE";
/// Where a service manager puts what it hands to a service (systemd's `LoadCredential=`).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The credential's name.
const CREDENTIAL_NAME: &str = "kos-root";
/// A credential is a key of 32 bytes or a little more.
const CREDENTIAL_MAX: u64 = 4096;
/// How often a person may mistype.
const ATTEMPTS: usize = 3;

/// Where the secret of a slot is read from. Without any of these: `$KOS_KEY_FILE`, the service manager's credential
/// `kos-root`, a key file that the home knows of, and then a prompt.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Unlocking")]
pub struct UnlockArguments {
    /// Unlock with this key file [default: $KOS_KEY_FILE, then the home's own key file slots].
    #[arg(long, value_name = "PATH", group = "unlocking")]
    pub key_file: Option<PathBuf>,
    /// Unlock with a passphrase: the first line from this file descriptor.
    #[arg(long, value_name = "N", group = "unlocking")]
    pub passphrase_fd: Option<u32>,
    /// Unlock with a passphrase: the first line of this file.
    #[arg(long, value_name = "FILE", group = "unlocking")]
    pub passphrase_file: Option<PathBuf>,
}

impl UnlockArguments {
    /// The way that was asked for, by an argument or by the environment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn named(&self) -> Result<Option<Unlock>, Failure> {
        if let Some(path) = &self.key_file {
            return Ok(Some(Unlock::KeyFile(path.clone())));
        }
        if let Some(passphrase) = self.passphrase()? {
            return Ok(Some(Unlock::Passphrase(passphrase)));
        }
        if let Some(path) = std::env::var_os(KEY_FILE_VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Some(Unlock::KeyFile(path.into())));
        }
        credential()
    }

    /// The passphrase from a file or a descriptor, where one is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn passphrase(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(descriptor) = self.passphrase_fd {
            return prompt::from_descriptor(descriptor).map(Some);
        }
        self.passphrase_file.as_deref().map(prompt::from_file).transpose()
    }

    /// Unlocks the home's keys, and says which way it was, for those that need it again.
    ///
    /// # Errors
    /// When nothing unlocks them.
    pub fn unlock(&self, home: &Home) -> Result<ThreadCustodian, Failure> {
        Ok(self.unlock_with(home)?.0)
    }

    /// As [`Self::unlock`], without asking anybody.
    ///
    /// # Errors
    /// When nothing unlocks them.
    pub fn unlock_unasked(&self, home: &Home) -> Result<ThreadCustodian, Failure> {
        if let Some(way) = self.named()? {
            return custody::unlock(home, &way).doing("the keys of this home cannot be unlocked");
        }
        let unlocked = by_key_file(home, &slot::list(home)?);
        Ok(unlocked.map_err(|failed| nothing_unlocks(false, &failed))?.0)
    }

    /// As [`Self::unlock`], with the way that worked.
    ///
    /// # Errors
    /// When nothing unlocks them.
    pub fn unlock_with(&self, home: &Home) -> Result<(ThreadCustodian, Unlock), Failure> {
        if let Some(way) = self.named()? {
            let custodian = unlocked(home, &way).doing("the keys of this home cannot be unlocked")?;
            return Ok((custodian, way));
        }
        let slots = slot::list(home)?;
        let failed = match by_key_file(home, &slots) {
            Ok(unlocked) => return Ok(unlocked),
            Err(failed) => failed,
        };
        let has_passphrase = slots.iter().any(slot::SlotInfo::is_passphrase);
        if has_passphrase && prompt::is_possible() {
            return ask(home);
        }
        Err(nothing_unlocks(has_passphrase, &failed))
    }
}

/// The keys by the first key file that the home knows of and that opens it; else why none does.
fn by_key_file(
    home: &Home,
    slots: &[slot::SlotInfo],
) -> Result<(ThreadCustodian, Unlock), Vec<CustodyError>> {
    let mut failed = Vec::new();
    for path in slots.iter().filter_map(slot::SlotInfo::key_file) {
        let way = Unlock::KeyFile(path.to_owned());
        match unlocked(home, &way) {
            Ok(custodian) => return Ok((custodian, way)),
            Err(error) => failed.push(error),
        }
    }
    Err(failed)
}

/// A slot for a key file. Its directory is made if it is not there.
///
/// # Errors
/// When the directory cannot be made.
pub fn key_file_slot(path: &Path) -> Result<SlotSpec, Failure> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        durable::create_private_dir(directory)?;
    }
    Ok(SlotSpec::KeyFile { path: path.to_owned() })
}

/// A wrong secret is counted, for the log.
fn unlocked(home: &Home, way: &Unlock) -> Result<ThreadCustodian, CustodyError> {
    custody::unlock(home, way).inspect_err(|error| failed_unlocks::note(home, error))
}

fn credential() -> Result<Option<Unlock>, Failure> {
    let Some(directory) = std::env::var_os(CREDENTIALS_VARIABLE) else { return Ok(None) };
    let path = Path::new(&directory).join(CREDENTIAL_NAME);
    match durable::read_capped(&path, CREDENTIAL_MAX) {
        Ok(secret) => Ok(Some(Unlock::Secret(Zeroizing::new(secret)))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn ask(home: &Home) -> Result<(ThreadCustodian, Unlock), Failure> {
    let mut left = ATTEMPTS;
    loop {
        let way = Unlock::Passphrase(prompt::secret(&format!("Passphrase of {}", home.root().display()))?);
        left -= 1;
        match unlocked(home, &way) {
            Ok(custodian) => return Ok((custodian, way)),
            Err(error) if left == 0 => return Err(error.into()),
            Err(error) => crate::output::Output::new(false, false).remark(format!("{error}; try again")),
        }
    }
}

fn nothing_unlocks(has_passphrase: bool, failed: &[CustodyError]) -> Failure {
    let mut failure = Failure::new("the keys of this home cannot be unlocked");
    for error in failed {
        failure = failure.why(error);
    }
    if has_passphrase {
        failure = failure.why("there is no terminal to ask for the passphrase on");
    }
    failure.remedy(
        "--key-file PATH, --passphrase-file FILE or --passphrase-fd N; `kos slot list` shows what fits",
    )
}
