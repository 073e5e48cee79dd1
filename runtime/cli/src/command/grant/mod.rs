//! `kos grant`: an operator permits an agent to do something.

mod report;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kos_core::capability::Capability;
use kos_core::clock::Clock as _;
use kos_core::crypto::Signer as _;
use kos_core::custody::KeyHandle;
use kos_core::durable;
use kos_core::envelope::Envelope;
use kos_core::log::event::EventType;
use kos_core::manifest::VerifiedComponent;
use kos_core::permission::{
    self, AgentPermissions, CapabilityRule, Effective, GrantId, Issuance, Limits, ListedGrant, Missing,
    PermissionRequest, PinKind, ScopeItem, Source, Standing, VerifiedGrant, VerifiedPermissions, When,
};
use kos_core::trust::VerifiedTrust;
use serde_json::json;

use self::report::{report, table, write_to};
use super::Ended;
use super::grants::revoke::revoke;
use super::trust::read_envelope;
use crate::component;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::session::{Session, as_signers};
use crate::unlock::UnlockArguments;

/// The largest permissions file that is read, with room for the core to say how much too large it is.
const PERMISSIONS_MAX: u64 = 1 << 20;
/// How long a grant holds when flags say what it allows and not how long: long enough to try, short enough to forget.
const STANDARD_SPAN: &str = "30d";

/// `kos grant AGENT.wasm …`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos grant hello.signed.wasm                     let it run, without any capability
  kos grant hello.signed.wasm --declared          allow what its author declares, for 30 days
  kos grant hello.signed.wasm permissions.toml    conditions, resources and all else
  kos grant hello.signed.wasm --allow crypto.sign:receipt --allow crypto.hash:'*' --for 90d

A scope is an exact name or a prefix with `*`. What several grants allow adds up; what one
denies stays denied; of limits the least holds.
Granting is an operator's signature: on another machine, sign with -o FILE there, and use
--install FILE here.")]
pub struct Grant {
    /// The agent's signed component.
    #[arg(value_name = "AGENT.wasm", required_unless_present = "install")]
    component: Option<PathBuf>,
    /// The permissions as TOML; instead of --allow, --deny and --for.
    #[arg(value_name = "PERMISSIONS.toml", conflicts_with_all = ["allow", "deny", "span", "declared"])]
    permissions: Option<PathBuf>,
    /// Allow a capability: CAPABILITY or CAPABILITY:SCOPE; may be given several times.
    #[arg(long, value_name = "CAPABILITY[:SCOPE]")]
    allow: Vec<String>,
    /// Allow everything that the author declares.
    #[arg(long)]
    declared: bool,
    /// Deny a capability, whatever else is granted: CAPABILITY or CAPABILITY:SCOPE.
    #[arg(long, value_name = "CAPABILITY[:SCOPE]")]
    deny: Vec<String>,
    /// For how long: a span (30d), a date, or `never`, which is no end [default: 30d].
    #[arg(long = "for", value_name = "SPAN", id = "span")]
    span: Option<String>,
    /// For this very component, or for whatever its author signs under its name.
    #[arg(long, value_enum, value_name = "WHAT")]
    pin: Option<PinTo>,
    /// Set limits: memory=64MiB,duration=10s (see `kos-run --help` for their names).
    #[arg(long, value_name = "LIMITS")]
    limit: Option<String>,
    /// Revoke the agent's other grants once this one is in force.
    #[arg(long, conflicts_with_all = ["output", "install"])]
    replace: bool,
    /// Write the signed grant to FILE instead of installing it.
    #[arg(short, long, value_name = "FILE", conflicts_with = "install")]
    output: Option<PathBuf>,
    /// Install a grant that was signed elsewhere with -o.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "allow", "declared", "deny", "span", "pin", "limit"])]
    install: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PinTo {
    /// This very component.
    Component,
    /// Whatever its author signs under its name.
    Author,
}

impl Grant {
    /// Signs the grant, and installs it or writes it to a file.
    ///
    /// # Errors
    /// When the component is refused, the permissions are not understood or reach above the ceiling, or the operators'
    /// keys are not here. Nothing is granted then.
    pub fn run(&self, context: &Context) -> Ended {
        match (&self.install, &self.component) {
            (Some(file), _) => self.install(context, file),
            (None, Some(component)) => self.grant(context, component),
            (None, None) => Err(Failure::new("no component is named").remedy("kos grant AGENT.wasm")),
        }
    }

