//! For what a capability is held: exact names, or prefixes that end in `*` (I2).
//!
//! No regular expressions: what a pattern covers can be seen, compared and intersected. In scope: the patterns. Out of
//! scope: deny patterns (a leading `!`), which [`crate::permission`] parses around these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::line;

/// Longer than any identifier or topic that a scope names (a did:key has 56 characters).
pub const SCOPE_MAX: usize = 256;

/// The text is not a scope pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a scope: write 1 to {SCOPE_MAX} printable ASCII characters without spaces, with `*` at most \
     once and only at the end, and no leading `!`"
)]
pub struct ScopeError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

/// An exact name (`receipt`), or everything with a prefix (`receipt-*`; `*` alone is everything).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopePattern {
    /// The name or the prefix, without the star.
    stem: String,
    is_prefix: bool,
}

impl ScopePattern {
    /// The pattern that covers everything: `*`.
    #[must_use]
    pub fn everything() -> Self {
        Self { stem: String::new(), is_prefix: true }
    }

    /// Whether `scope` lies within the pattern.
    #[must_use]
    pub fn covers(&self, scope: &str) -> bool {
        if self.is_prefix { scope.starts_with(&self.stem) } else { scope == self.stem }
    }

    /// Whether everything that `other` covers lies within this pattern too.
    #[must_use]
    pub fn covers_pattern(&self, other: &Self) -> bool {
        if self.is_prefix { other.stem.starts_with(&self.stem) } else { self == other }
    }

    /// What both patterns cover; none where they share nothing. Of two patterns that overlap one lies within the other.
    #[must_use]
    pub fn intersection<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        if self.covers_pattern(other) {
            Some(other)
        } else if other.covers_pattern(self) {
            Some(self)
        } else {
            None
        }
    }

    /// Whether the pattern names one scope only.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.is_prefix
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.stem)?;
        if self.is_prefix { formatter.write_str("*") } else { Ok(()) }
    }
}

impl FromStr for ScopePattern {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (stem, is_prefix) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let is_pattern = (1..=SCOPE_MAX).contains(&text.len())
            && !text.starts_with('!')
            && stem.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if !is_pattern {
            return Err(ScopeError { text: line::shown(text) });
        }
        Ok(Self { stem: stem.to_owned(), is_prefix })
    }
}

serde_as_text!(ScopePattern);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> ScopePattern {
        text.parse().unwrap()
    }

    #[test]
    fn an_exact_scope_covers_itself_alone() {
        assert!(pattern("receipt").covers("receipt"));
        for scope in ["", "receip", "receipt-2", "Receipt", "receipt*", "*"] {
            assert!(!pattern("receipt").covers(scope), "{scope}");
        }
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        assert!(pattern("receipt-*").covers("receipt-2"));
        assert!(pattern("receipt-*").covers("receipt-"));
        assert!(!pattern("receipt-*").covers("receipt"));
        assert!(pattern("*").covers("") && pattern("*").covers("anything"));
        assert_eq!(ScopePattern::everything(), pattern("*"));
    }

    #[test]
    fn patterns_that_are_not_plain_are_refused() {
        let long = "a".repeat(SCOPE_MAX + 1);
        for text in ["", "**", "a*b", "*a", "!a", "a b", "a\n", "é", "a*\0", &long] {
            assert!(text.parse::<ScopePattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_intersection_of_two_patterns_is_the_narrower_one() {
        assert_eq!(pattern("a*").intersection(&pattern("ab*")), Some(&pattern("ab*")));
        assert_eq!(pattern("ab").intersection(&pattern("a*")), Some(&pattern("ab")));
        assert_eq!(pattern("a").intersection(&pattern("a")), Some(&pattern("a")));
        assert_eq!(pattern("a").intersection(&pattern("b*")), None);
    }

    proptest! {
        #[test]
        fn a_pattern_is_read_back(text in "[a-c]{1,3}\\*?") {
            prop_assert_eq!(pattern(&text).to_string(), text);
        }

        #[test]
        fn a_pattern_within_another_covers_no_more(outer in "[ab]{0,2}\\*|[ab]{1,3}", inner in "[ab]{0,2}\\*|[ab]{1,3}", scope in "[ab]{0,4}") {
            let (outer, inner) = (pattern(&outer), pattern(&inner));
            if outer.covers_pattern(&inner) {
                prop_assert!(!inner.covers(&scope) || outer.covers(&scope));
            }
        }

        #[test]
        fn the_intersection_covers_exactly_what_both_cover(one in "[ab]{0,2}\\*|[ab]{1,3}", two in "[ab]{0,2}\\*|[ab]{1,3}", scope in "[ab]{0,4}") {
            let (one, two) = (pattern(&one), pattern(&two));
            let both = one.intersection(&two).is_some_and(|shared| shared.covers(&scope));
            prop_assert_eq!(both, one.covers(&scope) && two.covers(&scope));
        }
    }
}
