//! What the host shows a server that asks who it is: a secret of the vault, taken out for each connection.
//!
//! In scope: the forms of such a secret. Out of scope: the vault.
//!
//! Keeps I5: the entry of each access is durable before the server sees anything, and I6: no agent has part in it.

use async_nats::{Auth, AuthError};
use kos_core::audited_vault::AuditedVault;
use kos_core::log::{Event, EventType, PartyType};
use kos_core::vault::{SecretId, SecretType};
use nkeys::KeyPair;

/// What the credentials of a user begin with, as the tools of the server write them.
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----";
/// What the seed of a user's key begins with.
const SEED: &str = "SU";

/// A secret that a server asks for.
#[derive(Clone)]
pub(crate) struct Credentials {
    vault: AuditedVault,
    secret: SecretId,
    /// Whose entries these are.
    host: String,
    /// To whom it is shown.
    audience: String,
}

impl Credentials {
    pub(crate) fn new(vault: AuditedVault, secret: SecretId, host: String, audience: String) -> Self {
        Self { vault, secret, host, audience }
    }

    /// What answers the server's challenge.
    pub(super) async fn show(self, nonce: Vec<u8>) -> Result<Auth, AuthError> {
        let shown = tokio::task::spawn_blocking(move || self.answer(&nonce));
        shown.await.map_err(AuthError::new)?
    }

    fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let by = Event::new(EventType::VaultAccess, PartyType::System, &*self.host);
        let secret = self.vault.send(by, &self.secret, &self.audience).map_err(AuthError::new)?;
        let text = std::str::from_utf8(secret.expose()).map_err(|_| refused("it is no text"))?;
        read(self.secret.kind, text.trim(), nonce)
    }
}

/// A password is `USER:PASSWORD`; a key is the credentials of a user, the seed of a user's key, or else a token.
fn read(kind: SecretType, text: &str, nonce: &[u8]) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    match kind {
        SecretType::Password => {
            let (user, password) = text.split_once(':').ok_or_else(|| refused("it is not USER:PASSWORD"))?;
            (auth.username, auth.password) = (Some(user.into()), Some(password.into()));
        }
        SecretType::ApiKey if text.starts_with(CREDENTIALS) => {
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let token = lines.nth(1).ok_or_else(|| refused("it has no token"))?;
            let seed = lines.find(|line| line.starts_with(SEED)).ok_or_else(|| refused("it has no seed"))?;
            let key = KeyPair::from_seed(seed).map_err(|_| refused("its seed is none"))?;
            (auth.jwt, auth.signature) = (Some(token.into()), Some(key.sign(nonce).map_err(AuthError::new)?));
        }
        SecretType::ApiKey => match KeyPair::from_seed(text) {
            Ok(key) if text.starts_with(SEED) => {
                (auth.nkey, auth.signature) =
                    (Some(key.public_key()), Some(key.sign(nonce).map_err(AuthError::new)?));
            }
            _ => auth.token = Some(text.into()),
        },
        SecretType::Certificate | SecretType::Jwt => {
            return Err(refused("it is neither a password nor an API key"));
        }
    }
    Ok(auth)
}

fn refused(why: &str) -> AuthError {
    AuthError::new(format!("the secret for the message server cannot be used: {why}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_secret_is_shown_as_what_it_is() {
        let auth = read(SecretType::Password, "me:se:cret", b"n").unwrap();
        assert_eq!((auth.username.as_deref(), auth.password.as_deref()), (Some("me"), Some("se:cret")));
        assert_eq!(read(SecretType::ApiKey, "token", b"n").unwrap().token.as_deref(), Some("token"));
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let auth = read(SecretType::ApiKey, &seed, b"nonce").unwrap();
        assert_eq!((auth.nkey, auth.token), (Some(key.public_key()), None));
        assert!(key.verify(b"nonce", &auth.signature.unwrap()).is_ok());
        let credentials = format!(
            "{CREDENTIALS}\na.b.c\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------"
        );
        let auth = read(SecretType::ApiKey, &credentials, b"nonce").unwrap();
        assert_eq!((auth.jwt.as_deref(), auth.token), (Some("a.b.c"), None));
        assert!(key.verify(b"nonce", &auth.signature.unwrap()).is_ok());
    }

    #[test]
    fn what_has_another_form_is_not_shown() {
        for (kind, text) in [
            (SecretType::Password, "no colon"),
            (SecretType::Jwt, "a.b.c"),
            (SecretType::Certificate, "PEM"),
            (SecretType::ApiKey, CREDENTIALS),
        ] {
            assert!(read(kind, text, b"n").is_err(), "{kind} {text}");
        }
    }
}
