//! `pagewalk explain`: one translation after the other, in full.
//!
//! ```text
//!   --file FILE ────────────────┐
//!   --mmu, --map, --entry, … ───┼──► Scene + queries ──► explanations ──► stdout
//!   --image FILE --root N ──────┤
//!   --snapshot FILE ────────────┘
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use pagewalk_explain::{
    Base, DecimalTable, Description, DescriptorLine, Explanation, Map, Outcome, Query, RawEntry,
    Scene, SegmentLine, explain, json, text,
};
use pagewalk_mmu::VirtAddr;
use pagewalk_mmu::tlb::TlbConfig;

use crate::args::ExplainArgs;
use crate::failure::{FAILED, Failure};
use crate::number::{address, size};
use crate::options::plain;
use crate::run::print;
use crate::snapshot;

/// Explains the addresses given. The exit status is 1 if one of them faults.
///
/// # Errors
/// The first thing that is wrong with what was given.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let explanations = match (&args.file, &args.snapshot, decimal_table(args)?) {
        (Some(path), ..) => of_file(args, path)?,
        (_, Some(path), _) => of_snapshot(args, path)?,
        (.., Some(table)) => addresses(args)?.into_iter().map(|a| table.explain(a)).collect(),
        (.., None) => of_options(args)?,
    };
    let base = if args.decimal { Base::Decimal } else { Base::Hexadecimal };
    print(&match args.json {
        true => json(&explanations),
        false => explanations.iter().map(|e| text(e, base)).collect::<Vec<_>>().join("\n"),
    })?;
    let faults = explanations.iter().any(|e| matches!(e.outcome, Outcome::Fault { .. }));
    Ok(ExitCode::from(if faults { FAILED } else { 0 }))
}

fn of_file(args: &ExplainArgs, path: &Path) -> Result<Vec<Explanation>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::bad_file(path, format!("{}; give a description in TOML", plain(&error)))
    })?;
    let (mut scene, mut queries) =
        Description::read(&text).map_err(|error| Failure::bad_file(path, error))?;
    queries.extend(asked(args)?);
    if queries.is_empty() {
        return Err(Failure::bad_file(path, "no [[access]], and no address on the command line"));
    }
    Ok(explain_all(&mut scene, queries))
}

fn of_snapshot(args: &ExplainArgs, path: &Path) -> Result<Vec<Explanation>, Failure> {
    let tlb = args.tlb.as_deref().map(TlbConfig::parse).transpose();
    let tlb = tlb.map_err(|error| {
        Failure::bad_value("tlb", args.tlb.as_deref().unwrap_or_default(), error)
    })?;
    let mut scene = snapshot::load(path, tlb)?;
    Ok(explain_all(&mut scene, asked(args)?))
}

fn of_options(args: &ExplainArgs) -> Result<Vec<Explanation>, Failure> {
    let mut description = Description::new(&args.mmu);
    let parse = |option: &str, text: &str| {
        address(text).map_err(|problem| Failure::bad_value(option, text, problem))
    };
    if let Some(text) = &args.page {
        let bytes = size(text).map_err(|problem| Failure::bad_value("page", text, problem))?;
        description.set_page(bytes);
    }
    if let Some(text) = &args.root {
        description.set_root(parse("root", text)?);
    }
    if let Some(text) = &args.tlb {
        description.set_tlb(text);
    }
    if let Some(text) = &args.walk_cache {
        description.set_walk_cache(text);
    }
    if let Some(text) = &args.memory {
        let bytes = size(text).map_err(|problem| Failure::bad_value("memory", text, problem))?;
        description.set_memory(bytes);
    }
    describe_segments(args, &mut description)?;
    for text in &args.control {
        let (name, on) = control(text)?;
        description.set_control(name, on);
    }
    // Machines without pages refuse what needs their size.
    let page = description.base_page().map_err(Failure::unusable)?;
    for text in &args.map {
        description.add_map(map(text)?);
    }
    for text in &args.frame {
        let (page_number, frame) = pair("frame", text, "PAGE=FRAME")?;
        let of = |number: u64| {
            let too_large = || Failure::bad_value("frame", text, "the number is too large");
            number.checked_mul(page).ok_or_else(too_large)
        };
        description.add_map(Map::new(of(page_number)?, of(frame)?));
    }
    for text in &args.entry {
        let (at, raw) = pair("entry", text, "ADDRESS=BITS")?;
        description.add_entry(RawEntry { at, raw });
    }
    let (mut scene, _) = match &args.image {
        None => description.build().map_err(Failure::unusable)?,
        Some(path) => {
            let image = fs::read(path).map_err(|error| Failure::bad_file(path, plain(&error)))?;
            description.build_over(&image).map_err(Failure::unusable)?
        }
    };
    Ok(explain_all(&mut scene, asked(args)?))
}

