//! What an agent can be allowed to do: the closed list of capabilities (I2).
//!
//! Source: the project's contract, `wit/`. In scope: names, interfaces, and what a scope means for each. Out of scope:
//! who holds which ([`crate::manifest`] declares, [`crate::trust`] caps).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::audience::Audience;
use crate::line;
use crate::scope::ScopePattern;

/// The text names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a capability; there are: {}", Capability::listing())]
pub struct CapabilityError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

/// The pattern is not a scope of the capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a scope of `{capability}`: write {form}; only what follows the first `/` may end in `*`"
)]
pub struct CapabilityScopeError {
    /// Which capability.
    pub capability: Capability,
    /// What was given, cut to a displayable length.
    pub text: String,
    /// How its scopes are written.
    pub form: &'static str,
}

/// One thing that an agent can be allowed to do. A name that is not here is refused, never ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Describe itself: its own identifier, keys, name and trust level.
    IdentitySelf,
    /// List the grants in force for it.
    IdentityGrants,
    /// Hash data. Scope: the algorithm (`sha-512`, `blake3`).
    CryptoHash,
    /// Sign with its own key, which it never sees. Scope: the context, the name of the use (`receipt`).
    CryptoSign,
    /// Verify a signature made by an agent. Scope: the signer's identifier.
    CryptoVerify,
    /// Encrypt to a recipient. Scope: the recipient's agreement key.
    CryptoSeal,
    /// Open what was sealed to it.
    CryptoOpen,
    /// Write remarks into the host's log. Scope: the topic.
    AuditNote,
    /// Name secrets, without what is in them. Scope: the secret, `api_key/weather`.
    VaultList,
    /// Store a secret, or its next version. Scope: the secret.
    VaultPut,
    /// Remove a secret. Scope: the secret.
    VaultDelete,
    /// Use a secret without reading it: sign, MAC, encrypt, decrypt, derive. Scope: the secret.
    VaultUse,
    /// Read a secret. Scope: the secret.
    VaultReveal,
    /// Have the host put a secret into a request, without reading it. Scope: to whom, then the secret,
    /// `api.example.com:443/api_key/weather`.
    VaultSend,
    /// Make HTTPS requests. Scope: to whom, then the method, `api.example.com:443/GET`.
    HttpRequest,
    /// Send messages. Scope: to whom, then the topic, `name:notary/receipts`.
    MessagingSend,
    /// Receive messages. Scope: from whom, then the topic, `level:partner/receipts`.
    MessagingReceive,
}

impl Capability {
    /// Every capability, in the order of the contract.
    pub const ALL: [Self; 17] = [
        Self::IdentitySelf,
        Self::IdentityGrants,
        Self::CryptoHash,
        Self::CryptoSign,
        Self::CryptoVerify,
        Self::CryptoSeal,
        Self::CryptoOpen,
        Self::AuditNote,
        Self::VaultList,
        Self::VaultPut,
        Self::VaultDelete,
        Self::VaultUse,
        Self::VaultReveal,
        Self::VaultSend,
        Self::HttpRequest,
        Self::MessagingSend,
        Self::MessagingReceive,
    ];

