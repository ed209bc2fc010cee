//! Sizes in descriptions: `512`, `4K`, `2M`, `1G`. Always exact, in powers of 1024.

/// The units and their binary logarithms, largest last.
const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// Reads a size in bytes; `None` if it is none, or 0, or does not fit.
pub fn parse(text: &str) -> Option<u64> {
    let unit = UNITS.into_iter().find(|&(name, _)| text.ends_with(name));
    let (digits, shift) = match unit {
        Some((name, shift)) => (text.strip_suffix(name)?, shift),
        None => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let bytes = number.checked_mul(1 << shift)?;
    (bytes > 0).then_some(bytes)
}

/// Writes a size so that [`parse`] reads it back: `4K`.
pub fn compact(bytes: u64) -> String {
    let fits = |&(_, shift): &(char, u32)| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match UNITS.into_iter().rfind(fits) {
        Some((name, shift)) => format!("{}{name}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "0", "0K", "4k", "4 K", "4KiB", "+4", "-4", "1.5K", "16777216T"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("99999999999999999999"), None);
    }

    proptest! {
        #[test]
        fn sizes_are_read_back(bytes in 1u64.., shift in 0u32..60) {
            let bytes = (bytes >> shift).max(1) << (shift / 2);
            prop_assert_eq!(parse(&compact(bytes)), Some(bytes));
        }
    }
}
