//! How an address is split, with the manuals' names of the parts.

use pagewalk_mmu::radix::{Format, Radix};
use pagewalk_mmu::{Level, PageSize, Tables, VirtAddr};

use crate::record::Part;

/// The parts of `va`, highest first. A page larger than the base page, once it is known, takes the
/// lower indices into its offset.
pub fn split(tables: &Tables, va: VirtAddr, page: PageSize) -> Vec<Part> {
    match tables {
        Tables::Radix(format) => split_radix(format, va, page),
        Tables::Hashed(table) if table.name() == "ppc" => split_ppc(va),
        Tables::Hashed(_) => split_page(va, page, tables.va_bits()),
    }
}

/// What the manuals call the index into a table of this level, and the entry that it picks.
pub fn level_names(format: &Format, level: Level) -> (String, String) {
    let named = |names: &[(&str, &str)]| {
        let (index, entry) = names.get(usize::from(level.0)).copied().unwrap_or(("index", "entry"));
        (index.to_owned(), entry.to_owned())
    };
    match format.name() {
        "ia32" => named(&[("table", "PTE"), ("directory", "PDE")]),
        "pae" => named(&[("table", "PTE"), ("directory", "PDE"), ("pointer", "PDPTE")]),
        "x86-64" | "x86-64-la57" => named(&[
            ("table", "PTE"),
            ("directory", "PDE"),
            ("pointer", "PDPTE"),
            ("PML4", "PML4E"),
            ("PML5", "PML5E"),
        ]),
        name if name.starts_with("aarch64") => {
            let number = 3 - level.0;
            (format!("level {number}"), format!("level-{number} descriptor"))
        }
        "linear" => named(&[("page", "PTE")]),
        "r3000" => named(&[("page", "PTE"), ("table", "root entry")]),
        _ => (format!("VPN[{}]", level.0), format!("level-{} PTE", level.0)),
    }
}

fn split_radix(format: &Format, va: VirtAddr, page: PageSize) -> Vec<Part> {
    let geometry = format.geometry();
    let mut parts = above(va, geometry.va_bits);
    for level in (0..geometry.levels.len() as u8).rev().map(Level) {
        let shape = geometry.level(level);
        if shape.shift >= page.shift() {
            let high = (shape.shift + shape.bits - 1).min(geometry.va_bits - 1);
            let (name, _) = level_names(format, level);
            parts.push(Part {
                name,
                high: Some(high),
                low: Some(shape.shift),
                value: bits(va.0, high, shape.shift),
            });
        }
    }
    parts.push(offset(va, page));
    parts
}

/// PEM 7.5: the segment register, the page index, the byte offset.
fn split_ppc(va: VirtAddr) -> Vec<Part> {
    let part = |name, high, low| part(name, va.0, high, low);
    let mut parts = above(va, 32);
    parts.extend([part("segment", 31, 28), part("page index", 27, 12), part("offset", 11, 0)]);
    parts
}

/// Bits `high` to `low` of a value.
pub fn part(name: &str, value: u64, high: u8, low: u8) -> Part {
    let value = bits(value, high, low);
    Part { name: name.into(), high: Some(high), low: Some(low), value }
}

fn split_page(va: VirtAddr, page: PageSize, va_bits: u8) -> Vec<Part> {
    let (high, low) = (va_bits - 1, page.shift());
    let mut parts = above(va, va_bits);
    let value = bits(va.0, high, low);
    parts.push(Part { name: "page".into(), high: Some(high), low: Some(low), value });
    parts.push(offset(va, page));
    parts
}

/// The bits above the address space: of 64-bit addresses always, of others if there are any.
fn above(va: VirtAddr, va_bits: u8) -> Vec<Part> {
    if va_bits > 32 || va.0 >> 32 != 0 {
        let value = va.0 >> va_bits;
        return vec![Part { name: "sign".into(), high: Some(63), low: Some(va_bits), value }];
    }
    let value = bits(va.0, 31, va_bits.min(31));
    if va_bits < 32 && value != 0 {
        return vec![Part { name: "unused".into(), high: Some(31), low: Some(va_bits), value }];
    }
    Vec::new()
}

fn offset(va: VirtAddr, page: PageSize) -> Part {
    let high = page.shift().saturating_sub(1);
    Part { name: "offset".into(), high: Some(high), low: Some(0), value: va.offset(page) }
}

fn bits(value: u64, high: u8, low: u8) -> u64 {
    let width = high - low + 1;
    (value >> low) & (u64::MAX >> (64 - u32::from(width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(mmu: &str, va: u64, shift: u8) -> Vec<(u8, u8, u64)> {
        let tables = Tables::by_name(mmu, 1).unwrap();
        let parts = split(&tables, VirtAddr(va), PageSize::from_shift(shift));
        parts.iter().map(|part| (part.high.unwrap(), part.low.unwrap(), part.value)).collect()
    }

    /// Text 002's drawings: 10/10/12; 2/9/9/12; 16 bits of sign and 9/9/9/9/12; 10/22.
    #[test]
    fn splits_are_the_texts() {
        let va = 0xdead_beef;
        assert_eq!(values("ia32", va, 12), [(31, 22, 0x37a), (21, 12, 0x2db), (11, 0, 0xeef)]);
        assert_eq!(values("ia32", va, 22), [(31, 22, 0x37a), (21, 0, 0x2d_beef)]);
        assert_eq!(
            values("pae", va, 12),
            [(31, 30, 3), (29, 21, 0xf5), (20, 12, 0xdb), (11, 0, 0xeef)]
        );
        assert_eq!(
            values("x86-64", 0xffff_8000_0040_3004, 12),
            [(63, 48, 0xffff), (47, 39, 0x100), (38, 30, 0), (29, 21, 2), (20, 12, 3), (11, 0, 4)]
        );
    }
}
