//! Replacement policies over a cache of pages.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::options::{Given, Options, shortened, switch, valued};
use super::twister::Twister;
use super::{OstepData, QUESTIONS_MAX};
use crate::form::{Form, list};
use crate::quiz::{Block, Question};
use crate::topic::Body;
use crate::topics::Data;

pub const OPTIONS: &[Options] = &[
    valued('a', "addresses", "-1"),
    valued('n', "numaddrs", "10"),
    valued('p', "policy", "FIFO"),
    valued('b', "clockbits", "2"),
    valued('C', "cachesize", "3"),
    valued('m', "maxpage", "10"),
    valued('s', "seed", "0"),
    switch('N', "notrace"),
    switch('c', "compute"),
];

const POLICIES: [&str; 7] = ["FIFO", "LRU", "MRU", "OPT", "UNOPT", "RAND", "CLOCK"];
/// References without a question for each.
const REFERENCES_MAX: i64 = 100_000;
/// References times pages of the cache: what a run takes.
const WORK_MAX: i64 = 100_000_000;

/// References, and the cache that they meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyData {
    /// The policy.
    pub policy: String,
    /// The pages that fit the cache.
    pub cache_size: i64,
    /// The largest count of a page under CLOCK.
    pub clock_bits: i64,
    /// The pages that are referenced.
    pub references: Vec<i64>,
}

struct Cache<'a> {
    data: &'a PolicyData,
    stream: Twister,
    /// In the order in which pages came, under LRU and MRU that of their last use.
    pages: Vec<i64>,
    counts: BTreeMap<i64, i64>,
    /// For each reference when its page is referenced next.
    next: Vec<usize>,
    /// For each page that was referenced when that is next.
    next_of: BTreeMap<i64, usize>,
    hits: u64,
    misses: u64,
}

/// What a reference did.
struct Effect {
    is_hit: bool,
    victim: Option<i64>,
}

pub fn make(given: &Given) -> Result<Body, String> {
    let policy = given.text('p').to_owned();
    if !POLICIES.contains(&policy.as_str()) {
        let policy = shortened(&policy);
        return Err(format!("-p '{policy}': give one of {}", POLICIES.join(", ")));
    }
    let is_short = given.has('N');
    let most = if is_short { REFERENCES_MAX } else { QUESTIONS_MAX };
    let mut stream = given.stream();
    let references: Vec<i64> = match given.list('a')? {
        Some(all) if all.iter().any(|&page| page < 0) => {
            return Err("-a: pages are numbered from 0 on".into());
        }
        Some(all) => all,
        None => {
            let (count, pages) = (given.number('n')?, given.number('m')?);
            if !(1..=most).contains(&count) || !(0..1 << 50).contains(&pages) {
                return Err(format!("-n, -m: give 1 to {most} references, and pages from 0 on"));
            }
            (0..count).map(|_| stream.below(pages)).collect()
        }
    };
    let (cache_size, clock_bits) = (given.number('C')?, given.number('b')?);
    let count = references.len() as i64;
    if count > most || cache_size < 1 || cache_size.saturating_mul(count) > WORK_MAX {
        return Err(format!(
            "-a, -C: give at most {most} references, and a cache of 1 to {} pages for so many",
            WORK_MAX / count.max(1)
        ));
    }
    let data = PolicyData { policy, cache_size, clock_bits, references };
    let questions = questions(&data, stream, is_short);
    let given = shown(&data);
    let title = format!("OSTEP: replacement policy {}", data.policy);
    Ok(Body { title, given, data: Data::Ostep(OstepData::Policy(data)), questions })
}

fn rule(policy: &str) -> &'static str {
    match policy {
        "FIFO" => "the page that came first goes",
        "LRU" => "the page that was used least recently goes",
        "MRU" => "the page that was used most recently goes",
        "OPT" => {
            "the page that is needed again last goes; of several that are never needed again, the one \
             that came last"
        }
        "UNOPT" => "the page that is needed again first goes",
        "RAND" => "a random page goes, which only the answers know",
        _ => {
            "a random page is looked at, again and again: if its count is above 0, it loses 1, and if not, it \
             goes; which pages are looked at only the answers know"
        }
    }
}

fn shown(data: &PolicyData) -> Vec<Block> {
    let text = format!(
        "A cache holds {} pages, and is empty at first. If it is full, {} ({}). For each reference, say \
         whether it hits, which page goes, and what is in the cache then: pages in the order in which \
         they came, or under LRU and MRU in that of their last use.",
        data.cache_size,
        rule(&data.policy),
        data.policy
    );
    let pages: Vec<String> = data.references.iter().map(i64::to_string).collect();
    let references = format!("The pages are referenced in this order: {}.", pages.join(" "));
    vec![Block::text(text), Block::text(references)]
}

