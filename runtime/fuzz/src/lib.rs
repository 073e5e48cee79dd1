//! Every parser of kOS that reads anything from outside, in one table ([`targets::ALL`]), and what drives it.
//!
//! A target reads bytes and writes what it has read. Whatever the bytes, it must not panic, and what it accepts must come
//! out again as its [`Law`] says. Two drivers share the table: libFuzzer, which searches by coverage for as long as it is
//! told to (`cargo xtask fuzz`), and [`mutation`], which runs the same short search with every test.
//!
//! In scope: one line for each parser. Out of scope: what happens to what was read, which the tests of each part hold.
//! Keeps I1 and I2: one meaning has one writing, so that nothing is signed in one sense and read in another.

pub mod mutation;
pub mod seeds;
pub mod targets;

use std::fmt;

use kos_core::fuzzing::Rewrite;

/// What an accepted text must come out as when it is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// As it was: there is one way to write each thing.
    Exact,
    /// As a text that is accepted and stays as it is: people may write the same thing in several ways.
    Stable,
    /// As nothing: the target has compared what it read by itself.
    Accepted,
}

/// One parser.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its folder in `seeds/`, and what `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// What is to come out of it.
    pub law: Law,
    /// The bytes that it would write for what it has read; `None` for what it refuses.
    pub rewrite: Rewrite,
}

/// What was done with an input that breaks no law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was refused.
    Refused,
    /// It was accepted, and is as its law says.
    Accepted,
}

/// An input was accepted that comes out as something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The parser.
    pub target: &'static str,
    /// What it accepted.
    pub input: Vec<u8>,
    /// What it would write for it.
    pub output: Vec<u8>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, input, output } = self;
        let (input, output) = (input.escape_ascii(), output.escape_ascii());
        write!(formatter, "`{target}` accepts \"{input}\" and writes it as \"{output}\"")
    }
}

impl Target {
    /// Gives `input` to the parser.
    ///
    /// # Errors
    /// [`Finding`] when what it accepts is not as its law says.
    pub fn check(&self, input: &[u8]) -> Result<Verdict, Finding> {
        let Some(output) = (self.rewrite)(input) else { return Ok(Verdict::Refused) };
        let is_lawful = match self.law {
            Law::Exact => output == input,
            Law::Stable => (self.rewrite)(&output).as_deref() == Some(&output),
            Law::Accepted => true,
        };
        if is_lawful {
            return Ok(Verdict::Accepted);
        }
        Err(Finding { target: self.name, input: input.to_vec(), output })
    }
}
