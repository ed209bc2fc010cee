//! `pagewalk explain`: the reference texts' examples as a user types them, and wrong input.

mod common;

use common::{Done, guest, pagewalk};
use pagewalk_machine::Hardware;

/// Standard output and exit status of `pagewalk explain WORDS`, which succeed in being explained.
#[track_caller]
fn explain(words: &[&str]) -> (i32, String) {
    let Done { status, stdout, stderr } = pagewalk([&["explain"], words].concat());
    assert_eq!(stderr, "", "{words:?}");
    (status, stdout)
}

#[track_caller]
fn refused(words: &[&str], fragments: &[&str]) {
    let Done { status, stdout, stderr } = pagewalk([&["explain"], words].concat());
    assert_eq!((status, stdout.as_str()), (2, ""), "{words:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
    for fragment in fragments {
        assert!(stderr.contains(fragment), "{words:?}: no '{fragment}' in: {stderr}");
    }
}

#[test]
fn text_002_decimal_pages() {
    let words = ["--mmu", "linear", "--page", "100", "--frame", "14=27", "--decimal", "1492"];
    let (status, text) = explain(&words);
    assert_eq!(status, 0);
    assert!(text.contains("1492 = 14 x 100 + 92: page 14, offset 92"), "{text}");
    assert!(
        text.ends_with("Physical address 2792: frame 27, offset 92 in a page of 100\n"),
        "{text}"
    );
}

#[test]
fn text_000_pages_of_16_addresses() {
    let words = ["--mmu", "linear", "--page", "16", "--frame", "0x123=0xabc", "0x1234"];
    let (status, text) = explain(&words);
    assert_eq!(status, 0);
    assert!(text.contains("Physical address 0xabc4: frame 0xabc, offset 0x4"), "{text}");
}

/// The drawings of text 002: 10/10/12 and 10/22, 2/9/9/12, and a sign over 9/9/9/9/12.
#[test]
fn text_002_splits() {
    let split = |mmu: &str, map: &str, address: &str| {
        let (_, text) = explain(&["--mmu", mmu, "--map", map, address]);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[2..6].to_vec()
    };
    assert_eq!(
        split("ia32", "0xdeadb000=0x5000", "0xdeadbeef"),
        [
            "   31      22 21      12 11         0",
            "  |1101111010|1011011011|111011101111|",
            "   directory  table      offset",
            "   0x37a      0x2db      0xeef",
        ]
    );
    assert_eq!(
        split("ia32", "0xde800000=0x400000:ru:4M", "0xdeadbeef"),
        [
            "   31      22 21                   0",
            "  |1101111010|1011011011111011101111|",
            "   directory  offset",
            "   0x37a      0x2dbeef",
        ]
    );
    assert_eq!(
        split("pae", "0xdeadb000=0x5000", "0xdeadbeef"),
        [
            "   31 30   29     21 20     12 11         0",
            "  |11     |011110101|011011011|111011101111|",
            "   pointer directory table     offset",
            "   0x3     0xf5      0xdb      0xeef",
        ]
    );
    assert_eq!(
        split("x86-64", "0xffff800000403000=0x5000", "0xffff800000403004"),
        [
            "   63            48 47     39 38     30 29     21 20     12 11         0",
            "  |1111111111111111|100000000|000000000|000000010|000000011|000000000100|",
            "   sign             PML4      pointer   directory table     offset",
            "   0xffff           0x100     0x0       0x2       0x3       0x4",
        ]
    );
}

#[test]
fn a_fault_has_its_cause_and_code() {
    let map = ["--mmu", "ia32", "--map", "0x400000=0x5000:ru"];
    let (status, text) = explain(&[&map[..], &["--access", "write", "0x400123"]].concat());
    assert_eq!(status, 1);
    assert!(text.contains("rights r-xu, user write: refused: access not permitted"), "{text}");
    assert!(text.ends_with("Fault: #PF(0x7): access not permitted at level 0\n"), "{text}");
    let (status, text) = explain(&[&map[..], &["0x800000"]].concat());
    assert_eq!(status, 1);
    assert!(text.ends_with("Fault: #PF(0x4): page not present at level 1\n"), "{text}");
    let (_, text) = explain(&["--mmu", "x86-64", "0x800000000000"]);
    assert!(text.contains("Fault: #GP(0): address outside the virtual address space\n"), "{text}");
}

#[test]
fn the_directory_can_map_itself() {
    // Entry 0x3ff of the directory at 0x1000 is the directory.
    let words = ["--mmu", "ia32", "--map", "0x400000=0x5000", "--entry", "0x1ffc=0x1003"];
    let table = [&words[..], &["--supervisor", "0xffc01000"]].concat();
    let (status, text) = explain(&table);
    assert_eq!(status, 0);
    // The page table of 0x400000 is the first that was made: 0x2000.
    assert!(text.contains("Physical address 0x2000"), "{text}");
    let directory = [&words[..], &["--supervisor", "0xfffff004"]].concat();
    assert!(explain(&directory).1.contains("Physical address 0x1004"));
}

#[test]
fn the_second_access_to_a_page_hits() {
    let words = ["--tlb", "l1=4x2", "--map", "0x1000=0x2000", "--json", "0x1000", "0x1008"];
    let (status, text) = explain(&words);
    assert_eq!(status, 0);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json[0]["tlb"]["answer"], "miss");
    assert_eq!(json[0]["references"].as_array().unwrap().len(), 3);
    assert_eq!(json[1]["tlb"]["answer"], "l1_hit");
    assert_eq!(json[1]["references"].as_array().unwrap().len(), 0);
    assert_eq!(json[1]["outcome"]["physical"], 0x2008);
}

