//! Descriptions that are wrong: what is said, and where.

use pagewalk_machines::{Description, NAMES};
use proptest::prelude::*;

const GOOD: &str = r#"name = "mine"
title = "My machine"
year = 2001
vendor = "me"
summary = "short"
[mmu]
name = "x86-64"
virtual_bits = 48
physical_bits = 40
pages = ["4K", "2M"]
source = "book"
checked = true
[tlb]
load = "hardware"
asid_bits = 0
source = "book"
checked = false
[[tlb.array]]
level = 1
side = "instruction"
pages = ["4K"]
entries = 64
ways = 4
source = "book"
checked = true
[[tlb.array]]
level = 1
side = "data"
pages = ["4K"]
entries = 32
ways = "full"
replacement = "lru"
source = "book"
checked = true
[[walk_cache]]
name = "PDE cache"
reach = "2M"
entries = 32
ways = 4
source = "book"
checked = true
[[cache]]
level = 1
side = "unified"
size = "32K"
ways = 8
line = 64
source = "book"
checked = true
[memory]
ram = "64M"
typical = ["64M"]
source = "book"
checked = true
[cost.clock_mhz]
value = 1000
source = "book"
checked = true
[sources.book]
title = "The book"
"#;

fn error(text: &str) -> String {
    Description::parse("my.toml", text).expect_err("it is wrong").to_string()
}

/// Replaces the `n`th occurrence of `old`, from 0 on; the error must be at `line:column` and say
/// each of `words`.
#[track_caller]
fn assert_error(n: usize, old: &str, new: &str, place: &str, words: &[&str]) {
    let (at, _) = GOOD.match_indices(old).nth(n).unwrap_or_else(|| panic!("no {old:?}"));
    let text = format!("{}{new}{}", &GOOD[..at], &GOOD[at + old.len()..]);
    let error = error(&text);
    assert!(error.starts_with(&format!("my.toml:{place}: ")), "{new:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{new:?}: {word:?} is not in: {error}");
    }
}

#[test]
fn the_good_one_is_good() {
    let machine = Description::parse("my.toml", GOOD).expect("good");
    assert_eq!(machine.setup().tlb, "l1i=16x4:lru@4K,l1d=1x32:lru@4K,untagged");
    let setup = machine.setup();
    assert_eq!(setup.walk_cache.as_deref(), Some("l1=8x4:lru"));
    assert_eq!(setup.cache.as_deref(), Some("l1=32K:8,line=64"));
    assert_eq!(machine.checked_figures(), (7, 8));
}

#[test]
fn syntax_and_structure() {
    assert_error(0, "year = 2001", "year = ", "3:8", &["expected"]);
    assert_error(0, "vendor = \"me\"", "vendor = 5", "4:10", &["integer", "string"]);
    assert_error(0, "vendor = \"me\"\n", "", "1:1", &["missing field `vendor`"]);
    assert_error(0, "vendor", "vender", "4:1", &["unknown field `vender`", "`vendor`"]);
    assert_error(0, "asid_bits", "asidbits", "15:1", &["unknown field", "`asid_bits`"]);
    assert_error(0, "ways = 4", "way = 4", "23:1", &["unknown field `way`", "`ways`"]);
    assert_error(0, "checked = true", "checked = 1", "12:11", &["integer", "boolean"]);
    assert_error(0, "\"hardware\"", "\"magic\"", "14:8", &["`magic`", "`hardware` or `software`"]);
    assert_error(0, "ways = 4", "ways = [4]", "23:8", &["a number of ways, or \"full\""]);
    assert_error(0, "entries = 64", "entries = -1", "22:11", &["-1"]);
    assert_error(0, "year = 2001", "year = 99999", "3:8", &["99999"]);
}

#[test]
fn the_machine() {
    assert_error(0, "\"mine\"", "\"My one\"", "1:8", &["lower-case"]);
    assert_error(0, "2001", "1492", "3:8", &["1492", "1960 to 2100"]);
}

