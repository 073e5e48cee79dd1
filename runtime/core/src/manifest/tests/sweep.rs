//! Complete sweeps: nothing that differs from a signed file in one place verifies (R8).

use super::*;

#[test]
fn no_flipped_bit_of_a_signed_component_verifies() {
    let file = signed();
    let trust = trust();
    assert!(verify(&file, &trust).is_ok());
    for bit in 0..file.len() * 8 {
        let mut altered = file.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&altered, &trust).is_err(), "bit {bit} of {}", file.len() * 8);
    }
}

#[test]
fn no_flipped_bit_of_the_component_is_blamed_on_anything_but_the_file() {
    let file = signed();
    let trust = trust();
    for index in 0..component().len() {
        let mut altered = file.clone();
        altered[index] ^= 0x01;
        let refused = verify(&altered, &trust).unwrap_err();
        assert!(matches!(refused, Refusal::Component(_) | Refusal::Digest { .. }), "byte {index}: {refused}");
    }
}

#[test]
fn no_byte_taken_out_or_put_in_verifies() {
    let file = signed();
    let trust = trust();
    for index in 0..file.len() {
        let mut shorter = file.clone();
        shorter.remove(index);
        assert!(verify(&shorter, &trust).is_err(), "without byte {index}");
        for inserted in [0, b' ', file[index]] {
            let mut longer = file.clone();
            longer.insert(index, inserted);
            assert!(verify(&longer, &trust).is_err(), "{inserted:#x} before byte {index}");
        }
    }
}

#[test]
fn no_altered_field_of_the_manifest_verifies() {
    let trust = trust();
    let envelope = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap();
    let payload = envelope.unverified_payload().to_vec();
    let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
    for index in 0..payload.len() {
        let mut altered = payload.clone();
        altered[index] ^= 0x02;
        let text = text
            .replace(&crate::canonical::base64_encode(&payload), &crate::canonical::base64_encode(&altered));
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        let refused = verify(&attach(&component(), &envelope).unwrap(), &trust).unwrap_err();
        assert!(matches!(refused, Refusal::Signature(_)), "byte {index}: {refused}");
    }
}

/// A reproducible sequence (xorshift64), so that a failure can be met again.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    /// `file` with a part of itself or of `other` written over, put in, taken out or moved.
    fn mutant(&mut self, file: &[u8], other: &[u8]) -> Vec<u8> {
        let source = if self.below(2) == 0 { file } else { other };
        let from = self.below(source.len());
        let part = &source[from..(from + 1 + self.below(64)).min(source.len())];
        let at = self.below(file.len());
        let replaced = self.below(2) * part.len().min(file.len() - at);
        let part = if self.below(4) == 0 { &[][..] } else { part };
        [&file[..at], part, &file[at + replaced..]].concat()
    }
}

#[test]
fn no_file_spliced_from_two_signed_ones_verifies_but_those_two() {
    let trust = trust_in(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Trusted)]);
    let (one, two) = (signed(), signed_by(8, &[8]));
    let mut sequence = Sequence(0x6b6f_7365_6564);
    for round in 0..40_000 {
        let mutant = sequence.mutant(&one, &two);
        if mutant != one && mutant != two {
            assert!(verify(&mutant, &trust).is_err(), "round {round}");
        }
    }
}
