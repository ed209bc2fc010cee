//! FreeBSD's counter of activity, as text 002 tells it: sweeps of the active queue.

use pagewalk_mmu::Pfn;
use pagewalk_replacement::freebsd::ACT_MAX;
use pagewalk_replacement::{FreeBsd, FreeBsdConfig, Policy};
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use super::replacement::Frames;
use crate::draw::Draw;
use crate::form::Form;
use crate::quiz::{Block, Question};
use crate::topic::Body;

/// Pages, and when they are referenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FreeBsdData {
    /// The counter of a page that is loaded.
    pub first: u64,
    /// The largest value of a counter.
    pub most: u64,
    /// For each page whether it is referenced before the first sweep, the second and so on.
    pub pages: Vec<Vec<bool>>,
}

pub(super) fn make(draw: &mut Draw) -> Body {
    let first = draw.pick(&[1_u64, 2, 3, 62, 63]);
    let sweeps = draw.between(4, 7) as usize;
    let pages = (0..4).map(|_| {
        let percent = draw.pick(&[10, 40, 60, 95]);
        (0..sweeps).map(|_| draw.chance(percent)).collect()
    });
    let data = FreeBsdData { first, most: ACT_MAX.into(), pages: pages.collect() };
    let (questions, given) = (questions(&data), given(&data));
    let title = "Page replacement: FreeBSD's counters".into();
    Body { title, given, data: Data::FreeBsd(data), questions }
}

fn given(data: &FreeBsdData) -> Vec<Block> {
    let sweeps = data.pages.first().map_or(0, Vec::len);
    let text = format!(
        "FreeBSD's page daemon sweeps the active queue periodically. If the access (referenced) bit of a \
         page is set, it clears the bit and adds 1 to the page's counter; if not, it takes 1 away. The \
         counter is clipped to 0 through {}. A page whose counter has fallen to 0 goes to the inactive \
         queue: later sweeps no longer look at it, whatever its bit says. Every page begins in the \
         active queue with a counter of {}.",
        data.most, data.first
    );
    let head: Vec<String> = (1..=sweeps).map(|sweep| sweep.to_string()).collect();
    let mut names = vec!["page"];
    names.extend(head.iter().map(String::as_str));
    let rows = data.pages.iter().enumerate().map(|(page, bits)| {
        let marks = bits.iter().map(|&bit| if bit { "used" } else { "-" }.to_owned());
        [page.to_string()].into_iter().chain(marks).collect()
    });
    let caption = "Which pages are used before sweep 1, 2 and so on";
    vec![Block::text(text), Block::table(caption, &names, rows.collect())]
}

fn questions(data: &FreeBsdData) -> Vec<Question> {
    let config = FreeBsdConfig { init: data.first as u8, advance: 0, decline: 1 };
    let count = data.pages.len() as u64;
    let mut policy = FreeBsd::new(count, config);
    let mut frames = Frames::new(count);
    (0..count).for_each(|page| policy.insert(Pfn(page)));
    let sweeps = data.pages.first().map_or(0, Vec::len);
    let mut history = vec![Vec::new(); data.pages.len()];
    for sweep in 0..sweeps {
        for (page, used) in data.pages.iter().enumerate() {
            frames.referenced[page] |= used[sweep];
        }
        policy.tick(&mut frames);
        for (page, counters) in history.iter_mut().enumerate() {
            counters.push(policy.act_count(Pfn(page as u64)));
        }
    }
    (0_u64..).zip(&history).map(|(page, counters)| question(data, page, counters)).collect()
}

fn question(data: &FreeBsdData, page: u64, counters: &[u8]) -> Question {
    let last = counters.last().copied().unwrap_or_default();
    let gone = counters.iter().position(|&counter| counter == 0);
    let queue = if gone.is_some() { "inactive" } else { "active" };
    let shown: Vec<String> =
        counters[..gone.map_or(counters.len(), |at| at + 1)].iter().map(u8::to_string).collect();
    Question::new(format!("After the last sweep, what of page {page}?"))
        .field("counter", "its counter", Form::Number, last.to_string())
        .field("queue", "its queue", Form::word(&["active", "inactive"]), queue)
        .because(format!("From {}, the sweeps make it {}.", data.first, shown.join(", ")))
        .because(match gone {
            Some(at) => format!("Sweep {} finds it at 0, and makes it inactive.", at + 1),
            None => "It has not come to 0: it is still active.".into(),
        })
}
