//! `kos grants revoke` and `kos grants install`: withdrawing what was granted, here or from an operator's machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::envelope::Envelope;
use kos_core::log::event::{Event, EventType, PartyType};
use kos_core::permission::{self, GrantId, ListedGrant, REVOCATIONS_TYPE, Revocations, Standing};
use serde_json::{Value, json};

use super::{find, listed};
use crate::command::Ended;
use crate::command::trust::read_envelope;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::session::{Session, as_signers, in_force};
use crate::unlock::UnlockArguments;

/// The reason when none is given.
const NO_REASON: &str = "no reason given";

/// `kos grants revoke ID`.
#[derive(Debug, Args)]
#[command(after_help = "\
For a host whose operator lives elsewhere, on the operator's machine, with a copy of the host's
grants/revoked.json if there is one:
  kos grants revoke 7923b02d6b682bdd --list revoked.json -o next.json
  kos grants install next.json                     on the host")]
pub struct RevokeGrant {
    /// Which grants: their 16 digits, or as many as tell them apart.
    #[arg(required = true, value_name = "GRANT")]
    grants: Vec<String>,
    /// Why, in one line, for those who read the log.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
    /// Write the signed list of revocations to FILE instead of putting it in force here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The list of revocations that is in force on the host, to which these are added.
    #[arg(long, value_name = "FILE", requires = "output")]
    list: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl RevokeGrant {
    pub(super) fn run(&self, context: &Context) -> Ended {
        match &self.output {
            Some(output) => self.sign_into(context, output),
            None => self.revoke_here(context),
        }
    }

    fn revoke_here(&self, context: &Context) -> Ended {
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

    fn sign_into(&self, context: &Context, output: &Path) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let now = session.clock.now();
        let mut list = match &self.list {
            Some(path) => verified(&session, &read_envelope(path)?)?,
            None => Revocations::default(),
        };
        for text in &self.grants {
            let id: GrantId =
                text.parse().or_try("the grant's 16 digits, as the host's `kos grants list` shows")?;
            list = list.with(id, &self.reason, now);
        }
        let operators = session.operators()?;
        write_public(output, &list.sign(&as_signers(&operators))?.to_bytes()?)?;
        let value = json!({ "revoked": self.grants, "version": list.version(), "file": output });
        context.output.answer(&value, || {
            format!(
                "{}\ninstall it on the host: kos grants install {}",
                paint(GOOD, format!("signed the list of revocations, version {}", list.version())),
                output.display()
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos grants install FILE`.
#[derive(Debug, Args)]
pub struct InstallRevocations {
    /// What `kos grants revoke -o FILE` wrote.
    file: PathBuf,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl InstallRevocations {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let envelope = read_envelope(&self.file)?;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let next = verified(&session, &envelope)?;
        let current = Revocations::load(&session.home, &session.config)?;
        if next.version() <= current.version() {
            return Err(Failure::new("these revocations are older than those in force")
                .why(format!("version {} cannot follow version {}", next.version(), current.version()))
                .remedy("kos grants revoke … --list grants/revoked.json, with the list of this home"));
        }
        let added = ids_of(&next)?;
        let event = Event::new(EventType::PermissionRevoke, PartyType::User, signer_of(&envelope))
            .on("grants", "revoked")
            .with("version", next.version())
            .with("grants", json!(added));
        let hosts = session.change(event, || {
            Revocations::install(&session.home, &session.config, &envelope)?;
            Ok(())
        })?;
        context.output.answer(
            &json!({ "version": next.version(), "revoked": added, "hosts": hosts }),
            || {
                let done =
                    format!("revocations version {} are installed: {}", next.version(), added.join(", "));
                format!("{}\n{}", paint(GOOD, done), in_force(hosts))
            },
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Withdraws one grant, entry first. Yields in how many running hosts that is in force.
pub(in crate::command) fn revoke(
    session: &Session,
    listed: &ListedGrant,
    reason: &str,
) -> Result<usize, Failure> {
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

/// The list in an envelope that enough operators of this home have signed.
fn verified(session: &Session, envelope: &Envelope) -> Result<Revocations, Failure> {
    let config = &session.config;
    let verified = envelope.clone().verify(
        REVOCATIONS_TYPE,
        config.operators.iter().copied(),
        config.required_operators(),
    )?;
    Ok(serde_json::from_slice(verified.payload())?)
}

fn ids_of(list: &Revocations) -> Result<Vec<String>, Failure> {
    let value = serde_json::to_value(list)?;
    let revoked = value.get("revoked").and_then(Value::as_object);
    Ok(revoked.map(|revoked| revoked.keys().cloned().collect()).unwrap_or_default())
}

/// The first who signed; the signatures have been verified.
fn signer_of(envelope: &Envelope) -> String {
    envelope.key_hints().next().unwrap_or_default().to_owned()
}
