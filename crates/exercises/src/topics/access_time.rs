//! What an access costs on average: memory references, nanoseconds, page faults.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Data, plural};
use crate::draw::Draw;
use crate::form::{Form, ratio};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "access-time",
    about: "average memory references and time of an access, with TLB and page faults",
    variants: &["references", "time", "faults"],
    make: Some(make),
};

/// Digits after the point that are asked for.
const PLACES: u8 = 2;

/// What an average is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "variant", rename_all = "snake_case")]
pub enum AccessTimeData {
    /// References to memory.
    References {
        /// Look-ups in the TLB, one for each access.
        lookups: u64,
        /// Those that hit.
        hits: u64,
        /// References to page tables that a miss costs.
        levels: u64,
    },
    /// Time, with a TLB.
    Time {
        /// Nanoseconds of a look-up in the TLB.
        tlb_ns: u64,
        /// Nanoseconds of a reference to memory.
        memory_ns: u64,
        /// References to page tables that a miss costs.
        levels: u64,
        /// Hits in the TLB, in percent.
        hit_percent: u64,
    },
    /// Time, with page faults.
    Faults {
        /// Nanoseconds of an access that does not fault.
        memory_ns: u64,
        /// Microseconds of a page fault.
        fault_us: u64,
        /// One of so many accesses faults.
        one_in: u64,
        /// Of hundred victims so many are dirty.
        dirty_percent: u64,
        /// Microseconds that writing a dirty victim takes in addition.
        write_us: u64,
    },
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    match variant {
        "references" => references(draw),
        "time" => time(draw),
        _ => faults(draw),
    }
}

fn references(draw: &mut Draw) -> Body {
    let lookups = 100 * draw.pick(&[1_u64, 2, 5, 10, 100]);
    let percent = draw.between(80, 99);
    let hits = lookups * percent / 100;
    let levels = draw.between(1, 4);
    let data = AccessTimeData::References { lookups, hits, levels };
    let misses = lookups - hits;
    let (of_hit, of_miss) = (1, 1 + levels);
    let all = hits * of_hit + misses * of_miss;
    let average = ratio(all, lookups, PLACES);
    let table = plural(levels, "reference", "references");
    let given = vec![Block::text(format!(
        "A program makes {lookups} accesses to memory. The TLB answers {hits} of them; the others \
         walk a page table of {}. Data and page tables are in memory, and a look-up in the TLB \
         makes no reference to memory. Nothing faults.",
        plural(levels, "level", "levels")
    ))];
    let decimal = || Form::Decimal { places: PLACES };
    let percent = ratio(100 * hits, lookups, PLACES);
    let questions = vec![
        Question::new("How good is the TLB?")
            .field("hit_ratio", "hit ratio in percent", decimal(), percent.clone())
            .field("misses", "misses", Form::Number, misses.to_string())
            .because(format!(
                "Hit ratio = hits / look-ups = {hits} / {lookups} = {percent} %; misses = {lookups} − \
                 {hits} = {misses}."
            )),
        Question::new("How many references to memory does an access make?")
            .field("hit", "after a hit", Form::Number, of_hit.to_string())
            .field("miss", "after a miss", Form::Number, of_miss.to_string())
            .field("average", "on average", decimal(), average.clone())
            .field("without", "on average if there were no TLB", Form::Number, of_miss.to_string())
            .because("After a hit only the data itself is referred to: 1 reference.")
            .because(format!("A miss costs {table} to page tables, and then one to the data: {of_miss}."))
            .because(format!(
                "Average = ({hits} × {of_hit} + {misses} × {of_miss}) / {lookups} = {all} / {lookups} = \
                 {average}."
            ))
            .because(format!("Without a TLB every access is a miss: {of_miss}.")),
    ];
    let title = "Memory references of an access".into();
    Body { title, given, data: Data::AccessTime(data), questions }
}

