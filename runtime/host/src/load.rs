//! Making a component ready to run: judged, compiled, linked.
//!
//! In scope: everything that is the same for all runs of one component under one set of grants. Out of scope: what belongs to
//! one run (`launch`).
//!
//! Keeps I1 (the bytes that were verified are the bytes that are compiled) and I2 (what is not granted is not linked).

use std::path::Path;
use std::sync::Arc;

use kos_core::clock::Timestamp;
use kos_core::custody::agents::{self, Rollback, Sighting};
use kos_core::custody::{Answer, CustodyError, KeyHandle, KeyName, MacPurpose, Request};
use kos_core::durable;
use kos_core::envelope::ENVELOPE_MAX;
use kos_core::id::{Did, Digest};
use kos_core::manifest::{self, FILE_MAX, Instances, UnverifiedComponent, VerifiedComponent};
use kos_core::permission::{Effective, PermissionError, UseLedger, VerifiedPermissions};
use kos_core::trust::VerifiedTrust;
use wasmtime::component::Component;

use crate::agent::Description;
use crate::cache::{CacheError, Cached};
use crate::capability::Interface;
use crate::host::Inner;
use crate::interfaces::Imports;
use crate::linked::Program;
use crate::record;
use crate::refusal::Refusal;
use crate::text;

/// What a detached signature's file name adds to the component's.
const DETACHED_SUFFIX: &str = ".signature";

/// Longest part of wasmtime's complaint that is shown.
const COMPLAINT_BYTES: usize = 512;

/// Reads a component file once, with the signature beside it where it has none inside.
///
/// # Errors
/// [`Refusal`] when there is no such file, or it is no component.
pub fn read_component(path: &Path) -> Result<UnverifiedComponent, Refusal> {
    let bytes = durable::read_capped(path, FILE_MAX).map_err(|error| {
        if error.is_not_found() { Refusal::NotFound { path: path.to_owned() } } else { error.into() }
    })?;
    let component = UnverifiedComponent::read(bytes, None).map_err(manifest::Refusal::from)?;
    if component.is_signed() {
        return Ok(component);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(DETACHED_SUFFIX);
    match durable::read_capped(Path::new(&beside), ENVELOPE_MAX as u64) {
        Ok(signature) => {
            let bytes = component.component_bytes().to_vec();
            Ok(UnverifiedComponent::read(bytes, Some(&signature)).map_err(manifest::Refusal::from)?)
        }
        Err(error) if error.is_not_found() => Ok(component),
        Err(error) => Err(error.into()),
    }
}

/// A component that may run here, ready to be launched any number of times.
#[derive(Clone)]
pub struct Loaded {
    pub(crate) shown: Arc<str>,
    pub(crate) component: Arc<VerifiedComponent>,
    pub(crate) permissions: Arc<VerifiedPermissions>,
    pub(crate) effective: Effective,
    pub(crate) description: Arc<Description>,
    pub(crate) key: Arc<KeyHandle>,
    pub(crate) program: Program,
    pub(crate) cached: Cached,
    /// Whether it can send and take messages, which it may be granted at any time.
    pub(crate) has_messages: bool,
    pub(crate) uses: Arc<UseLedger>,
    pub(crate) generation: u64,
}

impl Loaded {
    /// The agent's own identifier.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.description.did
    }

    /// The agent's own identifier, as one.
    pub(crate) fn identifier(&self) -> Result<Did, Refusal> {
        self.did().parse().map_err(|_| Refusal::System { cause: "the agent has no identifier".into() })
    }

    /// The name its author gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// The component's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.component.digest()
    }

    /// Whether it waits for messages, and so runs until it is stopped.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.program, Program::Service(_))
    }

    /// Which instance handles a message: the stricter of what its author and its operators say.
    pub(crate) fn instances(&self) -> Instances {
        self.component.manifest().instances().max(self.effective.instances())
    }

    /// Whether its compiled form came from the cache.
    #[must_use]
    pub fn cached(&self) -> Cached {
        self.cached
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Loaded {} {}", self.name(), self.digest())
    }
}

impl Inner {
    /// Judges a component and makes it ready, in this order: signature, grants, imports, identity, artifact.
    pub(crate) fn load(&self, shown: &str, component: UnverifiedComponent) -> Result<Loaded, Refusal> {
        let now = self.clock.now();
        self.check_released()?;
        self.check_unlocked()?;
        let generation = self.generation();
        let trust = VerifiedTrust::load(&self.home, &self.config, now)?;
        let component = component.verify(&trust, now)?;
        let (permissions, effective) = self.permissions(&component, &trust, now)?;
        // Before the agent is known by this version: one that cannot be launched must not make older ones rolled back.
        let imports = check_imports(&component, &effective, shown, now)?;
        let description = self.identify(&component, &effective, now)?;
        let key = KeyHandle::new(Arc::clone(&self.custodian), KeyName::of_agent(&component.agent()))?;
        let (cached, program) = self.program(&component, &imports)?;
        Ok(Loaded {
            shown: shown.into(),
            uses: self.uses(&component),
            component: Arc::new(component),
            permissions: Arc::new(permissions),
            effective,
            description: Arc::new(description),
            key: Arc::new(key),
            program,
            cached,
            has_messages: imports.interfaces.contains(&Interface::Messaging),
            generation,
        })
    }

