//! FIFO queues that share their nodes: a node is in one queue at most, and may leave from anywhere.
//!
//! ```text
//!   queue 0   entries   7   –   3   –   –   9     – gap: its node has left
//!             number   40  41  42  43  44  45     front is number 40; the next at the back is 46
//!   places    3: queue 0, number 42               what was asked for is found without a search
//! ```
//!
//! Against a linked list, a step along a queue reads memory in order, and moving a node touches
//! eight bytes of its own instead of those of two neighbours as well: at a million frames it is such
//! visits to memory that cost.
//!
//! What is about to be at the front is known beforehand. [`Queues::head`] tells it in groups, so that
//! what belongs to those nodes can be read at once: memory then works on all of these reads together,
//! where it would otherwise begin each when the one before is done with (group prefetching; S. Chen
//! and others, "Improving Hash Join Performance through Prefetching", ICDE 2004).
//!
//! Nodes are numbers: a frame's number, or for a page that is gone (a ghost) the number of frames
//! and more.
//!
//! Invariants:
//! 1. `places[node]` is (queue, number) exactly if entry `number` of that queue is `node`.
//! 2. Neither the first nor the last entry of a queue is a gap.
//! 3. A queue has at most as many gaps as nodes, and a few more: it is closed up before one is added
//!    beyond that, so that a gap costs its making, one step over it, and one move of a node.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use pagewalk_mmu::Pfn;

/// The queue of a node that is in none.
const OUT: u8 = u8::MAX;
/// An entry whose node has left.
const GAP: u32 = u32::MAX;
/// Nodes that are read ahead together.
pub(crate) const GROUP: usize = 16;
/// Gaps that are left alone however few nodes there are.
const GAPS: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Of the entry; numbers wrap.
    number: u32,
    queue: u8,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    entries: VecDeque<u32>,
    /// The number of the first entry.
    first: u32,
    /// Entries below this number are read ahead.
    ahead: u32,
    len: usize,
}

