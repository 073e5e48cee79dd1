//! Changes of the trust store: `add`, `remove`, `revoke` and `install`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::durable;
use kos_core::envelope::{ENVELOPE_MAX, Envelope};
use kos_core::id::{Did, Digest, TrustLevel};
use kos_core::log::event::{Event, EventType, PartyType};
use kos_core::trust::{self, Change, TrustError, TrustStore, VerifiedTrust};
use serde_json::json;

use crate::command::Ended;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, clean, paint};
use crate::session::{Session, as_signers, in_force};
use crate::unlock::UnlockArguments;

/// The reason when none is given.
const NO_REASON: &str = "no reason given";

/// Where a change goes: into force here, or into a file for another machine.
#[derive(Debug, Args)]
pub(super) struct Destination {
    /// Write the signed trust store to FILE instead of putting it in force here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// `kos trust add DID --level LEVEL`.
#[derive(Debug, Args)]
#[command(after_help = "\
external  may describe itself, hash, verify and note; nothing in its own name
partner   may use every capability of this version that is granted
trusted   may use everything that is granted
`kos trust policy LEVEL` shows each level's ceiling.")]
pub struct Add {
    /// The author's key (`kos key export NAME` prints it).
    author: Did,
    /// How far to trust the author: external, partner or trusted.
    #[arg(long, value_name = "LEVEL")]
    level: TrustLevel,
    /// What you call the author; it decides nothing.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    destination: Destination,
}

impl Add {
    pub(super) fn run(&self, context: &Context) -> Ended {
        self.destination.change(context, |store, session| {
            store.add_author(self.author, self.level, self.label.clone(), session.clock.now())
        })
    }
}

/// `kos trust remove DID`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The author's key.
    author: Did,
    #[command(flatten)]
    destination: Destination,
}

impl Remove {
    pub(super) fn run(&self, context: &Context) -> Ended {
        self.destination
            .change(context, |store, session| store.remove_author(&self.author, session.clock.now()))
    }
}

/// `kos trust revoke DID|DIGEST`.
#[derive(Debug, Args)]
#[command(after_help = "A revocation is for good: there is no command that takes it back.")]
pub struct Revoke {
    /// An author's key, or a component's digest (`kos inspect` shows it).
    #[arg(value_name = "DID|DIGEST")]
    what: Revocable,
    /// Why, in one line, for those who read the log.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
    #[command(flatten)]
    destination: Destination,
}

/// What can be revoked.
#[derive(Debug, Clone, Copy)]
enum Revocable {
    Key(Did),
    Component(Digest),
}

impl std::str::FromStr for Revocable {
    type Err = kos_core::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("did:") { text.parse().map(Self::Key) } else { text.parse().map(Self::Component) }
    }
}

impl Revoke {
    pub(super) fn run(&self, context: &Context) -> Ended {
        self.destination.change(context, |store, session| match self.what {
            Revocable::Key(key) => store.revoke_key(key, &self.reason, session.clock.now()),
            Revocable::Component(digest) => store.revoke_component(digest, &self.reason, session.clock.now()),
        })
    }
}

/// `kos trust install FILE`.
#[derive(Debug, Args)]
pub struct Install {
    /// A signed trust store: what `kos trust … -o FILE` wrote, or the `trust/store.json` of another home.
    file: PathBuf,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Install {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let envelope = read_envelope(&self.file)?;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let signer = check_signed(&session, &envelope)?;
        let event = Event::new(EventType::TrustChange, PartyType::User, signer.to_string())
            .on("trust", "store")
            .with("change", "install")
            .with("digest", Digest::of(envelope.unverified_payload()).to_string());
        let mut version = 0;
        let hosts = session.change(event, || {
            let now = session.clock.now();
            let installed = trust::install_signed(&session.home, &session.config, envelope.clone(), now);
            version = installed.map_err(refused)?.store().version;
            Ok(())
        })?;
        context.output.answer(&json!({ "version": version, "hosts": hosts }), || {
            format!(
                "{}\n{}",
                paint(GOOD, format!("trust store version {version} is installed")),
                in_force(hosts)
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Destination {
    /// Makes the next version of the store and signs it; puts it in force or writes it to a file.
    pub(super) fn change(
        &self,
        context: &Context,
        edit: impl FnOnce(&TrustStore, &Session) -> Result<Change, TrustError>,
    ) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let now = session.clock.now();
        let current = VerifiedTrust::load(&session.home, &session.config, now).map_err(refused)?;
        let change = edit(current.store(), &session).map_err(refused)?;
        match &self.output {
            Some(path) => sign_into(context, &session, &change, path),
            None => put_in_force(context, &session, &change),
        }
    }
}

fn sign_into(context: &Context, session: &Session, change: &Change, path: &Path) -> Ended {
    let operators = session.operators()?;
    let envelope = change.store.sign(&as_signers(&operators)).map_err(refused)?;
    write_public(path, &envelope.to_bytes()?)?;
    let value = json!({ "version": change.store.version, "summary": change.summary, "file": path });
    context.output.answer(&value, || {
        format!(
            "{}\nversion {} is signed in {}; install it on the host: kos trust install {}",
            paint(GOOD, clean(&change.summary)),
            change.store.version,
            path.display(),
            path.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn put_in_force(context: &Context, session: &Session, change: &Change) -> Ended {
    let operators = session.operators()?;
    let mut event = session.event_by(&operators, EventType::TrustChange).on("trust", "store");
    event.details.clone_from(&change.details);
    let hosts = session.change(event, || {
        let signers = as_signers(&operators);
        let now = session.clock.now();
        trust::install(&session.home, &session.config, &change.store, &signers, now).map_err(refused)?;
        Ok(())
    })?;
    let value = json!({ "version": change.store.version, "summary": change.summary, "hosts": hosts });
    context
        .output
        .answer(&value, || format!("{}\n{}", paint(GOOD, clean(&change.summary)), in_force(hosts)))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses, before the log says that something was installed, what would not be; yields who signed it.
fn check_signed(session: &Session, envelope: &Envelope) -> Result<Did, Failure> {
    let config = &session.config;
    let verified = envelope.clone().verify(
        trust::TRUST_PAYLOAD_TYPE,
        config.operators.iter().copied(),
        config.required_operators(),
    )?;
    let store: TrustStore = serde_json::from_slice(verified.payload())?;
    if let Ok(current) = VerifiedTrust::load(&session.home, config, session.clock.now()) {
        let current = current.store().version;
        if store.version <= current {
            return Err(refused(TrustError::Stale { version: store.version, current }));
        }
    }
    Ok(verified.signers().first().copied().unwrap_or(config.host))
}

/// Reads a signed document from a file.
pub(crate) fn read_envelope(path: &Path) -> Result<Envelope, Failure> {
    let bytes = durable::read_capped(path, ENVELOPE_MAX as u64)?;
    Envelope::parse(&bytes).doing(format!("{} is no signed document", path.display()))
}

/// A failure with the core's own advice.
pub(super) fn refused(error: TrustError) -> Failure {
    let remedy = error.remedy();
    let failure = Failure::from(error);
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}
