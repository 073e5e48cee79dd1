//! Makes the calls it is told to and prints each answer: for trying grants by hand.
//!
//! `probe CALL` makes one call. `probe` alone makes one for each line of its standard input, so that a grant can be changed
//! in between. The calls are `self`, `grants`, `hash ALGORITHM TEXT`, `hasher ALGORITHM TEXT`, `sign CONTEXT TEXT`,
//! `verify DID CONTEXT TEXT HEX`, `seal KEY TEXT`, `open HEX`, `note TOPIC TEXT`; and, outside of the contract, `write FILE
//! BYTES`, `read FILE` (in `/data`, where the grant has storage), `connect ADDRESS`, and `say TEXT` to the last one connected
//! to. `repeat N CALL` makes one N times.
//!
//! An answer is what came back, bytes in hex, or the error's word, such as `denied`; with `repeat`, how often each came.
#![expect(clippy::print_stdout, reason = "the answers are what it is for")]

mod conversation;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::{fs, io};

use kos_sdk::crypto::{Algorithm, Hasher};
use kos_sdk::{Error, audit, crypto, identity};

/// The last connection that was made.
static CONNECTION: Mutex<Option<TcpStream>> = Mutex::new(None);

/// What is authenticated beside a sealed text.
const ASSOCIATED: &[u8] = b"probe";

fn main() -> io::Result<()> {
    conversation::hold(made)
}

fn made(call: &[&str]) -> Result<String, Error> {
    Ok(match *call {
        ["self"] => shown(&identity::me()?),
        ["grants"] => identity::grants()?.iter().map(grant).collect::<Vec<_>>().join(" "),
        ["hash", name, text] => hex::encode(crypto::hash(algorithm(name)?, text.as_bytes())?),
        ["hasher", name, text] => {
            let mut hasher = Hasher::new(algorithm(name)?)?;
            hasher.update(text.as_bytes())?;
            hex::encode(hasher.finish()?)
        }
        ["sign", context, text] => hex::encode(crypto::sign(context, text.as_bytes())?),
        ["verify", did, context, text, signature] => {
            crypto::verify(did, context, text.as_bytes(), &bytes(signature)?)?.to_string()
        }
        ["seal", key, text] => hex::encode(crypto::seal(key, ASSOCIATED, text.as_bytes())?),
        ["open", sealed] => hex::encode(crypto::open(ASSOCIATED, &bytes(sealed)?)?),
        ["note", topic, text] => audit::note(topic, text).map(|()| "noted".to_owned())?,
        ["write", file, count] => {
            told(fs::write(format!("/data/{file}"), vec![b'x'; count.parse().unwrap_or(0)]))
        }
        ["read", file] => told(fs::read(format!("/data/{file}")).map(|content| content.len())),
        ["connect", address] => told(TcpStream::connect(address).map(keep)),
        ["say", text] => told(say(text)),
        _ => return Err(Error::Invalid("call".to_owned())),
    })
}

fn keep(connection: TcpStream) {
    *CONNECTION.lock().expect("one thread") = Some(connection);
}

fn say(text: &str) -> io::Result<()> {
    let mut connection = CONNECTION.lock().expect("one thread");
    connection.as_mut().ok_or(io::ErrorKind::NotConnected)?.write_all(text.as_bytes())
}

/// `Ok(…)`, or the kind of what the standard library was told by the host.
fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    format!("{:?}", result.map_err(|error| error.kind()))
}

fn shown(me: &identity::Me) -> String {
    format!("{} {} {} {} {} {}", me.did, me.agreement_key, me.name, me.version, me.author, me.trust_level)
}

fn grant(grant: &identity::Grant) -> String {
    format!("{}:{}", grant.capability, grant.scope.join(","))
}

fn algorithm(name: &str) -> Result<Algorithm, Error> {
    let mut known = [Algorithm::Blake3, Algorithm::Sha512].into_iter();
    known.find(|one| one.name() == name).ok_or_else(|| Error::Invalid("algorithm".to_owned()))
}

fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    hex::decode(text).map_err(|_| Error::Invalid("hex".to_owned()))
}
