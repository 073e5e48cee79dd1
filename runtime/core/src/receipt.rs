//! A receipt of a run: its launch and exit entries, each with the proof that it stands in the log.
//!
//! Source: `c2sp.org/tlog-proof@v1`; the receipt around them is canonical JSON and says nothing of its own. Whoever has pinned
//! the log's key checks it offline, with this module or with anything else that checks such proofs. In scope: collecting and
//! checking. Out of scope: whether the run should have been allowed, which its grants tell. Keeps I9.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{self, CanonicalError};
use crate::id::Digest;
use crate::log::entry::{Entry, EntryError};
use crate::log::proof::{self, ProofError, Proven};
use crate::log::reader::{LogReader, ReadError};
use crate::log::{EventType, Vkey};
use crate::recovery::RECOVERED;

/// What a receipt says that it is.
pub const RECEIPT_TYPE: &str = "application/vnd.kos.receipt.v1+json";
/// Two entries of 64 KiB, escaped, and two proofs.
pub const RECEIPT_MAX: usize = 512 * 1024;

/// Why there is no receipt, or why one proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No such run was launched.
    #[error("the log knows no run `{run}`")]
    Unknown {
        /// Which.
        run: String,
    },
    /// It goes on, or its end is not under the checkpoint yet.
    #[error("the run `{run}` has not ended, or its end is not published yet")]
    Open {
        /// Which.
        run: String,
    },
    /// Not a receipt in its one form.
    #[error("not a receipt: {0}")]
    Form(#[from] CanonicalError),
    /// Of another format.
    #[error("not a receipt of this format, but `{found}`")]
    Type {
        /// What it says it is.
        found: String,
    },
    /// An entry is not in the log of this key.
    #[error("the {which} entry is not proven: {source}")]
    Proof {
        /// `launch` or `exit`.
        which: &'static str,
        /// What is wrong with its proof.
        source: ProofError,
    },
    /// An entry is not by this host.
    #[error("the {which} entry is not the host's: {source}")]
    Entry {
        /// `launch` or `exit`.
        which: &'static str,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Both entries stand in the log, and do not tell of this one run.
    #[error("the entries are not the launch and the exit of this run: {what} differs")]
    Mismatch {
        /// What does not fit.
        what: &'static str,
    },
    /// The run was of another component.
    #[error("the run was of the component {of}, and this is {given}")]
    Component {
        /// Which one ran.
        of: String,
        /// Which one was compared.
        given: Digest,
    },
}

/// A receipt as it travels: nothing in it is believed before [`Receipt::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    exit: Evidence,
    launch: Evidence,
    run: String,
    #[serde(rename = "type")]
    kind: String,
}

/// An entry, byte for byte, and its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    entry: String,
    proof: String,
}

/// What a receipt proves. Only [`Receipt::verify`] makes one.
///
/// ```compile_fail
/// # fn forge(launch: kos_core::log::entry::Entry, exit: kos_core::log::entry::Entry) {
/// kos_core::receipt::VerifiedReceipt { run: String::new(), launch, exit };
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedReceipt {
    run: String,
    launch: (Entry, Proven),
    exit: (Entry, Proven),
}

impl Receipt {
    /// The receipt of a run that has ended, from the log in `directory`. No key is needed, and none is checked.
    ///
    /// # Errors
    /// [`ReceiptError::Unknown`], [`ReceiptError::Open`], [`ReceiptError::Read`], [`ReceiptError::Proof`].
    pub fn collect(directory: &Path, run: &str) -> Result<Self, ReceiptError> {
        let log = LogReader::open(directory)?;
        let (mut launch, mut exit) = (None, None);
        for entry in log.entries(0..log.unverified_checkpoint().size) {
            let (index, bytes) = entry?;
            let Ok(entry) = Entry::parse_unverified(&bytes) else { continue };
            if detail(&entry, "run") != Some(run) {
                continue;
            }
            let place = match entry.event_type {
                EventType::AgentLaunch => &mut launch,
                EventType::AgentExit => &mut exit,
                _ => continue,
            };
            *place = Some((index, bytes));
        }
        let launch = launch.ok_or_else(|| ReceiptError::Unknown { run: run.to_owned() })?;
        let exit = exit.ok_or_else(|| ReceiptError::Open { run: run.to_owned() })?;
        Ok(Self {
            exit: Evidence::of(directory, "exit", exit)?,
            launch: Evidence::of(directory, "launch", launch)?,
            run: run.to_owned(),
            kind: RECEIPT_TYPE.to_owned(),
        })
    }

