//! Parsers that are nobody else's business, lent to the fuzzer.
//!
//! In scope: reading bytes and writing what was read again; `None` for what is refused. Out of scope: everything with an
//! effect: none of these verifies, unlocks or stores anything. Nothing outside `runtime/fuzz` uses this module.

use crate::{custody, log, manifest, message, trust, vault};

/// What a parser makes of bytes: those that it would write for what it read.
pub type Rewrite = fn(&[u8]) -> Option<Vec<u8>>;

/// A component's statement (in-toto).
pub const STATEMENT: Rewrite = manifest::rewritten;
/// The trust store.
pub const TRUST_STORE: Rewrite = trust::rewritten;
/// A message, sealed or not.
pub const MESSAGE: Rewrite = message::rewritten;
/// What a message carries.
pub const CONTENT: Rewrite = message::content_rewritten;
/// A vault.
pub const VAULT: Rewrite = vault::rewritten;
/// The file of the slots.
pub const SLOTS: Rewrite = custody::slot::rewritten;
/// A key that travels.
pub const EXPORTED_KEY: Rewrite = custody::portable::rewritten;
/// An inclusion proof.
pub const PROOF: Rewrite = log::proof::rewritten;
