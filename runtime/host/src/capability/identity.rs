//! `kos:agent/identity`: who the agent is, and what it may do.

use kos_core::permission::marker::{IdentityGrants, IdentitySelf};
use kos_core::permission::{Gate, Grant, Held};

use crate::agent::{Agent, Description};
use crate::approval::authorize;
use crate::bindings::Error;
use crate::bindings::identity::{self, SelfDescription};

impl identity::Host for Agent {
    async fn self_(&mut self) -> wasmtime::Result<Result<SelfDescription, Error>> {
        self.calls = self.calls.saturating_add(1);
        let grant = authorize::<IdentitySelf>(&self.powers, "").await;
        Ok(grant.map(|grant| describe(&grant, &self.powers.description)).map_err(Error::from))
    }

    async fn grants(&mut self) -> wasmtime::Result<Result<Vec<identity::Grant>, Error>> {
        self.calls = self.calls.saturating_add(1);
        let grant = authorize::<IdentityGrants>(&self.powers, "").await;
        Ok(grant.map(|grant| list(&grant, &self.powers.gate)).map_err(Error::from))
    }
}

fn describe(_: &Grant<'_, IdentitySelf>, description: &Description) -> SelfDescription {
    SelfDescription {
        did: description.did.clone(),
        agreement_key: description.agreement_key.clone(),
        name: description.name.clone(),
        version: description.version.clone(),
        author: description.author.clone(),
        trust_level: description.trust_level.clone(),
    }
}

fn list(_: &Grant<'_, IdentityGrants>, gate: &Gate) -> Vec<identity::Grant> {
    gate.held().into_iter().map(identity::Grant::from).collect()
}

impl From<Held> for identity::Grant {
    fn from(held: Held) -> Self {
        Self {
            capability: held.capability.to_string(),
            scope: held.scope,
            expires: held.expires.map(kos_core::clock::Timestamp::as_millis),
        }
    }
}
