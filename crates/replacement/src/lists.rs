//! Doubly linked lists that share their nodes: a node is on one list at most.
//!
//! ```text
//!   list 0 ─► node ─► node ─► list 0     the list itself closes its circle
//!   list 1 ─► list 1                     empty
//! ```
//!
//! Nodes are frames' numbers. A list can be gone along from anywhere; where only fronts are taken,
//! `queues.rs` is cheaper. Twelve bytes a node, side by side: what costs is how many lines of memory are touched.

use alloc::vec;
use alloc::vec::Vec;

/// The tag of a node that is on no list.
const OUT: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// The list that the node is on.
    tag: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct Lists {
    links: Vec<Link>,
    nodes: u32,
    lens: Vec<usize>,
}

impl Lists {
    /// `count` empty lists for nodes below `nodes`.
    pub(crate) fn new(nodes: u64, count: u8) -> Self {
        assert!(nodes < u64::from(u32::MAX) - u64::from(OUT), "node numbers have 32 bits");
        let nodes = nodes as u32;
        let alone = |at| Link { previous: at, next: at, tag: OUT };
        Self {
            links: (0..nodes + u32::from(count)).map(alone).collect(),
            nodes,
            lens: vec![0; count.into()],
        }
    }

    /// The list that the node is on.
    pub(crate) fn list(&self, node: u32) -> Option<u8> {
        let link = self.links.get(node as usize).filter(|_| node < self.nodes)?;
        (link.tag != OUT).then_some(link.tag)
    }

    pub(crate) fn len(&self, list: u8) -> usize {
        self.lens[usize::from(list)]
    }

    pub(crate) fn front(&self, list: u8) -> Option<u32> {
        self.node(self.links[self.end(list) as usize].next)
    }

    /// The node behind this one on its list.
    pub(crate) fn next(&self, node: u32) -> Option<u32> {
        self.node(self.links[node as usize].next)
    }

    /// Puts the node, which may be on a list, at the back of `list`.
    pub(crate) fn push_back(&mut self, list: u8, node: u32) {
        self.remove(node);
        self.link_before(self.end(list), list, node);
    }

    /// Takes the node off its list, if it is on one, and says which it was.
    pub(crate) fn remove(&mut self, node: u32) -> Option<u8> {
        let list = self.list(node)?;
        let Link { previous, next, .. } = self.links[node as usize];
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        self.links[node as usize].tag = OUT;
        self.lens[usize::from(list)] -= 1;
        Some(list)
    }

    fn link_before(&mut self, at: u32, list: u8, node: u32) {
        let previous = self.links[at as usize].previous;
        self.links[node as usize] = Link { previous, next: at, tag: list };
        self.links[previous as usize].next = node;
        self.links[at as usize].previous = node;
        self.lens[usize::from(list)] += 1;
    }

    /// Where the list itself stands in `links`.
    fn end(&self, list: u8) -> u32 {
        self.nodes + u32::from(list)
    }

    fn node(&self, at: u32) -> Option<u32> {
        (at < self.nodes).then_some(at)
    }
}
