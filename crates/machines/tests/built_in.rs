//! The descriptions that come with the program.

use pagewalk_machines::{Description, NAMES, built_in, load};

fn all() -> Vec<Description> {
    let read = |name: &&str| match built_in(name) {
        Some(Ok(machine)) => machine,
        other => panic!("{name}: {other:?}"),
    };
    NAMES.iter().map(read).collect()
}

#[test]
fn every_one_is_good_and_can_be_built() {
    for machine in all() {
        let setup = machine.setup();
        let tlb = machine.tlb().unwrap_or_else(|error| panic!("{}: {error}", machine.name));
        assert_eq!(tlb.to_string(), setup.tlb, "{}: as --tlb writes it", machine.name);
        let walk_cache = machine.walk_cache().expect("a walk cache").map(|cache| cache.to_string());
        assert_eq!(walk_cache, setup.walk_cache, "{}: as --walk-cache writes it", machine.name);
        assert_eq!(machine.cache().expect("caches").is_some(), setup.cache.is_some());
        let hardware = machine.hardware(machine.memory.ram).expect("the MMU exists");
        assert_eq!(hardware.name(), machine.mmu.name);
        assert_eq!(hardware.base_page().bytes(), machine.mmu.pages[0], "{}", machine.name);
    }
}

#[test]
fn names_are_those_of_the_files_and_years_grow() {
    let machines = all();
    assert!(machines.iter().map(|machine| machine.name.as_str()).eq(NAMES.iter().copied()));
    assert!(machines.is_sorted_by_key(|machine| machine.year), "NAMES are sorted by year");
    let files = std::fs::read_dir("../../machines").expect("the folder of descriptions").count();
    assert_eq!(files, NAMES.len(), "each file is built in");
}

#[test]
fn the_list_and_the_pages_fit_a_terminal() {
    let machines = all();
    let pages = machines.iter().map(pagewalk_machines::show);
    for text in [pagewalk_machines::list(&machines)].into_iter().chain(pages) {
        for line in text.lines().filter(|line| !line.contains("--tlb") && !line.contains("http")) {
            assert!(line.chars().count() <= 100, "{line}");
            assert_eq!(line.trim_end(), line, "no blanks at the end");
        }
    }
}

#[test]
fn every_figure_can_be_followed_to_its_source() {
    for machine in all() {
        let (checked, figures) = machine.checked_figures();
        assert!(checked <= figures && figures >= 5, "{}", machine.name);
        let page = pagewalk_machines::show(&machine);
        for name in machine.sources.keys() {
            assert!(page.matches(&format!("[{name}")).count() >= 2, "{}: {name}", machine.name);
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let error = load("skylark").unwrap_err().to_string();
    assert!(error.contains("skylake") && error.contains("./my.toml"), "{error}");
    let error = load("./no-such.toml").unwrap_err().to_string();
    assert!(error.starts_with("./no-such.toml: no such file"), "{error}");
    assert!(load("..").unwrap_err().to_string().contains("not a regular file"));
}
