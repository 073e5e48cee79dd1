//! A home with its keys unlocked, and the one order in which anything is changed: entry durable, then in force, then
//! every running host told (I5, I4).

use std::sync::Arc;

use kos_core::clock::{Clock, MonotoneClock, SystemClock};
use kos_core::crypto::Signer;
use kos_core::custody::{Custodian, KeyHandle, KeyName, KeyRole, ThreadCustodian};
use kos_core::durable::Lock;
use kos_core::home::{Home, HostConfig};
use kos_core::id::Name;
use kos_core::log::Log;
use kos_core::log::event::{Event, EventType, PartyType};

use crate::context::Context;
use crate::failed_unlocks;
use crate::failure::{Explain as _, Failure};
use crate::unlock::UnlockArguments;

/// What a key is called that `kos init` makes.
pub const DEFAULT_KEY: &str = "default";
/// Held while a command changes what is in force, so that two of them do not build on the same version.
const CHANGE_LOCK: &str = "change.lock";

/// A home that is open and whose keys can be used.
pub struct Session {
    /// The home.
    pub home: Home,
    /// Its configuration.
    pub config: HostConfig,
    /// Its keys.
    pub custodian: Arc<dyn Custodian>,
    /// The present; never before the last entry of the log, once that is open (I4).
    pub clock: Arc<MonotoneClock<SystemClock>>,
}

impl Session {
    /// Opens and unlocks the home.
    ///
    /// # Errors
    /// When there is no home, or nothing unlocks it.
    pub fn open(context: &Context, unlock: &UnlockArguments) -> Result<Self, Failure> {
        let (home, config) = context.open_home()?;
        let custodian = unlock.unlock(&home)?;
        Ok(Self::new(home, config, custodian))
    }

    /// A session with keys that are unlocked already.
    #[must_use]
    pub fn new(home: Home, config: HostConfig, custodian: ThreadCustodian) -> Self {
        let clock = MonotoneClock::starting_at(SystemClock, config.created);
        Self { home, config, custodian: Arc::new(custodian), clock: Arc::new(clock) }
    }

    /// A key of this home, for signing.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn key(&self, key: &KeyName) -> Result<KeyHandle, Failure> {
        Ok(KeyHandle::new(Arc::clone(&self.custodian), key.clone())?)
    }

    /// The host's own key.
    ///
    /// # Errors
    /// When it is not here.
    pub fn host_key(&self) -> Result<KeyHandle, Failure> {
        self.key(&KeyName::new(KeyRole::Host, default_name()?))
    }

    /// The keys that lie in this home and whose signatures count here, however few.
    ///
    /// # Errors
    /// When the keys cannot be listed.
    pub fn local_operators(&self) -> Result<Vec<KeyHandle>, Failure> {
        let keys = self.custodian.list()?;
        keys.iter()
            .filter(|public| {
                public.key.role == KeyRole::Operator && self.config.operators.contains(&public.did)
            })
            .map(|public| self.key(&public.key))
            .collect()
    }

    /// As many of the keys of this home whose signatures count here as must sign.
    ///
    /// # Errors
    /// When there are fewer than must sign.
    pub fn operators(&self) -> Result<Vec<KeyHandle>, Failure> {
        let mut operators = self.local_operators()?;
        if operators.len() < self.config.threshold {
            return Err(Failure::new("this cannot be signed here")
                .why(format!(
                    "{} of the {} operators of this home must sign, and {} of their keys lie in it",
                    self.config.threshold,
                    self.config.operators.len(),
                    operators.len()
                ))
                .remedy("sign on the operators' machines with `-o FILE`, then install the file here"));
        }
        operators.truncate(self.config.threshold.max(1));
        Ok(operators)
    }

    /// The log, for writing.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn log(&self) -> Result<Log, Failure> {
        let signer: Arc<dyn Signer> = Arc::new(self.host_key()?);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let opened = Log::open(&self.home.log(), &self.config.origin, signer, clock);
        let log = opened.doing("the log cannot be written, so nothing was done")?;
        self.clock.raise_to(log.last_timestamp());
        failed_unlocks::tell(&self.home, &self.config.host.to_string(), &log)
            .doing("the log cannot be written, so nothing was done")?;
        Ok(log)
    }

    /// Keeps other commands from changing what is in force until the lock is dropped.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub fn lock_changes(&self) -> Result<Lock, Failure> {
        Ok(Lock::exclusive(&self.home.run().join(CHANGE_LOCK))?)
    }

    /// Makes one change: the entry is durable before `install` runs, and every running host knows of it before this
    /// returns. Yields how many hosts there are. A change that fails has a second entry, which says so.
    ///
    /// # Errors
    /// When the entry cannot be written, and then nothing was changed; or when the change itself fails.
    pub fn change(
        &self,
        event: Event,
        install: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let log = self.log()?;
        log.append(event.clone()).doing("the log cannot be written, so nothing was changed")?;
        let installed = install();
        if let Err(failure) = &installed {
            log.append(event.with("failed", failure.to_string()))?;
        }
        log.close()?;
        installed?;
        kos_host::control::reload(&self.home)
            .doing("it is in force for new runs, and not in every running host")
            .map_err(|failure| {
                failure
                    .why("until that host ends, its runs go on by what was in force before")
                    .remedy("end that host's process; `kos ps` shows the hosts that answer")
            })
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&self, event: Event) -> Result<(), Failure> {
        let log = self.log()?;
        log.append(event)?;
        Ok(log.close()?)
    }

    /// An event whose actor is whoever holds `operators`, of whom the first is named.
    #[must_use]
    pub fn event_by(&self, operators: &[KeyHandle], event_type: EventType) -> Event {
        let actor =
            operators.first().map_or_else(|| self.config.host.to_string(), |key| key.did().to_string());
        Event::new(event_type, PartyType::User, actor)
    }
}

/// The name of the keys that `kos init` makes.
///
/// # Errors
/// Never with the name that is written here.
pub fn default_name() -> Result<Name, Failure> {
    Ok(DEFAULT_KEY.parse()?)
}

/// Signers as the core takes them.
#[must_use]
pub fn as_signers(keys: &[KeyHandle]) -> Vec<&dyn Signer> {
    keys.iter().map(|key| key as &dyn Signer).collect()
}

/// `in force in 2 running hosts`.
#[must_use]
pub fn in_force(hosts: usize) -> String {
    match hosts {
        0 => "in force for every run from now on (no host is running)".to_owned(),
        1 => "in force in the running host".to_owned(),
        hosts => format!("in force in {hosts} running hosts"),
    }
}
