//! `kos-run --learn`: a run under a grant of all that the author declares, which writes down what it used.
//!
//! In scope: asking, the lent grant and the file. Out of scope: what is proposed (`kos_core::permission::Learner`).
//!
//! Keeps I1 and I2: the component is signed and trusted as for any run, and the grant is one that operators sign. It counts
//! in this process alone, is installed nowhere and ends within the hour; what installed grants deny stays denied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::crypto::Signer as _;
use kos_core::custody::KeyHandle;
use kos_core::id::Name;
use kos_core::log::Log;
use kos_core::log::event::EventType;
use kos_core::manifest::{self, VerifiedComponent};
use kos_core::permission::{
    AgentPermissions, Effective, Issuance, Learner, Lesson, LimitName, PermissionRequest, VerifiedGrant,
    VerifiedPermissions, When,
};
use kos_core::resource::NetworkAccess;
use kos_core::trust::VerifiedTrust;
use serde_json::json;

use super::named::Read;
use super::report::Ended as RunEnded;
use super::{HOST_FAILED, REFUSED};
use crate::component::{self, write_public};
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::prompt;
use crate::session::{Session, as_signers};

/// How long the lent grant counts: longer than a run that a person watches.
const LENT: &str = "1h";
/// How long the proposed grant is to hold, until its operator writes otherwise.
const PROPOSED: &str = "30d";

/// What makes a run learn.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Learning")]
pub(super) struct LearnArguments {
    /// Let the first agent do all that its author declares and its trust level reaches, and write the least
    /// permissions with which it can do again what it did.
    #[arg(long, value_name = "OUT.toml")]
    pub(super) learn: Option<PathBuf>,
    /// Do not ask before an agent is let do so.
    #[arg(long, requires = "learn")]
    pub(super) yes: bool,
}

/// A run that learns.
pub(super) struct Learning {
    /// What the run's agent is called in messages.
    shown: String,
    output: PathBuf,
    component: VerifiedComponent,
    /// What remembers the uses.
    pub(super) learner: Arc<Learner>,
    /// What is lent to the run.
    pub(super) lent: VerifiedGrant,
}

impl LearnArguments {
    /// Asks, signs the grant that is lent, and has the log tell of it. None where nothing is to be learned.
    pub(super) fn begin(
        &self,
        session: &Session,
        log: &Log,
        environment: &Name,
        Read { named, component }: &Read,
    ) -> Result<Option<Learning>, Failure> {
        let Some(output) = &self.learn else { return Ok(None) };
        if output.exists() {
            return Err(Failure::new(format!("{} is there already", output.display()))
                .remedy("--learn with another file, or remove this one"));
        }
        let now = session.clock.now();
        let trust =
            VerifiedTrust::load(&session.home, &session.config, now).map_err(component::trust_refused)?;
        let component = component
            .clone()
            .verify(&trust, now)
            .map_err(|refusal| component::refused(refusal).status(REFUSED))?;
        self.confirm(&named.shown(), &component)?;
        let operators = session.operators()?;
        let permissions = everything(&component, &operators, session)?;
        let envelope = permissions.sign(&as_signers(&operators))?;
        let lent = VerifiedGrant::verify(envelope, &session.config)?;
        let event = session
            .event_by(&operators, EventType::PermissionGrant)
            .on("grant", lent.id().to_string())
            .with("agent", permissions.agent_id.to_string())
            .with("permissions", json!(permissions))
            .with("learning", true);
        let installed = VerifiedPermissions::load(&session.home, &session.config, &component, now)?;
        let installed = Effective::compute(&component, &installed, &trust);
        log.append(event).doing("the log cannot be written, so nothing was lent")?;
        let learner = Arc::new(Learner::new(installed, now, Some(environment.clone())));
        Ok(Some(Learning { shown: named.shown(), output: output.clone(), component, learner, lent }))
    }

    fn confirm(&self, shown: &str, component: &VerifiedComponent) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let name = component.agent().name;
        let declared = component.manifest().capabilities.iter();
        let declared: Vec<String> = declared.map(|declared| declared.capability.to_string()).collect();
        let what = format!("{shown} may use {} for this run", declared.join(", "));
        if !prompt::is_possible() {
            return Err(Failure::new(format!("{what}, and there is no terminal to ask on"))
                .remedy("--yes, if that is meant")
                .status(HOST_FAILED));
        }
        let answer = prompt::line(&format!("{what}, and really does what it does. Type `{name}` to let it"))?;
        if answer == name.as_str() {
            return Ok(());
        }
        Err(Failure::new("it was not let").status(REFUSED))
    }
}

impl Learning {
    /// Writes what was learned, once the run is over. A run that did not begin has taught nothing.
    pub(super) fn finish(&self, context: &Context, ended: &[RunEnded]) -> Result<(), Failure> {
        let mut ended = ended.iter();
        let Some(RunEnded { shown, report, .. }) = ended.find(|run| run.shown == self.shown) else {
            return Ok(());
        };
        let interfaces = component::own_interfaces(manifest::imports(self.component.bytes())?);
        let lesson = Lesson {
            component: &self.component,
            interfaces: &interfaces,
            memory: report.usage.memory,
            storage: self.lent.permissions().resource_access.storage,
            expires: When::parse(PROPOSED)?,
            ended: report.outcome.name(),
        };
        let text = self.learner.to_toml(&lesson).doing("what was learned cannot be granted")?;
        write_public(&self.output, text.as_bytes())?;
        let command = format!("kos grant {shown} {}", self.output.display());
        context.output.remark(format!(
            "{} has what the run used; read it, then: {}",
            Path::new(&self.output).display(),
            context.command(&command)
        ));
        Ok(())
    }
}

/// A grant of all that the author declares, but for sockets, to be cut down by the ceiling like any.
fn everything(
    component: &VerifiedComponent,
    operators: &[KeyHandle],
    session: &Session,
) -> Result<AgentPermissions, Failure> {
    let declared = component::all_declared(component);
    let request = PermissionRequest::from_flags(&declared, When::parse(LENT)?)?;
    let mut permissions = request.into_permissions(Issuance {
        agent: component.agent(),
        component: component.digest(),
        signed_by: operators.first().map_or(session.config.host, |operator| operator.did()),
        now: session.clock.now(),
    })?;
    let resources = &component.manifest().resources;
    permissions.resource_access.storage = resources.storage;
    permissions.resource_access.network = NetworkAccess::None;
    if let Some(memory) = resources.memory {
        permissions.limits.insert(LimitName::Memory, memory)?;
    }
    permissions.service = component.manifest().service;
    Ok(permissions)
}
