//! A home with an operator, an author, a log and a host.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kos_core::clock::{Clock, ManualClock, Timestamp};
use kos_core::crypto::{SecretKey, Signer};
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, SlotSpec};
use kos_core::home::{Home, HostConfig};
use kos_core::id::{AgentRef, Did, TrustLevel};
use kos_core::log::Log;
use kos_core::log::reader::LogReader;
use kos_core::manifest::{self, AgentManifest, ManifestDefaults, UnverifiedComponent};
use kos_core::permission::{self, GrantId, Issuance, PermissionRequest};
use kos_core::trust::{self, TrustStore};
use serde_json::Value;

use crate::compile::Compiler;
use crate::{
    Capacity, ExitReport, Host, HostOptions, LaunchRequest, Outcome, Refusal, Run, RunOptions, Sink,
};

/// Everything that an agent of these tests may declare and be granted.
pub(super) const ALL: &str = r#"
"identity.self" = {}
"identity.grants" = {}
"crypto.hash" = { scope = ["*"] }
"crypto.sign" = { scope = ["*"] }
"crypto.verify" = { scope = ["*"] }
"crypto.seal" = { scope = ["*"] }
"crypto.open" = {}
"audit.note" = { scope = ["*"] }
"#;

pub(super) struct World {
    pub(super) host: Host,
    pub(super) home: Home,
    pub(super) config: HostConfig,
    pub(super) log: Arc<Log>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: TrustStore,
    pub(super) custodian: Arc<dyn Custodian>,
    operator: SecretKey,
    author: SecretKey,
    folder: tempfile::TempDir,
}

/// An agent: its code, what its author declares, what the operator grants.
#[derive(Clone, Copy)]
pub(super) struct Agent<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) code: &'a str,
    pub(super) declares: &'a str,
    pub(super) storage: &'a str,
    pub(super) network: &'a str,
    /// More of `agent.toml`.
    pub(super) tables: &'a str,
}

impl<'a> Agent<'a> {
    pub(super) fn of(code: &'a str) -> Self {
        Self {
            name: "agent",
            version: "1.0.0",
            code,
            declares: "",
            storage: "none",
            network: "none",
            tables: "",
        }
    }