/// What maps 0x10000 to 0x20000 on each machine.
fn mapping(mmu: &str) -> &'static [&'static str] {
    match mmu {
        "none" => &[],
        "base-bounds" => &["--base", "0x10000", "--bounds", "0x10000:0x11000"],
        "segments" => &["--segment", "1=0x20000:0x1000:rw"],
        _ => &["--map", "0x10000=0x20000:rwu"],
    }
}

#[test]
fn every_machine_maps() {
    for name in Hardware::NAMES {
        let words = [&["--mmu", name], mapping(name), &["0x10008"]].concat();
        let (status, text) = explain(&words);
        assert_eq!(status, 0, "{name}: {text}");
        let physical = if *name == "none" { 0x10008 } else { 0x20008 };
        let line = format!("\nPhysical address {physical:#x}");
        assert!(text.contains(&line), "{name}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{name}: {text}");
        let words = [&["--mmu", name], mapping(name), &["--json", "0x7fff0008"]].concat();
        let (status, text) = explain(&words);
        assert_eq!(status, 1, "{name}: {text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json[0]["mmu"], *name);
        assert_eq!(json[0]["outcome"]["kind"], "fault", "{name}");
    }
}

/// Text 004: a base, bounds, and a trap.
#[test]
fn text_004_base_and_bounds() {
    let words = ["--mmu", "base-bounds", "--base", "5000", "--bounds", "300", "--decimal"];
    let (status, text) = explain(&[&words[..], &["292", "300"]].concat());
    assert_eq!(status, 1);
    assert!(
        text.contains("yes: 292 is in 0 to 299\n  base + offset: 5000 + 292 = 5292\n"),
        "{text}"
    );
    assert!(text.contains("no: 300 is not in 0 to 299\nFault: bounds trap"), "{text}");
}

/// Text 004: the segment's number chooses a pair from the table.
#[test]
fn text_004_segments() {
    let words =
        ["--mmu", "segments", "--segment", "2=9000:300:rw", "--segment", "3=0:60000:rw:down"];
    let decimal = [&words[..], &["--decimal"]].concat();
    let (status, text) = explain(&[&decimal[..], &["131172"]].concat());
    assert_eq!(status, 0);
    assert!(text.contains("131172 = 2 x 65536 + 100: segment 2, offset 100"), "{text}");
    assert!(text.ends_with("9000 + 100 = 9100\nPhysical address 9100\n"), "{text}");
    let refusals = [
        (131_372, "read", "offset within the bounds? no: 300 is not in 0 to 299"),
        (131_172, "execute", "execute permitted? no"),
        (262_144, "read", "segment 4 is valid? no"),
        (196_708, "read", "offset within the bounds? no: 100 is not in 60000 to 65535"),
    ];
    for (address, access, why) in refusals {
        let address = address.to_string();
        let (status, text) = explain(&[&decimal[..], &["--access", access, &address]].concat());
        assert_eq!(status, 1, "{text}");
        assert!(text.contains(why) && text.contains("Fault: segment trap ("), "{text}");
    }
}

#[test]
fn segments_stand_in_front_of_pages() {
    let map = ["--mmu", "segments-paging", "--map", "0x400000=0x5000"];
    // 64 KiB of writable data at 4 MiB, privilege 3.
    let data = [&map[..], &["--descriptor", "5=0x0040f2400000ffff"]].concat();
    let (status, text) = explain(&[&data[..], &["--selector", "0x2b", "0x123"]].concat());
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("0x400000 + 0x123 = 0x400123, the linear address\n"), "{text}");
    assert!(text.contains("Physical address 0x5123"), "{text}");
    let refusals = [
        ("0x2b", "0x10000", "offset within the limit? no", "#GP(0x0)"),
        ("0x33", "0", "descriptor 6 is in the table? no", "#GP(0x30)"),
        ("0x23", "0", "privilege suffices: CPL and RPL against DPL? no", "#GP(0x20)"),
        ("0", "0", "DS holds a segment? no", "#GP(0x0)"),
    ];
    for (selector, address, why, trap) in refusals {
        let (status, text) = explain(&[&data[..], &["--selector", selector, address]].concat());
        assert_eq!(status, 1, "{text}");
        assert!(text.contains(why) && text.contains(&format!("Fault: {trap}: ")), "{text}");
    }
    // The same descriptor, not present.
    let absent = [&map[..], &["--descriptor", "5=0x004072400000ffff", "--selector", "0x2b", "0"]];
    let (_, text) = explain(&absent.concat());
    assert!(
        text.contains("segment present? no\nFault: #NP(0x28): segment not present\n"),
        "{text}"
    );
    // Data is no code.
    let (_, text) =
        explain(&[&data[..], &["--selector", "0x2b", "--access", "execute", "0"]].concat());
    assert!(text.contains("CS takes the type: code? no\nFault: #GP(0x28)"), "{text}");
}

