//! `kos sign`: an author signs a component and its manifest.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::crypto::Signer as _;
use kos_core::custody::{KeyHandle, KeyRole};
use kos_core::durable;
use kos_core::envelope::Envelope;
use kos_core::id::Digest;
use kos_core::manifest::{
    self, AgentManifest, FILE_MAX, ManifestDefaults, STATEMENT_PAYLOAD_TYPE, UnverifiedComponent,
};
use serde_json::{Value, json};

use super::Ended;
use super::key::find_key;
use crate::component;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, cell, paint};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// The manifest's usual file name.
const MANIFEST_NAME: &str = "agent.toml";
/// The largest manifest that is read, with room for the core to say how much too large it is.
const MANIFEST_MAX: u64 = 1 << 20;

/// `kos sign AGENT.wasm`.
#[derive(Debug, Args)]
#[command(after_help = "\
The manifest is agent.toml: beside the component, in the current directory, or in a directory
above the component.
  kos sign target/wasm32-wasip2/release/hello.wasm
  kos sign hello.signed.wasm --add --key bob       a second author's signature to it")]
pub struct Sign {
    /// The component.
    #[arg(value_name = "AGENT.wasm")]
    component: PathBuf,
    /// The author's manifest [default: agent.toml, see below].
    #[arg(long, value_name = "FILE", conflicts_with = "add")]
    manifest: Option<PathBuf>,
    /// Which author's key [default: the only one].
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Write the signature beside the component, as COMPONENT.signature, instead of into it.
    #[arg(long)]
    detached: bool,
    /// Where to write [default: STEM.signed.wasm beside the component].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add a signature to those that the component has; its manifest stays.
    #[arg(long)]
    add: bool,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Sign {
    /// Signs the component.
    ///
    /// # Errors
    /// When it is no component, the manifest is not understood, or the key is not here; nothing is written then.
    pub fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let signer = self.signer(&session)?;
        let signed = if self.add { self.cosigned(&signer)? } else { self.signed(&session, &signer)? };
        let path = self.destination();
        if self.detached {
            component::write_public(&path, &signed.envelope.to_bytes()?)?;
        } else {
            let bytes = manifest::attach(&signed.component, &signed.envelope)
                .doing(format!("{} cannot be signed", self.component.display()))?;
            component::write_public(&path, &bytes)?;
        }
        signed.report(context, &path)
    }

    fn signer(&self, session: &Session) -> Result<KeyHandle, Failure> {
        if let Some(name) = &self.key {
            let public = find_key(session, name, &[KeyRole::Author])?;
            if public.key.role != KeyRole::Author {
                return Err(Failure::new(format!("`{}` does not sign agents", public.key))
                    .why("each key has one use")
                    .remedy("kos key new NAME makes an author's key"));
            }
            return session.key(&public.key);
        }
        let mut authors = session.custodian.list()?;
        authors.retain(|public| public.key.role == KeyRole::Author);
        match authors.as_slice() {
            [only] => session.key(&only.key),
            [] => Err(Failure::new("there is no author's key in this home").remedy("kos key new NAME")),
            several => {
                let names: Vec<String> = several.iter().map(|public| public.key.name.to_string()).collect();
                Err(Failure::new("there are several authors' keys in this home")
                    .remedy(format!("--key {}", names.join(", or --key "))))
            }
        }
    }

    fn signed(&self, session: &Session, signer: &KeyHandle) -> Result<Signed, Failure> {
        let file = durable::read_capped(&self.component, FILE_MAX)?;
        let path = self.manifest_path()?;
        let text = String::from_utf8(durable::read_capped(&path, MANIFEST_MAX)?)
            .doing(format!("{} is not text", path.display()))?;
        let defaults = ManifestDefaults { author: signer.did(), now: session.clock.now() };
        let manifest = AgentManifest::from_toml(&text, &defaults)
            .doing(format!("{} is not understood", path.display()))?;
        let refused = || format!("{} cannot be signed", self.component.display());
        let component = manifest::strip(&file).doing(refused())?.to_vec();
        let envelope = manifest::sign(&component, &manifest, &[signer]).doing(refused())?;
        Ok(Signed { component, manifest, envelope })
    }

