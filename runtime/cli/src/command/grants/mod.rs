//! `kos grants`: what was granted, and its withdrawal.

mod amend;
pub(super) mod revoke;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::id::AgentRef;
use kos_core::permission::{self, Expiry, GrantId, ListedGrant, PermissionRequest, Standing};
use serde_json::{Value, json};

use super::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, FAINT, cell, paint, short_did, to_second, verdict};

/// `kos grants …`.
#[derive(Debug, Subcommand)]
pub enum Grants {
    /// List the installed grants.
    List(ListGrants),
    /// Show one grant in full.
    Show(ShowGrant),
    /// Take some of a grant away: capabilities, scopes, time, limits.
    Narrow(amend::NarrowGrant),
    /// Add to a grant: capabilities, scopes, time.
    Extend(amend::ExtendGrant),
    /// Withdraw a grant; in force on the next call of a running agent.
    Revoke(revoke::RevokeGrant),
    /// Put revocations in force that were signed elsewhere.
    Install(revoke::InstallRevocations),
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
            Self::Narrow(command) => command.run(context),
            Self::Extend(command) => command.run(context),
            Self::Revoke(command) => command.run(context),
            Self::Install(command) => command.run(context),
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
        Standing::Superseded { by } => format!("replaced by {by}"),
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
