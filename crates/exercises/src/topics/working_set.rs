//! Working sets: which pages were used in the last so many references.

use std::collections::BTreeSet;

use pagewalk_replacement::WorkingSets;
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::{Form, list, ratio};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "working-set",
    about: "working sets and their sizes over time, and the faults if they are kept in memory",
    variants: &[],
    make: Some(make),
};

/// A string of references, and a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkingSetData {
    /// The pages that are referenced, at the times 1, 2, 3 …
    pub references: Vec<u64>,
    /// The window: so many references, the last one among them.
    pub window: u64,
    /// The times that are asked about.
    pub times: Vec<u64>,
}

fn make(draw: &mut Draw, _: &'static str) -> Body {
    let length = draw.between(14, 20) as usize;
    let mut references = Vec::new();
    let mut phase = (0, 3);
    while references.len() < length {
        // A phase: a few neighbouring pages for a while.
        if references.len() % 6 == 0 {
            phase = (draw.below(6), draw.between(2, 4));
        }
        references.push(phase.0 + draw.below(phase.1));
    }
    let window = draw.between(3, 6);
    let mut times = draw.distinct(3, length as u64 - window);
    times.iter_mut().for_each(|time| *time += window);
    times.sort_unstable();
    let data = WorkingSetData { references, window, times };
    let title = "Working sets".into();
    let questions = questions(&data);
    Body { title, given: given(&data), data: Data::WorkingSet(data), questions }
}

fn given(data: &WorkingSetData) -> Vec<Block> {
    let text = format!(
        "The working set W(t, τ) of a process is the set of pages that it has referenced in its last τ \
         references, the one at time t among them. Here τ = {}. At the beginning, when there were fewer \
         references than that, all of them count.",
        data.window
    );
    let string = format!(
        "At the times 1, 2, 3 and so on the process references the pages {}.",
        list(&data.references)
    );
    vec![Block::text(text), Block::text(string)]
}

/// The last references at a time.
fn window(data: &WorkingSetData, time: u64) -> &[u64] {
    &data.references[time.saturating_sub(data.window) as usize..time as usize]
}

fn questions(data: &WorkingSetData) -> Vec<Question> {
    let length = data.references.len() as u64;
    let mut sets = WorkingSets::new(data.window);
    let mut sizes = Vec::new();
    let mut faults = Vec::new();
    for (now, &page) in (1..).zip(&data.references) {
        let before = sets.missing();
        sets.reference(page as u32, now);
        if sets.missing() > before {
            faults.push(now);
        }
        sizes.push(sets.size(now) as u64);
    }
    let mut questions: Vec<Question> = data
        .times
        .iter()
        .map(|&time| {
            let last = window(data, time);
            let pages: BTreeSet<u64> = last.iter().copied().collect();
            let pages: Vec<u64> = pages.into_iter().collect();
            let size = sizes[time as usize - 1];
            Question::new(format!("What is the working set at time {time}?"))
                .field("pages", "its pages", Form::Set, list(&pages))
                .field("size", "its size", Form::Number, size.to_string())
                .because(format!(
                    "The last {} references, those at the times {} to {time}, are {}; without \
                     repetitions {}.",
                    last.len(),
                    time + 1 - last.len() as u64,
                    list(last),
                    list(&pages)
                ))
        })
        .collect();
    let sum: u64 = sizes.iter().sum();
    let average = ratio(sum, length, 2);
    questions.push(
        Question::new("How large is the working set on average, over all times from 1 on?")
            .field("average", "average size", Form::Decimal { places: 2 }, average.clone())
            .field("largest", "largest size", Form::Number, {
                sizes.iter().max().copied().unwrap_or(0).to_string()
            })
            .because(format!("The sizes are {}: {sum} / {length} = {average}.", list(&sizes))),
    );
    questions.push(
        Question::new(
            "The system keeps exactly the working set in memory: a page that leaves it is released. \
             Which references fault?",
        )
        .field("times", "times of the faults", Form::Set, list(&faults))
        .field("faults", "number of faults", Form::Number, faults.len().to_string())
        .because(format!(
            "A reference faults if its page was not among the {} references before it.",
            data.window
        ))
        .because(format!("These are the references at the times {}.", list(&faults))),
    );
    questions
}
