//! Operations with keys: the agent's own, which stays in custody, and other people's public ones.

use std::str::FromStr;
use std::sync::Arc;

use kos_core::crypto::{self, Signer as _, pae};
use kos_core::custody::{CustodyError, KeyHandle};
use kos_core::id::{AgreementKey, Did};
use kos_core::permission::Grant;
use kos_core::permission::marker::{CryptoOpen, CryptoSeal, CryptoSign, CryptoVerify};

use crate::bindings::Error;
use crate::capability::call::is_context;

/// What agents sign under: no format of the host's own begins with it.
const TYPE_PREFIX: &str = "application/vnd.kos.agent.";

/// HPKE's `info` between agents: empty, so that other implementations need to know nothing more than RFC 9180. Everything else in
/// kOS uses one that is not empty.
const SEAL_INFO: &[u8] = b"";

/// Signs by the agent's key. What is signed is put together at once; custody is waited for.
pub(super) fn sign(
    grant: &Grant<'_, CryptoSign>,
    key: &Arc<KeyHandle>,
    message: &[u8],
) -> Result<impl Future<Output = Result<Vec<u8>, Error>> + Send + use<>, Error> {
    let signed = pae(&payload_type(grant.scope())?, message);
    let key = Arc::clone(key);
    let signing = tokio::task::spawn_blocking(move || key.sign(&signed));
    Ok(async move {
        match signing.await {
            Ok(Ok(signature)) => Ok(signature.to_vec()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "an agent's signature was not made");
                Err(Error::Unavailable)
            }
            Err(_) => Err(Error::Unavailable),
        }
    })
}

pub(super) fn verify(
    grant: &Grant<'_, CryptoVerify>,
    context: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Error> {
    let signed = pae(&payload_type(context)?, message);
    let signer = Did::from_str(grant.scope()).map_err(|_| Error::Invalid("signer".into()))?;
    let signature = signature.try_into().map_err(|_| Error::Invalid("signature".into()))?;
    Ok(signer.verify(&signed, signature))
}

pub(super) fn seal(
    grant: &Grant<'_, CryptoSeal>,
    associated: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let recipient = AgreementKey::from_str(grant.scope()).map_err(|_| Error::Invalid("recipient".into()))?;
    crypto::seal(&recipient, SEAL_INFO, associated, plaintext).map_err(|error| {
        tracing::warn!(%error, "nothing was sealed");
        Error::Unavailable
    })
}

pub(super) async fn open(
    _: &Grant<'_, CryptoOpen>,
    key: &Arc<KeyHandle>,
    associated: Vec<u8>,
    sealed: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let key = Arc::clone(key);
    match tokio::task::spawn_blocking(move || key.open_sealed(SEAL_INFO, &associated, &sealed)).await {
        Ok(Ok(plaintext)) => Ok(plaintext.to_vec()),
        Ok(Err(CustodyError::Sealed { .. })) => Err(Error::Invalid("sealed".into())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "nothing was opened");
            Err(Error::Unavailable)
        }
        Err(_) => Err(Error::Unavailable),
    }
}

fn payload_type(context: &str) -> Result<String, Error> {
    if !is_context(context) {
        return Err(Error::Invalid("context".into()));
    }
    Ok(format!("{TYPE_PREFIX}{context}"))
}
