//! Numbers as people read them, from whole numbers alone.

/// The units of sizes in bytes, largest first, each with its binary logarithm.
const UNITS: [(&str, u32); 6] =
    [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part / whole` with `places` decimals, rounded half up; `-` if `whole` is 0.
pub fn quotient(part: u64, whole: u64, places: usize) -> String {
    decimal(part.into(), whole.into(), places)
}

/// `part` as a percentage of `whole`, with two decimals; `-` if `whole` is 0.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".into(),
        _ => decimal(u128::from(part) * 100, whole.into(), 2) + " %",
    }
}

/// A size in bytes, in the largest unit of which there is at least one.
pub fn size(bytes: u64) -> String {
    for (unit, shift) in UNITS {
        let whole = 1 << shift;
        if bytes >= whole {
            let text = quotient(bytes, whole, 2);
            return format!("{} {unit}", text.trim_end_matches("00").trim_end_matches('.'));
        }
    }
    format!("{bytes} B")
}

/// A span of time, in the largest unit of which there is at least one.
pub fn duration(ns: u64) -> String {
    for (unit, length) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if ns >= length {
            return format!("{} {unit}", quotient(ns, length, 3));
        }
    }
    format!("{ns} ns")
}

fn decimal(part: u128, whole: u128, places: usize) -> String {
    if whole == 0 {
        return "-".into();
    }
    let scale = 10u128.pow(places as u32);
    let scaled = (part * scale * 2 + whole) / (whole * 2);
    match places {
        0 => scaled.to_string(),
        _ => format!("{}.{:0places$}", scaled / scale, scaled % scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn quotients_round_half_up() {
        assert_eq!(quotient(1, 3, 2), "0.33");
        assert_eq!(quotient(1, 8, 2), "0.13");
        assert_eq!(quotient(999, 1000, 2), "1.00");
        assert_eq!(quotient(5, 2, 0), "3");
        assert_eq!(quotient(u64::MAX, 1, 2), "18446744073709551615.00");
        assert_eq!(quotient(1, 0, 2), "-");
    }

    #[test]
    fn percentages_have_two_decimals() {
        assert_eq!(percent(0, 7), "0.00 %");
        assert_eq!(percent(1, 3), "33.33 %");
        assert_eq!(percent(1, 100), "1.00 %");
        assert_eq!(percent(7, 7), "100.00 %");
        assert_eq!(percent(1, 0), "-");
    }

    #[test]
    fn sizes_take_the_largest_unit() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(4096), "4 KiB");
        assert_eq!(size(1_572_864), "1.50 MiB");
        assert_eq!(size(100 << 20), "100 MiB");
        assert_eq!(size(u64::MAX), "16 EiB");
    }

    #[test]
    fn durations_take_the_largest_unit() {
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_500), "1.500 us");
        assert_eq!(duration(2_345_678_901), "2.346 s");
    }
}
