//! The homework of OSTEP: the same problems and answers as its published scripts give.
//!
//! What both say is brought into one form, [facts](Facts): numbers and verdicts, without sentences.
//! [`DIGESTS`] are those of the scripts' facts. With the repository
//! `remzi-arpacidusseau/ostep-homework` at the place that OSTEP_HOMEWORK says, and python3, the
//! scripts themselves are run, with many seeds and options, and compared fact by fact.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pagewalk_exercises::quiz;
use serde_json::Value;

/// One fact a line.
type Facts = Vec<String>;

const SCRIPTS: [(&str, &str); 6] = [
    ("relocation", "vm-mechanism/relocation.py"),
    ("segmentation", "vm-segmentation/segmentation.py"),
    ("linear", "vm-paging/paging-linear-translate.py"),
    ("multilevel", "vm-smalltables/paging-multilevel-translate.py"),
    ("policy", "vm-beyondphys-policy/paging-policy.py"),
    ("freespace", "vm-freespace/malloc.py"),
];

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Our facts; `None` if the problem is refused.
fn ours(name: &str, options: &str) -> Option<Facts> {
    let quiz = quiz(&format!("ostep:{name}"), 0, &words(options)).ok()?;
    let json: Value = serde_json::from_str(&quiz.json()).unwrap();
    let data = &json["data"];
    let number = |value: &Value| value.as_i64().unwrap();
    let mut facts = Facts::new();
    match name {
        "relocation" => facts.push(format!("{} {}", number(&data["base"]), number(&data["limit"]))),
        "segmentation" => {
            for segment in [&data["segment0"], &data["segment1"]] {
                facts.push(format!("{} {}", number(&segment["base"]), number(&segment["limit"])));
            }
        }
        "linear" => {
            let entries = data["entries"].as_array().unwrap();
            facts.extend(entries.iter().map(|entry| format!("{:08x}", number(entry))));
        }
        "multilevel" => {
            let pages = data["memory"].as_array().unwrap();
            facts.extend(pages.iter().map(|page| page.as_str().unwrap().to_owned()));
            facts.push(number(&data["pdbr"]).to_string());
        }
        _ => {}
    }
    let (header, is_random) = (data["header"].as_i64().unwrap_or(0), !options.contains("-A"));
    let empty = Vec::new();
    let asked = data["addresses"].as_array().or(data["references"].as_array());
    let mut asked = asked.unwrap_or(&empty).iter().map(number);
    for question in json["questions"].as_array().unwrap() {
        let fields = question["fields"].as_array().unwrap();
        let field = |name: &str| -> Option<String> {
            let found = fields.iter().find(|field| field["name"] == name)?;
            Some(found["answer"].as_str().unwrap().to_owned())
        };
        let get = |name: &str| field(name).unwrap();
        let decimal = |name: &str| match get(name).strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap().to_string(),
            None => get(name),
        };
        facts.push(match name {
            "relocation" => format!("{} {}", asked.next().unwrap(), decimal("physical")),
            "segmentation" => {
                format!("{} {} {}", asked.next().unwrap(), get("segment"), decimal("physical"))
            }
            "linear" => format!("{} {} {}", asked.next().unwrap(), get("vpn"), decimal("physical")),
            "multilevel" => {
                let mut fact = format!("{} {}", asked.next().unwrap(), get("pde_index"));
                fact += &format!(" {}", decimal("pde"));
                if get("pte") != "none" {
                    fact += &format!(" {} {}", get("pte_index"), decimal("pte"));
                }
                match get("physical").as_str() {
                    "fault" => fact + " fault",
                    _ => format!("{fact} {} {}", decimal("physical"), decimal("value")),
                }
            }
            "policy" if field("result").is_some() => {
                let page = asked.next().unwrap();
                format!("{page} {} {} [{}]", get("result"), get("victim"), get("cache"))
            }
            "policy" => format!("{} {} {}", get("hits"), get("misses"), get("hit_rate")),
            _ => {
                let mut returned = get("returned");
                if returned == "fail" {
                    returned = (if is_random { header - 1 } else { -1 }).to_string();
                }
                let searched = field("searched").map(|searched| format!(" {searched}"));
                let list = get("list").replace("none", "");
                format!("{returned}{} [{list}]", searched.unwrap_or_default())
            }
        });
    }
    Some(facts)
}

