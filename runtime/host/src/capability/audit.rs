//! `kos:agent/audit`: the agent's own remarks in the host's log.
//!
//! Keeps I5 (a note is durable before its answer) and I7 (notes have a rate and a size).

use std::time::Instant;

use kos_core::permission::Grant;
use kos_core::permission::marker::AuditNote;
use tokio::sync::oneshot;

use crate::agent::{Agent, Powers};
use crate::approval::authorize;
use crate::bindings::{Error, audit};
use crate::outcome::Ended;
use crate::rate::Rate;

/// Longest topic. The contract says so.
const TOPIC_BYTES: usize = 64;

/// Longest text. The contract says so.
const TEXT_BYTES: usize = 4096;

impl audit::Host for Agent {
    async fn note(&mut self, topic: String, text: String) -> wasmtime::Result<Result<(), Error>> {
        self.calls = self.calls.saturating_add(1);
        let grant = match authorize::<AuditNote>(&self.powers, &topic).await {
            Ok(grant) => grant,
            Err(denied) => return Ok(Err(denied.into())),
        };
        if let Err(error) = check(&topic, &text) {
            return Ok(Err(error));
        }
        if !self.powers.admits_note(topic.len().saturating_add(text.len()))? {
            return Ok(Err(Error::Limited));
        }
        Ok(write(&grant, &self.powers, &text).await)
    }
}

/// Appends the note, and waits until it is durable.
async fn write(grant: &Grant<'_, AuditNote>, powers: &Powers, text: &str) -> Result<(), Error> {
    let (done, is_done) = oneshot::channel();
    powers.log.submit(powers.subject.note(grant.scope(), text), move |written| {
        // Nobody waits any more when the agent was stopped.
        let _ = done.send(written.is_ok());
    });
    if is_done.await.unwrap_or(false) { Ok(()) } else { Err(Error::Unavailable) }
}

fn check(topic: &str, text: &str) -> Result<(), Error> {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'/');
    if topic.is_empty() || topic.len() > TOPIC_BYTES || !topic.bytes().all(is_allowed) {
        return Err(Error::Invalid("topic".into()));
    }
    if text.len() > TEXT_BYTES {
        return Err(Error::Invalid("text".into()));
    }
    Ok(())
}

/// How much the agent may still write into the log.
#[derive(Debug)]
pub(crate) struct Notes {
    bytes_left: u64,
    rate: Rate,
}

impl Notes {
    pub(crate) fn new(bytes: u64, per_minute: u64) -> Self {
        Self { bytes_left: bytes, rate: Rate::per_minute(per_minute) }
    }

    /// Whether the rate allows a note now. A note beyond the size ends the agent: what it would say is lost either way, and
    /// the reason should not be.
    pub(crate) fn admit(&mut self, bytes: usize, now: Instant) -> Result<bool, Ended> {
        if !self.rate.admit(now) {
            return Ok(false);
        }
        self.bytes_left = self.bytes_left.checked_sub(bytes as u64).ok_or(Ended::Notes)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_beyond_the_size_end_the_agent() {
        let mut notes = Notes::new(10, 100);
        assert_eq!(notes.admit(10, Instant::now()), Ok(true));
        assert_eq!(notes.admit(1, Instant::now()), Err(Ended::Notes));
    }

    #[test]
    fn topics_and_texts_are_checked_as_the_contract_says() {
        assert!(check("weather/oslo-1.x", "rain").is_ok());
        let long = "x".repeat(65);
        for topic in ["", "Weather", "a b", "a\n", "ä", &long] {
            assert!(matches!(check(topic, ""), Err(Error::Invalid(_))), "{topic:?}");
        }
        assert!(check("a", &"x".repeat(4096)).is_ok());
        assert!(matches!(check("a", &"x".repeat(4097)), Err(Error::Invalid(_))));
    }
}