#[test]
fn the_r3000_raises_exceptions_that_handlers_serve() {
    let map = ["--mmu", "r3000", "--map", "0x400000=0x5000:ru"];
    let (status, text) = explain(&[&map[..], &["--json", "0x400123", "0x400124"]].concat());
    assert_eq!(status, 0, "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let miss = &json[0]["exceptions"][0];
    assert_eq!(
        (&miss["vector"], &json[0]["tlb"]["answer"]),
        (&0x8000_0000u32.into(), &"miss".into())
    );
    let values: Vec<_> = (0..3).map(|n| miss["registers"][n]["value"].as_u64().unwrap()).collect();
    assert_eq!(values, [0x40_0123, 0x40_0000, 0xc000_1000], "BadVAddr, EntryHi, Context");
    assert_eq!(json[1]["tlb"]["answer"], "l1_hit");
    assert_eq!(json[1]["exceptions"].as_array().unwrap().len(), 0);
    // The page is loaded, its D is clear.
    let (status, text) = explain(&[&map[..], &["--access", "write", "0x400123"]].concat());
    assert_eq!(status, 1);
    assert!(text.contains("UTLB vector: no TLB entry"), "{text}");
    assert!(text.ends_with("Fault: ExcCode 1 (Mod): access not permitted at level 0\n"), "{text}");
    // The kernel's segments: not the user's, and not mapped.
    assert!(explain(&["--mmu", "r3000", "0x80000010"]).1.contains("Fault: ExcCode 4 (AdEL)"));
    let kernel = ["--mmu", "r3000", "--supervisor", "0xa0000010"];
    assert!(explain(&kernel).1.ends_with("Physical address 0x10\n"));
    // kseg2 shows the table itself: its second page is the first that was made.
    let (status, text) = explain(&[&map[..], &["--supervisor", "0xc0001000"]].concat());
    assert!(status == 0 && text.contains("Physical address 0x2000"), "{text}");
    assert_eq!(explain(&[&map[..], &["--supervisor", "0xc0002000", "0xd0000000"]].concat()).0, 1);
}

#[test]
fn the_set_that_is_compared_is_shown() {
    let pages = ["0x403000=0x2000", "0x503000=0x3000", "0x404000=0x4000"].map(|map| ["--map", map]);
    let words = [&["--tlb", "l1=4x2"], &pages.concat()[..]].concat();
    let addresses = ["--json", "0x403000", "0x503000", "0x404000", "0x603000"];
    let (_, text) = explain(&[&words[..], &addresses].concat());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let set = &json[3]["tlb"]["compared"][0];
    assert_eq!((&set["set"], &set["sets"], &set["tag"]), (&3.into(), &4.into(), &0x180.into()));
    let entries = set["entries"].as_array().unwrap();
    let held: Vec<_> = entries.iter().map(|e| e["page_number"].as_u64().unwrap()).collect();
    assert_eq!(held, [0x403, 0x503]);
    assert!(entries.iter().all(|entry| entry["matches"] == false));
}

#[test]
fn a_walk_starts_where_the_walk_cache_says() {
    let maps = ["--mmu", "x86-64", "--map", "0x403000=0x2000", "--map", "0x405000=0x6000"];
    let words = [&maps[..], &["--walk-cache", "l1=4", "--json", "0x403000", "0x405000"]].concat();
    let (status, text) = explain(&words);
    assert_eq!(status, 0);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json[0]["walk_cache"]["entry"], serde_json::Value::Null);
    assert_eq!(json[0]["references"].as_array().unwrap().len(), 4);
    assert_eq!(json[1]["walk_cache"]["entry"], "PDE");
    assert_eq!(json[1]["walk_cache"]["table"], 0x5000);
    assert_eq!(json[1]["references"].as_array().unwrap().len(), 1);
    assert_eq!(json[1]["outcome"]["physical"], 0x6000);
}

