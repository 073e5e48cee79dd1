//! Overwriting secrets in what a server answers, as it streams by.
//!
//! In scope: finding each form of a secret ([`super::forms`]) across the borders of chunks, with as many `*` in its place, so
//! that lengths stay. What may be the beginning of a match is held back, and nothing else. Keeps I6.
//!
//! Source: Knuth, Morris and Pratt, "Fast pattern matching in strings" (1977): it knows at each byte how much of a form has
//! been read, which is how much is held back.

use super::forms::{self, Form};

/// What stands for each byte of a secret.
const MASK: u8 = b'*';

/// A stream in which secrets are overwritten.
pub(super) struct Mask {
    finders: Vec<Finder>,
    /// What is not shown yet, with matches already overwritten.
    held: Vec<u8>,
    /// Whether the next byte holds bits of a secret that was just overwritten.
    covers_next: bool,
}

impl Mask {
    /// A mask of these secrets, of which none is empty.
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let finders = secrets.into_iter().flat_map(forms::of).map(Finder::new).collect();
        Self { finders, held: Vec::new(), covers_next: false }
    }

    /// The same mask, for another stream.
    pub(super) fn anew(&self) -> Self {
        let finders = self.finders.iter().map(|finder| Finder { matched: 0, ..finder.clone() }).collect();
        Self { finders, held: Vec::new(), covers_next: false }
    }

    /// Takes the next chunk, and gives what can be shown by now.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<u8> {
        for byte in chunk {
            self.take(*byte);
        }
        let shown = self.held.len().saturating_sub(self.held_back());
        self.held.drain(..shown).collect()
    }

    /// The rest, at the stream's end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// A text that is whole.
    pub(super) fn whole(&self, text: &[u8]) -> Vec<u8> {
        let mut mask = self.anew();
        let mut shown = mask.feed(text);
        shown.extend(mask.finish());
        shown
    }

    fn take(&mut self, byte: u8) {
        let is_covered = std::mem::take(&mut self.covers_next) && is_base64(byte);
        self.held.push(if is_covered { MASK } else { byte });
        for finder in &mut self.finders {
            if !finder.step(byte) {
                continue;
            }
            let start = self.held.len().saturating_sub(finder.form.text.len());
            if let Some(found) = self.held.get_mut(start..) {
                found.fill(MASK);
            }
            let before = start.checked_sub(1).filter(|_| finder.form.before);
            if let Some(before) = before.and_then(|before| self.held.get_mut(before))
                && is_base64(*before)
            {
                *before = MASK;
            }
            self.covers_next |= finder.form.after;
        }
    }

    /// How many of the last bytes may yet turn out to be of a secret.
    fn held_back(&self) -> usize {
        let may_precede = self.held.last().is_some_and(|last| is_base64(*last));
        let back = |finder: &Finder| match finder.matched {
            0 => usize::from(finder.form.before && may_precede),
            matched => matched + usize::from(finder.form.before),
        };
        self.finders.iter().map(back).max().unwrap_or_default()
    }
}

/// Of either alphabet.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Looks for one form.
#[derive(Clone)]
struct Finder {
    form: Form,
    /// For each length of a beginning of the form, less one: how long the longest shorter beginning is that it ends with.
    borders: Vec<usize>,
    /// How much of the form the stream ends with.
    matched: usize,
}

impl Finder {
    fn new(form: Form) -> Self {
        let mut borders = vec![0; form.text.len().min(1)];
        let mut border = 0;
        for byte in form.text.iter().skip(1) {
            border = extend(&form.text, &borders, border, *byte);
            borders.push(border);
        }
        Self { form, borders, matched: 0 }
    }

    /// Reads a byte; whether the form ends with it.
    fn step(&mut self, byte: u8) -> bool {
        self.matched = extend(&self.form.text, &self.borders, self.matched, byte);
        let is_found = self.matched == self.form.text.len();
        if is_found {
            self.matched = self.borders.last().copied().unwrap_or_default();
        }
        is_found
    }
}

