//! What a person reads when something does not happen: what, why, and what would change it.
//!
//! In scope: the text and the exit status. Out of scope: deciding; the core and the host do that.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use crate::output::clean;

/// The exit status of a command that was understood and could not be done.
pub const FAILED: u8 = 1;
/// The exit status of a command line that was not understood, as clap has it.
pub const USAGE: u8 = 2;
/// The exit status of a program whose reader went away: 128 and SIGPIPE, as a shell reports it.
const READER_GONE: u8 = 141;

/// Why a command did not do what was asked.
///
/// It is made from any error by `?`; [`Explain`] adds what was attempted and what would help.
#[derive(Debug)]
pub struct Failure {
    what: String,
    why: Vec<String>,
    remedy: Vec<String>,
    status: u8,
    silent: bool,
}

impl Failure {
    /// A failure in one line: what did not happen.
    pub fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), why: Vec::new(), remedy: Vec::new(), status: FAILED, silent: false }
    }

    /// An end that has been reported already, or that says all by its status.
    #[must_use]
    pub fn silent(status: u8) -> Self {
        Self { silent: true, status, ..Self::new("") }
    }

    /// Adds a reason.
    #[must_use]
    pub fn why(mut self, reason: impl Display) -> Self {
        self.why.push(reason.to_string());
        self
    }

    /// Adds what would change it: a command, where there is one.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Display) -> Self {
        self.remedy.push(remedy.to_string());
        self
    }

    /// Ends with this status in place of 1.
    #[must_use]
    pub fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The exit status.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }

    /// The exit status as a number.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.status
    }

    /// The failure as an object, for `--json`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "what": self.what, "why": self.why, "remedy": self.remedy, "status": self.status })
    }

    /// Writes the failure to stderr: for a person, or as one line of JSON. An unwritable stderr changes nothing.
    pub fn report(&self, program: &str, json: bool) {
        if self.silent {
            return;
        }
        let mut stderr = anstream::stderr().lock();
        let _ = if json {
            writeln!(stderr, "{}", serde_json::json!({ "error": self.to_json() }))
        } else {
            write!(stderr, "{}", self.for_person(program))
        };
    }

    fn for_person(&self, program: &str) -> String {
        let bad = AnsiColor::Red.on_default().bold();
        let dim = Style::new().dimmed();
        let mut text = format!("{bad}{program}: {}{bad:#}\n", clean(&self.what));
        for reason in &self.why {
            text.push_str(&format!("  {dim}why:{dim:#} {}\n", clean(reason)));
        }
        for remedy in &self.remedy {
            text.push_str(&format!("  {dim}to change it:{dim:#} {}\n", clean(remedy)));
        }
        text
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        if is_reader_gone(&error) {
            return Self::silent(READER_GONE);
        }
        let mut failure = Self::new(&error);
        let mut told = failure.what.clone();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                told.push_str(&text);
                failure.why.push(text);
            }
            cause = error.source();
        }
        failure
    }
}

/// Adds to a failed result what was attempted, and what would change it.
pub trait Explain<T> {
    /// Puts `what` first and makes the message so far a reason.
    ///
    /// # Errors
    /// The same, explained.
    fn doing(self, what: impl Display) -> Result<T, Failure>;

    /// Adds what would change it.
    ///
    /// # Errors
    /// The same, explained.
    fn or_try(self, remedy: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let mut failure: Failure = error.into();
            let reason = std::mem::replace(&mut failure.what, what.to_string());
            failure.why.insert(0, reason);
            failure
        })
    }

    fn or_try(self, remedy: impl Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().remedy(remedy))
    }
}

/// Whether colour is wanted on stderr; for text that is made before it is known where it goes.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn is_reader_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer thing failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_cause_that_the_message_does_not_tell_becomes_a_reason() {
        let failure = Failure::from(Outer(io::Error::other("the disk is full")));
        assert_eq!(failure.what, "the outer thing failed");
        assert_eq!(failure.why, ["the disk is full"]);
    }

    #[test]
    fn an_attempt_comes_before_its_cause() {
        let failed: Result<(), io::Error> = Err(io::Error::other("the disk is full"));
        let failure = failed.doing("cannot sign").or_try("make room").unwrap_err();
        assert_eq!(failure.what, "cannot sign");
        assert_eq!(failure.why, ["the disk is full"]);
        assert_eq!(failure.remedy, ["make room"]);
    }

    #[test]
    fn a_reader_that_went_away_is_not_reported() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.silent);
        assert_eq!(failure.exit_status(), READER_GONE);
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let text = Failure::new("bad \u{1b}[2J name").why("line\nbreak").for_person("kos");
        assert!(!text.contains("\u{1b}[2J"));
        assert_eq!(text.lines().count(), 2);
    }
}
