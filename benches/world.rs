//! A home with an operator, an author and a running host, for measurements inside one process.
#![allow(dead_code, reason = "each bench uses its part of this module")]

use std::path::PathBuf;
use std::sync::Arc;

use kos_core::clock::{Clock as _, SystemClock, Timestamp};
use kos_core::crypto::{SecretKey, Signer as _};
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, SlotSpec};
use kos_core::home::{Home, HostConfig};
use kos_core::id::TrustLevel;
use kos_core::log::Log;
use kos_core::manifest::{self, AgentManifest, ManifestDefaults, UnverifiedComponent};
use kos_core::permission::{self, Issuance, PermissionRequest};
use kos_core::trust::{self, TrustStore};
use kos_host::{Capacity, Host, HostOptions, Loaded, RunOptions, Sink};

/// Room for the concurrent launches.
const AGENTS: u32 = 80;

pub(crate) struct World {
    pub(crate) host: Host,
    home: Home,
    config: HostConfig,
    operator: SecretKey,
    author: SecretKey,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        let slot = SlotSpec::KeyFile { path: folder.path().join("key") };
        let custodian: Arc<dyn Custodian> = Arc::new(custody::initialise(&home, &[slot]).unwrap());
        let name: KeyName = "host/default".parse().unwrap();
        custodian.create(&name).unwrap();
        let key = KeyHandle::new(Arc::clone(&custodian), name).unwrap();
        let (operator, author) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let now = SystemClock.now();
        let config = HostConfig::new(key.did(), "kos.bench/log".into(), vec![operator.did()], 1, now);
        home.write_config(&config).unwrap();
        let store =
            TrustStore::initial(now).add_author(author.did(), TrustLevel::Trusted, None, now).unwrap().store;
        trust::install(&home, &config, &store, &[&operator], now).unwrap();
        let log = Log::open(&home.log(), &config.origin, Arc::new(key), Arc::new(SystemClock)).unwrap();
        let options = HostOptions {
            capacity: Capacity::of(AGENTS),
            compiler: Some(PathBuf::from(env!("CARGO_BIN_EXE_kos-run"))),
            ..HostOptions::new(home.clone(), config.clone(), custodian, Arc::new(log), Arc::new(SystemClock))
        };
        let host = Host::open(options).unwrap();
        Self { host, home, config, operator, author, _folder: folder }
    }

    /// Where it lives.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// A component, signed, granted `capabilities` (a TOML table's lines), and ready to launch.
    pub(crate) fn loaded(&self, name: &str, file: &[u8], capabilities: &str) -> Loaded {
        let now = SystemClock.now();
        let defaults = ManifestDefaults { author: self.author.did(), now };
        let text = format!("name = \"{name}\"\nversion = \"1.0.0\"\n[capabilities]\n{capabilities}");
        let manifest = AgentManifest::from_toml(&text, &defaults).unwrap();
        let envelope = manifest::sign(file, &manifest, &[&self.author]).unwrap();
        let signed = manifest::attach(file, &envelope).unwrap();
        let component = UnverifiedComponent::read(signed, None).unwrap();
        self.grant(&component, &manifest, capabilities, now);
        self.host.load(name, component).unwrap()
    }

    fn grant(
        &self,
        component: &UnverifiedComponent,
        manifest: &AgentManifest,
        capabilities: &str,
        now: Timestamp,
    ) {
        let text = format!(
            "expires = \"1d\"\n[capabilities]\n{capabilities}\n[limits]\ncpu = \"1T\"\nduration = \"1h\"\n"
        );
        let issuance = Issuance {
            agent: manifest.agent(),
            component: component.digest(),
            signed_by: self.operator.did(),
            now,
        };
        let permissions = PermissionRequest::from_toml(&text).unwrap().into_permissions(issuance).unwrap();
        let envelope = permissions.sign(&[&self.operator]).unwrap();
        permission::install(&self.home, &self.config, &envelope, now).unwrap();
    }
}

/// A run without input or output.
pub(crate) fn quiet() -> RunOptions {
    RunOptions { stdout: Sink::discard(), stderr: Sink::discard(), ..RunOptions::default() }
}
