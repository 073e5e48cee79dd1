//! Edits of the trust store: each makes the next version, says in one line what it changes, and what to log.
//!
//! An edit changes nothing by itself. The caller logs [`Change::details`] first and installs the store then (I5).

use serde::Serialize;
use serde_json::{Map, Value};

use super::{AuthorTrust, Revocation, TrustError, TrustPolicy, TrustStore};
use crate::canonical;
use crate::clock::Timestamp;
use crate::id::{Did, Digest, TrustLevel};

/// The next version of a trust store, and what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The next version, not yet signed.
    pub store: TrustStore,
    /// What changes, in one line for a person.
    pub summary: String,
    /// What changes, for the log's `trust_change` entry.
    pub details: Map<String, Value>,
}

impl TrustStore {
    /// Trusts an author at `level`, or moves a trusted one to it.
    ///
    /// # Errors
    /// [`TrustError::KeyRevoked`] for a revoked key, [`TrustError::Unchanged`] where it is so already.
    pub fn add_author(
        &self,
        author: Did,
        level: TrustLevel,
        label: Option<String>,
        now: Timestamp,
    ) -> Result<Change, TrustError> {
        if let Some(Revocation { at, reason }) = self.revoked_keys.get(&author).cloned() {
            return Err(TrustError::KeyRevoked { key: author, at, reason });
        }
        let mut next = self.next(now);
        let before = next.authors.get(&author).cloned();
        let label = label.or_else(|| before.as_ref().and_then(|before| before.label.clone()));
        let since = before.as_ref().map_or(now, |before| before.since);
        let trust = AuthorTrust { level, label, since };
        let summary = match &before {
            Some(before) if *before == trust => {
                return Err(TrustError::Unchanged { what: format!("{author} at the level {level}") });
            }
            Some(before) => format!("{author} is moved from {} to {level}", before.level),
            None => format!("{author} is trusted as {level}"),
        };
        let details = Details::new("add_author", next.version)
            .with("key", &author)?
            .with("level", &level)?
            .with("label", &trust.label)?
            .with("before", &before.map(|before| before.level))?;
        next.authors.insert(author, trust);
        next.into_change(summary, details)
    }

    /// Trusts an author no more. Unlike a revocation, this can be taken back.
    ///
    /// # Errors
    /// [`TrustError::UnknownAuthor`].
    pub fn remove_author(&self, author: &Did, now: Timestamp) -> Result<Change, TrustError> {
        let mut next = self.next(now);
        let before = next.authors.remove(author).ok_or(TrustError::UnknownAuthor { key: *author })?;
        let details =
            Details::new("remove_author", next.version).with("key", author)?.with("before", &before.level)?;
        next.into_change(format!("{author} is no longer trusted (was {})", before.level), details)
    }

    /// Revokes a key for good: nothing that it signed counts, whenever it was signed.
    ///
    /// # Errors
    /// [`TrustError::KeyRevoked`] when it is revoked already, [`TrustError::Text`] for a reason that is no line.
    pub fn revoke_key(&self, key: Did, reason: &str, now: Timestamp) -> Result<Change, TrustError> {
        if let Some(Revocation { at, reason }) = self.revoked_keys.get(&key).cloned() {
            return Err(TrustError::KeyRevoked { key, at, reason });
        }
        let mut next = self.next(now);
        let before = next.authors.remove(&key);
        next.revoked_keys.insert(key, Revocation { at: now, reason: reason.to_owned() });
        let details = Details::new("revoke_key", next.version)
            .with("key", &key)?
            .with("reason", &reason)?
            .with("before", &before.map(|before| before.level))?;
        next.into_change(format!("{key} is revoked: {reason}"), details)
    }

    /// Revokes one component for good, whoever signed it.
    ///
    /// # Errors
    /// [`TrustError::ComponentRevoked`] when it is revoked already, [`TrustError::Text`] for a reason that is no line.
    pub fn revoke_component(
        &self,
        component: Digest,
        reason: &str,
        now: Timestamp,
    ) -> Result<Change, TrustError> {
        if self.revoked_components.contains_key(&component) {
            return Err(TrustError::ComponentRevoked { component });
        }
        let mut next = self.next(now);
        next.revoked_components.insert(component, Revocation { at: now, reason: reason.to_owned() });
        let details = Details::new("revoke_component", next.version)
            .with("component", &component)?
            .with("reason", &reason)?;
        next.into_change(format!("{component} is revoked: {reason}"), details)
    }

    /// Sets the policy of `policy.level`: its ceiling, its restrictions and its threshold of signatures.
    ///
    /// # Errors
    /// [`TrustError::Unchanged`] where it is so already; those of an unsound policy, or of one that allows a lower
    /// level more than a higher one.
    pub fn set_policy(&self, policy: TrustPolicy, now: Timestamp) -> Result<Change, TrustError> {
        let level = policy.level;
        let before = self.policy(level);
        if *before == policy {
            return Err(TrustError::Unchanged { what: format!("the policy of the level {level}") });
        }
        let mut next = self.next(now);
        let details = Details::new("set_policy", next.version)
            .with("level", &level)?
            .with("before", before)?
            .with("policy", &policy)?;
        next.policies.set(policy);
        next.into_change(format!("the policy of the level {level} is changed"), details)
    }

    fn next(&self, now: Timestamp) -> Self {
        Self { version: self.version.saturating_add(1), issued: now, ..self.clone() }
    }

    fn into_change(self, summary: String, details: Details) -> Result<Change, TrustError> {
        self.check()?;
        Ok(Change { store: self, summary, details: details.0 })
    }
}

/// The facts of a change, being collected.
struct Details(Map<String, Value>);

impl Details {
    fn new(change: &str, version: u64) -> Self {
        let mut map = Map::new();
        map.insert("change".to_owned(), change.into());
        map.insert("version".to_owned(), version.into());
        Self(map)
    }

    /// Adds a fact; one that is `None` is left out.
    fn with<T: Serialize>(mut self, name: &str, value: &T) -> Result<Self, TrustError> {
        let value = serde_json::to_value(value)
            .map_err(|error| canonical::CanonicalError::Malformed { cause: error.to_string() })?;
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        Ok(self)
    }
}
