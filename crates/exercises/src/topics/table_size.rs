//! How large page tables are: powers of two.

use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::{Form, bytes};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "table-size",
    about: "sizes of linear, multi-level and inverted page tables; bits of addresses",
    variants: &["linear", "levels", "inverted"],
    make: Some(make),
};

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableSizeData {
    /// What is asked: `linear`, `levels` or `inverted`.
    pub variant: String,
    /// The width of a virtual address in bits.
    pub virtual_bits: u32,
    /// The bytes of physical memory.
    pub physical_bytes: u64,
    /// The bytes of a page.
    pub page_bytes: u64,
    /// The bytes of a page-table entry.
    pub entry_bytes: u64,
    /// The bytes that a process uses, one piece from address 0 on.
    pub used_bytes: u64,
    /// Processes.
    pub processes: u64,
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    let page_bits = draw.pick(&[10_u32, 12, 12, 12, 13, 14]);
    let entry_bytes: u64 = draw.pick(&[4, 8]);
    let index_bits = page_bits - entry_bytes.ilog2();
    let virtual_bits = match variant {
        "levels" => page_bits + index_bits * draw.between(2, 3) as u32,
        _ => draw.between(24, 40) as u32,
    };
    let physical_bytes = 1_u64 << draw.between(u64::from(page_bits) + 8, 34);
    // The last piece of a page is not all used.
    let pages_max = 5000.min(1 << (virtual_bits - page_bits - 1));
    let used_bytes =
        (draw.between(20, pages_max) << page_bits) - draw.between(1, (1 << page_bits) - 1);
    let data = TableSizeData {
        variant: variant.into(),
        virtual_bits,
        physical_bytes,
        page_bytes: 1 << page_bits,
        entry_bytes,
        used_bytes,
        processes: draw.between(5, 60),
    };
    let (questions, title) = match variant {
        "linear" => (linear(&data), "The size of a linear page table"),
        "levels" => (levels(&data), "The size of multi-level page tables"),
        _ => (inverted(&data), "The size of an inverted page table"),
    };
    Body { title: title.into(), given: given(&data), data: Data::TableSize(data), questions }
}

fn given(data: &TableSizeData) -> Vec<Block> {
    let mut rows = vec![
        vec!["virtual addresses".into(), format!("{} bits", data.virtual_bits)],
        vec!["pages and frames".into(), bytes(data.page_bytes)],
        vec!["physical memory".into(), bytes(data.physical_bytes)],
        vec!["a page-table entry".into(), bytes(data.entry_bytes)],
    ];
    let mut text = "A machine has page tables in memory.".to_owned();
    match data.variant.as_str() {
        "levels" => {
            rows.push(vec!["used by the process".into(), format!("{} bytes", data.used_bytes)]);
            text.push_str(
                " Its page tables have several levels; a table of any level is exactly one page, and \
                 only the tables that are needed exist. A process uses one piece of memory, which begins \
                 at virtual address 0.",
            );
        }
        "inverted" => {
            rows.push(vec!["processes".into(), data.processes.to_string()]);
            text.push_str(
                " Compare linear page tables, one for each process, with one inverted page table, \
                 which has an entry of the same size for each frame.",
            );
        }
        _ => {
            rows.push(vec!["used by the process".into(), format!("{} bytes", data.used_bytes)]);
            text.push_str(" A process has a linear page table, with an entry for each page.");
        }
    }
    vec![Block::text(text), Block::table("The machine", &["of", "is"], rows)]
}

/// Questions about addresses that all variants begin with.
fn addresses(data: &TableSizeData) -> Question {
    let (offset, all) = (data.page_bytes.ilog2(), data.virtual_bits);
    let frames = data.physical_bytes / data.page_bytes;
    Question::new("How are addresses split?")
        .field("offset_bits", "bits of the offset", Form::Number, offset.to_string())
        .field("page_bits", "bits of the page number", Form::Number, (all - offset).to_string())
        .field("frames", "frames of physical memory", Form::Number, frames.to_string())
        .because(format!("A page has {} = 2^{offset} bytes.", bytes(data.page_bytes)))
        .because(format!("{all} − {offset} = {} bits remain for the page number.", all - offset))
        .because(format!(
            "Frames = memory / page size = 2^{} / 2^{offset} = 2^{} = {frames}.",
            data.physical_bytes.ilog2(),
            frames.ilog2()
        ))
}

/// Entries and bytes of a linear table.
fn linear_size(data: &TableSizeData) -> (u64, u64) {
    let entries = 1_u64 << (data.virtual_bits - data.page_bytes.ilog2());
    (entries, entries * data.entry_bytes)
}

