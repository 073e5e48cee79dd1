//! `kos agents`: the agents that were launched here.

mod add;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kos_core::canonical::base64_encode;
use kos_core::custody::agents::{self, AgentRecord};
use kos_core::home::{Home, HostConfig};
use kos_core::log::event::EventType;
use kos_host::control;
use serde_json::{Value, json};

use super::Ended;
use super::grants::is_named;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, GOOD, cell, paint, short_did, to_second};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos agents …`.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// List the agents.
    List(ListAgents),
    /// Show who an agent is.
    Show(ShowAgent),
    /// Make an agent of another host known here, so that messages go to it and come from it.
    Add(add::AddAgent),
    /// Forget an agent and its keys; launched again, it is somebody new. One of another host is forgotten here alone.
    Remove(RemoveAgent),
}

impl Agents {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Add(command) => command.run(context),
            Self::Remove(command) => command.run(context),
        }
    }
}

/// `kos agents list`.
#[derive(Debug, Args)]
pub struct ListAgents {}

impl ListAgents {
    fn run(&self, context: &Context) -> Ended {
        let (home, config) = context.open_home()?;
        let records = agents::list(&home, &config.host)?;
        let values: Vec<Value> = records.iter().map(to_json).collect();
        context.output.answer(&values, || {
            let mut table =
                Columns::new(&["AGENT", "IDENTIFIER", "AUTHOR", "LEVEL", "VERSION", "LAST LAUNCHED"]);
            for record in &records {
                let identity = &record.identity;
                table.row([
                    cell(&record.agent.name),
                    cell(identity.did),
                    cell(short_did(&record.agent.author)),
                    cell(identity.trust_level),
                    cell(&record.highest_version),
                    cell(to_second(identity.last_verified)),
                ]);
            }
            table.or_else("no agent was launched yet")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos agents show AGENT`.
#[derive(Debug, Args)]
pub struct ShowAgent {
    /// Its name, its identifier, or `did:key:…#name`.
    agent: String,
}

impl ShowAgent {
    fn run(&self, context: &Context) -> Ended {
        let (home, config) = context.open_home()?;
        let record = find(&home, &config, &self.agent)?;
        context.output.answer(&to_json(&record), || {
            let identity = &record.identity;
            let mut facts = Columns::facts();
            facts.fact("agent", &record.agent);
            facts.fact("identifier", identity.did);
            facts.fact("agreement key", record.agreement_key);
            facts.fact("level", identity.trust_level);
            facts.fact("highest version", &record.highest_version);
            facts.fact("declares", identity.capabilities.join(" "));
            facts.fact("first launched", to_second(identity.registration_timestamp));
            facts.fact("last launched", to_second(identity.last_verified));
            facts.or_else("")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos agents remove AGENT`.
#[derive(Debug, Args)]
pub struct RemoveAgent {
    /// Its name, its identifier, or `did:key:…#name`.
    agent: String,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl RemoveAgent {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let _changing = session.lock_changes()?;
        if let Some(peer) = add::find_peer(&session, &self.agent)? {
            return add::forget(context, &session, &peer);
        }
        let record = find(&session.home, &session.config, &self.agent)?;
        let did = record.identity.did.to_string();
        let hosts = control::ps(&session.home)?;
        if hosts.iter().flat_map(|host| &host.agents).any(|running| running.did == did) {
            return Err(Failure::new(format!("`{}` is running", record.agent.name))
                .remedy(format!("kos stop {}", record.agent.name)));
        }
        let event = session
            .event_by(&session.local_operators()?, EventType::SystemModification)
            .on("agent", record.agent.to_string())
            .with("change", "remove-agent")
            .with("did", &*did);
        session.change(event, || Ok(agents::remove(&session.home, &*session.custodian, &record.agent)?))?;
        context.output.answer(&json!({ "removed": did }), || {
            paint(GOOD, format!("{} is forgotten, and its keys are gone", record.agent.name))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The one agent that `text` names.
pub(super) fn find(home: &Home, config: &HostConfig, text: &str) -> Result<AgentRecord, Failure> {
    let mut records = agents::list(home, &config.host)?;
    records.retain(|record| is_named(&record.agent, text) || record.identity.did.to_string() == text);
    let is_one = records.len() == 1;
    match records.pop() {
        Some(record) if is_one => Ok(record),
        Some(_) => Err(Failure::new(format!("several agents are named `{text}`"))
            .remedy("name one by its identifier: kos agents list")),
        None => Err(Failure::new(format!("no agent `{text}` was launched here")).remedy("kos agents list")),
    }
}

fn to_json(record: &AgentRecord) -> Value {
    json!({
        "agent": record.agent.to_string(),
        "name": record.agent.name.to_string(),
        "author": record.agent.author.to_string(),
        "identity": record.identity,
        "agreementKey": record.agreement_key.to_string(),
        "attestation": base64_encode(&record.attestation),
        "highestVersion": record.highest_version.to_string(),
    })
}
