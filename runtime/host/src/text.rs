//! Text from a guest, made safe to show.
//!
//! In scope: invalid UTF-8, terminal escape sequences, control characters, directional overrides. Out of scope: where the
//! text goes (`output`, the log).

/// `bytes` as printable text: invalid UTF-8 becomes U+FFFD; escape sequences, control characters other than newline and tab,
/// and characters that reorder what follows are left out.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let decoded = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(decoded.len());
    let mut characters = decoded.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\u{9b}' => skip_control_sequence(&mut characters),
            '\n' | '\t' => shown.push(character),
            character if character.is_control() || reorders(character) => {}
            character => shown.push(character),
        }
    }
    shown
}

/// `text` on one line of at most `limit` bytes.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = printable(text.as_bytes()).replace(['\n', '\t'], " ");
    let mut end = limit.min(line.len());
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.truncate(end);
    line
}

/// ECMA-48: what follows ESC. `[` opens a control sequence, `]`, `P`, `X`, `^`, `_` a string up to BEL or ST, intermediate
/// bytes are followed by one final byte, and anything else is that final byte.
fn skip_escape(characters: &mut std::str::Chars<'_>) {
    match characters.next() {
        Some('[') => skip_control_sequence(characters),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(characters),
        Some(' '..='/') => {
            characters.find(|character| !matches!(character, ' '..='/'));
        }
        Some('\n') | None | Some(_) => {}
    }
}

fn skip_control_sequence(characters: &mut std::str::Chars<'_>) {
    let rest = characters.as_str();
    let length: usize =
        rest.chars().take_while(|character| matches!(character, ' '..='?')).map(char::len_utf8).sum();
    *characters = rest.get(length..).unwrap_or_default().chars();
    if characters.as_str().starts_with(|character| matches!(character, '@'..='~')) {
        characters.next();
    }
}

/// A string ends at BEL, at ST (ESC `\` or U+009C), or, when it is not closed on this line, with the line.
fn skip_string(characters: &mut std::str::Chars<'_>) {
    loop {
        let rest = characters.as_str();
        match characters.next() {
            None | Some('\u{7}' | '\u{9c}') => return,
            Some('\n') => {
                *characters = rest.chars();
                return;
            }
            Some('\u{1b}') => {
                if characters.as_str().starts_with('\\') {
                    characters.next();
                }
                return;
            }
            Some(_) => {}
        }
    }
}

/// Unicode's explicit directional formatting characters: they can make a line read as something else.
fn reorders(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_left_out() {
        for (given, shown) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[Hclear", "clear"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("\u{1b}]52;c;never closed\nnext", "\nnext"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}(Bascii", "ascii"),
            ("\u{1b}cdone", "done"),
            ("over\rwrite\u{8}\u{7f}\u{0}", "overwrite"),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("tab\tand\nline", "tab\tand\nline"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}[999", ""),
        ] {
            assert_eq!(printable(given.as_bytes()), shown, "{given:?}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(printable(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn one_line_is_cut_at_a_character() {
        assert_eq!(one_line("a\nb", 10), "a b");
        assert_eq!(one_line("äöü", 3), "ä");
    }
}
