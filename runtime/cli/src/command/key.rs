//! `kos key`: signing keys in custody.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use kos_core::custody::{Answer, CustodyError, KeyName, KeyRole, PublicKeys, Request, Secret};
use kos_core::durable;
use kos_core::id::Name;
use kos_core::log::event::{Event, EventType, PartyType};
use serde_json::json;
use zeroize::Zeroizing;

use super::Ended;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, cell, paint, to_second};
use crate::prompt;
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// An exported key is a small document.
const EXPORT_MAX: u64 = 64 * 1024;

/// `kos key …`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key.
    New(NewKey),
    /// List the keys of this home.
    List(ListKeys),
    /// Print a key's public half, or write its private half under a passphrase.
    Export(ExportKey),
    /// Take over a key that was exported from another home.
    Import(ImportKey),
    /// Replace a key by a new one, with a statement by both that the new one follows the old.
    Rotate(RotateKey),
}

impl Key {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::New(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Export(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::Rotate(command) => command.run(context),
        }
    }
}

/// What a key is for, as far as a person makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Signs agents.
    Author,
    /// Signs grants and trust stores.
    Operator,
}

impl From<Role> for KeyRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Author => Self::Author,
            Role::Operator => Self::Operator,
        }
    }
}

/// `kos key new NAME`.
#[derive(Debug, Args)]
pub struct NewKey {
    /// What to call it: a-z, 0-9 and `-`.
    name: Name,
    /// What it is for.
    #[arg(long, value_enum, default_value_t = Role::Author)]
    role: Role,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl NewKey {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let public = session.custodian.create(&KeyName::new(self.role.into(), self.name.clone()))?;
        record(&session, "key_new", &public)?;
        show(context, &public, &format!("made {}", public.key))
    }
}