/// Bounds, segments and descriptors.
fn describe_segments(args: &ExplainArgs, description: &mut Description) -> Result<(), Failure> {
    let parse = |option: &str, text: &str| {
        address(text).map_err(|problem| Failure::bad_value(option, text, problem))
    };
    if let Some(text) = &args.base {
        description.set_base(parse("base", text)?);
    }
    if let Some(text) = &args.bounds {
        let (first, end) = text.split_once(':').unwrap_or(("0", text));
        description.set_bounds(parse("bounds", first)?, parse("bounds", end)?);
    }
    if let Some(text) = &args.selector {
        description.set_selector(parse("selector", text)?);
    }
    for text in &args.segment {
        description.add_segment(segment(text)?);
    }
    for text in &args.descriptor {
        let (index, raw) = pair("descriptor", text, "INDEX=BITS")?;
        description.add_descriptor(DescriptorLine { index, raw });
    }
    Ok(())
}

/// `NUMBER=BASE:BOUNDS`, `NUMBER=BASE:BOUNDS:RIGHTS`, `NUMBER=BASE:BOUNDS:RIGHTS:down`.
fn segment(text: &str) -> Result<SegmentLine, Failure> {
    const FORM: &str = "NUMBER=BASE:BOUNDS[:RIGHTS[:down]]";
    let refuse = |problem: String| Failure::bad_value("segment", text, problem);
    let fields: Vec<&str> = text.split(':').collect();
    let (base, bounds, rights, down) = match fields[..] {
        [base, bounds] => (base, bounds, None, false),
        [base, bounds, rights] => (base, bounds, Some(rights.to_owned()), false),
        [base, bounds, rights, "down"] => (base, bounds, Some(rights.to_owned()), true),
        _ => return Err(refuse(format!("give {FORM}"))),
    };
    let (number, base) = base.split_once('=').ok_or_else(|| refuse(format!("give {FORM}")))?;
    let number = address(number).map_err(refuse)?;
    let number = u32::try_from(number).map_err(|_| refuse("the number is too large".into()))?;
    let (base, bounds) = (address(base).map_err(refuse)?, address(bounds).map_err(refuse)?);
    Ok(SegmentLine { number, base, bounds, rights, down })
}

fn explain_all(scene: &mut Scene, queries: Vec<Query>) -> Vec<Explanation> {
    queries.into_iter().map(|query| explain(scene, query)).collect()
}

/// The text books' table, where pages are no power of two.
fn decimal_table(args: &ExplainArgs) -> Result<Option<DecimalTable>, Failure> {
    let Some(text) = args.page.as_deref().filter(|_| args.mmu == "linear") else { return Ok(None) };
    let page = size(text).map_err(|problem| Failure::bad_value("page", text, problem))?;
    if page.is_power_of_two() {
        return Ok(None);
    }
    if !(args.map.is_empty() && args.entry.is_empty() && args.image.is_none()) {
        let problem = "pages of no power of two have no bits: give --frame PAGE=FRAME";
        return Err(Failure::bad_value("page", text, problem));
    }
    let frames = args.frame.iter().map(|text| pair("frame", text, "PAGE=FRAME"));
    let frames: BTreeMap<u64, u64> = frames.collect::<Result<_, _>>()?;
    let table = DecimalTable::new(page, frames);
    table.map(Some).map_err(|problem| Failure::bad_value("page", text, problem))
}

fn addresses(args: &ExplainArgs) -> Result<Vec<u64>, Failure> {
    let read = |text: &String| {
        address(text).map_err(|problem| Failure::refused(format_args!("address '{text}'"), problem))
    };
    args.address.iter().map(read).collect()
}

fn asked(args: &ExplainArgs) -> Result<Vec<Query>, Failure> {
    let privilege = if args.supervisor { "supervisor" } else { "user" };
    let access = pagewalk_explain::access(Some(&args.access), Some(privilege))
        .map_err(|problem| Failure::bad_value("access", &args.access, problem))?;
    let addresses = addresses(args)?.into_iter();
    Ok(addresses.map(|va| Query { va: VirtAddr(va), access }).collect())
}

/// `VA=PA`, `VA=PA:RIGHTS`, `VA=PA:RIGHTS:PAGE`.
fn map(text: &str) -> Result<Map, Failure> {
    let refuse = |problem: String| Failure::bad_value("map", text, problem);
    let mut fields = text.split(':');
    let (va, pa) = pair("map", fields.next().unwrap_or_default(), "VA=PA[:RIGHTS[:PAGE]]")?;
    let rights = fields.next().map(str::to_owned);
    let page = fields.next().map(size).transpose().map_err(refuse)?;
    match fields.next() {
        None => Ok(Map { rights, page, ..Map::new(va, pa) }),
        Some(_) => Err(refuse("give VA=PA[:RIGHTS[:PAGE]]".into())),
    }
}

fn pair(option: &str, text: &str, form: &str) -> Result<(u64, u64), Failure> {
    let refuse = |problem: String| Failure::bad_value(option, text, problem);
    let (left, right) = text.split_once('=').ok_or_else(|| refuse(format!("give {form}")))?;
    Ok((address(left).map_err(refuse)?, address(right).map_err(refuse)?))
}

/// `NAME`, `NAME=on` or `NAME=off`.
fn control(text: &str) -> Result<(&str, bool), Failure> {
    match text.split_once('=') {
        None | Some((_, "on")) => Ok((text.split('=').next().unwrap_or(text), true)),
        Some((name, "off")) => Ok((name, false)),
        Some(_) => Err(Failure::bad_value("control", text, "give NAME=on or NAME=off")),
    }
}
