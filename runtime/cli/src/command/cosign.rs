//! `kos cosign`: one more operator's signature on a document that several must sign.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::custody::KeyHandle;
use kos_core::envelope::Envelope;
use kos_core::kill_switch::RESUME_TYPE;
use kos_core::permission::{AgentPermissions, PERMISSIONS_TYPE, PermissionRequest, REVOCATIONS_TYPE};
use kos_core::trust::{TRUST_PAYLOAD_TYPE, TrustStore};
use serde_json::json;

use super::Ended;
use super::trust::read_envelope;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, FAINT, GOOD, clean, paint};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos cosign FILE`.
#[derive(Debug, Args)]
#[command(after_help = "\
For a host whose grants and trust store need several operators (kos init --threshold N):
  kos grant AGENT.wasm --declared -o grant.json      the first operator
  kos cosign grant.json                              each of the others
  kos grant --install grant.json                     on the host")]
pub struct Cosign {
    /// What `kos grant -o`, `kos trust … -o` or `kos kill-switch resume -o` wrote.
    file: PathBuf,
    /// Where to write [default: into the same file].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Cosign {
    /// Shows what the document says and signs it.
    ///
    /// # Errors
    /// When it is no document of an operator's, or no operator's key is here.
    pub fn run(&self, context: &Context) -> Ended {
        let mut envelope = read_envelope(&self.file)?;
        let shown = shown(&envelope)?;
        let session = Session::open(context, &self.unlock)?;
        let operators = session.local_operators()?;
        if operators.is_empty() {
            return Err(Failure::new("no operator's key lies in this home").remedy("kos key list"));
        }
        for operator in &operators {
            envelope.add_signature(operator)?;
        }
        let path = self.output.as_ref().unwrap_or(&self.file);
        write_public(path, &envelope.to_bytes()?)?;
        self.report(context, &envelope, &operators, &shown)
    }

    fn report(&self, context: &Context, envelope: &Envelope, added: &[KeyHandle], shown: &str) -> Ended {
        let signers: Vec<&str> = envelope.key_hints().collect();
        let added: Vec<String> = added.iter().map(|key| key.public().did.to_string()).collect();
        let value =
            json!({ "file": self.output.as_ref().unwrap_or(&self.file), "added": added, "signers": signers });
        context.output.answer(&value, || {
            let mut facts = Columns::facts();
            for signer in &signers {
                facts.fact("signed by", signer);
            }
            let done = paint(GOOD, format!("signed {}", self.file.display()));
            format!("{}\n\n{done}\n{}", paint(FAINT, shown), facts.or_else(""))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the document says, for whoever is about to answer for it.
fn shown(envelope: &Envelope) -> Result<String, Failure> {
    let payload = envelope.unverified_payload();
    match envelope.payload_type() {
        PERMISSIONS_TYPE => {
            let permissions = AgentPermissions::parse(payload)?;
            let toml = PermissionRequest::of(&permissions).to_toml();
            Ok(format!("agent {}\n{}", permissions.agent_id, toml.trim_end()))
        }
        TRUST_PAYLOAD_TYPE => {
            let store: TrustStore = serde_json::from_slice(payload)?;
            Ok(clean(&serde_json::to_string(&store)?))
        }
        REVOCATIONS_TYPE | RESUME_TYPE => Ok(clean(&String::from_utf8_lossy(payload))),
        other => Err(Failure::new(format!(
            "`{other}` is no grant, no revocations, no trust store and no release of the kill switch"
        ))
        .why("an operator signs nothing else")),
    }
}
