//! `kos grants narrow` and `kos grants extend`: a newly signed grant in the place of an installed one.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, Timestamp};
use kos_core::crypto::Signer as _;
use kos_core::id::Did;
use kos_core::log::event::EventType;
use kos_core::permission::{
    self, AgentPermissions, AmendError, Extension, GrantId, Limits, Narrowing, Standing, VerifiedGrant, When,
    extended, narrowed,
};
use serde_json::json;

use super::{find, listed};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{GOOD, paint};
use crate::session::{Session, as_signers, in_force};
use crate::unlock::UnlockArguments;

/// `kos grants narrow ID`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos grants narrow 7923b02d --remove crypto.sign          take a capability away
  kos grants narrow 7923b02d --remove crypto.sign:receipt  or one of its scopes, as the grant writes it
  kos grants narrow 7923b02d --for 1h --limit memory=16MiB

The narrower grant is signed anew and takes the old one's place in one step; what was used of
its counted conditions stays used. The old one does not come back.")]
pub struct NarrowGrant {
    /// Which grant: its 16 digits, or as many as tell it apart.
    grant: String,
    /// Take away: CAPABILITY, or CAPABILITY:SCOPE as the grant writes it; may be given several times.
    #[arg(long, value_name = "CAPABILITY[:SCOPE]")]
    remove: Vec<String>,
    /// An earlier end: a span from now (1h) or a date.
    #[arg(long = "for", value_name = "SPAN", id = "span")]
    span: Option<String>,
    /// Lower limits: memory=16MiB,duration=10s.
    #[arg(long, value_name = "LIMITS")]
    limit: Option<String>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// `kos grants extend ID`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos grants extend 7923b02d --for 90d
  kos grants extend 7923b02d --allow crypto.sign:invoice

A rule keeps its conditions, which hold for what is added to it, too; what was used of them
stays used.")]
pub struct ExtendGrant {
    /// Which grant: its 16 digits, or as many as tell it apart.
    grant: String,
    /// Allow besides: CAPABILITY or CAPABILITY:SCOPE; may be given several times.
    #[arg(long, value_name = "CAPABILITY[:SCOPE]")]
    allow: Vec<String>,
    /// A later end: a span from now (90d), a date, or `never`.
    #[arg(long = "for", value_name = "SPAN", id = "span")]
    span: Option<String>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl NarrowGrant {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let remove = self.remove.iter().map(|text| text.parse()).collect::<Result<_, AmendError>>()?;
        let limits = self.limit.as_deref().map(Limits::parse_overrides).transpose()?.unwrap_or_default();
        let wanted = self.span.as_deref().map(When::parse).transpose()?;
        change(context, &self.unlock, &self.grant, "narrow", |grant, issued| {
            let expires = wanted.map(|when| when.expiry(issued.1));
            narrowed(grant, &Narrowing { remove, expires, limits }, issued)
        })
    }
}

impl ExtendGrant {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let add = self.allow.iter().map(|text| text.parse()).collect::<Result<_, AmendError>>()?;
        let wanted = self.span.as_deref().map(When::parse).transpose()?;
        change(context, &self.unlock, &self.grant, "extend", |grant, issued| {
            let expires = wanted.map(|when| when.expiry(issued.1));
            extended(grant, &Extension { add, expires }, issued)
        })
    }
}

/// Signs the changed grant and puts it in the old one's place, entry first.
fn change(
    context: &Context,
    unlock: &UnlockArguments,
    text: &str,
    word: &'static str,
    amended: impl FnOnce(&VerifiedGrant, (Did, Timestamp)) -> Result<AgentPermissions, AmendError>,
) -> Ended {
    let session = Session::open(context, unlock)?;
    let _lock = session.lock_changes()?;
    let grants = listed(context)?;
    let old = find(&grants, text)?;
    let old_id = old.grant.id();
    match &old.standing {
        Standing::InForce | Standing::NotYet { .. } | Standing::Expired { .. } => {}
        Standing::Revoked(_) => return Err(Failure::new(format!("the grant {old_id} was revoked"))),
        Standing::Superseded { by } => {
            return Err(Failure::new(format!("the grant {by} has taken the place of {old_id}"))
                .remedy(format!("kos grants {word} {by} …")));
        }
    }
    let operators = session.operators()?;
    let now = session.clock.now();
    let signed_by = operators.first().map_or(session.config.host, |operator| operator.did());
    let permissions = amended(&old.grant, (signed_by, now))?;
    let signers = as_signers(&operators);
    let envelope = permissions.sign(&signers)?;
    let id = GrantId::of(envelope.unverified_payload());
    let event = session
        .event_by(&operators, EventType::PermissionGrant)
        .on("grant", id.to_string())
        .with("change", word)
        .with("replaces", old_id.to_string())
        .with("agent", permissions.agent_id.to_string())
        .with("permissions", json!(permissions));
    let hosts = session.change(event, || {
        permission::supersede(&session.home, &session.config, &envelope, now, &signers)?;
        Ok(())
    })?;
    context.output.answer(&json!({ "grant": id, "replaces": old_id, "hosts": hosts }), || {
        format!("{}\n{}", paint(GOOD, format!("{id} takes the place of {old_id}")), in_force(hosts))
    })?;
    Ok(ExitCode::SUCCESS)
}
