//! `kos agents add`: an agent of another host becomes somebody here, and is never launched here.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::canonical::{self, base64_bytes};
use kos_core::clock::Clock as _;
use kos_core::custody::agents::peers::{self, PeerRecord};
use kos_core::custody::agents::{self, AgentIdentity};
use kos_core::durable;
use kos_core::id::{AgentRef, AgreementKey, Did, Name};
use kos_core::log::event::EventType;
use serde::Deserialize;
use serde_json::json;

use super::super::Ended;
use super::super::grants::is_named;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::session::{Session, in_force};
use crate::unlock::UnlockArguments;

/// Room for an agent with hundreds of capabilities.
const FILE_MAX: usize = 64 * 1024;

/// `kos agents add FILE`.
#[derive(Debug, Args)]
pub struct AddAgent {
    /// What `kos agents show AGENT --json` printed on the agent's own host. Be sure that it comes from there: its name and its
    /// author are believed.
    file: PathBuf,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// What `kos agents show --json` prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shown {
    agent: AgentRef,
    name: Name,
    author: Did,
    identity: AgentIdentity,
    agreement_key: AgreementKey,
    #[serde(with = "base64_bytes")]
    attestation: [u8; 64],
    #[serde(rename = "highestVersion")]
    _highest_version: String,
}

impl AddAgent {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let shown = self.read()?;
        let session = Session::open(context, &self.unlock)?;
        let _changing = session.lock_changes()?;
        let peer = PeerRecord::new(
            shown.agent,
            shown.identity.did,
            shown.agreement_key,
            shown.attestation,
            session.clock.now(),
        );
        let (did, name) = (peer.did.to_string(), peer.agent.name.to_string());
        let event = session
            .event_by(&session.local_operators()?, EventType::SystemModification)
            .on("agent", peer.agent.to_string())
            .with("change", "add-peer")
            .with("did", &*did)
            .with("agreementKey", peer.agreement_key.to_string());
        let host = session.host_key()?;
        let hosts = session.change(event, || Ok(peers::add(&session.home, &host, peer)?))?;
        context.output.answer(&json!({ "added": did, "name": name, "hosts": hosts }), || {
            paint(GOOD, format!("{name} is known as an agent of another host, {}", in_force(hosts)))
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn read(&self) -> Result<Shown, Failure> {
        let refused = || format!("{} is no agent", self.file.display());
        let bytes = durable::read_capped(&self.file, FILE_MAX as u64).doing(refused())?;
        let shown: Shown = canonical::from_strict(&bytes, FILE_MAX)
            .doing(refused())
            .or_try("kos agents show AGENT --json > FILE, on the agent's own host")?;
        let is_one = shown.agent.name == shown.name
            && shown.agent.author == shown.author
            && shown.identity.did.public_key() == &shown.identity.public_key;
        if !is_one {
            return Err(Failure::new(refused()).why("it names more than one agent"));
        }
        Ok(shown)
    }
}

/// The agent of another host that `text` names, where none of this home has that name.
pub(super) fn find_peer(session: &Session, text: &str) -> Result<Option<PeerRecord>, Failure> {
    if agents::list(&session.home, &session.config.host)?.iter().any(|own| is_named(&own.agent, text)) {
        return Ok(None);
    }
    let peers = peers::list(&session.home, &session.config.host)?;
    Ok(peers.into_iter().find(|peer| is_named(&peer.agent, text) || peer.did.to_string() == text))
}

/// Forgets an agent of another host.
pub(super) fn forget(context: &Context, session: &Session, peer: &PeerRecord) -> Ended {
    let did = peer.did.to_string();
    let event = session
        .event_by(&session.local_operators()?, EventType::SystemModification)
        .on("agent", peer.agent.to_string())
        .with("change", "remove-peer")
        .with("did", &*did);
    session.change(event, || Ok(peers::remove(&session.home, &peer.agent)?))?;
    context.output.answer(&json!({ "removed": did }), || {
        paint(GOOD, format!("{} is not known here any more", peer.agent.name))
    })?;
    Ok(ExitCode::SUCCESS)
}