    /// The capability's name: its interface, a dot, and the operation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdentitySelf => "identity.self",
            Self::IdentityGrants => "identity.grants",
            Self::CryptoHash => "crypto.hash",
            Self::CryptoSign => "crypto.sign",
            Self::CryptoVerify => "crypto.verify",
            Self::CryptoSeal => "crypto.seal",
            Self::CryptoOpen => "crypto.open",
            Self::AuditNote => "audit.note",
            Self::VaultList => "vault.list",
            Self::VaultPut => "vault.put",
            Self::VaultDelete => "vault.delete",
            Self::VaultUse => "vault.use",
            Self::VaultReveal => "vault.reveal",
            Self::VaultSend => "vault.send",
            Self::HttpRequest => "http.request",
            Self::MessagingSend => "messaging.send",
            Self::MessagingReceive => "messaging.receive",
        }
    }

    /// The interface that offers it: `crypto` for `kos:agent/crypto`.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Self::IdentitySelf | Self::IdentityGrants => "identity",
            Self::CryptoHash
            | Self::CryptoSign
            | Self::CryptoVerify
            | Self::CryptoSeal
            | Self::CryptoOpen => "crypto",
            Self::AuditNote => "audit",
            Self::VaultList
            | Self::VaultPut
            | Self::VaultDelete
            | Self::VaultUse
            | Self::VaultReveal
            | Self::VaultSend => "vault",
            Self::HttpRequest => "http",
            Self::MessagingSend | Self::MessagingReceive => "messaging",
        }
    }

    /// What a scope of this capability names, in one word; none where the capability has no scope.
    #[must_use]
    pub const fn describes_scope(self) -> Option<&'static str> {
        match self {
            Self::CryptoHash => Some("algorithm"),
            Self::CryptoSign => Some("context"),
            Self::CryptoVerify => Some("signer"),
            Self::CryptoSeal => Some("recipient"),
            Self::AuditNote => Some("topic"),
            Self::VaultList | Self::VaultPut | Self::VaultDelete | Self::VaultUse | Self::VaultReveal => {
                Some("secret")
            }
            Self::VaultSend => Some("audience and secret"),
            Self::HttpRequest => Some("address and method"),
            Self::MessagingSend | Self::MessagingReceive => Some("peer and topic"),
            Self::IdentitySelf | Self::IdentityGrants | Self::CryptoOpen => None,
        }
    }

    /// Whether the capability is held for named scopes. One without a scope is held or not, and its list of scopes
    /// is empty.
    #[must_use]
    pub const fn has_scope(self) -> bool {
        self.describes_scope().is_some()
    }

    /// Whether the pattern can allow something of this capability. One that opens others' servers to the agent names each
    /// of them whole: a prefix never widens to whom something is sent.
    ///
    /// # Errors
    /// [`CapabilityScopeError`].
    pub fn check_scope(self, pattern: &ScopePattern) -> Result<(), CapabilityScopeError> {
        let form = match self {
            Self::VaultSend => "HOST:PORT/TYPE/NAME, such as `api.example.org:443/api_key/weather`",
            Self::HttpRequest => "HOST:PORT/METHOD, such as `api.example.org:443/GET`",
            Self::IdentitySelf
            | Self::IdentityGrants
            | Self::CryptoHash
            | Self::CryptoSign
            | Self::CryptoVerify
            | Self::CryptoSeal
            | Self::CryptoOpen
            | Self::AuditNote
            | Self::VaultList
            | Self::VaultPut
            | Self::VaultDelete
            | Self::VaultUse
            | Self::VaultReveal
            | Self::MessagingSend
            | Self::MessagingReceive => return Ok(()),
        };
        let text = pattern.to_string();
        let names_an_audience = text
            .split_once('/')
            .is_some_and(|(audience, rest)| audience.parse::<Audience>().is_ok() && !rest.is_empty());
        if names_an_audience {
            return Ok(());
        }
        Err(CapabilityScopeError { capability: self, text: line::shown(&text), form })
    }

    /// Whether it is done with keys or secrets that a locked custodian does not hold.
    #[must_use]
    pub const fn needs_keys(self) -> bool {
        match self {
            Self::CryptoSign
            | Self::CryptoOpen
            | Self::VaultList
            | Self::VaultPut
            | Self::VaultDelete
            | Self::VaultUse
            | Self::VaultReveal
            | Self::VaultSend
            | Self::MessagingSend
            | Self::MessagingReceive => true,
            Self::IdentitySelf
            | Self::IdentityGrants
            | Self::CryptoHash
            | Self::CryptoVerify
            | Self::CryptoSeal
            | Self::AuditNote
            | Self::HttpRequest => false,
        }
    }

    fn listing() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Capability {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == text)
            .ok_or_else(|| CapabilityError { text: line::shown(text) })
    }
}

serde_as_text!(Capability);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_capability_is_read_back_from_its_name() {
        for capability in Capability::ALL {
            assert_eq!(capability.to_string().parse::<Capability>().unwrap(), capability);
            assert!(capability.as_str().starts_with(&format!("{}.", capability.interface())));
        }
    }

    #[test]
    fn a_name_that_is_not_in_the_list_is_refused_with_the_list() {
        for text in ["", "crypto", "crypto.", "crypto.*", "Crypto.hash", "crypto.hash ", "vault.steal", "*"] {
            let error = text.parse::<Capability>().unwrap_err();
            assert!(error.to_string().contains("audit.note"), "{error}");
        }
        assert_eq!("x\n".repeat(1_000).parse::<Capability>().unwrap_err().text, "x".repeat(80));
    }

    #[test]
    fn a_scope_that_opens_a_server_names_it_whole() {
        let check = |capability: Capability, scope: &str| capability.check_scope(&scope.parse().unwrap());
        for scope in ["api.example.org:443/*", "127.0.0.1:8443/GET", "[::1]:443/P*"] {
            assert_eq!(check(Capability::HttpRequest, scope), Ok(()), "{scope}");
        }
        for scope in ["api.example.org:443/api_key/weather", "api.example.org:443/api_key/*", "a:1/*"] {
            assert_eq!(check(Capability::VaultSend, scope), Ok(()), "{scope}");
        }
        for scope in [
            "*",
            "api.*",
            "api.example.org:443*",
            "api.example.org:443",
            "api.example.org:443/",
            "api.example.org/*",
        ] {
            for capability in [Capability::HttpRequest, Capability::VaultSend] {
                let error = check(capability, scope).unwrap_err();
                assert!(error.to_string().contains("write HOST:PORT/"), "{error}");
            }
        }
        assert_eq!(check(Capability::CryptoHash, "*"), Ok(()));
    }

    #[test]
    fn a_capability_in_json_is_its_name() {
        assert_eq!(serde_json::to_string(&Capability::CryptoSign).unwrap(), "\"crypto.sign\"");
        assert!(serde_json::from_str::<Capability>("\"crypto.forge\"").is_err());
    }
}
