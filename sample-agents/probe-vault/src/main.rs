//! Makes the calls to the vault that it is told to and prints each answer: for trying grants by hand.
//!
//! `probe-vault CALL` makes one call. `probe-vault` alone makes one for each line of its standard input, so that a grant can be
//! changed in between. The calls are `list PATTERN`, `put NAME TEXT`, `put-until MILLISECONDS NAME TEXT` (since 1970), `delete
//! NAME`, `sign NAME TEXT`, `mac NAME TEXT`, `encrypt CIPHER NAME TEXT`, `decrypt CIPHER NAME HEX`, `derive NAME CONTEXT LENGTH`
//! and `reveal NAME`; a cipher is `aes` or `chacha`. `repeat N CALL` makes one N times.
//!
//! An answer is what came back, bytes in hex, or the error's word, such as `denied`; with `repeat`, how often each came.
#![expect(clippy::print_stdout, reason = "the answers are what it is for")]

#[path = "../../probe/src/conversation.rs"]
mod conversation;

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use kos_sdk::Error;
use kos_sdk::vault::{self, Cipher, Mac};

/// What is authenticated beside an encrypted text.
const ASSOCIATED: &[u8] = b"probe";

fn main() -> io::Result<()> {
    conversation::hold(made)
}

fn made(call: &[&str]) -> Result<String, Error> {
    Ok(match *call {
        ["list", pattern] => vault::list(pattern)?.iter().map(shown).collect::<Vec<_>>().join(" "),
        ["put", name, text] => vault::put(name, text.as_bytes(), None).map(|()| "stored".to_owned())?,
        ["put-until", millis, name, text] => {
            let end = UNIX_EPOCH + Duration::from_millis(number(millis)?);
            vault::put(name, text.as_bytes(), Some(end)).map(|()| "stored".to_owned())?
        }
        ["delete", name] => vault::delete(name).map(|()| "removed".to_owned())?,
        ["sign", name, text] => hex::encode(vault::sign(name, text.as_bytes())?),
        ["mac", name, text] => hex::encode(vault::mac(name, Mac::HmacSha256, text.as_bytes())?),
        ["encrypt", cipher, name, text] => {
            hex::encode(vault::encrypt(name, known(cipher)?, ASSOCIATED, text.as_bytes())?)
        }
        ["decrypt", cipher, name, text] => {
            let ciphertext = hex::decode(text).map_err(|_| Error::Invalid("hex".to_owned()))?;
            hex::encode(vault::decrypt(name, known(cipher)?, ASSOCIATED, &ciphertext)?)
        }
        ["derive", name, context, length] => hex::encode(vault::derive(name, context, number(length)?)?),
        ["reveal", name] => hex::encode(vault::reveal(name)?),
        _ => return Err(Error::Invalid("call".to_owned())),
    })
}

fn shown(secret: &vault::Metadata) -> String {
    format!("{}@{}", secret.name, secret.version)
}

fn known(cipher: &str) -> Result<Cipher, Error> {
    match cipher {
        "aes" => Ok(Cipher::Aes256Gcm),
        "chacha" => Ok(Cipher::ChaCha20Poly1305),
        _ => Err(Error::Invalid("cipher".to_owned())),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Invalid("number".to_owned()))
}
