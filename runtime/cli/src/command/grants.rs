//! `kos grants`: what was granted, and its withdrawal.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::id::AgentRef;
use kos_core::log::event::EventType;
use kos_core::permission::{self, Expiry, GrantId, ListedGrant, PermissionRequest, Standing};
use serde_json::{Value, json};

use super::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, FAINT, GOOD, cell, paint, short_did, to_second, verdict};
use crate::session::{Session, as_signers, in_force};
use crate::unlock::UnlockArguments;

/// The reason when none is given.
const NO_REASON: &str = "no reason given";

/// `kos grants …`.
#[derive(Debug, Subcommand)]
pub enum Grants {
    /// List the installed grants.
    List(ListGrants),
    /// Show one grant in full.
    Show(ShowGrant),
    /// Withdraw a grant; in force on the next call of a running agent.
    Revoke(RevokeGrant),
}

impl Grants {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Revoke(command) => command.run(context),
        }
    }
}

/// `kos grants list`.
#[derive(Debug, Args)]
pub struct ListGrants {
    /// Only those of this agent: its name, or `did:key:…#name`.
    agent: Option<String>,
    /// Expired and revoked grants too.
    #[arg(long)]
    all: bool,
}

impl ListGrants {
    fn run(&self, context: &Context) -> Ended {
        let mut grants = listed(context)?;
        grants.retain(|listed| {
            let is_wanted = |wanted: &String| is_named(&listed.grant.permissions().agent_id, wanted);
            self.agent.as_ref().is_none_or(is_wanted) && (self.all || is_alive(&listed.standing))
        });
        let values: Vec<Value> = grants.iter().map(to_json).collect();
        context.output.answer(&values, || {
            let mut table = Columns::new(&["GRANT", "AGENT", "AUTHOR", "CAPABILITIES", "UNTIL", "STANDING"]);
            for listed in &grants {
                let permissions = listed.grant.permissions();
                let names: Vec<&str> =
                    permissions.capabilities.keys().map(|capability| capability.as_str()).collect();
                table.row([
                    cell(listed.grant.id()),
                    cell(&permissions.agent_id.name),
                    cell(short_did(&permissions.agent_id.author)),
                    cell(if names.is_empty() { "to run".to_owned() } else { names.join(" ") }),
                    cell(until(permissions.expires)),
                    verdict(listed.standing == Standing::InForce, standing(&listed.standing)),
                ]);
            }
            table.or_else("nothing is granted; kos grant AGENT.wasm --allow CAPABILITY:SCOPE --for 30d")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos grants show ID`.
#[derive(Debug, Args)]
pub struct ShowGrant {
    /// Which grant: its 16 digits, or as many as tell it apart.
    grant: String,
}

impl ShowGrant {
    fn run(&self, context: &Context) -> Ended {
        let grants = listed(context)?;
        let listed = find(&grants, &self.grant)?;
        context.output.answer(&to_json(listed), || {
            let permissions = listed.grant.permissions();
            let mut facts = Columns::facts();
            facts.fact("grant", listed.grant.id());
            facts.fact("agent", &permissions.agent_id);
            match &permissions.pin {
                permission::Pin::Component { component } => facts.fact("pin", component),
                permission::Pin::Author { .. } => {
                    facts.fact("pin", "whatever the author signs under this name")
                }
            }
            for signer in listed.grant.signers() {
                facts.fact("signed by", signer);
            }
            facts.fact("issued", permissions.timestamp);
            facts.fact("standing", standing(&listed.standing));
            let toml = PermissionRequest::of(permissions).to_toml();
            format!("{}\n\n{}", facts.or_else(""), paint(FAINT, toml.trim_end()))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos grants revoke ID`.
#[derive(Debug, Args)]
pub struct RevokeGrant {
    /// Which grants: their 16 digits, or as many as tell them apart.
    #[arg(required = true, value_name = "GRANT")]
    grants: Vec<String>,
    /// Why, in one line, for those who read the log.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl RevokeGrant {
    fn run(&self, context: &Context) -> Ended {
        let grants = listed(context)?;
        let chosen: Vec<&ListedGrant> =
            self.grants.iter().map(|text| find(&grants, text)).collect::<Result<_, _>>()?;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let mut hosts = 0;
        for listed in &chosen {
            hosts = revoke(&session, listed, &self.reason)?;
        }
        let ids: Vec<String> = chosen.iter().map(|listed| listed.grant.id().to_string()).collect();
        context.output.answer(&json!({ "revoked": ids, "hosts": hosts }), || {
            format!("{}\n{}", paint(GOOD, format!("revoked {}", ids.join(", "))), in_force(hosts))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Withdraws one grant, entry first. Yields in how many running hosts that is in force.
pub(super) fn revoke(session: &Session, listed: &ListedGrant, reason: &str) -> Result<usize, Failure> {
    if let Standing::Revoked(revoked) = &listed.standing {
        return Err(Failure::new(format!("the grant {} was revoked at {}", listed.grant.id(), revoked.at)));
    }
    let operators = session.operators()?;
    let id = listed.grant.id();
    let event = session
        .event_by(&operators, EventType::PermissionRevoke)
        .on("grant", id.to_string())
        .with("agent", listed.grant.permissions().agent_id.to_string())
        .with("reason", reason);
    session.change(event, || {
        let now = session.clock.now();
        permission::revoke(&session.home, &session.config, id, reason, now, &as_signers(&operators))?;
        Ok(())
    })
}

fn listed(context: &Context) -> Result<Vec<ListedGrant>, Failure> {
    let (home, config) = context.open_home()?;
    permission::list(&home, &config, SystemClock.now()).doing("the grants of this home cannot be listed")
}

/// The one grant whose identifier begins with `text`.
fn find<'a>(grants: &'a [ListedGrant], text: &str) -> Result<&'a ListedGrant, Failure> {
    let is_meant = |id: GrantId| !text.is_empty() && id.to_string().starts_with(text);
    let mut found = grants.iter().filter(|listed| is_meant(listed.grant.id()));
    match (found.next(), found.next()) {
        (Some(listed), None) => Ok(listed),
        (None, _) => Err(Failure::new(format!("there is no grant `{text}`")).remedy("kos grants list --all")),
        (Some(_), Some(_)) => {
            Err(Failure::new(format!("`{text}` begins several grants")).remedy("kos grants list --all"))
        }
    }
}

/// Whether a person who writes `text` means `agent`.
pub(super) fn is_named(agent: &AgentRef, text: &str) -> bool {
    agent.name.as_str() == text || agent.to_string() == text
}

fn is_alive(standing: &Standing) -> bool {
    matches!(standing, Standing::InForce | Standing::NotYet { .. })
}

/// When a grant ends, to the second.
pub(super) fn until(expires: Expiry) -> Expiry {
    expires.instant().map_or(expires, |instant| Expiry::At(to_second(instant)))
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::InForce => "in force".to_owned(),
        Standing::NotYet { from } => format!("begins at {}", to_second(*from)),
        Standing::Expired { at } => format!("ended at {}", to_second(*at)),
        Standing::Revoked(revoked) => format!("revoked at {}: {}", to_second(revoked.at), revoked.reason),
    }
}

fn to_json(listed: &ListedGrant) -> Value {
    json!({
        "grant": listed.grant.id().to_string(),
        "standing": listed.standing,
        "signers": listed.grant.signers(),
        "permissions": listed.grant.permissions(),
    })
}
