//! `kos slot`: the ways to unlock the keys of a home.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kos_core::custody::{SlotSpec, slot};
use kos_core::home::{Home, HostConfig};
use kos_core::log::event::{Event, EventType, PartyType};
use serde_json::json;
use zeroize::Zeroizing;

use super::Ended;
use super::init::Stretch;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, GOOD, cell, paint, to_second};
use crate::prompt;
use crate::session::Session;
use crate::unlock::{UnlockArguments, key_file_slot};

/// `kos slot …`.
#[derive(Debug, Subcommand)]
pub enum Slot {
    /// List the slots; needs no unlocking.
    List(ListSlots),
    /// Add a way to unlock.
    Add(AddSlot),
    /// Change the passphrase of a slot.
    Change(ChangeSlot),
    /// Remove a way to unlock; the last one stays.
    Remove(RemoveSlot),
}

impl Slot {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::List(command) => command.run(context),
            Self::Add(command) => command.run(context),
            Self::Change(command) => command.run(context),
            Self::Remove(command) => command.run(context),
        }
    }
}

/// `kos slot list`.
#[derive(Debug, Args)]
pub struct ListSlots {}

impl ListSlots {
    #[expect(clippy::unused_self, reason = "as every command")]
    fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let slots = slot::list(&home)?;
        context.output.answer(&slots, || {
            let mut table = Columns::new(&["SLOT", "UNLOCKED BY", "MADE", "KEY FILE"]);
            for slot in &slots {
                let path = slot.key_file().map(|path| path.display().to_string()).unwrap_or_default();
                table.row([cell(&slot.id), cell(slot.kind()), cell(to_second(slot.created)), cell(path)]);
            }
            table.or_else("no slots")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos slot add KIND`.
#[derive(Debug, Args)]
pub struct AddSlot {
    #[command(subcommand)]
    kind: Kind,
}

/// A slot to be added.
#[derive(Debug, Subcommand)]
pub enum Kind {
    /// A passphrase, which is asked for twice.
    Passphrase {
        /// Take the first line of this file instead of asking.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// How it is stretched.
        #[arg(long, value_enum, default_value_t = Stretch::Standard)]
        kdf: Stretch,
        /// How the home is unlocked now.
        #[command(flatten)]
        unlock: UnlockArguments,
    },
    /// A file of 32 random bytes, which is made when it is missing.
    KeyFile {
        /// Where it lies, best on another medium than the home.
        path: PathBuf,
        /// How the home is unlocked now.
        #[command(flatten)]
        unlock: UnlockArguments,
    },
    /// A secret that a service manager hands over as the credential `kos-root`: at least 32 random bytes.
    Credential {
        /// A file with the secret.
        path: PathBuf,
        /// How the home is unlocked now.
        #[command(flatten)]
        unlock: UnlockArguments,
    },
}

impl AddSlot {
    fn run(&self, context: &Context) -> Ended {
        let (spec, unlock) = match &self.kind {
            Kind::Passphrase { from, kdf, unlock } => {
                let secret = new_passphrase(from.as_deref())?;
                (SlotSpec::Passphrase { secret, kdf: kdf.kdf() }, unlock)
            }
            Kind::KeyFile { path, unlock } => (key_file_slot(path)?, unlock),
            Kind::Credential { path, unlock } => {
                (SlotSpec::Secret { secret: slot::read_secret(std::fs::File::open(path)?)? }, unlock)
            }
        };
        let (home, config) = context.open_home()?;
        let (custodian, way) = unlock.unlock_with(&home)?;
        let session = Session::new(home, config, custodian);
        let mut added = None;
        session.change(event(&session.config, "slot_add"), || {
            added = Some(slot::add(&session.home, &way, spec)?);
            Ok(())
        })?;
        let Some(added) = added else { return Err(Failure::new("no slot was added")) };
        let text = format!("added slot {}: {}", added.id, added.label);
        context.output.answer(&added, || paint(GOOD, text))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos slot change ID`.
#[derive(Debug, Args)]
#[command(after_help = "\
The keys stay as they are: nothing is encrypted anew, and running hosts go on. A copy of slots.json from before still
opens with the old passphrase. Where somebody may have both, a new passphrase shuts nobody out: replace the secrets
(kos vault rotate) and the keys (kos key rotate), or make a new home.")]
pub struct ChangeSlot {
    /// Which slot, as `kos slot list` shows it; one that a passphrase unlocks.
    id: String,
    /// Take the first line of this file instead of asking.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How it is stretched.
    #[arg(long, value_enum, default_value_t = Stretch::Standard)]
    kdf: Stretch,
    /// How the home is unlocked now.
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl ChangeSlot {
    fn run(&self, context: &Context) -> Ended {
        let (home, config) = context.open_home()?;
        if !find(&home, &self.id)?.is_passphrase() {
            return Err(Failure::new(format!("no passphrase unlocks {}", self.id))
                .remedy("kos slot add key-file PATH, then kos slot remove ID"));
        }
        let (custodian, way) = self.unlock.unlock_with(&home)?;
        let secret = new_passphrase(self.from.as_deref())?;
        let session = Session::new(home, config, custodian);
        let event = event(&session.config, "slot_change").with("slot", self.id.as_str());
        let mut changed = None;
        session.change(event, || {
            let spec = SlotSpec::Passphrase { secret, kdf: self.kdf.kdf() };
            changed = Some(slot::replace(&session.home, &way, &self.id, spec)?);
            Ok(())
        })?;
        let Some(changed) = changed else { return Err(Failure::new("no slot was changed")) };
        let text = format!("changed the passphrase of slot {}, which is {} now", self.id, changed.id);
        context.output.answer(&changed, || paint(GOOD, text))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos slot remove ID`.
#[derive(Debug, Args)]
#[command(after_help = "An old copy of slots.json keeps a removed slot usable: remove copies too.")]
pub struct RemoveSlot {
    /// Which slot, as `kos slot list` shows it.
    id: String,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl RemoveSlot {
    fn run(&self, context: &Context) -> Ended {
        let (home, config) = context.open_home()?;
        find(&home, &self.id)?;
        let (custodian, way) = self.unlock.unlock_with(&home)?;
        let session = Session::new(home, config, custodian);
        let event = event(&session.config, "slot_remove").with("slot", self.id.as_str());
        session.change(event, || Ok(slot::remove(&session.home, &way, &self.id)?))?;
        let text = format!("removed slot {}", self.id);
        context.output.answer(&json!({ "removed": self.id }), || paint(GOOD, text))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn find(home: &Home, id: &str) -> Result<slot::SlotInfo, Failure> {
    let found = slot::list(home)?.into_iter().find(|slot| slot.id == id);
    found.ok_or_else(|| Failure::new(format!("no slot of this home is `{id}`")).remedy("kos slot list"))
}

fn new_passphrase(from: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    from.map_or_else(|| prompt::new_secret("New passphrase"), prompt::from_file)
}

fn event(config: &HostConfig, change: &str) -> Event {
    Event::new(EventType::SystemModification, PartyType::System, config.host.to_string())
        .on("host", config.host.to_string())
        .with("change", change)
}