#[test]
fn faults_without_pages_are_explained() {
    for (mmu, why) in [
        ("none", "Fault: bus error"),
        ("base-bounds", "Fault: bounds trap"),
        ("segments", "Fault: segment trap (0)"),
        ("segments-paging", "DS holds a segment? yes"),
        ("r3000", "exception: ExcCode 2 (TLBL)"),
    ] {
        let guest = guest("nullderef");
        let done = pagewalk(["run", "--mmu", mmu, "--explain-faults", "100", "-q", &guest]);
        let explained = done.stderr.contains("Virtual address 0x0 on ");
        assert!(explained && done.stderr.contains(why), "{mmu}: {}", done.stderr);
    }
}

#[test]
fn an_image_is_walked_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let mut image = vec![0; 0x4000];
    image[0x1004..0x1008].copy_from_slice(&0x2027u32.to_le_bytes());
    image[0x200c..0x2010].copy_from_slice(&0x7067u32.to_le_bytes());
    std::fs::write(&path, &image).unwrap();
    let path = path.to_str().unwrap();
    let words = ["--mmu", "ia32", "--image", path, "--root", "0x1000", "0x403abc"];
    assert!(explain(&words).1.contains("Physical address 0x7abc"));
    refused(&["--image", "/absent", "--root", "0", "0"], &["/absent", "no such file"]);
    refused(&["--image", path, "0"], &["--root"]);
}

#[test]
fn faults_of_a_run_are_explained_and_a_saved_machine_can_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine");
    let saved = path.to_str().unwrap();
    for mmu in ["ia32", "sv39", "aarch64-64k", "linear", "inverted", "ppc"] {
        let sieve = guest("sieve");
        let options = ["run", "--mmu", mmu, "--explain-faults", "2", "--snapshot", saved];
        let done = pagewalk([&options[..], &[&sieve, "100000"]].concat());
        assert_eq!((done.status, done.stdout.is_empty()), (0, false), "{mmu}: {}", done.stderr);
        let entry = done.stderr.split("Fault 1: after 0 instructions, the one at ").nth(1);
        let entry = entry.and_then(|text| text.lines().next()).expect("the first fault");
        assert!(done.stderr.contains("Fault 2: after"), "{mmu}: {}", done.stderr);
        assert!(!done.stderr.contains("Fault 3: after"), "{mmu}: {}", done.stderr);
        let resolved = format!("Kernel: resolved in memory; now {entry} is at");
        assert!(done.stderr.contains(&resolved), "{mmu}: {}", done.stderr);
        let (status, text) = explain(&["--snapshot", saved, "--access", "execute", entry]);
        assert!(status == 0 && text.contains("Physical address"), "{mmu}: {text}");
        assert_eq!(explain(&["--snapshot", saved, "0"]).0, 1, "{mmu}: nothing is mapped at 0");
    }
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused(&["--snapshot", saved, "0"], &["ends in the middle of a frame"]);
    let (text, frames) = (String::from_utf8_lossy(&whole[..40]), &whole[200..]);
    std::fs::write(&path, [text.replace("ppc", "vax").as_bytes(), frames].concat()).unwrap();
    refused(&["--snapshot", saved, "0"], &["line 2 is no header"]);
    std::fs::write(&path, "hello").unwrap();
    refused(&["--snapshot", saved, "0"], &["is no snapshot"]);
}