/// How much of `text` is matched after `byte`, where `matched` was before.
fn extend(text: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    loop {
        if text.get(matched) == Some(&byte) {
            return matched + 1;
        }
        match matched.checked_sub(1).and_then(|last| borders.get(last)) {
            Some(shorter) => matched = *shorter,
            None => return 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cret/t0ken+42";

    fn masked(text: &str) -> String {
        String::from_utf8_lossy(&Mask::of([SECRET.as_bytes()]).whole(text.as_bytes())).into_owned()
    }

    /// The text fed in two chunks.
    fn in_two(mask: &mut Mask, text: &[u8], border: usize) -> Vec<u8> {
        let (one, two) = text.split_at(border.min(text.len()));
        let mut shown = mask.feed(one);
        shown.extend(mask.feed(two));
        shown.extend(mask.finish());
        shown
    }

    #[test]
    fn a_secret_is_overwritten_and_what_stands_around_it_is_not() {
        assert_eq!(masked("token: s3cret/t0ken+42!"), "token: ***************!");
        assert_eq!(masked("s3cret/t0ken+4"), "s3cret/t0ken+4");
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(masked(&format!("<{hex}>")), format!("<{}>", "*".repeat(30)));
    }

    #[test]
    fn a_secret_is_found_at_every_border_of_chunks() {
        let text = format!("a s3 s3cret{SECRET}{SECRET} b");
        let expected = Mask::of([SECRET.as_bytes()]).whole(text.as_bytes());
        for border in 0..=text.len() {
            let mut mask = Mask::of([SECRET.as_bytes()]);
            assert_eq!(in_two(&mut mask, text.as_bytes(), border), expected);
        }
        let bytewise: Vec<u8> = {
            let mut mask = Mask::of([SECRET.as_bytes()]);
            let mut shown: Vec<u8> = text.bytes().flat_map(|byte| mask.feed(&[byte])).collect();
            shown.extend(mask.finish());
            shown
        };
        assert_eq!(bytewise, expected);
    }

    #[test]
    fn base64_gives_not_even_a_bit_away() {
        for (before, after) in [("", ""), ("u:", ""), ("u", "x"), ("user", "xyz")] {
            for engine in [&STANDARD, &URL_SAFE] {
                let plain = |secret: &str| engine.encode(format!("{before}{secret}{after}"));
                let (one, other) = (plain(SECRET), plain("T4ds|s0UlJdo,53"));
                let other = Mask::of(["T4ds|s0UlJdo,53".as_bytes()]).whole(other.as_bytes());
                assert_eq!(masked(&one).into_bytes(), other, "what is left depends on the secret: {one}");
            }
        }
    }

    #[test]
    fn a_chunk_that_begins_no_secret_is_shown_at_once() {
        let mut mask = Mask::of([SECRET.as_bytes()]);
        assert_eq!(mask.feed(b"event: rain\n\n"), b"event: rain\n\n");
        assert_eq!(mask.feed(b"data: s3c"), b"data: ");
        assert_eq!(mask.feed(b"onds\n"), b"s3conds\n");
    }

    #[test]
    fn each_of_several_secrets_is_overwritten() {
        let mask = Mask::of([&b"first-one"[..], b"second-one"]);
        assert_eq!(mask.whole(b"first-one, second-one."), b"*********, **********.");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[ab*]{0,60}", secret in "[ab]{8,12}", cuts in proptest::collection::vec(0_usize..60, 0..5)) {
            let expected = Mask::of([secret.as_bytes()]).whole(text.as_bytes());
            prop_assert_eq!(expected.len(), text.len());
            let mut mask = Mask::of([secret.as_bytes()]);
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut shown, mut from) = (Vec::new(), 0);
            for cut in cuts {
                let to = cut.min(text.len()).max(from);
                shown.extend(mask.feed(&text.as_bytes()[from..to]));
                from = to;
            }
            shown.extend(mask.feed(&text.as_bytes()[from..]));
            shown.extend(mask.finish());
            prop_assert_eq!(&shown, &expected);
        }

        #[test]
        fn nothing_of_a_secret_is_left(before in "[ -~]{0,9}", after in "[ -~]{0,9}", secret in "[ -~]{8,20}") {
            let secret = secret.trim();
            prop_assume!(secret.len() >= 8);
            let shown = Mask::of([secret.as_bytes()]).whole(format!("{before}{secret}{after}").as_bytes());
            prop_assert!(!shown.windows(secret.len()).any(|window| window == secret.as_bytes()) || secret.bytes().all(|byte| byte == MASK));
        }
    }
}