    fn grant(&self, context: &Context, path: &Path) -> Ended {
        let text = self.permissions.as_deref().map(read_permissions).transpose()?;
        let text = text.as_deref();
        self.request(text, &[])?;
        let file = component::read(path, None)?;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let now = session.clock.now();
        let trust =
            VerifiedTrust::load(&session.home, &session.config, now).map_err(component::trust_refused)?;
        let component = file
            .verify(&trust, now)
            .map_err(component::refused)
            .doing("a component that may not run is granted nothing")?;
        let operators = session.operators()?;
        let declared = if self.declared { component::all_declared(&component) } else { Vec::new() };
        let request = self.request(text, &declared)?;
        let mut permissions = self.permissions(request, &component, &operators, &session)?;
        permissions.source = self.source(text, &permissions);
        check_ceiling(&permissions, &component, &trust)?;
        let envelope = permissions.sign(&as_signers(&operators))?;
        let table = table(&permissions, &component);
        match &self.output {
            Some(output) => write_to(context, output, &envelope, &permissions, &table),
            None => {
                let hosts = put_in_force(&session, &envelope, &permissions)?;
                let hosts =
                    if self.replace { revoke_others(&session, &envelope, &permissions)? } else { hosts };
                let missing = missing(&session, &component, &trust, &path.display().to_string())?;
                report(context, &envelope, &permissions, hosts, &table, &missing)
            }
        }
    }

    /// What is asked for, by flags or by the text of a file, and `declared` besides.
    fn request(&self, text: Option<&str>, declared: &[String]) -> Result<PermissionRequest, Failure> {
        let mut request = match (&self.permissions, text) {
            (Some(path), Some(text)) => {
                PermissionRequest::from_toml(text).doing(format!("{} is not understood", path.display()))?
            }
            _ => {
                let span = When::parse(self.span.as_deref().unwrap_or(STANDARD_SPAN))?;
                let allow: Vec<&String> = self.allow.iter().chain(declared).collect();
                PermissionRequest::from_flags(&allow, span)?
            }
        };
        match self.pin {
            Some(PinTo::Component) => request = request.pinned_to(PinKind::Component),
            Some(PinTo::Author) => request = request.pinned_to(PinKind::Author),
            None => {}
        }
        Ok(request)
    }

    fn permissions(
        &self,
        request: PermissionRequest,
        component: &VerifiedComponent,
        operators: &[KeyHandle],
        session: &Session,
    ) -> Result<AgentPermissions, Failure> {
        let issuance = Issuance {
            agent: component.agent(),
            component: component.digest(),
            signed_by: operators.first().map_or(session.config.host, |operator| operator.did()),
            now: session.clock.now(),
        };
        let mut permissions = request.into_permissions(issuance)?;
        for text in &self.deny {
            deny(&mut permissions, text)?;
        }
        if let Some(limits) = &self.limit {
            for (name, amount) in Limits::parse_overrides(limits)?.iter() {
                permissions.limits.insert(name, amount)?;
            }
        }
        Ok(permissions)
    }

    /// Where the rules were written, for `kos explain`.
    fn source(&self, text: Option<&str>, permissions: &AgentPermissions) -> Option<Source> {
        let (Some(path), Some(text)) = (&self.permissions, text) else { return Some(Source::CommandLine {}) };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Source::of_file(name, text, permissions)
    }