/// The numbers of a line: decimal, and hexadecimal behind 0x.
fn numbers(text: &str) -> Vec<i64> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let read = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => part.parse().ok(),
    };
    parts.filter_map(read).collect()
}

/// The scripts' facts, from what they print with -c; `None` if they failed.
fn theirs(name: &str, printed: &str) -> Facts {
    let mut facts = Facts::new();
    let mut pending = String::new();
    for line in printed.lines().map(str::trim) {
        if line.starts_with("ARG") {
            continue;
        }
        match name {
            "relocation" => match (line.split_once("-->"), line.split_once(':')) {
                (Some((address, verdict)), _) => {
                    let last = numbers(verdict).last().map(i64::to_string);
                    let last = last.unwrap_or_else(|| "violation".into());
                    facts.push(format!("{} {last}", numbers(address).last().unwrap()));
                }
                (_, Some(("Base   ", rest))) => pending = numbers(rest)[1].to_string(),
                (_, Some(("Limit  ", rest))) => {
                    facts.push(format!("{pending} {}", numbers(rest)[0]));
                }
                _ => {}
            },
            "segmentation" => match (line.split_once("-->"), line.split_once(':')) {
                (Some((address, verdict)), _) => {
                    let segment = u8::from(verdict.contains("SEG1"));
                    let last = match verdict.contains("VIOLATION") {
                        true => "violation".into(),
                        false => numbers(verdict).last().unwrap().to_string(),
                    };
                    facts.push(format!("{} {segment} {last}", numbers(address).last().unwrap()));
                }
                (_, Some((start, rest))) if start.contains(" base ") => {
                    pending = numbers(rest)[1].to_string();
                }
                (_, Some((start, rest))) if start.contains(" limit") => {
                    facts.push(format!("{pending} {}", numbers(rest)[0]));
                }
                _ => {}
            },
            "linear" => match line.split_once("-->") {
                Some((address, verdict)) => {
                    let all = numbers(verdict);
                    let page = all.last().unwrap();
                    let physical = match verdict.contains("Invalid") {
                        true => "invalid".into(),
                        false => {
                            let (_, rest) = verdict.split_once("decimal").unwrap();
                            numbers(rest)[0].to_string()
                        }
                    };
                    facts.push(format!("{} {page} {physical}", numbers(address).last().unwrap()));
                }
                None => {
                    let entry = line.rsplit(' ').next().unwrap_or_default();
                    facts.extend(entry.strip_prefix("0x").map(str::to_owned));
                }
            },
            "multilevel" => {
                if let Some((_, bytes)) = line.strip_prefix("page ").and_then(|l| l.split_once(':'))
                {
                    facts.push(bytes.to_owned());
                } else if let Some(rest) = line.strip_prefix("PDBR:") {
                    facts.push(numbers(rest)[0].to_string());
                } else if let Some(rest) = line.strip_prefix("Virtual Address") {
                    pending = numbers(rest)[0].to_string();
                } else if line.contains(" index:") {
                    let all = numbers(line);
                    pending += &format!(" {} {}", all[1], all[2]);
                } else if line.contains("Translates to") {
                    let all = numbers(line);
                    facts.push(format!("{pending} {} {}", all[0], all[1]));
                } else if line.contains("Fault") {
                    facts.push(format!("{pending} fault"));
                }
            }
            "policy" => {
                if let Some(rest) = line.strip_prefix("FINALSTATS") {
                    let all: Vec<&str> = rest.split_whitespace().collect();
                    facts.push(format!("{} {} {}", all[1], all[3], all[5]));
                } else if let Some(rest) = line.strip_prefix("Access: ") {
                    let (memory, after) = rest.split_once(']').unwrap();
                    let (before, memory) = memory.split_once('[').unwrap();
                    let result = if before.contains("HIT") { "hit" } else { "miss" };
                    let victim = after.split_once("Replaced:").unwrap().1;
                    let victim = match victim.split(' ').next().unwrap() {
                        "-" => "none",
                        page => page,
                    };
                    let (page, memory) = (numbers(before)[0], memory.replace(',', ""));
                    facts.push(format!("{page} {result} {victim} [{memory}]"));
                }
            }
            _ => {
                if let Some((_, rest)) = line.split_once("returned ") {
                    let all = numbers(rest);
                    pending = all.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
                } else if let Some((_, rest)) =
                    line.strip_prefix("Free List").and_then(|line| line.split_once("]:"))
                {
                    let all = numbers(&rest.replace("addr:", " ").replace("sz:", " "));
                    let list: Vec<String> = all.iter().map(i64::to_string).collect();
                    facts.push(format!("{pending} [{}]", list.join(" ")));
                }
            }
        }
    }
    facts
}

