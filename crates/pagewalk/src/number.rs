//! Numbers on the command line.

/// Binary logarithms of the units of sizes.
const SIZE_UNITS: [(char, u32); 4] = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];

/// Powers of ten of the units of counts.
const COUNT_UNITS: [(char, u32); 4] = [('k', 3), ('M', 6), ('G', 9), ('T', 12)];

/// Reads a size: `65536`, `64K`, `64KiB`. Case does not matter.
///
/// # Errors
/// What was expected.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").unwrap_or(&unit) {
        "" if unit.is_empty() => Some(0),
        letter => {
            SIZE_UNITS.iter().find(|(name, _)| letter == name.to_string()).map(|&(_, shift)| shift)
        }
    };
    let expected = || "give a size such as 65536, 64K, 1MiB or 2GiB (powers of 1024)".to_string();
    let number = whole(digits).map_err(|problem| match problem {
        Problem::Empty => expected(),
        Problem::TooLarge => "the number is too large; sizes end at 16 EiB".into(),
    })?;
    let bytes = u128::from(number) << shift.ok_or_else(expected)?;
    bytes.try_into().map_err(|_| "the size is too large; sizes end at 16 EiB".into())
}

/// Reads a count: `1000000`, `1_000_000`, `1M`.
///
/// # Errors
/// What was expected.
pub fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let power = match unit {
        "" => Some(0),
        _ => COUNT_UNITS.iter().find(|(name, _)| unit == name.to_string()).map(|&(_, power)| power),
    };
    let expected = || "give a whole number such as 5000000, or 5M (k, M, G, T: 1000s)".to_string();
    let too_large = || format!("the number is too large; at most {}", u64::MAX);
    let number = whole(digits).map_err(|problem| match problem {
        Problem::Empty => expected(),
        Problem::TooLarge => too_large(),
    })?;
    let factor = 10u64.pow(power.ok_or_else(expected)?);
    number.checked_mul(factor).ok_or_else(too_large)
}

/// Reads an address or the bits of an entry: `0x1f`, `31`, `0b11111`, `1_000`.
///
/// # Errors
/// What was expected.
pub fn address(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) => (digits, 2),
        _ => (lower.as_str(), 10),
    };
    // `from_str_radix` takes a sign.
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    match is_number {
        false => Err("give a number such as 0x1f, 31 or 0b11111".into()),
        true => u64::from_str_radix(digits, radix)
            .map_err(|_| "the number is too large; numbers have 64 bits".into()),
    }
}

enum Problem {
    Empty,
    TooLarge,
}

/// The digits (and the underscores between them) at the beginning, and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

fn whole(digits: &str) -> Result<u64, Problem> {
    let digits = digits.replace('_', "");
    match digits.is_empty() {
        true => Err(Problem::Empty),
        false => digits.parse().map_err(|_| Problem::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64K"), Ok(64 << 10));
        assert_eq!(size("64kib"), Ok(64 << 10));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("1TiB"), Ok(1 << 40));
        assert_eq!(size("0"), Ok(0));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "M", "1.5M", "-1", "+1", "64MB", "1Q", "ib", "1ib", "1 M B", "0x10"] {
            assert!(size(text).unwrap_err().contains("64K"), "{text}");
        }
        assert!(size("99999999999999999999").unwrap_err().contains("too large"));
        assert!(size("16777216T").unwrap_err().contains("too large"));
    }

    #[test]
    fn addresses_have_a_radix() {
        assert_eq!(address("0xFFFF_8000_0000_0000"), Ok(0xffff_8000_0000_0000));
        assert_eq!((address("1492"), address("0b101")), (Ok(1492), Ok(5)));
        for text in ["", "0x", "x1", "-1", "+1", "1.5", "0x1g", "1K"] {
            assert!(address(text).unwrap_err().contains("0x1f"), "{text}");
        }
        assert!(address("0x10000000000000000").unwrap_err().contains("64 bits"));
    }

    #[test]
    fn counts_have_decimal_units() {
        assert_eq!(count("1_000"), Ok(1000));
        assert_eq!(count("5M"), Ok(5_000_000));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
        assert!(count("18446744073709551616").is_err());
        assert!(count("18446744T").is_ok() && count("18446745T").is_err());
        assert!(count("5m").unwrap_err().contains("5M"));
        assert!(count("").is_err() && count("-1").is_err() && count("_").is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,30}") {
            let _ = (size(&text), count(&text), address(&text));
        }

        #[test]
        fn every_number_is_itself(number: u64) {
            prop_assert_eq!(size(&number.to_string()), Ok(number));
            prop_assert_eq!(count(&number.to_string()), Ok(number));
        }
    }
}
