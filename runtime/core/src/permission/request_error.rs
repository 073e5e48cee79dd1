//! What an operator is told about a request that is not understood: the place, the cause and the fix.
//!
//! In scope: errors of flags and of TOML, and guessing what was meant.

use super::access::{MemoryAccessError, NetworkHostError};
use super::condition::ConditionError;
use super::document::DocumentError;
use super::limits::LimitError;
use crate::capability::{Capability, CapabilityError};
use crate::clock::ClockError;
use crate::resource::AccessError;
use crate::scope::ScopeError;

/// Why a request is not understood. Each names the place and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Larger than any honest request.
    #[error("the permissions have {size} bytes; at most {most} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// How many are read.
        most: usize,
    },
    /// Not TOML.
    #[error("line {line}, column {column}: {cause}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The parser's words.
        cause: String,
    },
    /// A key that means nothing.
    #[error("line {line}, column {column}: `{key}` is no key of {table}{hint}")]
    UnknownKey {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The key.
        key: String,
        /// Where it stands.
        table: &'static str,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// A value of another kind than the key takes.
    #[error("line {line}, column {column}: `{key}` must be {expected}")]
    Kind {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A value that is not understood.
    #[error("line {line}, column {column}: {source}{hint}")]
    Value {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What is wrong with it.
        source: ValueError,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// Something that must be written out is missing.
    #[error("`{key}` is missing: write {fix}")]
    Missing {
        /// The key.
        key: &'static str,
        /// How it is written.
        fix: &'static str,
    },
    /// A flag that is not understood.
    #[error("`{text}` cannot be allowed: {source}{hint}")]
    Allow {
        /// The flag's value, cut to a displayable length.
        text: String,
        /// What is wrong with it.
        source: ValueError,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// It asks for what no document can mean.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Why one value is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// No capability.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// No scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// No condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// No time or span.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// No limit.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No network or storage access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No memory access.
    #[error(transparent)]
    Memory(#[from] MemoryAccessError),
    /// No address.
    #[error(transparent)]
    Host(#[from] NetworkHostError),
    /// A rule that means nothing.
    #[error(transparent)]
    Rule(#[from] DocumentError),
    /// A capability with a scope, without one.
    #[error("`{capability}` needs a scope, the {what}: name it, or write `*` for every one")]
    NoScope {
        /// Which capability.
        capability: Capability,
        /// What its scopes name.
        what: &'static str,
    },
    /// Another word than those there are.
    #[error("`{text}` is none of: {expected}")]
    Word {
        /// The word, cut to a displayable length.
        text: String,
        /// The words that there are.
        expected: &'static str,
    },
}

/// The end of a sentence that asks for the nearest of the words there are, if one is near.
pub(super) fn hint(text: &str, words: &[&str]) -> String {
    let nearest = words.iter().map(|word| (distance(text, word), word)).min();
    match nearest {
        // Two slips of the pen, and not most of the word.
        Some((slips, word)) if slips <= 2 && slips < word.len() / 2 => format!("; did you mean `{word}`?"),
        _ => String::new(),
    }
}

/// The Levenshtein distance, for words of at most 40 bytes; longer ones are far from every word of ours.
fn distance(one: &str, other: &str) -> usize {
    const LONG: usize = 40;
    if one.len() > LONG || other.len() > LONG {
        return LONG;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.bytes().enumerate() {
        let mut previous = index;
        let mut last = index + 1;
        let mut next = vec![last];
        for (right, above) in other.bytes().zip(row.iter().skip(1)) {
            last = (previous + usize::from(left != right)).min(above + 1).min(last + 1);
            previous = *above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(LONG)
}
