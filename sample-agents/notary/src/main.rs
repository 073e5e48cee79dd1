//! Signs a receipt for what it reads from standard input.
//!
//! The receipt is one line of JSON: a DSSE envelope whose payload tells the size and two hashes of the input, and whose
//! signature is by the notary's own key. It is in the host's log, as a note, before it is printed.
//!
//! Anyone checks it with the key in `keyid` alone: the signature is over
//! `DSSEv1 33 application/vnd.kos.agent.receipt <length of payload> <payload>`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the receipt goes to stdout, what went wrong to stderr"
)]

use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kos_sdk::crypto::{Algorithm, Hasher};
use kos_sdk::{audit, crypto, identity};

/// The use that the notary's key is put to, and the topic of its notes.
const RECEIPT: &str = "receipt";

/// How much of the input is held at once.
const BUFFER_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    match receipt() {
        Ok(receipt) => {
            println!("{receipt}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no receipt: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The signed and noted receipt for all of standard input.
fn receipt() -> Result<String, Box<dyn Error>> {
    let me = identity::me()?;
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin());
    let payload = Fingerprint::of(input)?.payload(&me.did);
    let signature = crypto::sign(RECEIPT, payload.as_bytes())?;
    audit::note(RECEIPT, &payload)?;
    Ok(envelope(&payload, &me.did, &signature))
}

/// What the notary states about its input.
struct Fingerprint {
    size: u64,
    blake3: Vec<u8>,
    sha512: Vec<u8>,
}

impl Fingerprint {
    /// Reads `input` to its end, in parts.
    fn of(mut input: impl BufRead) -> Result<Self, Box<dyn Error>> {
        let mut blake3 = Hasher::new(Algorithm::Blake3)?;
        let mut sha512 = Hasher::new(Algorithm::Sha512)?;
        let mut size = 0;
        loop {
            let part = input.fill_buf()?;
            if part.is_empty() {
                return Ok(Self { size, blake3: blake3.finish()?, sha512: sha512.finish()? });
            }
            blake3.update(part)?;
            sha512.update(part)?;
            let read = part.len();
            size += read as u64;
            input.consume(read);
        }
    }

    /// As canonical JSON: keys in order, no spaces; hex and identifiers need no escapes.
    fn payload(&self, notary: &str) -> String {
        let Self { size, blake3, sha512 } = self;
        let (blake3, sha512) = (hex::encode(blake3), hex::encode(sha512));
        format!(r#"{{"blake3":"{blake3}","notary":"{notary}","sha512":"{sha512}","size":{size}}}"#)
    }
}

/// The DSSE envelope of `payload`, on one line.
fn envelope(payload: &str, signer: &str, signature: &[u8]) -> String {
    let (payload, signature) = (STANDARD.encode(payload), STANDARD.encode(signature));
    format!(
        r#"{{"payload":"{payload}","payloadType":"application/vnd.kos.agent.{RECEIPT}","signatures":[{{"keyid":"{signer}","sig":"{signature}"}}]}}"#
    )
}
