//! The release: which engagement of which host is over, signed by as many operators as the home demands.
//!
//! It names the index of the engagement's newest entry, so that it releases that one and none before or after it.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::envelope::{Envelope, EnvelopeError};
use crate::home::HostConfig;
use crate::id::Did;
use crate::line;
use crate::log::{self, Event, EventType, PartyType};
use crate::trust::VerifiedTrust;

/// What an envelope that holds a release says it holds.
pub const RESUME_TYPE: &str = "application/vnd.kos.kill-switch-resume.v1+json";
/// An index, a key, a time and one sentence.
const RESUME_MAX: usize = 4096;
/// One sentence.
const REASON_MAX: usize = 256;

/// Why a release is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Not signed by enough operators, or malformed.
    #[error("the release is not accepted: {0}")]
    Envelope(#[from] EnvelopeError),
    /// A signer's key was revoked.
    #[error("the release is signed by {key}, which is revoked")]
    Revoked {
        /// Whose.
        key: Did,
    },
    /// Of another host.
    #[error("the release is for the host {named}, and this is {here}")]
    Host {
        /// Which it names.
        named: Did,
        /// Which this is.
        here: Did,
    },
    /// Of another engagement: an older one, most likely.
    #[error("the release is for the engagement at entry {named}, and everything was stopped at entry {now}")]
    Engagement {
        /// Which it names.
        named: u64,
        /// Which is in force.
        now: u64,
    },
    /// The reason is not one honest line.
    #[error("the reason must be one line of at most {REASON_MAX} bytes")]
    Reason,
}

/// That one engagement is over. It counts for nothing before it is signed and [`VerifiedResume::check`]ed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The index of the engagement's newest entry.
    pub engagement: u64,
    /// Whose log that entry stands in.
    pub host: Did,
    /// When it was written; it decides nothing.
    pub issued: Timestamp,
    /// Why it is safe to go on.
    pub reason: String,
}

impl Resume {
    /// Signs it by each of `signers`.
    ///
    /// # Errors
    /// [`ResumeError::Reason`], or a signer's refusal.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, ResumeError> {
        if !line::is_honest(&self.reason, REASON_MAX) {
            return Err(ResumeError::Reason);
        }
        let payload = canonical::to_canonical(self).map_err(EnvelopeError::from)?;
        Ok(Envelope::sign(RESUME_TYPE, payload, signers)?)
    }
}

/// A release of the engagement in force, by enough operators. Only [`VerifiedResume::check`] makes one.
///
/// ```compile_fail
/// fn forged(resume: kos_core::kill_switch::Resume) -> kos_core::kill_switch::VerifiedResume {
///     kos_core::kill_switch::VerifiedResume { resume, signers: vec![], envelope: todo!() }
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedResume {
    resume: Resume,
    signers: Vec<Did>,
    envelope: Envelope,
}

impl VerifiedResume {
    /// Checks a release against the operators of `config`, the keys that `trust` revokes, and the engagement in force.
    ///
    /// # Errors
    /// [`ResumeError`], each variant with its cause.
    pub fn check(
        envelope: Envelope,
        config: &HostConfig,
        trust: &VerifiedTrust,
        engagement: u64,
    ) -> Result<Self, ResumeError> {
        let operators = config.operators.iter().copied();
        let verified = envelope.clone().verify(RESUME_TYPE, operators, config.required_operators())?;
        if let Some(key) = verified.signers().iter().find(|key| trust.is_revoked_key(key)) {
            return Err(ResumeError::Revoked { key: *key });
        }
        let resume: Resume =
            canonical::from_canonical(verified.payload(), RESUME_MAX).map_err(EnvelopeError::from)?;
        if resume.host != config.host {
            return Err(ResumeError::Host { named: resume.host, here: config.host });
        }
        if resume.engagement != engagement {
            return Err(ResumeError::Engagement { named: resume.engagement, now: engagement });
        }
        if !line::is_honest(&resume.reason, REASON_MAX) {
            return Err(ResumeError::Reason);
        }
        Ok(Self { resume, signers: verified.signers().to_vec(), envelope })
    }

    /// What it says.
    #[must_use]
    pub fn resume(&self) -> &Resume {
        &self.resume
    }

    /// The entry that releases, with the signed document, so that whoever reads the log can check it again.
    #[must_use]
    pub fn event(&self) -> Event {
        let actor = self.signers.first().unwrap_or(&self.resume.host).to_string();
        let signers: Vec<String> = self.signers.iter().map(ToString::to_string).collect();
        let event = Event::new(EventType::KillSwitch, PartyType::User, actor)
            .with("reason", &*self.resume.reason)
            .with("signers", signers)
            .with("release", serde_json::json!(self.envelope));
        log::released(event, self.resume.engagement)
    }
}
