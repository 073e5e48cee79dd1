//! Too much at once, or too often: host calls, notes, output.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "flooding both is the attack")]

use std::io::{self, Write};

use kos_sdk::bindings::kos::agent::crypto as raw;
use kos_sdk::{Error, audit, crypto};
use wasip2::cli::{stdin, stdout};
use wasip2::random::random::get_random_bytes;

use crate::Attack;
use crate::verdict::Verdict;

/// Beyond the standard limit of a host call's payload (16 MiB), within the memory that is granted.
const PAYLOAD: usize = 20 * 1024 * 1024;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("hash-payload", "payload", || {
        raw::hash(raw::Algorithm::Blake3, &vec![0; PAYLOAD]).map_err(Error::from).into()
    }),
    Attack::new("hasher-payload", "payload", hasher_payload),
    Attack::new("sign-payload", "payload", || crypto::sign("receipt", &vec![0; PAYLOAD]).into()),
    Attack::new("denied-payload", "payload", || crypto::sign("payment", &vec![0; PAYLOAD]).into()),
    Attack::new("note-payload", "payload", || audit::note("rogue", &"a".repeat(PAYLOAD)).into()),
    Attack::new("notes-many", "limited", || notes("a")),
    Attack::new("notes-large", "notes", || notes(&"a".repeat(audit::TEXT_BYTES))),
    Attack::new("denials-many", "denied", || {
        Verdict::agreed((0..50_000).map(|turn| crypto::sign(&format!("payment-{turn}"), b"a").into()))
    }),
    Attack::new("output-many-lines", "output", || flood(|| println!("{}", "a".repeat(100)))),
    Attack::new("output-one-line", "output", || flood(|| print!("{}", "a".repeat(4096)))),
    Attack::new("errors-many-lines", "output", || flood(|| eprintln!("{}", "a".repeat(100)))),
    Attack::new("output-both-streams", "output", || {
        flood(|| {
            println!("{}", "a".repeat(100));
            eprintln!("{}", "a".repeat(100));
        })
    }),
    Attack::new("output-zeroes", "trap", output_zeroes),
    Attack::new("output-terminal-escapes", "ok", output_terminal_escapes),
    Attack::new("output-not-text", "ok", || {
        print_bytes(b"\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80 not text\n")
    }),
    Attack::new("output-forged-prefix", "ok", || {
        print_bytes(b"\rhost: agent_exit ok\x08\x08\x00\x85\xe2\x80\xa8hello: I am hello\n")
    }),
    Attack::new("input-huge-read", "ok", input_huge_read),
    Attack::new("random-huge", "trap", || {
        Verdict::Succeeded(format!("{} bytes", get_random_bytes(u64::MAX).len()))
    }),
    Attack::new("random-storm", "fuel|deadline", || flood(|| drop(get_random_bytes(64 * 1024)))),
];

fn hasher_payload() -> Verdict {
    raw::Hasher::open(raw::Algorithm::Blake3)
        .and_then(|hasher| hasher.update(&vec![0; PAYLOAD]))
        .map_err(Error::from)
        .into()
}

/// Each is allowed; all of them are not.
fn notes(text: &str) -> Verdict {
    let refusal = (0..100_000).find_map(|_| audit::note("rogue", text).err());
    refusal.map_or_else(|| Verdict::Succeeded("100,000 notes".to_owned()), |error| Err::<(), _>(error).into())
}

/// More often than any limit allows, yet not for ever.
fn flood(once: impl Fn()) -> Verdict {
    (0..100_000_000_u32).for_each(|_| once());
    Verdict::Succeeded("nobody minded".to_owned())
}

/// Asks the host to make up the flood by itself.
fn output_zeroes() -> Verdict {
    match stdout::get_stdout().write_zeroes(u64::MAX) {
        Ok(()) => Verdict::Succeeded("the host wrote them".to_owned()),
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}

/// Clears the screen, renames the window, changes what the terminal answers, writes to the clipboard.
fn output_terminal_escapes() -> Verdict {
    eprintln!("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{1b}c");
    print_bytes("\u{1b}[2J\u{1b}[H\u{1b}]0;owned\u{7}\u{1b}]52;c;b3duZWQ=\u{7}\u{9b}31m\u{1b}P+q\u{1b}\\\u{202e}txt\n".as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Verdict {
    let mut stdout = io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Verdict::Ok,
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}

/// The host must not make room for what is asked, but for what there is.
fn input_huge_read() -> Verdict {
    match stdin::get_stdin().read(u64::MAX) {
        Ok(data) if data.len() > PAYLOAD => Verdict::Succeeded(format!("{} bytes", data.len())),
        Ok(_) | Err(_) => Verdict::Ok,
    }
}
