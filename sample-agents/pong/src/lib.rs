//! Answers each request with what it says. On the topic `count` it says how many messages this instance had; on `refuse` it
//! refuses, and on `break` it breaks. On `keep` it keeps the text with the message's identifier, in its directory.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use kos_sdk::Error;
use kos_sdk::handler::Message;

static HANDLED: AtomicU64 = AtomicU64::new(0);

fn handle(message: Message) -> Result<Option<Vec<u8>>, Error> {
    let count = HANDLED.fetch_add(1, Ordering::Relaxed) + 1;
    match message.topic.as_str() {
        "count" => Ok(Some(count.to_string().into_bytes())),
        "refuse" => Err(Error::Invalid("payload".into())),
        "keep" => kept(&message).map(|()| None).map_err(|_| Error::Unavailable),
        "break" => std::process::abort(),
        "wait" => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        _ => Ok(Some(message.payload)),
    }
}

fn kept(message: &Message) -> std::io::Result<()> {
    let line = format!("{} {}\n", message.id, String::from_utf8_lossy(&message.payload));
    OpenOptions::new().create(true).append(true).open("/data/kept")?.write_all(line.as_bytes())
}

kos_sdk::service!(handle);
