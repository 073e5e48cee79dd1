//! Answers each request with what it says. On the topic `count` it says how many messages this instance had; on `refuse` it
//! refuses, and on `break` it breaks.

use std::sync::atomic::{AtomicU64, Ordering};

use kos_sdk::Error;
use kos_sdk::handler::Message;

static HANDLED: AtomicU64 = AtomicU64::new(0);

fn handle(message: Message) -> Result<Option<Vec<u8>>, Error> {
    let count = HANDLED.fetch_add(1, Ordering::Relaxed) + 1;
    match message.topic.as_str() {
        "count" => Ok(Some(count.to_string().into_bytes())),
        "refuse" => Err(Error::Invalid("payload".into())),
        "break" => std::process::abort(),
        "wait" => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        _ => Ok(Some(message.payload)),
    }
}

kos_sdk::service!(handle);