/// FNV-1a over the lines.
fn digest(facts: &Facts) -> u64 {
    let bytes = facts.iter().flat_map(|fact| fact.bytes().chain([b'\n']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Options that change what is drawn, or how it is answered.
const VARIATIONS: [(&str, &[&str]); 6] = [
    ("relocation", &["", "-n 20", "-a 1m -p 32m", "-l 100", "-b 16k -p 32k", "-a100 -p200 -n 10"]),
    (
        "segmentation",
        &[
            "",
            "-n 12",
            "-a 128 -p 512 -b 0 -l 20 -B 512 -L 20",
            "-a 16k -p 64k",
            "-A 0,500,511,512,1023",
            "-a 20 -p 128 -l 10 -L 3",
        ],
    ),
    (
        "linear",
        &[
            "",
            "-n 12",
            "-P 1k -a 16k -p 32k -v -u 25",
            "-P 8 -a 32 -p 1024 -v",
            "-P 1m -a 256m -p 512m",
            "-u 100",
            "-u 0",
            "-A 0,4096,16383",
        ],
    ),
    ("multilevel", &["", "-n 25", "-a 10 -n 20", "-a 0", "-a 90"]),
    (
        "policy",
        &[
            "-p FIFO",
            "-p LRU -n 30",
            "-p MRU",
            "-p OPT -n 30",
            "-p UNOPT -n 20",
            "-p RAND -n 40 -C 4",
            "-p CLOCK -n 40 -C 4",
            "-p CLOCK -n 60 -b 3 -m 6",
            "-p CLOCK -b 0 -n 30",
            "-p LRU -N -n 500 -m 30 -C 10",
            "-a 1,2,3,4,1,2,5,1,2,3,4,5 -p FIFO -C 4",
            "-p OPT -C 1",
        ],
    ),
    (
        "freespace",
        &[
            "",
            "-p WORST -n 30",
            "-p FIRST -n 30",
            "-p BEST -l SIZESORT+ -n 40",
            "-p WORST -l SIZESORT- -n 40 -C",
            "-p FIRST -l INSERT-BACK -n 50 -C",
            "-p FIRST -l INSERT-FRONT -n 50",
            "-H 4 -a 4 -n 30",
            "-S 30 -n 40 -P 80 -r 20 -H 3",
            "-A +10,-0,+20,+3,-1,-1,-7,+200,-2 -C",
            "-A +10,+10,-0,-1,+5 -H 2 -a 8",
        ],
    ),
];

/// Digests of what the scripts print, at commit 6c6cfc7e82c2.
const DIGESTS: &[(&str, &str, u64)] = &[
    ("relocation", "-s 3", 0xcd3a_eb9d_3437_daf2),
    ("relocation", "-s 3 -n 20", 0x31e4_cc9d_9685_dde5),
    ("relocation", "-s 3 -a 1m -p 32m", 0xd339_0973_c7ce_eff7),
    ("relocation", "-s 3 -l 100", 0x78a5_22c5_b34b_0e64),
    ("relocation", "-s 3 -b 16k -p 32k", 0x8437_0db2_1dae_5a8d),
    ("relocation", "-s 3 -a100 -p200 -n 10", 0x8ccd_8aef_f3aa_f2fb),
    ("segmentation", "-s 3", 0x286e_cc5b_259e_d881),
    ("segmentation", "-s 3 -n 12", 0xddbb_cdcb_c1cf_5018),
    ("segmentation", "-s 3 -a 128 -p 512 -b 0 -l 20 -B 512 -L 20", 0x3613_b23d_fe4b_10dc),
    ("segmentation", "-s 3 -a 16k -p 64k", 0x8b59_347c_9879_f80b),
    ("segmentation", "-s 3 -A 0,500,511,512,1023", 0xb45d_fb1f_c00f_ccf8),
    ("segmentation", "-s 3 -a 20 -p 128 -l 10 -L 3", 0x46f9_9fb8_4a56_e3e2),
    ("linear", "-s 3", 0xd6d6_aef0_242d_c1d5),
    ("linear", "-s 3 -n 12", 0x42d4_fd43_2ff7_6ff2),
    ("linear", "-s 3 -P 1k -a 16k -p 32k -v -u 25", 0x8494_afa4_3551_60a9),
    ("linear", "-s 3 -P 8 -a 32 -p 1024 -v", 0x84b7_ff9a_3aeb_0a62),
    ("linear", "-s 3 -P 1m -a 256m -p 512m", 0xcc6d_5bc8_eaba_d427),
    ("linear", "-s 3 -u 100", 0x7d39_da63_752f_e94c),
    ("linear", "-s 3 -u 0", 0xb774_4755_95a0_7753),
    ("linear", "-s 3 -A 0,4096,16383", 0x4f5b_9c9b_a0cc_fa53),
    ("multilevel", "-s 3", 0xe7f1_ec3a_6fe7_f36a),
    ("multilevel", "-s 3 -n 25", 0xb80c_d642_cf67_7ad8),
    ("multilevel", "-s 3 -a 10 -n 20", 0x806d_26db_63ee_0469),
    ("multilevel", "-s 3 -a 0", 0xecc9_274a_c23a_d391),
    ("multilevel", "-s 3 -a 90", 0x1cd6_1b74_0cf7_0c24),
    ("policy", "-s 3 -p FIFO", 0xcb08_3ce3_f81a_010e),
    ("policy", "-s 3 -p LRU -n 30", 0x6878_1383_0b7c_fb24),
    ("policy", "-s 3 -p MRU", 0xe75f_1c08_00fd_07ae),
    ("policy", "-s 3 -p OPT -n 30", 0xa2cf_9594_2e84_ac81),
    ("policy", "-s 3 -p UNOPT -n 20", 0x7065_9f96_2869_4d0f),
    ("policy", "-s 3 -p RAND -n 40 -C 4", 0x7a01_62cd_dcd1_2774),
    ("policy", "-s 3 -p CLOCK -n 40 -C 4", 0xb993_22d2_ab9c_0139),
    ("policy", "-s 3 -p CLOCK -n 60 -b 3 -m 6", 0xdc43_6205_2dc8_830a),
    ("policy", "-s 3 -p CLOCK -b 0 -n 30", 0x6c0d_cccd_14f4_f52a),
    ("policy", "-s 3 -p LRU -N -n 500 -m 30 -C 10", 0x46c2_6754_2716_8bdc),
    ("policy", "-s 3 -a 1,2,3,4,1,2,5,1,2,3,4,5 -p FIFO -C 4", 0x8cac_1df7_0502_5dc5),
    ("policy", "-s 3 -p OPT -C 1", 0x559c_e09c_19d0_96a1),
    ("freespace", "-s 3", 0x2067_c4b7_ab11_7426),
    ("freespace", "-s 3 -p WORST -n 30", 0x6564_1da1_b377_d2a8),
    ("freespace", "-s 3 -p FIRST -n 30", 0x37d3_42c7_02b6_e698),
    ("freespace", "-s 3 -p BEST -l SIZESORT+ -n 40", 0x1b94_c75f_9f6e_3ce3),
    ("freespace", "-s 3 -p WORST -l SIZESORT- -n 40 -C", 0x4d26_b0a1_34a0_69b2),
    ("freespace", "-s 3 -p FIRST -l INSERT-BACK -n 50 -C", 0xf4f5_9b49_cd81_de91),
    ("freespace", "-s 3 -p FIRST -l INSERT-FRONT -n 50", 0xae78_3224_47f3_6c1a),
    ("freespace", "-s 3 -H 4 -a 4 -n 30", 0x37b4_99fa_7a1e_1f65),
    ("freespace", "-s 3 -S 30 -n 40 -P 80 -r 20 -H 3", 0x5c9e_32ce_5a61_b03a),
    ("freespace", "-s 3 -A +10,-0,+20,+3,-1,-1,-7,+200,-2 -C", 0x6a0a_c564_28ab_0720),
    ("freespace", "-s 3 -A +10,+10,-0,-1,+5 -H 2 -a 8", 0x3906_cbc0_5abd_6256),
];

#[test]
fn answers_are_those_that_the_scripts_gave() {
    let known: BTreeSet<&str> = DIGESTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(known.len(), SCRIPTS.len());
    for (name, options, expected) in DIGESTS {
        let facts = ours(name, options).unwrap_or_else(|| panic!("{name} {options} is refused"));
        assert_eq!(digest(&facts), *expected, "{name} {options}: {facts:#?}");
    }
}

/// A checkout of the scripts, if there is one.
fn checkout() -> Option<PathBuf> {
    let found = std::env::var_os("OSTEP_HOMEWORK").map(PathBuf::from);
    let found = found.filter(|path| path.join(SCRIPTS[0].1).is_file());
    if found.is_none() {
        println!("skipped: OSTEP_HOMEWORK names no checkout of the scripts");
    }
    found
}

/// What a script prints with -c; `None` if it fails.
fn run(checkout: &Path, name: &str, options: &str) -> Option<String> {
    let script = SCRIPTS.iter().find(|script| script.0 == name).unwrap().1;
    let done = Command::new("python3")
        .arg(checkout.join(script))
        .args(words(options))
        .arg("-c")
        .output()
        .expect("python3 runs");
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

#[test]
fn the_scripts_themselves_say_the_same() {
    let Some(checkout) = checkout() else { return };
    let seeds: Option<u64> = std::env::var("OSTEP_SEEDS").ok().and_then(|text| text.parse().ok());
    let seeds = seeds.unwrap_or(5);
    let mut compared = 0;
    for (name, variations) in VARIATIONS {
        for variation in variations {
            for seed in (0..seeds).chain([1 << 31, (1 << 40) + 5]) {
                let options = format!("-s {seed} {variation}");
                let printed = run(&checkout, name, &options);
                let theirs = printed.map(|printed| theirs(name, &printed));
                let ours = ours(name, &options);
                assert_eq!(ours, theirs, "{name} {options}");
                compared += usize::from(ours.is_some());
            }
            let options = format!("-s 3 {variation}");
            if let Some(facts) = ours(name, &options) {
                println!("    ({name:?}, {:?}, {:#018x}),", options.trim(), digest(&facts));
            }
        }
    }
    assert!(compared > 0);
    println!("{compared} problems compared");
}

/// What makes a script fail or run for ever is refused, with the reason.
#[test]
fn impossible_problems_are_refused() {
    for (name, options) in [
        ("relocation", "-p 1k"),
        ("relocation", "-a 0"),
        ("relocation", "-l 16k"),
        ("relocation", "-b 16k -l 1"),
        ("segmentation", "-p 2k"),
        ("segmentation", "-b 0 -l 100 -B 150 -L 100"),
        ("segmentation", "-A 1024"),
        ("segmentation", "-l 513"),
        ("linear", "-P 3k"),
        ("linear", "-P 0"),
        ("linear", "-A 16384"),
        ("linear", "-p 1g"),
        ("multilevel", "-a 200"),
        ("multilevel", "-n 100000"),
        ("policy", "-p XYZ"),
        ("policy", "-C 0"),
        ("policy", "-n 0"),
        ("freespace", "-p NEXT"),
        ("freespace", "-A +10,x"),
        ("freespace", "-A +10,+200,+10,-1"),
        ("freespace", "-P 0"),
        ("freespace", "-a 0"),
    ] {
        let refused = quiz(&format!("ostep:{name}"), 0, &words(options));
        let problem = refused.err().unwrap_or_else(|| panic!("{name} {options}")).to_string();
        assert!(problem.starts_with(&format!("ostep:{name}: -")), "{problem}");
    }
}
