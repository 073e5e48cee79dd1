//! A short search that is the same on every machine: no coverage, no clock, and chance from a fixed seed.
//!
//! Source: the simple mutations of AFL ("havoc" and "splice"). What is accepted joins the inputs that are changed further,
//! so that the search goes on behind the first check.

use crate::{Finding, Target, Verdict};

/// Longer inputs are slower and show nothing that shorter ones do not; the caps have tests of their own.
const INPUT_MAX: usize = 4096;
/// Accepted inputs that are kept to be changed further.
const POOL_MAX: usize = 64;
/// Changes to one input, at most: few keep it near to what is accepted.
const CHANGES_MAX: usize = 4;

/// Pieces that the formats are made of, and numbers at their borders.
const DICTIONARY: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b"+",
    b"-",
    b".",
    b"/",
    b"*",
    b"!",
    b" ",
    b"\n",
    b"\t",
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\x7f",
    b"\xff",
    b"\xc3\x28",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{2014} ".as_bytes(),
    b"\\u0061",
    b"null",
    b"true",
    b"1e9",
    b"-0",
    b"0.1",
    b"00",
    b"9007199254740992",
    b"18446744073709551616",
    b"253402300800000",
    b"did:key:z6Mk",
    b"sha256:",
    b"never",
    b"KiB",
    b"ms",
    b"\"a\":1,",
    b"\"version\":1,",
    b"AAAA",
    b"====",
    b"[[x]]",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
];

/// Gives `count` changed seeds to `target`; says how many it accepted.
///
/// # Errors
/// The first [`Finding`].
pub fn search(target: &Target, seeds: &[Vec<u8>], count: usize) -> Result<usize, Finding> {
    let mut chance = Chance::of(target.name);
    let mut pool = seeds.to_vec();
    if pool.is_empty() {
        pool.push(Vec::new());
    }
    let mut accepted = 0;
    for _ in 0..count {
        let input = changed(&pool, &mut chance);
        if target.check(&input)? == Verdict::Accepted {
            accepted += 1;
            let place = chance.below(POOL_MAX);
            match pool.get_mut(seeds.len() + place) {
                Some(kept) => *kept = input,
                None => pool.push(input),
            }
        }
    }
    Ok(accepted)
}

fn changed(pool: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = chance.one_of(pool).cloned().unwrap_or_default();
    for _ in 0..=chance.below(CHANGES_MAX) {
        change(&mut input, pool, chance);
    }
    input.truncate(INPUT_MAX);
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = at + chance.below(input.len() - at + 1).min(64);
    match chance.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = chance.byte();
            }
        }
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => {
            let again = input.get(at..end).unwrap_or_default().to_vec();
            input.splice(at..at, again);
        }
        5 => {
            let other = chance.one_of(pool).cloned().unwrap_or_default();
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        6 => {
            let word = chance.one_of(DICTIONARY).copied().unwrap_or_default();
            input.splice(at..at, word.iter().copied());
        }
        _ => {
            let word = chance.one_of(DICTIONARY).copied().unwrap_or_default();
            input.splice(at..end, word.iter().copied());
        }
    }
}

/// Chance that is the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn of(name: &str) -> Self {
        Self(name.bytes().fold(0x006b_4f53, |sum, byte| (sum << 5) ^ (sum >> 59) ^ u64::from(byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_be_bytes();
        byte
    }

    /// A number below `bound`; 0 for 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        usize::try_from(self.next().checked_rem(bound).unwrap_or_default()).unwrap_or_default()
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Law;

    const LENIENT: Target = Target {
        name: "lenient",
        law: Law::Exact,
        rewrite: |bytes| {
            let text = std::str::from_utf8(bytes).ok()?;
            Some(text.parse::<u16>().ok()?.to_string().into_bytes())
        },
    };

    #[test]
    fn a_parser_with_two_writings_for_one_thing_is_found() {
        let finding = search(&LENIENT, &[b"17".to_vec()], 20_000);
        assert!(finding.is_err(), "`+17` and `017` are read as 17");
    }

    #[test]
    fn a_search_is_the_same_each_time() {
        let stable = Target { law: Law::Stable, ..LENIENT };
        let once = search(&stable, &[b"17".to_vec()], 2_000);
        assert_eq!(once, search(&stable, &[b"17".to_vec()], 2_000));
        assert!(once.is_ok_and(|accepted| accepted > 0), "it goes on behind what is accepted");
    }
}