impl Queue {
    fn at(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    fn trim(&mut self) {
        while self.entries.front() == Some(&GAP) {
            self.entries.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        while self.entries.back() == Some(&GAP) {
            self.entries.pop_back();
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Queues {
    places: Vec<Place>,
    queues: Vec<Queue>,
}

impl Queues {
    /// `count` empty queues for nodes below `nodes`.
    pub(crate) fn new(nodes: u64, count: u8) -> Self {
        assert!(nodes < u64::from(GAP), "node numbers have 32 bits");
        Self {
            places: vec![Place { number: 0, queue: OUT }; nodes as usize],
            queues: vec![Queue::default(); count.into()],
        }
    }

    /// The queue that the node is in.
    pub(crate) fn queue(&self, node: u32) -> Option<u8> {
        let place = self.places.get(node as usize)?;
        (place.queue != OUT).then_some(place.queue)
    }

    /// How many nodes are in the queue.
    pub(crate) fn len(&self, queue: u8) -> usize {
        self.queues[usize::from(queue)].len
    }

    /// The nodes of the queue as frames, the front first.
    pub(crate) fn frames(&self, queue: u8) -> Vec<Pfn> {
        let entries = self.queues[usize::from(queue)].entries.iter();
        entries.filter(|&&node| node != GAP).map(|&node| Pfn(u64::from(node))).collect()
    }

    pub(crate) fn front(&self, queue: u8) -> Option<u32> {
        self.queues[usize::from(queue)].entries.front().copied()
    }

    /// As [`Queues::front`], for a queue that is gone through from its front: its nodes are read ahead,
    /// and shown to `read`, which may read more of theirs.
    pub(crate) fn head(&mut self, queue: u8, read: impl FnOnce(&[u32])) -> Option<u32> {
        let Queue { first, ahead, .. } = &mut self.queues[usize::from(queue)];
        if first.wrapping_sub(*ahead) as i32 >= 0 {
            *ahead = first.wrapping_add(GROUP as u32);
            self.read_group(self.queues[usize::from(queue)].entries.iter(), read);
        }
        self.front(queue)
    }

    /// The node at the back.
    pub(crate) fn back(&self, queue: u8) -> Option<u32> {
        self.queues[usize::from(queue)].entries.back().copied()
    }

    /// The node behind this one in its queue.
    pub(crate) fn next(&self, node: u32) -> Option<u32> {
        let Place { number, queue } = self.places[node as usize];
        let queue = &self.queues[usize::from(queue)];
        let behind = queue.entries.range(queue.at(number) + 1..);
        behind.copied().find(|&node| node != GAP)
    }

    /// Shows `read` the nodes behind this one, of which it is soon the turn, for what it may read of
    /// them ahead.
    pub(crate) fn read_behind(&self, node: u32, read: impl FnOnce(&[u32])) {
        let Place { number, queue } = self.places[node as usize];
        let queue = &self.queues[usize::from(queue)];
        let behind = queue.entries.range(queue.at(number)..);
        self.read_group(behind, read);
    }

    fn read_group<'a>(&self, nodes: impl Iterator<Item = &'a u32>, read: impl FnOnce(&[u32])) {
        let mut group = [GAP; GROUP];
        group.iter_mut().zip(nodes).for_each(|(to, &node)| *to = node);
        let places = group.iter().filter_map(|&node| self.places.get(node as usize));
        black_box(places.fold(0, |sum, place| sum ^ place.number));
        read(&group);
    }

    /// Puts the node, which may be in a queue, at the back of `queue`.
    pub(crate) fn push_back(&mut self, queue: u8, node: u32) {
        self.remove(node);
        self.close_up(queue);
        let to = &mut self.queues[usize::from(queue)];
        let number = to.first.wrapping_add(to.entries.len() as u32);
        to.entries.push_back(node);
        to.len += 1;
        self.places[node as usize] = Place { number, queue };
    }

    /// Puts the node, which may be in a queue, at the front of `queue`.
    pub(crate) fn push_front(&mut self, queue: u8, node: u32) {
        self.remove(node);
        self.close_up(queue);
        let to = &mut self.queues[usize::from(queue)];
        to.first = to.first.wrapping_sub(1);
        to.entries.push_front(node);
        to.len += 1;
        self.places[node as usize] = Place { number: to.first, queue };
    }

    /// Puts the node, which is in no queue, in the place of another one, which leaves.
    pub(crate) fn replace(&mut self, leaves: u32, node: u32) {
        debug_assert!(self.queue(node).is_none());
        let place =
            core::mem::replace(&mut self.places[leaves as usize], Place { number: 0, queue: OUT });
        let queue = &mut self.queues[usize::from(place.queue)];
        let at = queue.at(place.number);
        queue.entries[at] = node;
        self.places[node as usize] = place;
    }

    /// Takes the node out of its queue, if it is in one, and says which it was.
    pub(crate) fn remove(&mut self, node: u32) -> Option<u8> {
        let from = self.queue(node)?;
        let place = &mut self.places[node as usize];
        place.queue = OUT;
        let queue = &mut self.queues[usize::from(from)];
        let at = queue.at(place.number);
        queue.entries[at] = GAP;
        queue.len -= 1;
        queue.trim();
        Some(from)
    }

    /// Takes the gaps out of a queue that has too many.
    fn close_up(&mut self, queue: u8) {
        let Queue { entries, first, len, .. } = &mut self.queues[usize::from(queue)];
        if entries.len() <= 2 * *len + GAPS {
            return;
        }
        entries.retain(|&node| node != GAP);
        for (at, &node) in entries.iter().enumerate() {
            self.places[node as usize].number = first.wrapping_add(at as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Queues;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const NODES: u32 = 300;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Back(u8, u32),
        Front(u8, u32),
        Remove(u32),
        Replace(u32, u32),
        Rotate(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        let node = || 0..NODES;
        prop_oneof![
            4 => (0..2_u8, node()).prop_map(|(queue, node)| Op::Back(queue, node)),
            1 => (0..2_u8, node()).prop_map(|(queue, node)| Op::Front(queue, node)),
            2 => node().prop_map(Op::Remove),
            1 => (node(), node()).prop_map(|(leaves, node)| Op::Replace(leaves, node)),
            4 => (0..2_u8).prop_map(Op::Rotate),
        ]
    }

    proptest! {
        #[test]
        fn they_equal_plain_queues(ops in prop::collection::vec(op(), 1..2000)) {
            let mut queues = Queues::new(NODES.into(), 2);
            let mut plain = [VecDeque::new(), VecDeque::new()];
            let find = |plain: &[VecDeque<u32>; 2], node| {
                (0..2).find(|&queue: &usize| plain[queue].contains(&node))
            };
            for op in ops {
                match op {
                    Op::Back(queue, node) => {
                        plain.iter_mut().for_each(|queue| queue.retain(|&other| other != node));
                        plain[usize::from(queue)].push_back(node);
                        queues.push_back(queue, node);
                    }
                    Op::Front(queue, node) => {
                        plain.iter_mut().for_each(|queue| queue.retain(|&other| other != node));
                        plain[usize::from(queue)].push_front(node);
                        queues.push_front(queue, node);
                    }
                    Op::Remove(node) => {
                        let was = find(&plain, node);
                        plain.iter_mut().for_each(|queue| queue.retain(|&other| other != node));
                        prop_assert_eq!(queues.remove(node).map(usize::from), was);
                    }
                    Op::Replace(leaves, node) => {
                        let Some(queue) = find(&plain, leaves) else { continue };
                        if find(&plain, node).is_none() {
                            let at = plain[queue].iter().position(|&other| other == leaves);
                            plain[queue][at.unwrap()] = node;
                            queues.replace(leaves, node);
                        }
                    }
                    Op::Rotate(queue) => {
                        prop_assert_eq!(queues.front(queue), plain[usize::from(queue)].front().copied());
                        if let Some(node) = queues.front(queue) {
                            plain[usize::from(queue)].rotate_left(1);
                            queues.push_back(queue, node);
                        }
                    }
                }
                for (queue, plain) in (0..).zip(&plain) {
                    let nodes = core::iter::successors(queues.front(queue), |&at| queues.next(at));
                    prop_assert_eq!(nodes.collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
                    prop_assert_eq!(queues.len(queue), plain.len());
                    prop_assert!(plain.iter().all(|&node| queues.queue(node) == Some(queue)));
                }
            }
        }
    }
}
