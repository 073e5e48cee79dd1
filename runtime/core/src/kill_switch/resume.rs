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
/// # fn forge(resume: kos_core::kill_switch::Resume, envelope: kos_core::envelope::Envelope) {
/// kos_core::kill_switch::VerifiedResume { resume, signers: vec![], envelope };
/// # }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use crate::home::Home;
    use crate::trust::{self, TrustStore};

    const ENGAGEMENT: u64 = 7;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1)
    }

    /// Two of the operators 1, 2 and 3 must sign; the key of 3 is revoked.
    fn world() -> (tempfile::TempDir, HostConfig, VerifiedTrust) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        let operators = [1, 2, 3].map(|seed| key(seed).did()).to_vec();
        let config = HostConfig::new(key(9).did(), "kos.test/log".to_owned(), operators, 2, now());
        let store = TrustStore::initial(now()).revoke_key(key(3).did(), "lost", now()).unwrap().store;
        let trust = trust::install(&home, &config, &store, &[&key(1), &key(2)], now()).unwrap();
        (folder, config, trust)
    }

    fn resume() -> Resume {
        Resume { engagement: ENGAGEMENT, host: key(9).did(), issued: now(), reason: "checked".to_owned() }
    }

    #[test]
    fn enough_operators_release_the_engagement_that_they_name() {
        let (_folder, config, trust) = world();
        let check = |resume: Resume, signers: &[u8], engagement| {
            let keys: Vec<SecretKey> = signers.iter().map(|seed| key(*seed)).collect();
            let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
            VerifiedResume::check(resume.sign(&signers).unwrap(), &config, &trust, engagement)
        };
        let verified = check(resume(), &[2, 1], ENGAGEMENT).unwrap();
        assert_eq!(verified.resume(), &resume());
        assert_eq!(verified.event().details.get("engagement"), Some(&ENGAGEMENT.into()));

        let too_few = [&[1][..], &[1, 1], &[1, 4], &[9, 1]];
        for signers in too_few {
            let refused = check(resume(), signers, ENGAGEMENT);
            assert!(
                matches!(refused, Err(ResumeError::Envelope(EnvelopeError::Threshold { .. }))),
                "{signers:?}"
            );
        }
        assert!(matches!(check(resume(), &[1, 3], ENGAGEMENT), Err(ResumeError::Revoked { .. })));
        for engagement in [ENGAGEMENT - 1, ENGAGEMENT + 1] {
            let refused = check(resume(), &[1, 2], engagement);
            assert!(matches!(refused, Err(ResumeError::Engagement { named: ENGAGEMENT, .. })));
        }
        let elsewhere = Resume { host: key(8).did(), ..resume() };
        assert!(matches!(check(elsewhere, &[1, 2], ENGAGEMENT), Err(ResumeError::Host { .. })));
    }

    #[test]
    fn what_operators_sign_for_another_use_releases_nothing() {
        let (_folder, config, trust) = world();
        let (one, two) = (key(1), key(2));
        let payload = canonical::to_canonical(&resume()).unwrap();
        let other = Envelope::sign("application/vnd.kos.trust.v1+json", payload, &[&one, &two]).unwrap();
        let refused = VerifiedResume::check(other, &config, &trust, ENGAGEMENT);
        assert!(matches!(refused, Err(ResumeError::Envelope(EnvelopeError::PayloadType { .. }))));
        assert!(matches!(
            Resume { reason: "two\nlines".to_owned(), ..resume() }.sign(&[&one]),
            Err(ResumeError::Reason)
        ));
    }
}
