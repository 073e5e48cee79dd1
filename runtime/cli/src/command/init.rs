//! `kos init`: makes a home, unattended when a key file or a passphrase file is named.
//!
//! `host.json` is written last. Until it is there a marker file says that the rest is unfinished, so that a failed or
//! interrupted attempt is cleared away by itself or by the next one, and keys are never taken for leftovers (I8).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::custody::{self, Custodian as _, Kdf, KeyName, KeyRole, SlotSpec, ThreadCustodian};
use kos_core::durable;
use kos_core::home::{Home, HomeError, HostConfig};
use kos_core::id::Did;
use kos_core::log::event::{Event, EventType, PartyType};
use kos_core::log::note::Vkey;
use kos_core::trust::{self, TrustStore};
use serde_json::json;

use super::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, paint};
use crate::prompt;
use crate::session::{Session, as_signers, default_name};
use crate::unlock::{UnlockArguments, key_file_slot};

/// There until `host.json` is.
const MARKER: &str = ".unfinished";
/// What an attempt may leave behind.
const LEFTOVERS: [&str; 13] = [
    "slots.json",
    "keys",
    "agents",
    "grants",
    "trust",
    "vault",
    "log",
    "messages",
    "uses",
    "storage",
    "cache",
    "run",
    "host.json",
];
/// The log's name when the machine has none that fits.
const NAMELESS_MACHINE: &str = "localhost";

/// `kos init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Unattended:  kos init --key-file /etc/kos/root.key       (the file is made when it is missing)
On a board:  kos init --key-file /etc/kos/root.key --operator did:key:z6Mk…

Whoever holds the key file or the passphrase holds every key of this home. Keep the
verification key (vkey) that is printed somewhere else: with it, anyone can verify a copy of
the log.")]
pub struct Init {
    /// Who governs this host, when that is somebody elsewhere; may be given several times. Without it an operator's
    /// key is made in this home.
    #[arg(long, value_name = "DID")]
    operator: Vec<Did>,
    /// How many different operators must sign a grant or a trust store.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: usize,
    /// The log's name, written into its checkpoints [default: HOSTNAME/kos].
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// How passphrases are stretched.
    #[arg(long, value_enum, default_value_t = Stretch::Standard)]
    kdf: Stretch,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// A passphrase's key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stretch {
    /// Argon2id with 64 MiB.
    Standard,
    /// Argon2id with 19 MiB, for small boards.
    Board,
    /// PBKDF2-HMAC-SHA512 with 200,000 rounds.
    Specification,
}

impl Stretch {
    /// The parameters.
    #[must_use]
    pub fn kdf(self) -> Kdf {
        match self {
            Self::Standard => Kdf::standard(),
            Self::Board => Kdf::board(),
            Self::Specification => Kdf::specification(),
        }
    }
}

impl Init {
    /// Makes the home.
    ///
    /// # Errors
    /// When there is one, or it cannot be made; then none is left.
    pub fn run(&self, context: &Context) -> Ended {
        let root = context.home_path();
        refuse_existing(root)?;
        let slots = self.slots()?;
        let was_there = root.exists();
        let home = begin(root)?;
        let made = self.make(&home, &slots).and_then(|made| Ok((made, end(&home)?)));
        match made {
            Ok((made, ())) => self.report(context, &made),
            Err(failure) => {
                clear(root, was_there);
                Err(failure)
            }
        }
    }

    /// The slots of the new home: all that is named, or a passphrase from the terminal.
    fn slots(&self) -> Result<Vec<SlotSpec>, Failure> {
        if let Some(way) = self.unlock.named()? {
            return Ok(vec![slot_for(way, self.kdf.kdf())?]);
        }
        if !prompt::is_possible() {
            return Err(Failure::new("a home needs a way to unlock its keys")
                .why("no key file or passphrase is named, and there is no terminal to ask on")
                .remedy("kos init --key-file PATH (made when it is missing), or --passphrase-file FILE"));
        }
        let secret = prompt::new_secret("New passphrase for the keys of this home")?;
        Ok(vec![SlotSpec::Passphrase { secret, kdf: self.kdf.kdf() }])
    }

    fn make(&self, home: &Home, slots: &[SlotSpec]) -> Result<Made, Failure> {
        let custodian = custody::initialise(home, slots)?;
        let host = custodian.create(&KeyName::new(KeyRole::Host, default_name()?))?.did;
        let operators = self.operators(&custodian)?;
        let origin = self.origin.clone().unwrap_or_else(default_origin);
        let vkey = Vkey::new(&origin, host)?.to_string();
        let config = HostConfig::new(host, origin, operators, self.threshold, SystemClock.now());
        check_threshold(&config)?;
        let session = Session::new(home.clone(), config, custodian);
        self.fill(&session)?;
        home.write_config(&session.config)?;
        Ok(Made { config: session.config, vkey, is_local: self.operator.is_empty() })
    }

    fn operators(&self, custodian: &ThreadCustodian) -> Result<Vec<Did>, Failure> {
        if !self.operator.is_empty() {
            return Ok(self.operator.clone());
        }
        Ok(vec![custodian.create(&KeyName::new(KeyRole::Operator, default_name()?))?.did])
    }