#[test]
fn a_file_describes_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scene.toml");
    let name = path.to_str().unwrap();
    let text = "mmu = \"x86-64\"\n[controls]\nsmep = true\n\
                [[map]]\nva = 0x1000\npa = 0x2000\nrights = \"rxu\"\n\
                [[access]]\nva = 0x1004\nkind = \"execute\"\nprivilege = \"supervisor\"\n";
    std::fs::write(&path, text).unwrap();
    let (status, shown) = explain(&["--file", name]);
    assert_eq!(status, 1);
    assert!(shown.contains("Fault: #PF(0x11): page not accessible at this privilege"), "{shown}");

    for (bad, fragments) in [
        ("mmu = \"vax\"\n", &["line 1, column 7", "no MMU \"vax\"", "ia32"][..]),
        ("mmu = \"ia32\"\nmaps = 1\n", &["line 2, column 1", "maps"]),
        ("mmu = \"ia32\"\n[controls]\nsum = true\n", &["line 3, column 1", "sum", "wp"]),
        ("mmu = \"ia32\"\n[[map]]\nva = 1\npa = 0\n", &["line 2", "not aligned"]),
        ("mmu = \"ia32\"\n[[entry]]\nat = 2\nraw = 0\n", &["line 2", "aligned to 4"]),
        ("mmu = \"ia32\"\ntlb = \"l1=3x2\"\n", &["line 2, column 7", "power of two"]),
        ("mmu = \"ia32\"\n[[access]]\nva = 0\nkind = \"look\"\n", &["look", "execute"]),
        ("mmu = \"ia32\"\n", &["no [[access]]"]),
        ("mmu = \n", &["line 1"]),
    ] {
        std::fs::write(&path, bad).unwrap();
        refused(&["--file", name], fragments);
    }
}

#[test]
fn wrong_options_are_refused() {
    refused(&["0x1g"], &["0x1g", "give a number"]);
    refused(&[], &["ADDRESS"]);
    refused(&["--mmu", "vax", "0"], &["vax", "ia32"]);
    refused(&["--map", "1", "0"], &["--map '1'", "VA=PA"]);
    refused(&["--map", "0x1=0x2000", "0"], &["not aligned"]);
    refused(&["--map", "0=0:q", "0"], &["no right 'q'"]);
    refused(&["--map", "0=0:r:8K", "0"], &["no pages of 8192 bytes", "4096"]);
    refused(&["--mmu", "ia32", "--page", "8K", "0"], &["only those of linear"]);
    refused(&["--mmu", "linear", "--page", "0", "0"], &["--page"]);
    refused(&["--mmu", "linear", "--page", "100", "--map", "0=0", "0"], &["--frame"]);
    refused(&["--control", "sum=maybe", "0"], &["NAME=on"]);
    refused(&["--control", "smep", "0"], &["smep", "sum, mxr, svade"]);
    refused(&["--mmu", "ia32", "--root", "0x100000000", "0"], &["no root"]);
    refused(&["--mmu", "segments", "--map", "0=0", "0"], &["segments has no map"]);
    refused(&["--mmu", "ia32", "--segment", "0=0:1", "0"], &["ia32 has no segment"]);
    refused(&["--mmu", "segments", "--segment", "0=0", "0"], &["--segment '0=0'", "NUMBER=BASE"]);
    refused(&["--mmu", "segments", "--segment", "1024=0:1", "0"], &["up to 1023"]);
    refused(&["--mmu", "segments", "--segment", "1=0:65537", "0"], &["up to 65536"]);
    refused(&["--mmu", "base-bounds", "0"], &["no bounds"]);
    refused(&["--mmu", "base-bounds", "--bounds", "3:3", "0"], &["nothing lies"]);
    refused(&["--mmu", "none", "--memory", "0", "0"], &["memory"]);
    refused(&["--mmu", "segments-paging", "--selector", "0x2f", "0"], &["0x2f", "TI"]);
    refused(&["--mmu", "segments-paging", "--descriptor", "8192=0", "0"], &["up to 8191"]);
    refused(&["--mmu", "r3000", "--tlb", "l1=4x2", "0"], &["a TLB of its own"]);
    refused(&["--mmu", "inverted", "--walk-cache", "l1=4", "0"], &["l1"]);
    refused(&["--mmu", "sv32", "--walk-cache", "l3=4", "0"], &["l3"]);
}
