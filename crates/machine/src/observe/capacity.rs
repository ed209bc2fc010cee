//! How many frames could hold pages, while each reference was made.
//!
//! Page tables come and go, and what they take is not there for pages: neither for the policy that
//! ran nor for OPT.
//!
//! ```text
//!   references   1 ……… 700 │ 701 ……… 950 │ 951 …
//!   frames           118   │      96     │  104       the most in each span
//! ```
//!
//! Invariants:
//! 1. Spans are in order and without gaps; each has a reference at least.
//! 2. In a span there were never more frames for pages than it says.
//! 3. There are at most [`SPANS_MAX`] spans: if there would be more, neighbours are joined.

/// The most spans that are told apart; 16 bytes each.
const SPANS_MAX: usize = 1 << 17;

/// References in a row, up to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    last: u64,
    frames: u64,
}

/// The frames for pages; see the module.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    spans: Vec<Span>,
}

impl Capacity {
    /// The references behind the last span up to the number `last` were made with so many frames
    /// at most.
    pub fn note(&mut self, last: u64, frames: u64) {
        match self.spans.last_mut() {
            Some(span) if span.last >= last => {}
            Some(span) if span.frames == frames => span.last = last,
            None if last == 0 => {}
            _ => {
                self.spans.push(Span { last, frames });
                if self.spans.len() == SPANS_MAX {
                    self.join();
                }
            }
        }
    }

    fn join(&mut self) {
        let pairs = self.spans.chunks(2).filter_map(|pair| {
            let frames = pair.iter().map(|span| span.frames).max()?;
            Some(Span { last: pair.last()?.last, frames })
        });
        self.spans = pairs.collect();
    }

    /// The frames of all spans in order.
    pub fn frames(&self) -> impl Iterator<Item = u64> + '_ {
        self.spans.iter().map(|span| span.frames)
    }

    /// The frames of the spans that begin with the one of number `from` and end with that of the
    /// reference `time`; `from` moves behind them.
    pub fn until<'a>(&'a self, from: &mut usize, time: u64) -> impl Iterator<Item = u64> + 'a {
        let start = *from;
        while *from < self.spans.len() && (*from == 0 || self.spans[*from - 1].last < time) {
            *from += 1;
        }
        self.spans[start..*from].iter().map(|span| span.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_met_once_and_in_order() {
        let mut capacity = Capacity::default();
        for (last, frames) in [(0, 9), (7, 5), (7, 4), (9, 5), (12, 3), (20, 8)] {
            capacity.note(last, frames);
        }
        assert_eq!(capacity.frames().collect::<Vec<_>>(), [5, 3, 8]);
        let mut from = 0;
        let mut until = |time| capacity.until(&mut from, time).collect::<Vec<_>>();
        assert_eq!([until(1), until(9), until(10)], [vec![5], vec![], vec![3]]);
        assert_eq!([until(12), until(99)], [vec![], vec![8]]);
        let mut from = 0;
        assert_eq!(capacity.until(&mut from, 15).collect::<Vec<_>>(), [5, 3, 8]);
    }

    #[test]
    fn many_spans_are_joined_to_the_larger() {
        let mut capacity = Capacity::default();
        for last in 1..=SPANS_MAX as u64 {
            capacity.note(last, last % 2);
        }
        assert_eq!(capacity.spans.len(), SPANS_MAX / 2);
        assert!(capacity.frames().all(|frames| frames == 1));
        assert_eq!(capacity.spans.last().map(|span| span.last), Some(SPANS_MAX as u64));
    }
}
