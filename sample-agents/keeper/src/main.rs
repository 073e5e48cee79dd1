//! Keeps a key that it uses and cannot read.
//!
//! What it reads from standard input it stores as the key `api_key/weather`; without input it uses the key that is there. It
//! signs a request with it, as a service with shared keys asks for, and then tries to read it, which its grant does not
//! allow.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it did goes to stdout, what went wrong to stderr"
)]

use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use kos_sdk::Error;
use kos_sdk::vault::{self, Mac};

/// The key's name in the vault.
const KEY: &str = "api_key/weather";

/// How long a stored key is good.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is signed with it.
const REQUEST: &str = "GET /v1/forecast?place=oslo";

fn main() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn keep() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = String::new();
    io::stdin().read_to_string(&mut given)?;
    if !given.trim().is_empty() {
        vault::put(KEY, given.trim().as_bytes(), Some(SystemTime::now() + LIFE))?;
        println!("{KEY}: stored");
    }
    for secret in vault::list("api_key/weather*")? {
        println!("{}: version {}", secret.name, secret.version);
    }
    let tag = vault::mac(KEY, Mac::HmacSha256, REQUEST.as_bytes())?;
    println!("{REQUEST}: signed {}", hex::encode(tag));
    match vault::reveal(KEY) {
        Err(Error::Denied) => println!("{KEY}: denied to read, as it should be"),
        Err(error) => return Err(error.into()),
        Ok(_) => println!("{KEY}: read; its grant is wider than it needs"),
    }
    Ok(())
}