    /// A launch needs the agent's key, and a compiled artifact its MAC.
    pub(crate) fn check_unlocked(&self) -> Result<(), Refusal> {
        if self.custodian.lock_state().is_locked() { Err(CustodyError::Locked.into()) } else { Ok(()) }
    }

    /// The grants in force for a component, and what they come to.
    pub(crate) fn permissions(
        &self,
        component: &VerifiedComponent,
        trust: &VerifiedTrust,
        now: Timestamp,
    ) -> Result<(VerifiedPermissions, Effective), Refusal> {
        let permissions = self.granted(component, now)?;
        let effective = Effective::compute(component, &permissions, trust);
        effective.check_launch(now)?;
        Ok((permissions, effective))
    }

    /// The grants that count for a component here: those that are installed, and one that is lent.
    pub(crate) fn granted(
        &self,
        component: &VerifiedComponent,
        now: Timestamp,
    ) -> Result<VerifiedPermissions, PermissionError> {
        let installed = VerifiedPermissions::load(&self.home, &self.config, component, now)?;
        match &self.lent {
            Some(grant) => installed.lent(grant, component, now),
            None => Ok(installed),
        }
    }

    /// Registers the agent at its first launch; refuses code older than what has run.
    fn identify(
        &self,
        component: &VerifiedComponent,
        effective: &Effective,
        now: Timestamp,
    ) -> Result<Description, Refusal> {
        let manifest = component.manifest();
        let declared: Vec<String> =
            manifest.capabilities.iter().map(|declared| declared.capability.to_string()).collect();
        let agent = component.agent();
        let rollback = if effective.allows_rollback(now) { Rollback::Allowed } else { Rollback::Refused };
        let sighting = Sighting {
            agent: &agent,
            capabilities: &declared,
            level: component.level(),
            version: &manifest.version,
            rollback,
            now,
        };
        let record = agents::register_or_load(&self.home, &*self.custodian, &self.host_key, &sighting)?;
        Ok(Description::of(&record, component))
    }

    /// The component linked with exactly what it imports, from memory, from the cache, or compiled now.
    fn program(
        &self,
        component: &VerifiedComponent,
        imports: &Imports,
    ) -> Result<(Cached, Program), Refusal> {
        let digest = component.digest();
        if let Some(program) = self.linked.program(&digest) {
            return Ok((Cached::Loaded, program));
        }
        let (cached, compiled) = self.artifact(component)?;
        let linker = self.linked.linker(&self.engine, imports).map_err(link_refusal)?;
        let instance = linker.instantiate_pre(&compiled).map_err(link_refusal)?;
        let program = Program::of(instance)?;
        self.linked.keep(digest, &program);
        Ok((cached, program))
    }

    fn artifact(&self, component: &VerifiedComponent) -> Result<(Cached, Component), Refusal> {
        let digest = component.digest();
        let mac = |message: &[u8]| self.mac(message);
        let (cached, found) = self.cache.load(&digest, &mac);
        if let Some(found) = found {
            return Ok((cached, found));
        }
        if cached == Cached::Altered {
            self.log.append(record::altered_artifact(&self.id, &digest))?;
        }
        let compiled = self.compiler.compile(component.bytes(), self.progress.as_ref(), &self.is_killed);
        self.check_released()?;
        let artifact = compiled?;
        if let Err(error) = self.cache.store(&digest, &artifact, &mac) {
            tracing::warn!(%error, "the compiled component could not be kept; the next launch compiles it again");
        }
        let compiled = self.cache.component(&artifact).map_err(link_refusal)?;
        Ok((cached, compiled))
    }

    fn mac(&self, message: &[u8]) -> Result<[u8; 32], CacheError> {
        let request = Request::Mac { purpose: MacPurpose::Artifact, message: message.to_vec() };
        match self.custodian.ask(request) {
            Ok(Answer::Mac { tag }) => Ok(tag),
            Ok(_) | Err(_) => Err(CacheError::Keys),
        }
    }
}

fn link_refusal(error: wasmtime::Error) -> Refusal {
    Refusal::Link { cause: text::one_line(&format!("{error:#}"), COMPLAINT_BYTES) }
}

/// Every import is one that this host has, and every interface of the contract has a capability that may be used.
fn check_imports(
    component: &VerifiedComponent,
    effective: &Effective,
    shown: &str,
    now: Timestamp,
) -> Result<Imports, Refusal> {
    let names = manifest::imports(component.bytes()).map_err(manifest::Refusal::from)?;
    let imports = Imports::of(names);
    if !imports.unknown.is_empty() {
        let names = imports.unknown.iter().map(|name| text::one_line(name, COMPLAINT_BYTES)).collect();
        return Err(Refusal::UnknownImport { names });
    }
    let missing = effective.missing(&imports.names(), shown, now);
    if missing.is_empty() { Ok(imports) } else { Err(Refusal::Missing { missing }) }
}
