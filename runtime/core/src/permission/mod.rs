//! What an agent may do, who says so, and the one gate that every call passes.
//!
//! Operators sign a manifest about an agent ([`AgentPermissions`]); installed and verified ([`VerifiedPermissions`]),
//! cut down to what the author declares and the trust level reaches ([`Effective`]), it is what each call is judged by
//! ([`evaluate`], [`Gate`]).
//!
//! What several manifests say together: what any allows, minus what any denies. A denial has no condition and no end
//! but its revocation, so that time alone never gives power. A limit is the least that any of them names. Network,
//! storage and memory are what any manifest in force opens.
//!
//! Source: the project's specification, `AgentPermissions`. Keeps I2 (deny by default), I3 (one gate) and I4 (judged at
//! each call). Out of scope: writing the log, which the caller does before a change takes effect (I5).

mod access;
mod amend;
mod approval;
mod approvals;
mod condition;
mod denial;
mod document;
mod effective;
mod evaluate;
mod explain;
mod gate;
mod grant_id;
mod kept_uses;
mod launch;
mod learn;
mod limit_name;
mod limits;
pub mod marker;
mod reach;
mod refused;
mod request;
mod request_error;
mod request_toml;
mod revocation;
mod source;
mod sources;
mod store;
mod usage;
mod verified;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use access::{MemoryAccess, MemoryAccessError, NetworkHost, NetworkHostError, ResourceAccess};
pub use amend::{AmendError, Extension, Named, Narrowing, extended, narrowed};
pub use approval::{Approval, ApprovalError, Unapproved, granting};
pub use approvals::{Answered, Approvals, Asking, PENDING_MAX, Pending, QuestionId, QuestionPlace, Verdict};
pub use condition::{Condition, ConditionError, Days, Minute, RATE_MAX};
pub use denial::{DenialCount, DenialLedger};
pub use document::{
    AgentPermissions, CapabilityRule, DocumentError, PERMISSIONS_TYPE, Pin, ScopeItem, SigningError,
    Succession,
};
pub use effective::{Effective, Held};
pub use evaluate::{Decision, Facts, Reason, Usage, Used, evaluate};
pub use explain::{ConsideredRule, DecidingRule, Explanation, Missing, RefusedBy, explain};
pub use gate::{Asked, Denied, Gate, Grant, Observer, OtherComponent, Recorder, Waiting};
pub use grant_id::{Expiry, GrantId, GrantIdError};
pub use launch::LaunchRefusal;
pub use learn::{Learner, Lesson, Use};
pub use limit_name::LimitName;
pub use limits::{LimitError, LimitSet, Limits};
pub use refused::{KEPT_OF_A_SCOPE, Refused, explain_refused};
pub use request::{Issuance, PermissionRequest, PinKind, When};
pub use request_error::{RequestError, ValueError};
pub use revocation::{REVOCATIONS_TYPE, Revocations, RevokedGrant};
pub use source::{Place, RuleLines, Source};
pub use store::{ListedGrant, Standing, install, list, revoke, supersede};
pub use usage::UseLedger;
pub use verified::{VerifiedGrant, VerifiedPermissions};

use crate::clock::Timestamp;
use crate::durable::DurableError;
use crate::envelope::EnvelopeError;
use crate::id::Did;

/// The limits of a run, one named number for each, with its reason.
pub mod standard {
    pub use super::limit_name::{
        ACCESSES_PER_MINUTE, CPU, DURATION, FILES, HANDLES, INSTANCES, MAILBOX, MEMORY, NOTE_BYTES,
        NOTES_PER_MINUTE, OUTPUT, PAYLOAD, SECRET_BYTES, STACK, STORAGE, TABLE,
    };
}

/// Why permissions cannot be read or put in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// A manifest is not signed by enough operators.
    #[error("the grant {grant} does not count: {source}")]
    Signature {
        /// Which one.
        grant: GrantId,
        /// What is wrong with its envelope.
        source: EnvelopeError,
    },
    /// An envelope is malformed or cannot be made.
    #[error("the grant's envelope cannot be used: {source}")]
    Envelope {
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// A signed manifest means nothing.
    #[error("the grant {grant} means nothing: {source}")]
    Document {
        /// Which one.
        grant: GrantId,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// The operator that a manifest names has not signed it.
    #[error("the grant {grant} says that {signed_by} issued it, who has not signed it")]
    Issuer {
        /// Which one.
        grant: GrantId,
        /// Whom it names.
        signed_by: Did,
    },
    /// A file among the grants is none, or not what its name says.
    #[error("{} is not an installed grant: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// More files than are read at a launch.
    #[error("there are more than {most} grants in {}", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many are read.
        most: usize,
    },
    /// The grant has ended before it begins to count.
    #[error("the grant {grant} ended at {at}")]
    Expired {
        /// Which one.
        grant: GrantId,
        /// When.
        at: Expiry,
    },
    /// The grant was issued later than now: the clock was set back, or the operator's is wrong.
    #[error("the grant {grant} was issued at {issued}, and it is {now}: one of the clocks is wrong")]
    FromTheFuture {
        /// Which one.
        grant: GrantId,
        /// When it says it was issued.
        issued: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// The grant was revoked and does not come back.
    #[error("the grant {grant} was revoked at {}: {}", revoked.at, revoked.reason)]
    Revoked {
        /// Which one.
        grant: GrantId,
        /// When and why.
        revoked: RevokedGrant,
    },
    /// Another grant has taken its place, and it does not come back.
    #[error("the grant {by} has taken the place of the grant {grant}")]
    Superseded {
        /// Which one.
        grant: GrantId,
        /// By which one.
        by: GrantId,
    },
    /// It says that it takes the place of a grant that it cannot follow.
    #[error(
        "the grant {grant} cannot take the place of {replaces}, which is no grant in force of this agent and line"
    )]
    Succession {
        /// Which one.
        grant: GrantId,
        /// Whose place.
        replaces: GrantId,
    },
    /// There is no such grant.
    #[error("there is no grant {grant}; `kos grants list` shows those that there are")]
    Unknown {
        /// Which one.
        grant: GrantId,
    },
    /// The list of revoked grants is malformed or not signed by enough operators.
    #[error("the list of revoked grants does not count: {source}")]
    RevocationList {
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// The list of revoked grants is older than one seen before.
    #[error(
        "the list of revoked grants has version {found}, and at least {floor} is wanted: it was taken back"
    )]
    RevocationsRolledBack {
        /// Its version.
        found: u64,
        /// The least that is accepted.
        floor: u64,
    },
    /// A newer list lacks a grant that was revoked.
    #[error("the new list of revoked grants lacks {grant}, which is revoked")]
    RevocationTakenBack {
        /// Which one.
        grant: GrantId,
    },
    /// The file that keeps the highest version seen is damaged.
    #[error("{} holds no version number", path.display())]
    Floor {
        /// Which file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
}
