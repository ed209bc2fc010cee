//! What the second run of a program knows from the first.
//!
//! ```text
//!   reference n of the second run ──► the entry for n, if one was kept: the same page?
//!                                        │ yes: when it is referenced next
//!                                        └ no:  the runs went apart; nothing is known any more
//! ```
//!
//! References that were not kept change nothing: their pages are needed again so soon that OPT
//! would not have them go, whichever of the two times it knows.
//!
//! Where the runs go apart, the most recently referenced page counts as the one needed soonest:
//! OPT goes on as LRU.

use pagewalk_replacement::NEVER;

use super::recording::{Entry, Place, Recording};

/// Later than any reference, and than what [`guess`] says.
pub const UNKNOWN: u64 = 1 << 63;

/// When a page is needed next, that was referenced at `time`, for all that one can know: the later
/// the reference was, the sooner.
const fn guess(time: u64) -> u64 {
    UNKNOWN - 1 - time
}

/// The future; see the module.
#[derive(Debug)]
pub struct Future {
    recording: Recording,
    place: Place,
    entry: Option<Entry>,
    /// By page, when it is referenced next.
    next: Vec<u64>,
    apart: Option<Apart>,
}

/// Where two runs went apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// The number of the first reference that was another.
    pub reference: u64,
    /// Why, if it is not the program's doing.
    pub error: Option<String>,
}

impl Future {
    /// What a recording tells.
    pub fn new(recording: Recording) -> Self {
        let next = vec![NEVER; recording.pages() as usize];
        let mut future =
            Self { recording, place: Place::default(), entry: None, next, apart: None };
        future.advance(0);
        future
    }

    /// Whether the runs have gone apart.
    pub const fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// When the page, which was referenced before, is referenced next.
    pub fn of(&self, page: u32) -> u64 {
        match self.apart {
            None => self.next.get(page as usize).copied().unwrap_or(NEVER),
            Some(_) => UNKNOWN,
        }
    }

    /// A page is referenced: when it is next. `time` is the number of the reference.
    pub fn refer(&mut self, page: u32, time: u64) -> u64 {
        if self.apart.is_none()
            && let Some(entry) = self.entry
            && entry.time == time
        {
            if entry.page == page {
                self.next[page as usize] = entry.next;
                self.advance(time);
            } else {
                self.apart = Some(Apart { reference: time, error: None });
            }
        }
        match self.apart {
            None => self.of(page),
            Some(_) => guess(time),
        }
    }

    /// Where the runs went apart, if they did, the second having made so many references in all.
    pub fn apart_after(&self, references: u64) -> Option<Apart> {
        let first = self.recording.references();
        let ended = || Apart { reference: references.min(first) + 1, error: None };
        self.apart.clone().or_else(|| (references != first).then(ended))
    }

    fn advance(&mut self, time: u64) {
        self.entry = match self.place.next(&self.recording).transpose() {
            Ok(entry) => entry,
            Err(error) => {
                let error = Some(format!("the recording cannot be read: {error}"));
                self.apart = Some(Apart { reference: time + 1, error });
                None
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::Recorder;
    use super::*;

    fn future(string: &[u32]) -> Future {
        let mut recorder = Recorder::new(1).unwrap();
        for (&page, time) in string.iter().zip(1..) {
            recorder.reference(page, time);
        }
        Future::new(recorder.finish(string.len() as u64, 3).unwrap())
    }

    #[test]
    fn the_same_string_meets_its_future() {
        let mut future = future(&[0, 1, 2, 0, 1]);
        let next: Vec<u64> =
            [0, 1, 2, 0, 1].iter().zip(1..).map(|(&p, t)| future.refer(p, t)).collect();
        assert_eq!(next, [4, 5, NEVER, NEVER, NEVER]);
        assert_eq!(future.apart_after(5), None);
    }

    #[test]
    fn another_string_is_noticed() {
        let mut other = future(&[0, 1, 2, 0, 1]);
        let next: Vec<u64> =
            [0, 1, 0, 2].iter().zip(1..).map(|(&p, t)| other.refer(p, t)).collect();
        assert_eq!(next[..2], [4, 5]);
        assert!(next[3] < next[2] && next[2] < UNKNOWN, "as LRU: page 2 is the most recent");
        assert_eq!(other.apart_after(4), Some(Apart { reference: 3, error: None }));
        for len in [4, 6] {
            assert!(future(&[0, 1, 2, 0, 1]).apart_after(len).is_some(), "{len} references");
        }
    }
}
