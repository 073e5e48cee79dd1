//! `kos explain --entry ID`: a refusal that the log tells of, then and now.
//!
//! In scope: finding the entry and the launch of its run. Out of scope: judging (`kos_core::permission::explain_refused`).
//! What the log says of then is read and not verified, as `kos log show` does; `kos log verify` says whether it is true.

use std::process::ExitCode;

use kos_core::capability::Capability;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::home::{Home, HostConfig};
use kos_core::id::Name;
use kos_core::log::EventType;
use kos_core::log::entry::Entry;
use kos_core::log::reader::LogReader;
use kos_core::permission::{Decision, Explanation, Facts, KEPT_OF_A_SCOPE, Refused, Usage, explain_refused};
use kos_core::trust::VerifiedTrust;
use serde::Serialize;
use serde_json::Value;

use super::for_person;
use crate::command::Ended;
use crate::component;
use crate::context::Context;
use crate::failure::{Explain as _, FAILED, Failure};
use crate::output::{CARE, clean, paint};

/// A refusal, then and now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    index: u64,
    agent: String,
    /// What the entry says.
    then: Then,
    /// What the same call would meet now; none for a refused launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Explanation>,
    /// Whether the two differ.
    differs: bool,
}

#[derive(Debug, Serialize)]
struct Then {
    reason: String,
    because: String,
}

/// Explains the entry of this index or identifier.
pub(super) fn explain(context: &Context, id: &str, environment: Option<&Name>) -> Ended {
    let (home, config) = context.open_home()?;
    let reader = LogReader::open(&home.log())?;
    let (index, entry) = find(&reader, id)?;
    if entry.event_type != EventType::PermissionDenied {
        return Err(Failure::new(format!("the entry {index} is a {}", entry.event_type.as_str()))
            .why("what is explained is a permission_denied")
            .remedy("kos log show --type permission_denied"));
    }
    let then = Then { reason: text(&entry, "reason"), because: text(&entry, "explanation") };
    let now = match refused(&reader, &entry)? {
        Some(refused) => Some(now(&home, &config, &refused, environment)?),
        None => None,
    };
    let reason_now = now.as_ref().map(|now| match &now.decision {
        Decision::Allowed { .. } => "allowed",
        Decision::Denied(reason) => reason.name(),
    });
    let differs = reason_now.is_some_and(|now| now != then.reason);
    let agent = [text(&entry, "agent"), text(&entry, "launch")].into_iter().find(|text| !text.is_empty());
    let explained = Explained { index, agent: agent.unwrap_or_default(), then, now, differs };
    context.output.answer(&explained, || shown(&explained))?;
    let is_allowed = explained.now.is_some_and(|now| now.decision.is_allowed());
    Ok(if is_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn now(
    home: &Home,
    config: &HostConfig,
    refused: &Refused,
    environment: Option<&Name>,
) -> Result<Explanation, Failure> {
    let now = SystemClock.now();
    let trust = VerifiedTrust::load(home, config, now).map_err(component::trust_refused)?;
    let facts = Facts { now, environment, usage: Usage::NONE, is_locked: false };
    Ok(explain_refused(home, config, &trust, refused, &facts)?)
}

/// The entry of an index or an identifier.
fn find(reader: &LogReader, id: &str) -> Result<(u64, Entry), Failure> {
    let size = reader.size()?;
    let named = id.parse::<u64>().ok().filter(|index| *index < size);
    for item in reader.entries(named.map_or(0..size, |index| index..index + 1)) {
        let (index, bytes) = item?;
        let entry = Entry::parse_unverified(&bytes).doing(format!("entry {index} cannot be read"))?;
        if named.is_some() || entry.id == id {
            return Ok((index, entry));
        }
    }
    Err(Failure::new(format!("the log has no entry {}", clean(id)))
        .remedy("kos log show --type permission_denied"))
}

/// The call that the entry tells of; none where it tells of a launch.
fn refused(reader: &LogReader, entry: &Entry) -> Result<Option<Refused>, Failure> {
    let Some(target) = entry.target.as_ref().filter(|target| target.kind == "capability") else {
        return Ok(None);
    };
    let capability: Capability = target.id.parse()?;
    let run = text(entry, "run");
    let launch = launch_of(reader, &run)?;
    let scope = text(entry, "scope");
    if scope.chars().count() >= KEPT_OF_A_SCOPE {
        return Err(Failure::new(
            "the log has only the beginning of the scope, so it cannot be judged again",
        )
        .remedy(format!("kos explain AGENT.wasm {capability}:SCOPE, with the whole scope")));
    }
    let component = launch.target.as_ref().map(|target| target.id.clone()).unwrap_or_default();
    Ok(Some(Refused {
        agent: text(entry, "agent").parse()?,
        component: component.parse()?,
        level: text(&launch, "level").parse()?,
        capability,
        scope,
        reason: text(entry, "reason"),
    }))
}

fn launch_of(reader: &LogReader, run: &str) -> Result<Entry, Failure> {
    for item in reader.entries(0..reader.size()?) {
        let (index, bytes) = item?;
        let entry = Entry::parse_unverified(&bytes).doing(format!("entry {index} cannot be read"))?;
        if entry.event_type == EventType::AgentLaunch && text(&entry, "run") == run {
            return Ok(entry);
        }
    }
    Err(Failure::new(format!("the log has no launch of the run {}", clean(run))))
}

fn text(entry: &Entry, name: &str) -> String {
    entry.details.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn shown(explained: &Explained) -> String {
    let Explained { index, agent, then, now, differs } = explained;
    let mut text = format!("entry {index}: {} was refused: {}", clean(agent), clean(&then.because));
    let Some(now) = now else {
        text.push_str("\na launch is explained by launching it again: kos-run, or kos inspect");
        return text;
    };
    let verdict = if *differs { "now it is otherwise" } else { "now it is the same" };
    text.push_str(&format!("\n{}\n{}", paint(CARE, verdict), for_person(now)));
    text
}
