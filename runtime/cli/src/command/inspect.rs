//! `kos inspect`: what a component imports, declares and carries, and what it may do here.
//!
//! Works without a home and without unlocking. What is not verified is shown as such.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, SystemClock, Timestamp};
use kos_core::id::{Did, TrustLevel};
use kos_core::manifest::{AgentManifest, STATEMENT_PAYLOAD_TYPE, UnverifiedComponent};
use kos_core::permission::LimitName;
use kos_core::trust::VerifiedTrust;
use serde::Serialize;
use serde_json::{Value, json};

use super::Ended;
use super::sign::declared_table;
use crate::component::{self, Judged};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{BAD, CARE, Columns, FAINT, GOOD, STRONG, cell, clean, paint, to_second, verdict};

/// `kos inspect AGENT.wasm`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The component.
    #[arg(value_name = "AGENT.wasm")]
    component: PathBuf,
    /// The signature, where it lies in a file of another name than COMPONENT.signature.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

impl Inspect {
    /// Shows the component.
    ///
    /// # Errors
    /// When the file cannot be read or is no component.
    pub fn run(&self, context: &Context) -> Ended {
        let component = component::read(&self.component, self.signature.as_deref())?;
        let report = Report::of(context, &self.component.display().to_string(), component)?;
        context.output.answer(&report.to_json(), || report.for_person(context))?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Report {
    file: String,
    digest: String,
    size: usize,
    imports: Vec<String>,
    /// Of the imports, those of kOS itself.
    own: Vec<String>,
    manifest: Option<AgentManifest>,
    unreadable: Option<String>,
    signatures: Vec<Signature>,
    here: Here,
    now: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    key: Did,
    /// Whether the signature is this key's, over this very statement.
    is_valid: bool,
    standing: Standing,
}

/// What the home says of a key.
#[derive(Serialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Standing {
    Trusted(TrustLevel),
    Unknown,
    Revoked,
    NoHome,
}

/// What the home says of the component.
enum Here {
    NoHome,
    Refused(Failure),
    Runs(Box<Judged>),
}

impl Report {
    fn of(context: &Context, file: &str, component: UnverifiedComponent) -> Result<Self, Failure> {
        let now = SystemClock.now();
        let home = context.find_home()?;
        let trust = home.as_ref().map(|(home, config)| VerifiedTrust::load(home, config, now));
        let trust = trust.and_then(Result::ok);
        let (manifest, unreadable) = match component.unverified_manifest() {
            Ok(manifest) => (Some(manifest), None),
            Err(_) if !component.is_signed() => (None, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let signatures = signatures(&component, home.is_some(), trust.as_ref());
        let imports = component.imports()?;
        let mut report = Self {
            file: file.to_owned(),
            digest: component.digest().to_string(),
            size: component.component_bytes().len(),
            own: component::own_interfaces(imports.clone()),
            imports,
            manifest,
            unreadable,
            signatures,
            here: Here::NoHome,
            now,
        };
        if let Some((home, config)) = &home {
            report.here = match component::judge(home, config, component, now) {
                Ok(judged) => Here::Runs(Box::new(judged)),
                Err(failure) => Here::Refused(failure),
            };
        }
        Ok(report)
    }

    fn own_interfaces(&self) -> Vec<&str> {
        self.own.iter().map(String::as_str).collect()
    }

    fn to_json(&self) -> Value {
        let here = match &self.here {
            Here::NoHome => Value::Null,
            Here::Refused(failure) => json!({ "isAccepted": false, "refusal": failure.to_json() }),
            Here::Runs(judged) => {
                let effective = &judged.effective;
                json!({
                    "isAccepted": true,
                    "level": judged.component.level(),
                    "mayLaunch": effective.check_launch(self.now).is_ok(),
                    "held": effective.held(self.now),
                    "missing": effective.missing(&self.own_interfaces(), &self.file, self.now),
                    "resources": effective.resources(self.now),
                    "limits": effective.limits(self.now),
                    "grants": judged.permissions.grants().iter().map(|grant| grant.id().to_string()).collect::<Vec<_>>(),
                })
            }
        };
        json!({
            "file": self.file,
            "digest": self.digest,
            "size": self.size,
            "imports": self.imports,
            "manifest": self.manifest,
            "signatures": self.signatures,
            "here": here,
        })
    }

    fn for_person(&self, context: &Context) -> String {
        let mut parts = vec![self.facts()];
        parts.push(self.imports_list());
        if let Some(manifest) = &self.manifest {
            parts.push(declared_table(manifest));
        }
        parts.push(self.signature_table());
        parts.push(self.verdict(context));
        parts.join("\n\n")
    }

    fn facts(&self) -> String {
        let mut facts = Columns::facts();
        facts.fact("file", &self.file);
        facts.fact("digest", &self.digest);
        facts.fact("size", format!("{} bytes", self.size));
        if let Some(manifest) = &self.manifest {
            facts.fact("agent", format!("{} {}", manifest.name, manifest.version));
            facts.fact("author", manifest.author);
            if let Some(description) = &manifest.description {
                facts.fact("description", description);
            }
            facts.fact("from", to_second(manifest.not_before));
            if let Some(expires) = manifest.expires {
                facts.fact("until", to_second(expires));
            }
        }
        if let Some(unreadable) = &self.unreadable {
            facts.fact("manifest", unreadable);
        }
        facts.or_else("")
    }

    fn imports_list(&self) -> String {
        let own = self.own_interfaces();
        let others = self.imports.len().saturating_sub(own.len());
        let mut text = paint(STRONG, "IMPORTS");
        for name in own {
            text.push_str(&format!("\n{}", clean(name)));
        }
        if others > 0 {
            text.push_str(&paint(
                FAINT,
                format!("\n{others} of WASI and others (linked, with nothing behind them)"),
            ));
        }
        if self.imports.is_empty() {
            text.push_str("\nnone");
        }
        text
    }

    fn signature_table(&self) -> String {
        let mut table = Columns::new(&["SIGNED BY", "SIGNATURE", "KEY"]);
        for signature in &self.signatures {
            let standing = match signature.standing {
                Standing::Trusted(level) => verdict(true, level),
                Standing::Unknown => verdict(false, "unknown here"),
                Standing::Revoked => verdict(false, "revoked"),
                Standing::NoHome => cell("no home to ask"),
            };
            let valid = if signature.is_valid { "valid" } else { "does not verify" };
            table.row([cell(signature.key), verdict(signature.is_valid, valid), standing]);
        }
        table.or_else(&paint(BAD, "not signed"))
    }

    fn verdict(&self, context: &Context) -> String {
        match &self.here {
            Here::NoHome => paint(
                CARE,
                format!(
                    "there is no kOS home at {}, so nothing is said about trust and grants",
                    context.home_path().display()
                ),
            ),
            Here::Refused(failure) => {
                let refusal = failure.to_json();
                let mut text = paint(BAD, format!("does not run here: {}", clean(&failure.to_string())));
                for (label, key) in [("why", "why"), ("to change it", "remedy")] {
                    for line in refusal.get(key).and_then(Value::as_array).into_iter().flatten() {
                        text.push_str(&format!("\n  {label}: {}", clean(line.as_str().unwrap_or_default())));
                    }
                }
                text
            }
            Here::Runs(judged) => self.effective(judged),
        }
    }

    fn effective(&self, judged: &Judged) -> String {
        let effective = &judged.effective;
        let mut text = match effective.check_launch(self.now) {
            Ok(()) => paint(GOOD, format!("runs here, at the level {}", judged.component.level())),
            Err(refusal) => paint(BAD, format!("does not run here: {refusal}")),
        };
        let mut table = Columns::new(&["MAY USE", "FOR", "UNTIL"]);
        for held in effective.held(self.now) {
            let until =
                held.expires.map_or_else(|| "never".to_owned(), |instant| to_second(instant).to_string());
            table.row([cell(held.capability), cell(held.scope.join(" ")), cell(until)]);
        }
        text.push_str(&format!("\n\n{}", table.or_else("it may use no capability")));
        let mut missing = Columns::new(&["MAY NOT USE", "WHY", "TO CHANGE IT"]);
        let lacking = effective.missing(&self.own_interfaces(), &self.file, self.now);
        for lack in &lacking {
            missing.row([verdict(false, lack.capability), cell(&lack.reason), cell(&lack.change)]);
        }
        if !lacking.is_empty() {
            text.push_str(&format!("\n\n{}", missing.or_else("")));
        }
        let resources = effective.resources(self.now);
        let limits: Vec<String> = [LimitName::Memory, LimitName::Cpu, LimitName::Duration, LimitName::Output]
            .into_iter()
            .map(|name| format!("{name} {}", name.display(effective.limits(self.now).amount(name))))
            .collect();
        text.push_str(&format!(
            "\n\n{}",
            paint(
                FAINT,
                format!(
                    "network {}, storage {}; at most {}",
                    resources.network,
                    resources.storage,
                    limits.join(", ")
                )
            )
        ));
        text
    }
}

fn signatures(
    component: &UnverifiedComponent,
    has_home: bool,
    trust: Option<&VerifiedTrust>,
) -> Vec<Signature> {
    let Some(envelope) = component.unverified_envelope() else { return Vec::new() };
    component
        .unverified_signers()
        .into_iter()
        .map(|key| {
            let verified = envelope.clone().verify(STATEMENT_PAYLOAD_TYPE, [key], NonZeroUsize::MIN);
            let standing = match trust {
                _ if !has_home => Standing::NoHome,
                Some(trust) if trust.is_revoked_key(&key) => Standing::Revoked,
                Some(trust) => trust.level_of(&key).map_or(Standing::Unknown, Standing::Trusted),
                None => Standing::Unknown,
            };
            Signature { key, is_valid: verified.is_ok(), standing }
        })
        .collect()
}