    /// Reads a receipt in its one form.
    ///
    /// # Errors
    /// [`ReceiptError::Form`], [`ReceiptError::Type`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self = canonical::from_canonical(bytes, RECEIPT_MAX)?;
        if receipt.kind != RECEIPT_TYPE {
            return Err(ReceiptError::Type {
                found: receipt.kind.chars().take(RECEIPT_TYPE.len()).collect(),
            });
        }
        Ok(receipt)
    }

    /// The bytes that [`Receipt::parse`] reads.
    ///
    /// # Errors
    /// [`ReceiptError::Form`]; not seen with text.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        Ok(canonical::to_canonical(self)?)
    }

    /// Checks both proofs against the pinned key, both entries' signatures, and that they are of this one run.
    ///
    /// # Errors
    /// [`ReceiptError`], each variant with its cause.
    pub fn verify(self, key: &Vkey) -> Result<VerifiedReceipt, ReceiptError> {
        let launch = self.launch.verify("launch", key)?;
        let exit = self.exit.verify("exit", key)?;
        check_pair(&self.run, &launch, &exit)?;
        Ok(VerifiedReceipt { run: self.run, launch, exit })
    }
}

impl Evidence {
    fn of(
        directory: &Path,
        which: &'static str,
        (index, bytes): (u64, Vec<u8>),
    ) -> Result<Self, ReceiptError> {
        let proof = proof::prove(directory, index).map_err(|source| ReceiptError::Proof { which, source })?;
        // Entries and proofs are text; bytes that are none would not verify, and are not made to look as if they did.
        let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
        Ok(Self { entry: text(bytes), proof: text(proof) })
    }

    fn verify(&self, which: &'static str, key: &Vkey) -> Result<(Entry, Proven), ReceiptError> {
        let proven = proof::verify(self.proof.as_bytes(), key, self.entry.as_bytes())
            .map_err(|source| ReceiptError::Proof { which, source })?;
        let entry = Entry::verify(self.entry.as_bytes(), &key.did())
            .map_err(|source| ReceiptError::Entry { which, source })?;
        Ok((entry, proven))
    }
}

/// That the entries are the launch and the exit of `run`. A run that its host did not see the end of has an exit by whoever
/// found it, which names the index of the launch.
fn check_pair(
    run: &str,
    (launch, launched): &(Entry, Proven),
    (exit, exited): &(Entry, Proven),
) -> Result<(), ReceiptError> {
    let is_recovered = detail(exit, "outcome") == Some(RECOVERED);
    let is_of_component = launch.target.as_ref().is_some_and(|target| target.kind == "component");
    let is_same_agent = if is_recovered {
        exit.details.get("launch").and_then(Value::as_u64) == Some(launched.index)
            && exit.target.as_ref().map(|target| &*target.id) == detail(launch, "agent")
    } else {
        exit.actor == launch.actor && detail(exit, "agent") == detail(launch, "agent")
    };
    let checks = [
        ("the kind of the first", launch.event_type == EventType::AgentLaunch),
        ("the kind of the second", exit.event_type == EventType::AgentExit),
        ("the run", detail(launch, "run") == Some(run) && detail(exit, "run") == Some(run)),
        ("the host", detail(launch, "host").is_some() && detail(launch, "host") == detail(exit, "host")),
        ("the component", is_of_component && (is_recovered || exit.target == launch.target)),
        ("the agent", is_same_agent),
        ("the order", launched.index < exited.index),
    ];
    match checks.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(ReceiptError::Mismatch { what }),
        None => Ok(()),
    }
}

fn detail<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    entry.details.get(name).and_then(Value::as_str)
}

impl VerifiedReceipt {
    /// The run's identifier.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The launch entry, and where it stands.
    #[must_use]
    pub fn launch(&self) -> (&Entry, &Proven) {
        (&self.launch.0, &self.launch.1)
    }

    /// The exit entry, and where it stands.
    #[must_use]
    pub fn exit(&self) -> (&Entry, &Proven) {
        (&self.exit.0, &self.exit.1)
    }

    /// The digest of the component that ran, as the launch entry has it.
    #[must_use]
    pub fn component(&self) -> &str {
        self.launch.0.target.as_ref().map_or("", |target| &target.id)
    }

    /// Insists that `given` is the component that ran.
    ///
    /// # Errors
    /// [`ReceiptError::Component`].
    pub fn check_component(&self, given: Digest) -> Result<(), ReceiptError> {
        if self.component() == given.to_string() {
            Ok(())
        } else {
            Err(ReceiptError::Component { of: self.component().to_owned(), given })
        }
    }
}