fn size_question(data: &TableSizeData) -> Question {
    let (entries, size) = linear_size(data);
    let (all, offset) = (data.virtual_bits, data.page_bytes.ilog2());
    Question::new("How large is a linear page table?")
        .field("entries", "entries", Form::Number, entries.to_string())
        .field("bytes", "bytes", Form::Size, bytes(size))
        .because(format!("Entries = 2^{all} / 2^{offset} = 2^{} = {entries}.", all - offset))
        .because(format!("Bytes = {entries} × {} = {}.", data.entry_bytes, bytes(size)))
}

fn linear(data: &TableSizeData) -> Vec<Question> {
    let used = data.used_bytes.div_ceil(data.page_bytes);
    let waste = used * data.page_bytes - data.used_bytes;
    let (entries, _) = linear_size(data);
    let page = data.page_bytes;
    let last = format!(
        "{} / {page} is {}, and something is left over: one page more.",
        data.used_bytes,
        data.used_bytes / page
    );
    vec![
        addresses(data),
        size_question(data),
        Question::new(
            "The process uses one piece of memory, from virtual address 0 on. What of it?",
        )
        .field("pages", "pages that it needs", Form::Number, used.to_string())
        .field("waste", "bytes lost in the last page (internal fragmentation)", Form::Number, {
            waste.to_string()
        })
        .field("unused", "entries of the table that are not valid", Form::Number, {
            (entries - used).to_string()
        })
        .because(last)
        .because(format!(
            "Lost: {used} × {page} − {} = {waste} bytes, on average half a page.",
            data.used_bytes
        ))
        .because(format!("Not valid: {entries} − {used} = {} entries.", entries - used)),
    ]
}

fn levels(data: &TableSizeData) -> Vec<Question> {
    let per_table = data.page_bytes / data.entry_bytes;
    let index_bits = per_table.ilog2();
    let (all, offset) = (data.virtual_bits, data.page_bytes.ilog2());
    let depth = (all - offset) / index_bits;
    let used = data.used_bytes.div_ceil(data.page_bytes);
    let mut tables = Vec::new();
    let mut needed = used;
    for _ in 0..depth {
        needed = needed.div_ceil(per_table);
        tables.push(needed);
    }
    let total: u64 = tables.iter().sum();
    let size = total * data.page_bytes;
    let (_, linear) = linear_size(data);
    let shown: Vec<String> = tables.iter().map(u64::to_string).collect();
    vec![
        addresses(data),
        Question::new("How are the tables built?")
            .field("per_table", "entries of a table", Form::Number, per_table.to_string())
            .field("index_bits", "bits of an index", Form::Number, index_bits.to_string())
            .field("levels", "levels", Form::Number, depth.to_string())
            .because(format!(
                "A table is a page: {} / {} = {per_table} = 2^{index_bits} entries.",
                data.page_bytes, data.entry_bytes
            ))
            .because(format!(
                "The page number has {} bits, {index_bits} for each level: {depth} levels.",
                all - offset
            )),
        Question::new("How many tables does the process need?")
            .field("pages", "pages that it uses", Form::Number, used.to_string())
            .field("tables", "tables of all levels together", Form::Number, total.to_string())
            .field("bytes", "bytes of these tables", Form::Size, bytes(size))
            .field("linear", "bytes of a linear table, to compare", Form::Size, bytes(linear))
            .because(format!("{} bytes are {used} pages, the last not full.", data.used_bytes))
            .because(format!(
                "Each table serves {per_table} pages or tables; rounded up, the levels need, from the \
                 lowest, {} = {total} tables.",
                shown.join(" + ")
            ))
            .because(format!("Bytes = {total} × {} = {}.", data.page_bytes, bytes(size)))
            .because(format!(
                "A linear table would have 2^{} entries of {} bytes: {}.",
                all - offset,
                data.entry_bytes,
                bytes(linear)
            )),
    ]
}

fn inverted(data: &TableSizeData) -> Vec<Question> {
    let (_, linear) = linear_size(data);
    let frames = data.physical_bytes / data.page_bytes;
    let size = frames * data.entry_bytes;
    let all = linear * data.processes;
    vec![
        addresses(data),
        size_question(data),
        Question::new("What do the two kinds of tables take of memory, all processes together?")
            .field("linear", "bytes of all linear tables", Form::Size, bytes(all))
            .field("entries", "entries of the inverted table", Form::Number, frames.to_string())
            .field("inverted", "bytes of the inverted table", Form::Size, bytes(size))
            .because(format!("{} × {} = {}.", data.processes, bytes(linear), bytes(all)))
            .because(format!("One entry for each frame: {frames}."))
            .because(format!(
                "{frames} × {} = {}, whatever the number of processes: it grows with memory, not with \
                 the address spaces.",
                data.entry_bytes,
                bytes(size)
            )),
    ]
}
