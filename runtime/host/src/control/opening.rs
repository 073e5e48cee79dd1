//! What opens a slot, on its way to a running host: bytes in base64, so that no escape makes a parser copy them.

use std::path::PathBuf;

use kos_core::custody::{Secret, Unlock};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

/// What opens a slot, as it crosses the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Opening {
    /// A passphrase in UTF-8.
    Passphrase(Secret),
    /// A key file, which the host reads itself.
    KeyFile(PathBuf),
    /// A secret of another kind.
    Secret(Secret),
}

/// A way to unlock that does not cross the socket.
#[derive(Debug, thiserror::Error)]
#[error("a running host is not unlocked this way")]
pub(super) struct OpeningError;

impl TryFrom<&Unlock> for Opening {
    type Error = OpeningError;

    fn try_from(unlock: &Unlock) -> Result<Self, OpeningError> {
        match unlock {
            Unlock::Passphrase(passphrase) => {
                Ok(Self::Passphrase(Secret::new(passphrase.as_bytes().to_vec())))
            }
            Unlock::KeyFile(path) => Ok(Self::KeyFile(path.clone())),
            Unlock::Secret(secret) => Ok(Self::Secret(Secret::from(secret.clone()))),
            _ => Err(OpeningError),
        }
    }
}

impl TryFrom<Opening> for Unlock {
    type Error = OpeningError;

    fn try_from(opening: Opening) -> Result<Self, OpeningError> {
        match opening {
            Opening::Passphrase(secret) => text(secret).map(Self::Passphrase),
            Opening::KeyFile(path) => Ok(Self::KeyFile(path)),
            Opening::Secret(secret) => Ok(Self::Secret(secret.into_inner())),
        }
    }
}

/// The bytes as text, in the same place of memory.
fn text(secret: Secret) -> Result<Zeroizing<String>, OpeningError> {
    let mut bytes = secret.into_inner();
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        OpeningError
    })
}
