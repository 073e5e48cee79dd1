//! The vault as everybody uses it: each access and each change is in the log before it happens (I5).
//!
//! In scope: the order of log and vault, and which state of a vault the log knows of, so that an older file is refused.
//! Out of scope: who may ask (the gate), and where plaintext lives ([`crate::custody`]).
//!
//! A change is three steps. The new state is written beside the vault; the log notes its number and digest; it takes the
//! vault's place. A crash before the second step leaves the old state, one after it the new (I8).

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::custody::{Answer, Custodian, CustodyError, Request, Secret};
use crate::id::Name;
use crate::log::{Event, Log, LogError, Reply};
use crate::vault::{
    Change, Metadata, Noted, Operation, Recipient, SecretId, VaultAnswer, VaultError, VaultRequest, Version,
};

/// How long another process may take to finish its change of the vault: it waits for the disk, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at until then.
const PAUSE: Duration = Duration::from_millis(2);

/// The detail of an entry that notes the state of a vault, and what its target is called.
const VAULT: &str = "vault";

/// Why something was not done with the vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditedVaultError {
    /// The log cannot be written, so nothing was done.
    #[error("the log cannot be written, so nothing was done: {0}")]
    Log(#[from] LogError),
    /// Custody refused.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// The vault of one environment. Its methods wait for the disk; each takes the event of whoever asks, a `vault_access`
/// with its actor, and completes it.
#[derive(Clone)]
pub struct AuditedVault {
    custodian: Arc<dyn Custodian>,
    log: Arc<Log>,
    environment: Name,
    /// One change at a time within this process.
    changing: Arc<Mutex<()>>,
}

impl AuditedVault {
    /// The vault of `environment`, which is there once something was put into it.
    #[must_use]
    pub fn new(custodian: Arc<dyn Custodian>, log: Arc<Log>, environment: Name) -> Self {
        Self { custodian, log, environment, changing: Arc::default() }
    }

    /// Which environment.
    #[must_use]
    pub fn environment(&self) -> &Name {
        &self.environment
    }

    /// What is known of each secret, in the order of their names.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn list(&self, by: Event) -> Result<Vec<Metadata>, AuditedVaultError> {
        match self.access(by, "list", None, VaultRequest::List)? {
            VaultAnswer::List { secrets } => Ok(secrets),
            _ => Err(CustodyError::Answer.into()),
        }
    }

    /// The versions of a secret that are kept, the newest first.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn versions(&self, by: Event, id: &SecretId) -> Result<Vec<Version>, AuditedVaultError> {
        match self.access(by, "versions", Some(id), VaultRequest::Versions { id: id.clone() })? {
            VaultAnswer::Versions { versions } => Ok(versions),
            _ => Err(CustodyError::Answer.into()),
        }
    }

    /// Does something with a secret, which stays in custody.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn use_secret(
        &self,
        by: Event,
        id: &SecretId,
        operation: Operation,
    ) -> Result<Secret, AuditedVaultError> {
        let word = operation.as_str();
        match self.access(by, word, Some(id), VaultRequest::Use { id: id.clone(), operation })? {
            VaultAnswer::Bytes { bytes } => Ok(bytes),
            VaultAnswer::Signature { signature } => Ok(Secret::new(signature.0.to_vec())),
            _ => Err(CustodyError::Answer.into()),
        }
    }

    /// The secret itself.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn reveal(&self, by: Event, id: &SecretId) -> Result<Secret, AuditedVaultError> {
        self.give(by, "reveal", id)
    }

    /// The secret itself, for a request to `audience` that the host makes; the agent never has it.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn send(&self, by: Event, id: &SecretId, audience: &str) -> Result<Secret, AuditedVaultError> {
        self.give(by.with("audience", audience), "send", id)
    }

    /// Changes the vault.
    ///
    /// # Errors
    /// [`AuditedVaultError`]; the vault is then as it was, but where the log noted the change before the file system
    /// failed: the change is then in force at the next access.
    pub fn change(&self, by: Event, change: Change) -> Result<(), AuditedVaultError> {
        let event = self.completed(by, change.as_str(), change.secret());
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = self.prepare(&VaultRequest::Prepare { change })?;
        if let Err(error) = self.log.append(event.with(VAULT, self.described(&noted))) {
            // What is left beside the vault is cleared by whoever changes it next; that the log failed counts more.
            let _ = self.ask(VaultRequest::Drop, None);
            return Err(error.into());
        }
        self.ask(VaultRequest::Keep, Some(noted))?;
        Ok(())
    }

    /// The whole vault, encrypted to somebody.
    ///
    /// # Errors
    /// [`AuditedVaultError`].
    pub fn export(&self, by: Event, to: Recipient) -> Result<Vec<u8>, AuditedVaultError> {
        match self.access(by, "export", None, VaultRequest::Export { to })? {
            VaultAnswer::Exported { document } => Ok(document),
            _ => Err(CustodyError::Answer.into()),
        }
    }

    /// Writes the state that a change makes of the one that the log knows of, and holds the vault's lock.
    fn prepare(&self, request: &VaultRequest) -> Result<Noted, AuditedVaultError> {
        loop {
            let before = self.log.newest_noted_vault(&self.environment)?;
            let (answer, of) = self.ask_patiently(request, before)?;
            let VaultAnswer::Prepared { noted } = answer else {
                return Err(CustodyError::Answer.into());
            };
            // Only the holder of the lock has a change noted, so what is noted now stays the newest until it is released.
            let newest = self.log.newest_noted_vault(&self.environment);
            if newest.as_ref().is_ok_and(|newest| *newest == of) {
                return Ok(noted);
            }
            self.ask(VaultRequest::Drop, None)?;
            newest?;
        }
    }

    fn give(&self, by: Event, word: &str, id: &SecretId) -> Result<Secret, AuditedVaultError> {
        match self.access(by, word, Some(id), VaultRequest::Reveal { id: id.clone() })? {
            VaultAnswer::Revealed { value } => Ok(value),
            _ => Err(CustodyError::Answer.into()),
        }
    }

    /// The entry is durable, and then it is done.
    fn access(
        &self,
        by: Event,
        word: &str,
        id: Option<&SecretId>,
        request: VaultRequest,
    ) -> Result<VaultAnswer, AuditedVaultError> {
        let (custodian, known) = (Arc::clone(&self.custodian), self.log.known().clone());
        let (environment, asked) = (self.environment.clone(), request.clone());
        // Whoever wrote the entry asks for all whose entries became durable with it, and each of them waits once.
        let given = self.log.append_then(self.completed(by, word, id), move |written, reply: Reply<_>| {
            let not_before = match written {
                Ok(position) => position.timestamp,
                Err(error) => return reply.give(Err(error)),
            };
            let noted = known.vault(&environment);
            let request = Request::Vault { environment, noted, not_before, request: asked };
            custodian.submit(request, Box::new(move |given| reply.give(Ok(given))));
        })?;
        match given.unwrap_or(Ok(Err(CustodyError::Gone)))? {
            Err(CustodyError::Vault(VaultError::Busy | VaultError::RolledBack { .. })) => {
                Ok(self.ask_patiently(&request, self.log.noted_vault(&self.environment))?.0)
            }
            answered => Ok(vault_answer(answered?)?),
        }
    }

    fn completed(&self, by: Event, word: &str, id: Option<&SecretId>) -> Event {
        let event = by.with("operation", word).with("environment", self.environment.as_str());
        match id {
            Some(id) => event.on("secret", id.to_string()),
            None => event.on(VAULT, self.environment.as_str()),
        }
    }

    fn described(&self, noted: &Noted) -> serde_json::Value {
        json!({
            "environment": self.environment.as_str(),
            "generation": noted.generation,
            "digest": noted.digest.to_string(),
        })
    }

    /// Asks for the state that the log knows of. While another process changes the vault, log and file differ for a
    /// moment; custody itself never waits for another process, as the log of both needs it.
    /// Also gives the state for which it was answered.
    fn ask_patiently(
        &self,
        request: &VaultRequest,
        mut noted: Option<Noted>,
    ) -> Result<(VaultAnswer, Option<Noted>), AuditedVaultError> {
        let began = Instant::now();
        loop {
            let refused = match self.ask(request.clone(), noted) {
                Err(CustodyError::Vault(refused @ (VaultError::Busy | VaultError::RolledBack { .. }))) => {
                    refused
                }
                asked => return Ok((asked?, noted)),
            };
            let is_busy = refused == VaultError::Busy;
            let now_noted = self.log.newest_noted_vault(&self.environment)?;
            if !is_busy && now_noted == noted || began.elapsed() > PATIENCE {
                return Err(CustodyError::from(refused).into());
            }
            if is_busy {
                thread::sleep(PAUSE);
            }
            noted = now_noted;
        }
    }

    fn ask(&self, request: VaultRequest, noted: Option<Noted>) -> Result<VaultAnswer, CustodyError> {
        let not_before = self.log.last_timestamp();
        let environment = self.environment.clone();
        vault_answer(self.custodian.ask(Request::Vault { environment, noted, not_before, request })?)
    }
}

fn vault_answer(answer: Answer) -> Result<VaultAnswer, CustodyError> {
    match answer {
        Answer::Vault { answer } => Ok(answer),
        _ => Err(CustodyError::Answer),
    }
}

impl std::fmt::Debug for AuditedVault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AuditedVault of {}", self.environment)
    }
}

#[cfg(test)]
mod tests;