#[test]
fn the_mmu() {
    assert_error(0, "\"x86-64\"", "\"x68-64\"", "7:8", &["no MMU \"x68-64\"", "sv39"]);
    assert_error(0, "= 48", "= 57", "8:16", &["57 virtual", "at most 48"]);
    assert_error(0, "= 40", "= 53", "9:17", &["53 physical", "at most 52"]);
    assert_error(0, "= 40", "= 0", "9:17", &["give 1 to 52"]);
    assert_error(0, "\"2M\"", "\"4M\"", "10:16", &["x86-64 has no pages of 4M", "4K, 2M, 1G"]);
    assert_error(0, "\"2M\"", "\"3M\"", "10:16", &["\"3M\" is no page size", "power of two"]);
    assert_error(0, "\"2M\"", "\"4K\"", "10:16", &["4K is there twice"]);
    assert_error(0, "[\"4K\", \"2M\"]", "[\"2M\"]", "10:9", &["base page, 4K, is missing"]);
    assert_error(0, "[\"4K\", \"2M\"]", "[]", "10:9", &["at least one page size"]);
    assert_error(0, "\"4K\", \"2M\"", "\"4\", \"4K\"", "10:10", &["4 bytes", "entry of 8"]);
    let bits = "physical_bits = 40\nlinear_bits = 30";
    assert_error(0, "physical_bits = 40", bits, "10:15", &["linear alone"]);
}

#[test]
fn the_linear_mmu() {
    let linear = |bits: &str, page: &str| {
        GOOD.replace("\"x86-64\"", "\"linear\"")
            .replace("virtual_bits = 48", &format!("virtual_bits = 32{bits}"))
            .replace("physical_bits = 40", "physical_bits = 30")
            .replace("\"4K\", \"2M\"", &format!("\"{page}\""))
    };
    assert!(error(&linear("", "512")).starts_with("my.toml:7:8: linear needs linear_bits"));
    let problem = error(&linear("\nlinear_bits = 33", "512"));
    assert!(problem.starts_with("my.toml:11:9: ") && problem.contains("32 bits"), "{problem}");
    let problem = error(&linear("\nlinear_bits = 20", "2"));
    assert!(problem.contains("2 bytes is smaller than a page-table entry of 4"), "{problem}");
}

#[test]
fn the_tlb() {
    assert_error(0, "asid_bits = 0", "asid_bits = 13", "15:13", &["13 bits", "at most 12"]);
    assert_error(0, "\"hardware\"", "\"software\"", "14:8", &["hardware loads", "x86-64"]);
    assert_error(0, "level = 1", "level = 3", "19:9", &["level 3", "1 or 2"]);
    assert_error(0, "entries = 64", "entries = 48", "22:11", &["12 sets", "power of two"]);
    assert_error(0, "entries = 64", "entries = 65", "22:11", &["65 entries", "4 ways"]);
    assert_error(0, "entries = 64", "entries = 0", "22:11", &["at least 1"]);
    assert_error(0, "ways = 4", "ways = 0", "23:8", &["give 1 to 64"]);
    assert_error(0, "ways = 4", "ways = 65", "23:8", &["65 ways", "give 1 to 64"]);
    assert_error(0, "ways = 4", "ways = \"all\"", "23:8", &["\"all\" ways", "\"full\""]);
    assert_error(0, "entries = 32", "entries = 4294967295", "30:11", &["4294967295"]);
    assert_error(1, "[\"4K\"]", "[\"1G\"]", "29:10", &["1G is no page", "4K, 2M"]);
    assert_error(0, "\"lru\"", "\"mru\"", "32:15", &["\"mru\"", "lru, plru, fifo, random"]);
    assert_error(0, "\"data\"", "\"unified\"", "28:8", &["unified or has two sides"]);
    assert_error(0, "\"data\"", "\"instruction\"", "29:9", &["pages of 4K", "already"]);
    assert_error(1, "level = 1", "level = 2", "18:1", &["level 1 has one side alone"]);
    let plru = GOOD.replacen("ways = 4\nsource", "ways = 3\nreplacement = \"plru\"\nsource", 1);
    let problem = error(&plru.replacen("entries = 64", "entries = 48", 1));
    assert!(
        problem.starts_with("my.toml:22:11: ") && problem.contains("power of two"),
        "{problem}"
    );
}

#[test]
fn addresses_spaces_that_an_mmu_has_not() {
    let ia32 = GOOD
        .replace("\"x86-64\"", "\"ia32\"")
        .replace("= 48", "= 32")
        .replace("= 40", "= 32")
        .replace("\"2M\"]\nsource", "\"4M\"]\nsource");
    let problem = error(&ia32.replace("asid_bits = 0", "asid_bits = 1"));
    assert!(problem.contains("my.toml:15:13: ia32 has no address-space identifiers"), "{problem}");
}

