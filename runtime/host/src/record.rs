//! The host's entries about launches and runs.
//!
//! In scope: which facts stand in which entry. Out of scope: when they are written (`launch`, `run`).

use kos_core::id::{Did, Digest};
use kos_core::log::{Event, EventType, Log, PartyType};
use kos_core::manifest::VerifiedComponent;
use kos_core::message::{MessageId, Rejection};
use kos_core::permission::{
    Asking, DenialCount, DenialLedger, Denied, Learner, Limits, QuestionId, VerifiedPermissions,
};
use serde_json::json;

use crate::cache::Cached;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::run::Usage;
use crate::service;
use crate::text;
use crate::traffic::Traffic;

/// Longest text of a refused launch: a component's import names are as many and as long as its author likes, and an entry that is
/// too long would not be written at all.
const EXPLANATION_BYTES: usize = 4096;

/// What the exit entry tells of one name that a run used while it learned: with 256 of them the entry still fits.
const LEARNED_BYTES: usize = 128;

/// Appends an entry for which nobody waits. Where it is lost, the host's own diagnostics say so, in these words.
pub(crate) fn submit(log: &Log, event: Event, lost: &'static str) {
    log.submit(event, move |written| {
        if let Err(error) = written {
            tracing::error!(%error, "{lost}");
        }
    });
}

/// Whose run it is, for every entry about it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) run: String,
    pub(crate) host: String,
    pub(crate) did: String,
    pub(crate) agent: String,
    pub(crate) digest: Digest,
}

impl Subject {
    fn event(&self, event_type: EventType) -> Event {
        Event::new(event_type, PartyType::Agent, &*self.did)
            .with("run", &*self.run)
            .with("host", &*self.host)
            .with("agent", &*self.agent)
    }

    /// A run begins. Durable before its first instruction (I5).
    pub(crate) fn launch(
        &self,
        component: &VerifiedComponent,
        permissions: &VerifiedPermissions,
        limits: &Limits,
        cached: Cached,
    ) -> Event {
        let grants: Vec<String> = permissions.grants().iter().map(|grant| grant.id().to_string()).collect();
        let signers: Vec<String> = component.signers().iter().map(ToString::to_string).collect();
        self.event(EventType::AgentLaunch)
            .on("component", self.digest.to_string())
            .with("manifest", component.statement().to_string())
            .with("version", component.manifest().version.to_string())
            .with("level", component.level().to_string())
            .with("signers", signers)
            .with("grants", grants)
            .with("limits", json!(limits))
            .with("artifact", cached.name())
    }

    /// A run ended.
    pub(crate) fn exit(
        &self,
        outcome: &Outcome,
        usage: &Usage,
        denials: &DenialLedger,
        traffic: &Traffic,
    ) -> Event {
        let (kinds, others) = denials.counts_so_far();
        let mut event = self
            .event(EventType::AgentExit)
            .on("component", self.digest.to_string())
            .with("outcome", outcome.name())
            .with("status", outcome.exit_status())
            .with("usage", json!(usage));
        if let Outcome::Trap { message } = outcome {
            event = event.with("trap", &**message);
        }
        if !kinds.is_empty() {
            event = event.with("denials", counted(&kinds)).with("otherDenials", others);
        }
        let rejections = traffic.rejections();
        if !rejections.is_empty() {
            event = event.with("rejections", rejections.into_iter().collect::<serde_json::Value>());
        }
        event
    }

    /// A service broke at a message, for the first time in this way.
    pub(crate) fn broke(&self, outcome: &Outcome) -> Event {
        self.event(EventType::Alert)
            .on("component", self.digest.to_string())
            .with("reason", service::kind(outcome))
            .with("explanation", format!("a message was not handled: {outcome}"))
    }

    /// A call was denied, for the first time for this capability and reason.
    pub(crate) fn denied(&self, denied: &Denied) -> Event {
        self.event(EventType::PermissionDenied)
            .on("capability", denied.capability.to_string())
            .with("scope", &*denied.scope)
            .with("reason", denied.reason.name())
            .with("explanation", denied.reason.to_string())
    }

    /// A call of the agent waits for a person's approval.
    pub(crate) fn asked(&self, asking: &Asking, question: QuestionId) -> Event {
        self.event(EventType::PermissionRequest)
            .on("approval", question.to_string())
            .with("component", self.digest.to_string())
            .with("capability", asking.capability.to_string())
            .with("scope", &*asking.scope)
            .with("grant", asking.grant.to_string())
    }

    /// A message to the agent was rejected, for the first time for this reason. It may not be known which, and of whom.
    pub(crate) fn rejected(&self, named: Option<(MessageId, &Did)>, rejection: &Rejection) -> Event {
        let event = self
            .event(EventType::MessageRejected)
            .with("reason", rejection.name())
            .with("explanation", rejection.to_string());
        match named {
            Some((message, sender)) => {
                event.on("message", message.to_string()).with("sender", sender.to_string())
            }
            None => event,
        }
    }

    /// The agent reaches for a secret; the vault says for which, and how.
    pub(crate) fn access(&self) -> Event {
        self.event(EventType::VaultAccess)
    }

    /// The agent's own remark.
    pub(crate) fn note(&self, topic: &str, text: &str) -> Event {
        self.event(EventType::AgentNote).on("note", topic).with("text", text)
    }
}

/// What the run used under the grant that was lent to it, and what it would have been without. Names are cut, as an entry that is too long would not be written.
pub(crate) fn learned(exit: Event, learner: &Learner) -> Event {
    let (uses, others) = learner.uses();
    let uses: serde_json::Value = uses
        .iter()
        .map(|used| {
            let (capability, scope) = &used.kind;
            let scope = text::one_line(scope, LEARNED_BYTES);
            json!({
                "capability": capability.to_string(),
                "scope": scope,
                "count": used.count,
                "wouldBe": used.first.unwrap_or("allowed"),
            })
        })
        .collect();
    exit.with("learned", uses).with("otherUses", others)
}

fn counted(kinds: &[DenialCount]) -> serde_json::Value {
    kinds
        .iter()
        .map(|kind| {
            json!({
                "capability": kind.capability.to_string(),
                "reason": kind.reason.name(),
                "scope": kind.scope,
                "count": kind.count,
            })
        })
        .collect()
}

/// A launch was refused.
pub(crate) fn refused(host: &str, shown: &str, digest: Option<Digest>, refusal: &Refusal) -> Event {
    let shown = text::one_line(shown, EXPLANATION_BYTES);
    let target = digest.map_or_else(|| shown.clone(), |digest| digest.to_string());
    Event::new(EventType::PermissionDenied, PartyType::System, host)
        .on("component", target)
        .with("launch", shown)
        .with("reason", refusal.name())
        .with("explanation", text::one_line(&refusal.to_string(), EXPLANATION_BYTES))
}

/// Someone else wrote into the cache of compiled artifacts.
pub(crate) fn altered_artifact(host: &str, digest: &Digest) -> Event {
    Event::new(EventType::Alert, PartyType::System, host)
        .on("component", digest.to_string())
        .with("reason", "altered-artifact")
        .with("explanation", "a compiled artifact in the cache is not the host's own; it was not loaded")
}
