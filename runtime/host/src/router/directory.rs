//! Who peers are: what the registry and the trust store say of a key.
//!
//! In scope: the forms by which a peer is named in a scope, and whether its key still counts. Out of scope: what is granted
//! to whom (the gates).
//!
//! Keeps I4: after [`Known::forget`] the next message is judged by what lies there now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use kos_core::clock::Timestamp;
use kos_core::custody::agents;
use kos_core::home::{Home, HostConfig};
use kos_core::id::{AgentRef, AgreementKey, Did};
use kos_core::message::Rejection;
use kos_core::trust::VerifiedTrust;

/// The directory as it is now.
pub(super) struct Known {
    home: Home,
    config: HostConfig,
    read: RwLock<Option<Arc<Directory>>>,
}

/// The agents of the home, and whom its operators trust.
pub(super) struct Directory {
    /// None where it, or the agents' records, cannot be read: then nobody is trusted.
    trust: Option<VerifiedTrust>,
    agents: HashMap<Did, Agent>,
    /// None where several agents have the name.
    names: HashMap<String, Option<Did>>,
}

struct Agent {
    name: String,
    author: Did,
    /// None where the agent has not attested it.
    agreement_key: Option<AgreementKey>,
}

impl Known {
    pub(super) fn new(home: Home, config: HostConfig) -> Self {
        Self { home, config, read: RwLock::default() }
    }

    /// What is known at this moment, which is read once.
    pub(super) fn now(&self, now: Timestamp) -> Arc<Directory> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(directory) = read {
            return directory;
        }
        // Read under the lock, so that what is forgotten meanwhile is not kept.
        let mut kept = self.read.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get_or_insert_with(|| Arc::new(Directory::read(&self.home, &self.config, now))))
    }

    /// Has everything read again when it is needed next.
    pub(super) fn forget(&self) {
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An agent is there. Its record may be newer than what was read.
    pub(super) fn met(&self, did: &Did, name: &str) {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_new = |read: &Directory| read.agents.get(did).is_none_or(|agent| agent.name != name);
        if read.is_some_and(|read| is_new(&read)) {
            self.forget();
        }
    }
}

impl Directory {
    fn read(home: &Home, config: &HostConfig, now: Timestamp) -> Self {
        let trust = VerifiedTrust::load(home, config, now)
            .inspect_err(|error| tracing::warn!(%error, "no message is accepted without the trust store"));
        let peers = agents::peers::list(home, &config.host).inspect_err(|error| {
            tracing::warn!(%error, "no message is accepted while the records of other hosts' agents cannot be read");
        });
        let records = agents::list(home, &config.host).inspect_err(|error| {
            tracing::warn!(%error, "no message is accepted while the agents' records cannot be read");
        });
        // Without the records it is not known whose author was revoked.
        let (trust, records) = trust.ok().zip(records.ok().zip(peers.ok())).unzip();
        let (records, peers) = records.unwrap_or_default();
        let mut directory = Self { trust, agents: HashMap::new(), names: HashMap::new() };
        for record in records {
            let agreement_key = record.is_attested().then_some(record.agreement_key);
            directory.know(record.identity.did, &record.agent, agreement_key);
        }
        for peer in peers {
            directory.know(peer.did, &peer.agent, Some(peer.agreement_key));
        }
        directory
    }

    fn know(&mut self, did: Did, agent: &AgentRef, agreement_key: Option<AgreementKey>) {
        let name = agent.name.to_string();
        match self.names.entry(name.clone()) {
            Entry::Occupied(mut other) => drop(other.insert(None)),
            Entry::Vacant(free) => drop(free.insert(Some(did))),
        }
        self.agents.insert(did, Agent { name, author: agent.author, agreement_key });
    }

    /// The one agent with this name.
    pub(super) fn named(&self, name: &str) -> Option<Did> {
        self.names.get(name).copied().flatten()
    }

    /// Where messages to an agent are sealed to.
    pub(super) fn agreement_key(&self, did: &Did) -> Option<AgreementKey> {
        self.agents.get(did)?.agreement_key
    }

    /// The scopes that name a peer and a topic, the most exact first.
    pub(super) fn forms(&self, peer: &Did, topic: &str) -> Vec<String> {
        let mut forms = vec![format!("{peer}/{topic}")];
        let agent = self.agents.get(peer);
        if let Some(agent) = agent
            && self.named(&agent.name) == Some(*peer)
        {
            forms.push(format!("name:{}/{topic}", agent.name));
        }
        let trusted_as = agent.map_or(peer, |agent| &agent.author);
        if let Some(level) = self.trust.as_ref().and_then(|trust| trust.level_of(trusted_as)) {
            forms.push(format!("level:{level}/{topic}"));
        }
        forms
    }

    /// Whether a sender's key, and its author's where it is an agent of the home, still counts. A stranger's does: whether it is
    /// heard is a matter of grants.
    pub(super) fn judge(&self, sender: &Did) -> Result<(), Rejection> {
        let trust = self.trust.as_ref().ok_or(Rejection::Untrusted)?;
        let author = self.agents.get(sender).map(|agent| &agent.author);
        if trust.is_revoked_key(sender) || author.is_some_and(|author| trust.is_revoked_key(author)) {
            return Err(Rejection::Revoked);
        }
        if author.is_some_and(|author| trust.level_of(author).is_none()) {
            return Err(Rejection::Untrusted);
        }
        Ok(())
    }
}