#[test]
fn caches_and_memory() {
    let leads = "they lead to 2M, 1G, 512G";
    assert_error(1, "\"2M\"", "\"4M\"", "37:9", &["leads to 4M", leads]);
    assert_error(1, "entries = 32", "entries = 24", "38:11", &["6 sets"]);
    assert_error(2, "level = 1", "level = 9", "43:9", &["1 to 4"]);
    assert_error(0, "line = 64", "line = 48", "47:8", &["48 bytes", "power of two"]);
    assert_error(0, "\"32K\"", "\"100\"", "45:8", &["\"100\"", "64 bytes", "32K"]);
    assert_error(0, "\"32K\"", "\"48K\"", "45:8", &["96 sets", "power of two"]);
    assert_error(0, "\"32K\"", "\"8T\"", "45:8", &["up to 4G"]);
    assert_error(0, "ram = \"64M\"", "ram = \"64\"", "51:7", &["\"64\" of RAM", "64K to 1T"]);
    assert_error(0, "[\"64M\"]", "[\"lots\"]", "52:12", &["\"lots\""]);
    let small = GOOD.replace("physical_bits = 40", "physical_bits = 24");
    let problem = error(&small);
    assert!(problem.contains("\"64M\" of RAM: give 64K to 16M, what 24 address bits"), "{problem}");
}

#[test]
fn hierarchies() {
    let walk = "[[walk_cache]]\nname = \"again\"\nreach = \"2M\"\nentries = 1\nways = 1\n\
                source = \"book\"\nchecked = true\n[[cache]]";
    assert_error(0, "[[cache]]", walk, "44:9", &["given before", "not_modelled"]);
    let cache = |level: &str, line: &str| {
        format!(
            "[[cache]]\nlevel = {level}\nside = \"data\"\nsize = \"1M\"\nways = 8\nline = {line}\n\
             source = \"book\"\nchecked = true\n[memory]"
        )
    };
    let second = cache("2", "64");
    assert!(Description::parse("my.toml", &GOOD.replace("[memory]", &second)).is_ok());
    for level in ["1", "3", "4"] {
        assert_error(0, "[memory]", &cache(level, "64"), "51:9", &["levels 1 to 3"]);
    }
    assert_error(0, "[memory]", &cache("2", "128"), "55:8", &["128 bytes", "one length"]);
    assert_error(0, "line = 64", "line = 4", "47:8", &["at least 8 bytes"]);
    assert_error(0, "size = \"32K\"\nways = 8", "size = \"4G\"\nways = 8", "45:8", &["l1="]);
}

#[test]
fn costs_and_sources() {
    assert_error(0, "cost.clock_mhz", "cost.clock_ghz", "55:7", &["no cost", "clock_mhz"]);
    assert_error(0, "value = 1000", "value = 0", "56:9", &["clock_mhz is 0"]);
    assert_error(3, "\"book\"", "\"boo\"", "33:10", &["no source \"boo\"", "book"]);
    let more = "[sources.other]\ntitle = \"Another\"\n[sources.book]";
    assert_error(0, "[sources.book]", more, "59:10", &["no figure names this source"]);
}

#[test]
fn places_count_characters() {
    assert_error(0, "\"me\"", "\"Škoda\" # ž\nyaer = 1", "5:1", &["unknown field `yaer`"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Description::parse("any", &text);
    }

    /// Damage to a good description: a piece is cut out, doubled or replaced.
    #[test]
    fn no_damage_panics(
        which in 0..=NAMES.len(),
        from in any::<prop::sample::Index>(),
        length in 0usize..40,
        new in prop_oneof![
            Just(String::new()), "[0-9]{1,20}", "\"[0-9]{1,6}[KMGT]?\"", "[\\[\\]=\"\n,.{}a-z]{1,8}"
        ],
    ) {
        let good = NAMES.get(which).map(|name| {
            std::fs::read_to_string(format!("../../machines/{name}.toml")).expect("a description")
        });
        let good = good.unwrap_or_else(|| GOOD.to_owned());
        let chars: Vec<char> = good.chars().collect();
        let from = from.index(chars.len());
        let to = (from + length).min(chars.len());
        let text: String =
            chars[..from].iter().copied().chain(new.chars()).chain(chars[to..].iter().copied()).collect();
        match Description::parse("damaged", &text) {
            // Whatever is let through can be built.
            Ok(machine) => {
                machine.tlb().expect("a TLB");
                machine.walk_cache().expect("a walk cache");
                machine.cache().expect("caches");
                machine.hardware(machine.memory.ram).expect("an MMU");
                let _ = (pagewalk_machines::show(&machine), pagewalk_machines::json(&machine));
            }
            Err(error) => {
                let lines = text.lines().count().max(1) + 1;
                let (line, column) = error.place.expect("a place");
                prop_assert!((1..=lines).contains(&line) && column >= 1, "{}", error);
                prop_assert!(!error.problem.is_empty() && !error.problem.contains('\n'));
            }
        }
    }
}