    /// The log with its first entry and, where the operator is here, the first trust store.
    fn fill(&self, session: &Session) -> Result<(), Failure> {
        let log = session.log()?;
        let config = &session.config;
        log.append(
            Event::new(EventType::SystemModification, PartyType::System, config.host.to_string())
                .on("host", config.host.to_string())
                .with("change", "init")
                .with("origin", config.origin.as_str())
                .with("operators", json!(config.operators))
                .with("threshold", json!(config.threshold)),
        )?;
        if self.operator.is_empty() {
            let operators = session.operators()?;
            let now = session.clock.now();
            let store = TrustStore::initial(now);
            log.append(
                session
                    .event_by(&operators, EventType::TrustChange)
                    .on("trust", "store")
                    .with("change", "initial")
                    .with("version", store.version),
            )?;
            trust::install(&session.home, config, &store, &as_signers(&operators), now)?;
        }
        Ok(log.close()?)
    }

    fn report(&self, context: &Context, made: &Made) -> Ended {
        let home = context.home_path().display().to_string();
        let value = json!({
            "home": home,
            "host": made.config.host,
            "origin": made.config.origin,
            "vkey": made.vkey,
            "operators": made.config.operators,
            "threshold": made.config.threshold,
            "operatorIsLocal": made.is_local,
        });
        context.output.answer(&value, || made.for_person(context, &home))?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Made {
    config: HostConfig,
    vkey: String,
    is_local: bool,
}

impl Made {
    fn for_person(&self, context: &Context, home: &str) -> String {
        let mut facts = Columns::facts();
        facts.fact("home", home);
        facts.fact("host", self.config.host);
        for operator in &self.config.operators {
            facts.fact("operator", operator);
        }
        facts.fact("log", &self.config.origin);
        facts.fact("vkey", &self.vkey);
        let next = if self.is_local {
            [
                ("kos key new NAME", "make an author's key"),
                ("kos trust add DID --level partner", "trust an author"),
                ("kos sign AGENT.wasm", "sign an agent, then: kos-run AGENT.signed.wasm"),
            ]
            .as_slice()
        } else {
            [("kos trust install FILE", "install the trust store that the operator signed")].as_slice()
        };
        let mut steps = Columns::facts();
        for (command, purpose) in next {
            steps.fact(&format!("  {}", context.command(command)), purpose);
        }
        format!(
            "{}\n\n{}\n\nKeep the vkey somewhere else: with it anyone can verify a copy of the log.\nNext:\n{}",
            paint(GOOD, "This is a kOS host now."),
            facts.or_else(""),
            steps.or_else("")
        )
    }
}

/// The slot that a way of unlocking opens.
fn slot_for(way: custody::Unlock, kdf: Kdf) -> Result<SlotSpec, Failure> {
    match way {
        custody::Unlock::Passphrase(secret) => Ok(SlotSpec::Passphrase { secret, kdf }),
        custody::Unlock::KeyFile(path) => key_file_slot(&path),
        custody::Unlock::Secret(secret) => Ok(SlotSpec::Secret { secret }),
        _ => Err(Failure::new("a home cannot be made with this way of unlocking")),
    }
}

fn refuse_existing(root: &Path) -> Result<(), Failure> {
    let home = Home::at(root);
    if home.host_file().exists() {
        return Err(HomeError::Exists { path: root.to_owned() })
            .or_try("use it, or choose another place with --home DIR");
    }
    if marker(root).exists() {
        return Ok(());
    }
    if home.slots_file().exists() {
        return Err(Failure::new(format!("{} holds keys, but no host.json", root.display()))
            .why("it may be a home that lost a file; it is not overwritten")
            .remedy("put host.json back from a backup, or choose another place with --home DIR"));
    }
    match LEFTOVERS.iter().map(|name| root.join(name)).find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => Err(Failure::new(format!("{} is there already", path.display()))
            .why("a home is made in a new or an empty directory")
            .remedy("choose another place with --home DIR")),
    }
}

fn begin(root: &Path) -> Result<Home, Failure> {
    if marker(root).exists() {
        clear(root, true);
    }
    durable::create_private_dir(root)?;
    durable::replace(&marker(root), b"")?;
    Home::create(root).map_err(|error| {
        // The directory was there and is not fit to be a home; the marker is the only thing of ours in it.
        let _ = fs::remove_file(marker(root));
        match error {
            HomeError::Open { ref path, .. } => {
                let remedy = format!("chmod 700 {}", path.display());
                Failure::from(error).remedy(remedy)
            }
            error => error.into(),
        }
    })
}

fn end(home: &Home) -> Result<(), Failure> {
    fs::remove_file(marker(home.root()))?;
    Ok(durable::sync_directory(home.root())?)
}

/// Removes what an attempt made. What cannot be removed is left to the next attempt, which the marker tells.
fn clear(root: &Path, was_there: bool) {
    for name in LEFTOVERS {
        let path = root.join(name);
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    let _ = fs::remove_file(marker(root));
    if !was_there {
        let _ = fs::remove_dir(root);
    }
}

fn marker(root: &Path) -> PathBuf {
    root.join(MARKER)
}

fn check_threshold(config: &HostConfig) -> Result<(), Failure> {
    if (1..=config.operators.len()).contains(&config.threshold) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "a threshold of {} cannot be met by {} operators",
        config.threshold,
        config.operators.len()
    ))
    .remedy("give as many --operator as must sign"))
}

fn default_origin() -> String {
    let uname = rustix::system::uname();
    let machine: String = uname
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '.'))
        .collect();
    format!("{}/kos", if machine.is_empty() { NAMELESS_MACHINE } else { &machine })
}