fn questions(data: &PolicyData, stream: Twister, is_short: bool) -> Vec<Question> {
    let mut cache = Cache::new(data, stream);
    let mut questions = Vec::new();
    for n in 0..data.references.len() {
        let effect = cache.refer(n);
        if !is_short {
            questions.push(question(data, &cache, n, &effect));
        }
    }
    let Cache { hits, misses, .. } = cache;
    let rate = format!("{:.2}", 100.0 * hits as f64 / (hits + misses) as f64);
    questions.push(
        Question::new("All in all:")
            .field("hits", "hits", Form::Number, hits.to_string())
            .field("misses", "misses", Form::Number, misses.to_string())
            .field("hit_rate", "hit rate in percent", Form::Decimal { places: 2 }, rate.clone())
            .because(format!("100 × {hits} / ({hits} + {misses}) = {rate}.")),
    );
    questions
}

fn question(data: &PolicyData, cache: &Cache, n: usize, effect: &Effect) -> Question {
    let page = data.references[n];
    let held: Vec<u64> = cache.pages.iter().map(|&page| page as u64).collect();
    let why = match (effect.is_hit, effect.victim) {
        (true, _) => format!("Page {page} is in the cache: a hit."),
        (false, None) => format!("Page {page} is not in the cache, which has room: a miss."),
        (false, Some(victim)) => format!(
            "Page {page} is not in the cache, which is full: a miss. Under {}, page {victim} goes: {}.",
            data.policy,
            rule(&data.policy)
        ),
    };
    let result = if effect.is_hit { "hit" } else { "miss" };
    Question::new(format!("Reference {} is to page {page}.", n + 1))
        .field("result", "hit or miss", Form::word(&["hit", "miss"]), result)
        .field("victim", "page that goes, or none", Form::number_or("none"), {
            effect.victim.map_or("none".into(), |victim| victim.to_string())
        })
        .field("cache", "pages in the cache afterwards", Form::Numbers, list(&held))
        .because(why)
}

impl<'a> Cache<'a> {
    fn new(data: &'a PolicyData, stream: Twister) -> Self {
        let never = data.references.len();
        let mut next = vec![never; never];
        let mut seen = BTreeMap::new();
        for (n, &page) in data.references.iter().enumerate().rev() {
            next[n] = seen.insert(page, n).unwrap_or(never);
        }
        let (pages, counts, next_of) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { data, stream, pages, counts, next, next_of, hits: 0, misses: 0 }
    }

    fn refer(&mut self, n: usize) -> Effect {
        let page = self.data.references[n];
        let place = self.pages.iter().position(|&held| held == page);
        let mut victim = None;
        match place {
            Some(place) => {
                self.hits += 1;
                if matches!(self.data.policy.as_str(), "LRU" | "MRU") {
                    self.pages.remove(place);
                    self.pages.push(page);
                }
            }
            None => {
                self.misses += 1;
                if self.pages.len() as i64 == self.data.cache_size {
                    let place = self.choose();
                    victim = Some(self.pages.remove(place));
                }
                self.pages.push(page);
            }
        }
        self.next_of.insert(page, self.next[n]);
        let most = self.data.clock_bits;
        let count = self.counts.get(&page).map_or(1, |count| (count + 1).min(most));
        self.counts.insert(page, count);
        Effect { is_hit: place.is_some(), victim }
    }

    /// The place of the victim in a cache that is full.
    fn choose(&mut self) -> usize {
        let last = self.pages.len() - 1;
        let needed = |page: &i64| self.next_of.get(page).copied().unwrap_or(usize::MAX);
        let places = || self.pages.iter().map(needed).enumerate();
        match self.data.policy.as_str() {
            "MRU" => last,
            // Of equals the last, and the first: as the scripts compare.
            "OPT" => places().max_by_key(|&(_, next)| next).map_or(0, |(place, _)| place),
            "UNOPT" => places().min_by_key(|&(_, next)| next).map_or(0, |(place, _)| place),
            "RAND" => self.stream.below(self.pages.len() as i64) as usize,
            "CLOCK" => self.turn(),
            _ => 0,
        }
    }

    /// CLOCK without a hand: places are drawn until one has no count left.
    fn turn(&mut self) -> usize {
        loop {
            let place = self.stream.below(self.pages.len() as i64) as usize;
            match self.counts.get_mut(&self.pages[place]) {
                Some(count) if *count >= 1 => *count -= 1,
                _ => {
                    self.counts.remove(&self.pages[place]);
                    return place;
                }
            }
        }
    }
}