/// `kos key list`.
#[derive(Debug, Args)]
pub struct ListKeys {
    /// Agents' keys too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl ListKeys {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let mut keys = session.custodian.list()?;
        keys.retain(|public| self.all || public.key.role != KeyRole::Agent);
        context.output.answer(&keys, || {
            let mut table = Columns::new(&["KEY", "DID", "MADE"]);
            for public in &keys {
                table.row([cell(&public.key), cell(public.did), cell(to_second(public.created))]);
            }
            table.or_else("no keys; make one: kos key new NAME")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos key export NAME`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --private the key's identifier (did:key) is printed. With it, the private half is written under a new
passphrase, which is asked for, or read from --export-passphrase-file.")]
pub struct ExportKey {
    /// Which key: NAME or ROLE/NAME.
    name: String,
    /// Write the private half to FILE, under a passphrase.
    #[arg(long, value_name = "FILE")]
    private: Option<PathBuf>,
    /// The passphrase for the exported key: the first line of this file.
    #[arg(long, value_name = "FILE", requires = "private")]
    export_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl ExportKey {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let public = find_key(&session, &self.name, &[KeyRole::Author, KeyRole::Operator, KeyRole::Host])?;
        let Some(path) = &self.private else {
            context.output.answer(&public, || public.did.to_string())?;
            return Ok(ExitCode::SUCCESS);
        };
        refuse_overwriting(path)?;
        let passphrase = match &self.export_passphrase_file {
            Some(file) => prompt::from_file(file)?,
            None => prompt::new_secret("New passphrase for the exported key")?,
        };
        let document = match session
            .custodian
            .ask(Request::Export { key: public.key.clone(), passphrase: secret(&passphrase) })?
        {
            Answer::Exported { document } => document,
            _ => return Err(CustodyError::Answer.into()),
        };
        record(&session, "key_export", &public)?;
        // Absolute, as a bare name has no directory that could be synchronised.
        durable::replace(&std::path::absolute(path)?, &document)?;
        show(context, &public, &format!("wrote {} under its passphrase to {}", public.key, path.display()))
    }
}

/// `kos key import FILE NAME`.
#[derive(Debug, Args)]
pub struct ImportKey {
    /// What `kos key export --private` wrote.
    file: PathBuf,
    /// What to call it here.
    name: Name,
    /// What it is for; as it was where it was exported.
    #[arg(long, value_enum, default_value_t = Role::Author)]
    role: Role,
    /// The passphrase of the exported key: the first line of this file.
    #[arg(long, value_name = "FILE")]
    export_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl ImportKey {
    fn run(&self, context: &Context) -> Ended {
        let document = durable::read_capped(&self.file, EXPORT_MAX)?;
        let session = Session::open(context, &self.unlock)?;
        let passphrase = match &self.export_passphrase_file {
            Some(file) => prompt::from_file(file)?,
            None => prompt::secret("Passphrase of the exported key")?,
        };
        let key = KeyName::new(self.role.into(), self.name.clone());
        let request = Request::Import { key, passphrase: secret(&passphrase), document };
        let Answer::Public { public } = session.custodian.ask(request)? else {
            return Err(CustodyError::Answer.into());
        };
        record(&session, "key_import", &public)?;
        show(context, &public, &format!("took over {}", public.key))
    }
}

/// `kos key rotate NAME`.
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever trusts the old key has to trust the new one too: the statement that is written shows that the holder of the
old key wants that. An operator whose signature counts in this home cannot be rotated by this command.")]
pub struct RotateKey {
    /// Which key: NAME or ROLE/NAME.
    name: String,
    /// Where to write the statement that the new key follows the old [default: NAME.rotation.json].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl RotateKey {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let old = find_key(&session, &self.name, &[KeyRole::Author, KeyRole::Operator])?;
        if session.config.operators.contains(&old.did) {
            return Err(Failure::new(format!("{} governs this home and is not rotated", old.key))
                .why("host.json names it, and its grants and trust store would no longer verify"));
        }
        let path = self.output.clone().unwrap_or_else(|| format!("{}.rotation.json", old.key.name).into());
        refuse_overwriting(&path)?;
        let request = Request::Rotate { key: old.key.clone() };
        let Answer::Rotated { public, statement } = session.custodian.ask(request)? else {
            return Err(CustodyError::Answer.into());
        };
        write_public(&path, &statement.to_bytes()?)?;
        record(&session, "key_rotate", &public)?;
        show(context, &public, &format!("replaced {}; the statement is in {}", public.key, path.display()))
    }
}

/// The key that a person means by `NAME` or `ROLE/NAME`: the first of `roles` that has one.
///
/// # Errors
/// When there is none.
pub fn find_key(session: &Session, text: &str, roles: &[KeyRole]) -> Result<PublicKeys, Failure> {
    if text.contains('/') {
        return session.custodian.public(&text.parse()?).or_try("kos key list");
    }
    let name: Name = text.parse()?;
    for role in roles {
        match session.custodian.public(&KeyName::new(*role, name.clone())) {
            Err(CustodyError::NoSuchKey { .. }) => {}
            found => return Ok(found?),
        }
    }
    Err(Failure::new(format!("there is no key `{name}`")).remedy("kos key list, or kos key new NAME"))
}

/// Refuses a path at which there is something.
///
/// # Errors
/// When there is.
pub fn refuse_overwriting(path: &std::path::Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::new(format!("{} is there already and is not overwritten", path.display())));
    }
    Ok(())
}

fn secret(passphrase: &Zeroizing<String>) -> Secret {
    Secret::new(passphrase.as_bytes().to_vec())
}

fn record(session: &Session, change: &str, public: &PublicKeys) -> Result<(), Failure> {
    session.record(
        Event::new(EventType::SystemModification, PartyType::System, session.config.host.to_string())
            .on("key", public.did.to_string())
            .with("change", change)
            .with("key", public.key.to_string()),
    )
}

fn show(context: &Context, public: &PublicKeys, done: &str) -> Ended {
    context.output.answer(&json!(public), || format!("{}\n{}", paint(GOOD, done), public.did))?;
    Ok(ExitCode::SUCCESS)
}