fn time(draw: &mut Draw) -> Body {
    let tlb_ns = draw.between(1, 20);
    let memory_ns = 10 * draw.between(5, 20);
    let levels = draw.between(1, 4);
    let hit_percent = draw.between(70, 99);
    let data = AccessTimeData::Time { tlb_ns, memory_ns, levels, hit_percent };
    let of_hit = tlb_ns + memory_ns;
    let of_miss = tlb_ns + (levels + 1) * memory_ns;
    let all = hit_percent * of_hit + (100 - hit_percent) * of_miss;
    let average = ratio(all, 100, PLACES);
    let without = (levels + 1) * memory_ns;
    let given = vec![Block::text(format!(
        "A look-up in the TLB takes {tlb_ns} ns, a reference to memory {memory_ns} ns. A miss walks a \
         page table of {}, which is in memory. The walk begins when the TLB has been looked up. \
         {hit_percent} % of the accesses hit the TLB, and nothing faults.",
        plural(levels, "level", "levels")
    ))];
    let decimal = || Form::Decimal { places: PLACES };
    let questions = vec![
        Question::new("How long does an access take, in nanoseconds?")
            .field("hit", "after a hit", Form::Number, of_hit.to_string())
            .field("miss", "after a miss", Form::Number, of_miss.to_string())
            .field("average", "on average (the effective access time)", decimal(), average.clone())
            .field("without", "without a TLB", Form::Number, without.to_string())
            .because(format!("Hit: {tlb_ns} + {memory_ns} = {of_hit} ns."))
            .because(format!(
                "Miss: {tlb_ns} + {levels} × {memory_ns} for the walk + {memory_ns} for the data = \
                 {of_miss} ns."
            ))
            .because(format!(
                "Average = {} × {of_hit} + {} × {of_miss} = {average} ns.",
                ratio(hit_percent, 100, 2),
                ratio(100 - hit_percent, 100, 2)
            ))
            .because(format!("Without a TLB: ({levels} + 1) × {memory_ns} = {without} ns.")),
        Question::new("By what factor does the TLB make accesses faster?")
            .field("factor", "time without / average time with", decimal(), {
                ratio(100 * without, all, PLACES)
            })
            .because(format!("{without} / {average} = {}.", ratio(100 * without, all, PLACES))),
    ];
    let title = "Effective access time".into();
    Body { title, given, data: Data::AccessTime(data), questions }
}

fn faults(draw: &mut Draw) -> Body {
    let memory_ns = 10 * draw.between(5, 20);
    let fault_us = 100 * draw.between(5, 100);
    let one_in = 10_u64.pow(draw.between(4, 6) as u32);
    let dirty_percent = 10 * draw.between(0, 5);
    let write_us = fault_us;
    let data = AccessTimeData::Faults { memory_ns, fault_us, one_in, dirty_percent, write_us };
    // In nanoseconds, times 100 for the percentage.
    let of_fault = 100 * 1000 * fault_us + dirty_percent * 1000 * write_us;
    let fault_ns = of_fault / 100;
    let all = one_in * memory_ns + fault_ns;
    let average = ratio(all, one_in, PLACES);
    let slower = ratio(all, one_in * memory_ns, PLACES);
    let given = vec![Block::text(format!(
        "An access that does not fault takes {memory_ns} ns on average. A page fault takes {fault_us} \
         µs for reading the page from swap; {dirty_percent} % of the victims are dirty, and writing one \
         takes {write_us} µs in addition. The faulting access is then made again, and takes its \
         {memory_ns} ns. One of {one_in} accesses faults."
    ))];
    let decimal = || Form::Decimal { places: PLACES };
    let questions = vec![
        Question::new("How long does a page fault take on average, without the access itself?")
            .field("fault", "in nanoseconds", Form::Number, fault_ns.to_string())
            .because(format!(
                "{fault_us} µs + {} × {write_us} µs = {fault_ns} ns.",
                ratio(dirty_percent, 100, 2)
            )),
        Question::new("How long does an access take on average?")
            .field("average", "in nanoseconds", decimal(), average.clone())
            .field(
                "slowdown",
                "as many times what it takes without faults",
                decimal(),
                slower.clone(),
            )
            .because(format!(
                "Average = {memory_ns} + {fault_ns} / {one_in} = {average} ns: every access takes \
                 {memory_ns} ns, and one of {one_in} a fault besides."
            ))
            .because(format!("{average} / {memory_ns} = {slower}.")),
    ];
    let title = "Effective access time with page faults".into();
    Body { title, given, data: Data::AccessTime(data), questions }
}
