//! Amounts as people write them: `64MiB`, `10G`.
//!
//! In scope: whole numbers with one unit. Out of scope: spans of time ([`crate::clock::parse_span`]).

use crate::line;

/// The units of bytes, largest first: binary ones only, because memory is counted in pages.
const BYTE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// The units of a count, largest first.
const COUNT_UNITS: [(&str, u64); 5] =
    [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)];
/// The largest whole number that every JSON reader keeps exactly (2^53 - 1, RFC 8785).
pub const QUANTITY_MAX: u64 = (1 << 53) - 1;

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// Not a number of bytes.
    #[error(
        "`{text}` is not a size: write a whole number with its unit, such as `512KiB`, `64MiB`, `1GiB` or `100B`"
    )]
    Bytes {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not a count.
    #[error("`{text}` is not a count: write a whole number, such as `500`, `20k`, `10M`, `10G` or `2T`")]
    Count {
        /// What was given, cut to a displayable length.
        text: String,
    },
}

/// Reads a number of bytes: `100B`, `512KiB`, `64MiB`, `1GiB`.
///
/// # Errors
/// [`QuantityError::Bytes`] for anything else, and for more than [`QUANTITY_MAX`].
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text, &BYTE_UNITS).ok_or_else(|| QuantityError::Bytes { text: line::shown(text) })
}

/// Reads a count: `500`, `20k`, `10M`, `10G`, `2T` (powers of ten).
///
/// # Errors
/// [`QuantityError::Count`] for anything else, and for more than [`QUANTITY_MAX`].
pub fn parse_count(text: &str) -> Result<u64, QuantityError> {
    parse(text, &COUNT_UNITS).ok_or_else(|| QuantityError::Count { text: line::shown(text) })
}

/// Writes a number of bytes as [`parse_bytes`] reads it, in the largest unit that divides it.
#[must_use]
pub fn display_bytes(bytes: u64) -> String {
    display(bytes, &BYTE_UNITS)
}

/// Writes a count as [`parse_count`] reads it, in the largest unit that divides it.
#[must_use]
pub fn display_count(count: u64) -> String {
    display(count, &COUNT_UNITS)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size).filter(|total| *total <= QUANTITY_MAX)
}

fn display(amount: u64, units: &[(&str, u64)]) -> String {
    let (unit, size) = units
        .iter()
        .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size))
        .or(units.last())
        .copied()
        .unwrap_or(("", 1));
    format!("{}{unit}", amount / size)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_read_back() {
        for text in ["0B", "100B", "512KiB", "64MiB", "1GiB", "1025B"] {
            assert_eq!(display_bytes(parse_bytes(text).unwrap()), text);
        }
        assert_eq!(parse_bytes("64MiB").unwrap(), 67_108_864);
        for text in ["0", "500", "20k", "10M", "10G", "2T", "1001"] {
            assert_eq!(display_count(parse_count(text).unwrap()), text);
        }
        assert_eq!(parse_count("10G").unwrap(), 10_000_000_000);
    }

    #[test]
    fn malformed_or_boundless_amounts_are_refused() {
        for text in
            ["", "B", "64", "64MB", "64 MiB", "-1B", "1.5MiB", "64mib", "9007199254740992B", "99999999GiB"]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        for text in
            ["", "G", "1K", "-1", "1e9", "10 G", "0x10", "+1", "9007199254740992", "99999999999999999999"]
        {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }
}