    pub(super) fn declaring(self, declares: &'a str) -> Self {
        Self { declares, ..self }
    }
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T08:00:00Z").unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with_capacity(capacity: Capacity) -> Self {
        Self::with(|options| options.capacity = capacity)
    }

    /// A world whose host is made as `change` says.
    pub(super) fn with(change: impl FnOnce(&mut HostOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        let slot = SlotSpec::KeyFile { path: folder.path().join("key") };
        let custodian: Arc<dyn Custodian> = Arc::new(custody::initialise(&home, &[slot]).unwrap());
        let host_name: KeyName = "host/default".parse().unwrap();
        custodian.create(&host_name).unwrap();
        let host_key = KeyHandle::new(Arc::clone(&custodian), host_name).unwrap();
        let (operator, author) = (SecretKey::from_seed(&[9; 32]), SecretKey::from_seed(&[1; 32]));
        let config = HostConfig::new(host_key.did(), "kos.test/log".into(), vec![operator.did()], 1, now());
        home.write_config(&config).unwrap();
        let store = TrustStore::initial(now())
            .add_author(author.did(), TrustLevel::Trusted, None, now())
            .unwrap()
            .store;
        trust::install(&home, &config, &store, &[&operator], now()).unwrap();
        let clock = Arc::new(ManualClock::at(now()));
        let log =
            Log::open(&home.log(), &config.origin, Arc::new(host_key), Arc::clone(&clock) as Arc<dyn Clock>);
        let log = Arc::new(log.unwrap());
        let mut options = HostOptions::new(
            home.clone(),
            config.clone(),
            Arc::clone(&custodian),
            Arc::clone(&log),
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        options.capacity = Capacity::of(8);
        change(&mut options);
        let host = Host::with_compiler(options, Compiler::Here).unwrap();
        Self { host, home, config, log, clock, store, custodian, operator, author, folder }
    }

    /// Another host on the same home.
    pub(super) fn another_host(&self) -> Host {
        let options = HostOptions::new(
            self.home.clone(),
            self.config.clone(),
            Arc::clone(&self.custodian),
            Arc::clone(&self.log),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        );
        Host::with_compiler(options, Compiler::Here).unwrap()
    }

    /// Another host on the same home, in this environment.
    pub(super) fn host_in(&self, environment: &str) -> Host {
        let options = HostOptions {
            environment: Some(environment.parse().unwrap()),
            capacity: Capacity::of(2),
            ..HostOptions::new(
                self.home.clone(),
                self.config.clone(),
                Arc::clone(&self.custodian),
                Arc::clone(&self.log),
                Arc::clone(&self.clock) as Arc<dyn Clock>,
            )
        };
        Host::with_compiler(options, Compiler::Here).unwrap()
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(super) fn signed(&self, agent: Agent<'_>) -> UnverifiedComponent {
        let file = wat::parse_str(agent.code).unwrap();
        self.signed_file(&file, agent)
    }

    /// As [`Self::signed`], for a component that was built elsewhere.
    fn signed_file(&self, file: &[u8], agent: Agent<'_>) -> UnverifiedComponent {
        let defaults = ManifestDefaults { author: self.author.did(), now: now() };
        let Agent { name, version, declares, storage, network, tables, .. } = agent;
        let manifest = format!(
            "name = \"{name}\"\nversion = \"{version}\"\n[capabilities]\n{declares}\n[resources]\nstorage = \"{storage}\"\nnetwork = \"{network}\"\n{tables}"
        );
        let manifest = AgentManifest::from_toml(&manifest, &defaults).unwrap();
        let envelope = manifest::sign(file, &manifest, &[&self.author]).unwrap();
        UnverifiedComponent::read(manifest::attach(file, &envelope).unwrap(), None).unwrap()
    }

    /// Grants `permissions` (TOML after `expires`) to the agent.
    pub(super) fn grant(&self, agent: Agent<'_>, permissions: &str) -> GrantId {
        let issuance = Issuance {
            agent: AgentRef { author: self.author.did(), name: agent.name.parse().unwrap() },
            component: self.signed(agent).digest(),
            signed_by: self.operator.did(),
            now: self.clock.now(),
        };
        let request = PermissionRequest::from_toml(&format!("expires = \"30d\"\n{permissions}")).unwrap();
        let signed = request.into_permissions(issuance).unwrap().sign(&[&self.operator]).unwrap();
        permission::install(&self.home, &self.config, &signed, self.clock.now()).unwrap().id()
    }

    pub(super) fn revoke(&self, grant: GrantId) {
        permission::revoke(&self.home, &self.config, grant, "a test", self.clock.now(), &[&self.operator])
            .unwrap();
    }

    pub(super) fn revoke_component(&self, component: &UnverifiedComponent) {
        let change = self.store.revoke_component(component.digest(), "a test", self.clock.now()).unwrap();
        trust::install(&self.home, &self.config, &change.store, &[&self.operator], self.clock.now()).unwrap();
    }

    pub(super) fn revoke_key(&self, key: Did) {
        let change = self.store.revoke_key(key, "a test", self.clock.now()).unwrap();
        trust::install(&self.home, &self.config, &change.store, &[&self.operator], self.clock.now()).unwrap();
    }

    pub(super) fn launch(&self, agent: Agent<'_>, options: RunOptions) -> Result<Run, Refusal> {
        let component = self.signed(agent);
        self.host.launch(LaunchRequest { shown: "agent.wasm".into(), component, options })
    }

    /// Launches and waits.
    pub(super) fn run(&self, agent: Agent<'_>) -> ExitReport {
        self.launch(agent, quiet()).unwrap().wait()
    }

    /// Grants, launches and waits.
    pub(super) fn outcome(&self, code: &str, permissions: &str) -> Outcome {
        let agent = Agent::of(code);
        self.grant(agent, permissions);
        self.run(agent).outcome
    }

    /// What the log says.
    pub(super) fn entries(&self) -> Vec<Value> {
        self.log.publish().unwrap();
        let reader = LogReader::open(&self.home.log()).unwrap();
        let size = reader.size().unwrap();
        reader.entries(0..size).map(|entry| serde_json::from_slice(&entry.unwrap().1).unwrap()).collect()
    }

    pub(super) fn entries_of(&self, event_type: &str) -> Vec<Value> {
        self.entries().into_iter().filter(|entry| entry["eventType"] == event_type).collect()
    }
}

/// Output is thrown away.
pub(super) fn quiet() -> RunOptions {
    RunOptions { stdout: Sink::discard(), stderr: Sink::discard(), ..RunOptions::default() }
}

/// Output is kept.
pub(super) fn captured() -> (RunOptions, Arc<Mutex<Vec<u8>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink::shared(Arc::clone(&shown));
    (RunOptions { stdout: sink.clone(), stderr: sink, ..RunOptions::default() }, shown)
}

/// Waits for something that happens on another thread, and fails when it does not.
pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what} did not happen");
        std::thread::yield_now();
    }
}
