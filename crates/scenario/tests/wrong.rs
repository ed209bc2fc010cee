//! What is wrong with a scenario is said, with its place; nothing that a file says makes it panic.

use pagewalk_scenario::{BUILT_IN, Overrides, Player, ScenarioError, check, parse};
use proptest::prelude::*;

const HEAD: &str = "title = 't'\nabout = 'a'\n";

fn open(text: &str) -> Result<Player, ScenarioError> {
    Player::new(parse(text, "a.toml", &Overrides::default())?)
}

/// What is wrong with a scenario whose parts are these, and the part that is pointed at.
fn wrong(machine: &str, rest: &str) -> (String, String) {
    let text = format!("{HEAD}[machine]\n{machine}\n{rest}");
    let error = open(&text).err().unwrap_or_else(|| panic!("{text} is fine"));
    let (line, column) = error.place();
    assert!(line >= 1 && column >= 1);
    (error.problem, text[error.span].to_owned())
}

const A: &str = "[[process]]\nname = 'A'\n";

#[test]
fn each_problem_is_pointed_at() {
    for (machine, rest, problem, at) in [
        ("frames = 0", A, "frames cannot be 0", "0"),
        ("frames = 8\nword = 3", A, "a word cannot have 3 bytes", "3"),
        ("frames = 8\nmmu = 'vax'", A, "there is no MMU called vax", "'vax'"),
        ("frames = 8\norder = [1, 8]", A, "there is no frame 8", "8"),
        ("frames = 8\npolicy = 'best'", A, "best", "'best'"),
        ("frames = 8\ntlb = '3x3'", A, "3x3", "'3x3'"),
        ("frames = 8\nbase = 8", A, "base 8", "8"),
        ("frames = 8\nscope = 'all'", A, "there is no scope all", "'all'"),
        (
            "frames = 8\nmmu = 'sv39'\npage = 513",
            A,
            "513 words do not fit a page of sv39",
            "'sv39'",
        ),
        ("frames = 8\nschedule = [{ run = 'B' }]", A, "there is no process B", "'B'"),
        ("frames = 8\nschedule = [{}]", A, "a turn is one thing", "{}"),
        ("frames = 8\nmmu = 'base-bounds'", A, "the process has no bounds", "[[process]]"),
        ("frames = 8\nmmu = 'segments'\nsegment = 3", A, "segments of 3 words cannot be", "3"),
        ("frames = 8\nshare_tables = 'some'", A, "not shared \"some\"", "'some'"),
        ("frames = 8\nsize = 3", A, "unknown field `size`", "size"),
    ] {
        let (found, place) = wrong(machine, rest);
        assert!(found.contains(problem), "{machine}: {found}");
        assert!(place.starts_with(at.split('\n').next().unwrap()), "{machine}: {place:?}");
    }
    for (rest, problem) in [
        ("[[process]]\nname = 'A b'", "no name for a process"),
        ("[[process]]\nname = 'A'\n[[process]]\nname = 'A'", "two processes A"),
        ("[[process]]\nname = 'A'\ncode = 'laod r1'", "there is no instruction laod"),
        ("[[process]]\nname = 'A'\nregisters = { r16 = 1 }", "there is no register r16"),
        ("[[process]]\nname = 'A'\nmap = [{ page = 16 }]", "there is no page 16"),
        ("[[process]]\nname = 'A'\nmap = [{ page = 0, file = 'x' }]", "there is no file x"),
        ("[[process]]\nname = 'A'\nmap = [{ page = 0, rights = 'w' }]", "\"w\" says not what"),
        ("[[process]]\nname = 'A'\nmap = [{ page = 0, frames = [9] }]", "there is no frame 9"),
        (
            "[[process]]\nname = 'A'\nmap = [{ page = 0, frames = [1] }, { page = 1, frames = [1] }]",
            "frame 1 is given to A and to A",
        ),
        ("[[process]]\nname = 'A'\nmap = [{ page = 0 }, { page = 0 }]", "cannot be mapped"),
        ("[[process]]\nname = 'A'\nmap = [{ page = 0, swapped = true }]", "cannot be on swap"),
        ("[[process]]\nname = 'A'\nwarm = [5]", "address 5 cannot be loaded at the start"),
        (
            "[[process]]\nname = 'A'\nbounds = { base = 0, words = 1 }",
            "only base-bounds has bounds",
        ),
        ("[[process]]\nname = 'A'\n[[expect]]\nafter = 'lunch 1'", "lunch 1 is no moment"),
        ("[[process]]\nname = 'A'\n[[expect]]\npages = { 'B.0' = '1 r' }", "B.0 names no process"),
        ("[[process]]\nname = 'A'\n[[expect]]\nmemory = { x = 1 }", "x is no number"),
    ] {
        let (found, _) = wrong("frames = 8", rest);
        assert!(found.contains(problem), "{rest}: {found}");
    }
}

#[test]
fn somebody_must_run() {
    let error = open(&format!("{HEAD}process = []\n[machine]\nframes = 8\n")).unwrap_err();
    assert_eq!(error.problem, "nobody runs");
}

/// What an option says wrongly is not the file's fault.
#[test]
fn a_wrong_option_is_named() {
    let text = BUILT_IN[0].text;
    let wrong = |overrides| parse(text, "a.toml", &overrides).unwrap_err().to_string();
    let (mmu, policy) = (Some("vax".to_owned()), Some("best".to_owned()));
    let error = wrong(Overrides { mmu, ..Overrides::default() });
    assert_eq!(error, "--mmu:1:1: there is no MMU called vax");
    let error = wrong(Overrides { policy, ..Overrides::default() });
    assert!(error.starts_with("--policy:1:1: unknown replacement policy 'best'"), "{error}");
    let error = wrong(Overrides { frames: Some(0), ..Overrides::default() });
    assert_eq!(error, "--frames:1:1: 0 frames cannot be");
}

#[test]
fn what_does_not_hold_is_pointed_at() {
    let text = format!(
        "{HEAD}[machine]\nframes = 8\n{A}map = [{{ page = 0 }}]\ncode = 'load r1, mem(0)'\n\
         [[expect]]\nregisters = {{ 'A.r1' = 7 }}\n[[expect]]\nafter = 'copy 1'\n"
    );
    let wrong = check(&mut open(&text).unwrap());
    assert_eq!(wrong.len(), 2);
    assert_eq!(wrong[0].to_string(), "a.toml:10:15: expected 7, but it is 0 at step 13");
    assert_eq!(wrong[1].problem, "there is no copy 1");
}

#[test]
fn a_story_without_an_end_is_cut_off() {
    let text = format!("{HEAD}[machine]\nframes = 8\n{A}code = 'a: jump a'\n");
    let player = open(&text).unwrap();
    assert!(player.cut().is_some_and(|cut| cut.contains("cut off")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Scenarios with parts that are missing, doubled or changed.
    #[test]
    fn no_file_makes_it_panic(
        which in 0..BUILT_IN.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize), 1..4),
        filler in prop::sample::select(vec!["", "0", "99999999999", "-1", "r1", "'", "[", "mem(", ","]),
    ) {
        let mut text = BUILT_IN[which].text.to_owned();
        for (at, len) in cuts {
            let from = at.index(text.len());
            let to = (from + len).min(text.len());
            if text.is_char_boundary(from) && text.is_char_boundary(to) {
                text.replace_range(from..to, filler);
            }
        }
        if let Ok(mut player) = open(&text) {
            let last = player.last_step();
            for step in [0, last / 2, last] {
                let state = player.state_at(step).unwrap();
                prop_assert_eq!(state.step, step);
            }
            check(&mut player);
        }
    }
}
