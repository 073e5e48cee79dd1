//! The vaults of a home, opened: which state of each is the present one, and what is done with its secrets.
//!
//! In scope: carrying out what is asked, the secrets that stay open, the present time. Out of scope: the files and the three
//! steps of a change ([`files`]), the format ([`crate::vault`]), who may ask. It lives inside the custodian alone, and never
//! waits for another process, as that process' log may need this custodian (I6).

mod files;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::error::CustodyError;
use super::request::Secret;
use super::root::RootKey;
use crate::clock::Timestamp;
use crate::home::Home;
use crate::id::Name;
use crate::vault::{
    Accesses, Change, Circumstances, Noted, OpenSecrets, SecretId, Vault, VaultAnswer, VaultError,
    VaultRequest, carry_out,
};
use files::Files;

/// The vaults of one home.
#[derive(Default)]
pub(super) struct Vaults {
    environments: HashMap<Name, Environment>,
    secrets: OpenSecrets,
}

/// What is known of one vault.
#[derive(Default)]
struct Environment {
    files: Files,
    accesses: Accesses,
}

/// Which vault, and in which state.
#[derive(Clone, Copy)]
pub(super) struct Which<'a> {
    pub(super) home: &'a Home,
    pub(super) environment: &'a Name,
    /// The state that the log knows of.
    pub(super) noted: Option<Noted>,
}

/// What is asked, of which vault, and when.
pub(super) struct Asked<'a> {
    pub(super) which: Which<'a>,
    pub(super) root: &'a RootKey,
    /// The present.
    pub(super) now: Timestamp,
    /// What an import takes over.
    pub(super) imported: Option<Vault>,
}

impl Vaults {
    /// Forgets every key and secret, and keeps the right to end a change that is prepared: the log may know of it by now, so
    /// that nobody may come between.
    pub(super) fn lock(&mut self) {
        self.secrets = OpenSecrets::default();
        self.environments.retain(|_, known| {
            known.accesses = Accesses::default();
            known.files.lock()
        });
    }

    /// Answers a request that ends a change, which needs no key; every other finds the keys locked.
    pub(super) fn answer_locked(
        &mut self,
        which: Which<'_>,
        request: &VaultRequest,
    ) -> Result<VaultAnswer, CustodyError> {
        match request {
            VaultRequest::Keep => {
                self.environment(which).files.keep(which)?;
                self.close_changed(which);
                Ok(VaultAnswer::Done)
            }
            VaultRequest::Drop => {
                self.environment(which).files.forget_prepared();
                Ok(VaultAnswer::Done)
            }
            VaultRequest::List
            | VaultRequest::Versions { .. }
            | VaultRequest::Use { .. }
            | VaultRequest::Reveal { .. }
            | VaultRequest::Prepare { .. }
            | VaultRequest::Export { .. } => Err(CustodyError::Locked),
        }
    }

    /// Answers a request.
    pub(super) fn answer(
        &mut self,
        asked: &Asked<'_>,
        request: &VaultRequest,
    ) -> Result<VaultAnswer, CustodyError> {
        match request {
            VaultRequest::Prepare { change } => self.prepare(asked, change),
            VaultRequest::Keep | VaultRequest::Drop => self.answer_locked(asked.which, request),
            VaultRequest::List => self.list(asked),
            VaultRequest::Versions { id } => {
                let environment = self.opened(asked)?;
                let versions = environment.files.vault().map(|vault| vault.versions(id));
                Ok(VaultAnswer::Versions { versions: versions.unwrap_or_else(|| Err(missing(asked, id)))? })
            }
            VaultRequest::Use { id, operation } => {
                let made = self.with_secret(asked, id, |secret| carry_out(id, secret, operation))??;
                Ok(made)
            }
            VaultRequest::Reveal { id } => {
                let value = self.with_secret(asked, id, |secret| Secret::new(secret.to_vec()))?;
                Ok(VaultAnswer::Revealed { value })
            }
            VaultRequest::Export { to } => {
                let document = match self.opened(asked)?.files.vault() {
                    Some(vault) => vault.export(to)?,
                    None => {
                        Vault::begin(asked.which.environment, asked.root.expose(), asked.now)?.export(to)?
                    }
                };
                Ok(VaultAnswer::Exported { document })
            }
        }
    }

    fn prepare(&mut self, asked: &Asked<'_>, change: &Change) -> Result<VaultAnswer, CustodyError> {
        let environment = self.environment(asked.which);
        let lock = environment.files.open_to_change(asked)?;
        let with = Circumstances {
            now: asked.now,
            root: asked.root.expose(),
            accesses: &environment.accesses,
            imported: asked.imported.as_ref(),
        };
        let next = match environment.files.vault() {
            Some(present) => present.changed(change, &with)?,
            None => Vault::begin(asked.which.environment, asked.root.expose(), asked.now)?
                .changed(change, &with)?,
        };
        let noted = environment.files.prepare(asked, next, lock)?;
        Ok(VaultAnswer::Prepared { noted })
    }

    fn list(&mut self, asked: &Asked<'_>) -> Result<VaultAnswer, CustodyError> {
        let environment = self.opened(asked)?;
        let mut secrets = environment.files.vault().map(Vault::list).unwrap_or_default();
        for known in &mut secrets {
            known.last_accessed = known.last_accessed.max(environment.accesses.get(&known.id).copied());
        }
        Ok(VaultAnswer::List { secrets })
    }

    /// What `work` makes of a secret that has not ended.
    fn with_secret<T>(
        &mut self,
        asked: &Asked<'_>,
        id: &SecretId,
        work: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, CustodyError> {
        self.opened(asked)?;
        let Self { environments, secrets } = self;
        let environment = environments.entry(asked.which.environment.clone()).or_default();
        let vault = environment.files.vault().ok_or_else(|| missing(asked, id))?;
        let found = match vault.find(id, asked.now) {
            Ok(found) => found,
            Err(refused) => {
                secrets.close(asked.which.environment, id);
                return Err(refused.into());
            }
        };
        let made = work(secrets.opened(asked.which.environment, id, found.generation(), || found.open())?);
        environment.accesses.insert(id.clone(), asked.now);
        Ok(made)
    }

    /// The environment, its vault being the one that the log knows of.
    fn opened(&mut self, asked: &Asked<'_>) -> Result<&mut Environment, CustodyError> {
        let was_read = self.environment(asked.which).files.open(asked)?;
        if was_read {
            self.close_changed(asked.which);
        }
        Ok(self.environment(asked.which))
    }

    /// Erases what the present state does not hold any more, and forgets accesses to what was there before it.
    fn close_changed(&mut self, which: Which<'_>) {
        let Self { environments, secrets } = self;
        let Environment { files, accesses } = environments.entry(which.environment.clone()).or_default();
        let vault = files.vault();
        secrets
            .keep(which.environment, |id, generation| vault.is_some_and(|vault| vault.holds(id, generation)));
        accesses
            .retain(|id, at| vault.and_then(|vault| vault.created(id)).is_some_and(|created| created <= *at));
    }

    fn environment(&mut self, which: Which<'_>) -> &mut Environment {
        self.environments.entry(which.environment.clone()).or_default()
    }
}

fn missing(asked: &Asked<'_>, id: &SecretId) -> VaultError {
    VaultError::NoSuchSecret { id: id.clone(), environment: asked.which.environment.clone() }
}
