//! Words that strangers wrote and people read: one line, bounded, with nothing that a terminal or an eye misreads.

/// Invisible characters that reorder or hide what stands beside them (Unicode bidirectional controls, zero-width
/// characters, line and paragraph separators, the byte order mark).
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// Whether `text` is one honest line of 1 to `max` bytes.
pub(crate) fn is_honest(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && !text.chars().any(|character| character.is_control() || is_deceptive(character))
}

/// Characters of a text that is shown in an error: enough to recognise it by.
pub(crate) const SHOWN_MAX: usize = 80;

/// `text` made safe to show in an error: without what [`is_honest`] refuses, and cut.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control() && !is_deceptive(*character))
        .take(SHOWN_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_deceive_or_do_not_end_are_refused() {
        assert!(is_honest("Signs receipts for Zoë", 64));
        for text in ["", "a\nb", "a\x1b[2J", "a\u{202e}b", "a\u{200b}b", "a\u{7f}", &"a".repeat(65)] {
            assert!(!is_honest(text, 64), "{text:?}");
        }
        assert_eq!(shown("a\x1b[2J\u{202e}b"), "a[2Jb");
    }
}