    fn cosigned(&self, signer: &KeyHandle) -> Result<Signed, Failure> {
        let file = component::read(&self.component, None)?;
        let mut envelope = file.unverified_envelope().cloned().ok_or_else(|| {
            Failure::new("the component has no signature to add to").remedy("leave out --add")
        })?;
        let manifest = file.unverified_manifest().map_err(component::refused)?;
        envelope.add_signature(signer)?;
        check_subject(&file, &envelope, signer)?;
        Ok(Signed { component: file.component_bytes().to_vec(), manifest, envelope })
    }

    fn destination(&self) -> PathBuf {
        match &self.output {
            Some(path) => path.clone(),
            None if self.detached => component::detached_path(&self.component),
            None if self.add => self.component.clone(),
            None => self.component.with_extension("signed.wasm"),
        }
    }

    fn manifest_path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.manifest {
            return Ok(path.clone());
        }
        let component = std::path::absolute(&self.component)?;
        let beside = component.parent().map(Path::to_owned);
        let above = component.ancestors().skip(2).map(Path::to_owned);
        beside
            .into_iter()
            .chain(std::env::current_dir())
            .chain(above)
            .map(|directory| directory.join(MANIFEST_NAME))
            .find(|path| path.is_file())
            .ok_or_else(|| {
                Failure::new(format!("there is no {MANIFEST_NAME} for {}", self.component.display()))
                    .why("it says what the agent is called and which capabilities it needs")
                    .remedy("--manifest FILE; `kos new NAME` writes one to start from")
            })
    }
}

/// Whoever adds a signature answers for this component, not for whatever the envelope was about.
fn check_subject(file: &UnverifiedComponent, envelope: &Envelope, signer: &KeyHandle) -> Result<(), Failure> {
    let payload =
        envelope.clone().verify(STATEMENT_PAYLOAD_TYPE, [signer.did()], std::num::NonZeroUsize::MIN)?;
    let statement: Value = serde_json::from_slice(payload.payload())?;
    let subject = statement.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
    if subject == Some(file.digest().to_hex().as_str()) {
        return Ok(());
    }
    Err(Failure::new("the signature in this file is about another component, and nothing is added to it"))
}

struct Signed {
    component: Vec<u8>,
    manifest: AgentManifest,
    envelope: Envelope,
}

impl Signed {
    fn report(&self, context: &Context, path: &Path) -> Ended {
        let digest = Digest::of(&self.component);
        let signers: Vec<&str> = self.envelope.key_hints().collect();
        let value = json!({
            "file": path,
            "digest": digest,
            "agent": self.manifest.agent(),
            "manifest": self.manifest,
            "signers": signers,
        });
        context.output.answer(&value, || {
            let mut facts = Columns::facts();
            facts.fact("agent", format!("{} {}", self.manifest.name, self.manifest.version));
            facts.fact("digest", digest);
            for signer in &signers {
                facts.fact("signed by", signer);
            }
            facts.fact("capabilities", capabilities(&self.manifest));
            format!("{}\n{}", paint(GOOD, format!("signed {}", path.display())), facts.or_else(""))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The declared capabilities in one line.
fn capabilities(manifest: &AgentManifest) -> String {
    let texts: Vec<String> = manifest
        .capabilities
        .iter()
        .map(|declared| match declared.scope.as_slice() {
            [] => declared.capability.to_string(),
            scope => {
                let scope: Vec<String> = scope.iter().map(ToString::to_string).collect();
                format!("{}:{}", declared.capability, scope.join(","))
            }
        })
        .collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}

/// The declared capabilities as a table.
pub(super) fn declared_table(manifest: &AgentManifest) -> String {
    let mut table = Columns::new(&["DECLARED", "SCOPE", "REASON"]);
    for declared in &manifest.capabilities {
        let scope: Vec<String> = declared.scope.iter().map(ToString::to_string).collect();
        table.row([
            cell(declared.capability),
            cell(scope.join(" ")),
            cell(declared.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.or_else("no capabilities are declared")
}