    fn install(&self, context: &Context, file: &Path) -> Ended {
        let envelope = read_envelope(file)?;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let grant = VerifiedGrant::verify(envelope.clone(), &session.config)
            .doing(format!("{} is not installed", file.display()))?;
        let permissions = grant.permissions().clone();
        let hosts = put_in_force(&session, &envelope, &permissions)?;
        report(context, &envelope, &permissions, hosts, "", &[])
    }
}

fn read_permissions(path: &Path) -> Result<String, Failure> {
    String::from_utf8(durable::read_capped(path, PERMISSIONS_MAX)?)
        .doing(format!("{} is not text", path.display()))
}

/// Adds a denial: of the whole capability, or of one scope.
fn deny(permissions: &mut AgentPermissions, text: &str) -> Result<(), Failure> {
    let (name, scope) = text.split_once(':').map_or((text, None), |(name, scope)| (name, Some(scope)));
    let capability: Capability = name.parse()?;
    let Some(scope) = scope else {
        permissions.capabilities.insert(capability, CapabilityRule::denial());
        return Ok(());
    };
    let item = ScopeItem::Deny(scope.parse()?);
    let rule = permissions
        .capabilities
        .entry(capability)
        .or_insert_with(|| CapabilityRule { granted: true, ..CapabilityRule::denial() });
    if rule.granted {
        rule.scope.push(item);
    }
    Ok(())
}

/// A grant above the ceiling has no effect; an operator who writes one expects that it has.
fn check_ceiling(
    permissions: &AgentPermissions,
    component: &VerifiedComponent,
    trust: &VerifiedTrust,
) -> Result<(), Failure> {
    let policy = trust.policy(component.level());
    let granted = permissions.capabilities.iter().filter(|(_, rule)| rule.granted);
    let above: Vec<&str> = granted
        .filter(|(capability, _)| !policy.allows(**capability))
        .map(|(capability, _)| capability.as_str())
        .collect();
    if above.is_empty() {
        return Ok(());
    }
    let level = component.level();
    Err(Failure::new(format!("{} cannot be granted to this agent", above.join(", ")))
        .why(format!("its author is trusted as {level}, and the ceiling of {level} does not reach so far"))
        .remedy(format!(
            "kos trust add {} --level LEVEL, or kos trust policy {level} --allow …",
            component.manifest().author
        )))
}

pub(in crate::command) fn put_in_force(
    session: &Session,
    envelope: &Envelope,
    permissions: &AgentPermissions,
) -> Result<usize, Failure> {
    let now = session.clock.now();
    let id = GrantId::of(envelope.unverified_payload());
    if permissions.expires.is_past(now) {
        return Err(Failure::new(format!("the grant ended at {}", permissions.expires)));
    }
    let event = kos_core::log::event::Event::new(
        EventType::PermissionGrant,
        kos_core::log::event::PartyType::User,
        permissions.signed_by.to_string(),
    )
    .on("grant", id.to_string())
    .with("agent", permissions.agent_id.to_string())
    .with("permissions", json!(permissions));
    session.change(event, || {
        permission::install(&session.home, &session.config, envelope, now)?;
        Ok(())
    })
}

/// Revokes every other grant that is in force for the same agent.
fn revoke_others(
    session: &Session,
    envelope: &Envelope,
    permissions: &AgentPermissions,
) -> Result<usize, Failure> {
    let id = GrantId::of(envelope.unverified_payload());
    let is_other = |listed: &ListedGrant| {
        listed.grant.id() != id
            && listed.grant.permissions().agent_id == permissions.agent_id
            && !matches!(listed.standing, Standing::Revoked(_) | Standing::Superseded { .. })
    };
    let mut hosts = 0;
    let listed = permission::list(&session.home, &session.config, session.clock.now())?;
    for other in listed.iter().filter(|listed| is_other(listed)) {
        hosts = revoke(session, other, &format!("replaced by {id}"))?;
    }
    Ok(hosts)
}

/// What the component imports and may not use, now that the grant is in force.
fn missing(
    session: &Session,
    component: &VerifiedComponent,
    trust: &VerifiedTrust,
    shown: &str,
) -> Result<Vec<Missing>, Failure> {
    let now = session.clock.now();
    let permissions = VerifiedPermissions::load(&session.home, &session.config, component, now)?;
    let imports = component::own_interfaces(kos_core::manifest::imports(component.bytes())?);
    let imports: Vec<&str> = imports.iter().map(String::as_str).collect();
    Ok(Effective::compute(component, &permissions, trust).missing(&imports, shown, now))
}
