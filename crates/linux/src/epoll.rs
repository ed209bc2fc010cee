//! epoll: a set of watched descriptors, and those of them that may be ready.
//!
//! ```text
//!   epoll_ctl(ADD) ─► items[(fd, description)] ── ready now? ─┐
//!   wake(channel, events) ── asked for? ──────────────────────┤
//!                                                             ▼
//!        ┌────────────────────────────────── the ready queue, each item once
//!        │ level-triggered: back to the end                   │ epoll_wait looks at each again
//!        └──────────────────◄── still ready ──────────────────┤
//!                 edge-triggered, one-shot: gone until woken ◄┘ no longer ready: gone
//! ```
//!
//! Invariants:
//! 1. An item is in the ready queue if and only if it is marked so.
//! 2. A set that watches another is never watched by it: nesting ends (ELOOP).
//! 3. An item goes with the last descriptor of its description.
//!
//! Source: epoll(7); Linux fs/eventpoll.c, whose algorithm this is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::anonymous::{Anonymous, ObjectId};
use crate::fd::DescriptionId;
use crate::system::System;
use crate::wait::Channel;

/// Edge-triggered.
pub(crate) const EPOLLET: u32 = 1 << 31;
/// Disabled when it has been told once.
pub(crate) const EPOLLONESHOT: u32 = 1 << 30;
/// Bits that say how, not what.
pub(crate) const HOW: u32 = EPOLLET | EPOLLONESHOT | 1 << 29 | 1 << 28;

/// What is watched: a descriptor as it was then.
pub(crate) type Key = (u64, DescriptionId);

/// A watched descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What is asked for, and how.
    pub events: u32,
    /// The program's own word.
    pub data: u64,
    /// What wakes it.
    pub channel: Option<Channel>,
    /// It is in the ready queue.
    is_queued: bool,
}

impl Item {
    pub(crate) const fn new(events: u32, data: u64, channel: Option<Channel>) -> Self {
        Self { events, data, channel, is_queued: false }
    }
}

/// A set of watched descriptors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epoll {
    items: BTreeMap<Key, Item>,
    ready: VecDeque<Key>,
}

impl Epoll {
    pub(crate) fn item(&self, key: Key) -> Option<&Item> {
        self.items.get(&key)
    }

    pub(crate) fn item_mut(&mut self, key: Key) -> Option<&mut Item> {
        self.items.get_mut(&key)
    }

    /// The sets that it watches, which are told by their channels; among other objects.
    pub(crate) fn sets(&self) -> BTreeSet<ObjectId> {
        let object = |item: &Item| match item.channel {
            Some(Channel::Object(number)) => Some(ObjectId(number)),
            _ => None,
        };
        self.items.values().filter_map(object).collect()
    }

    /// The items that may be ready, in the order in which they became so.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (Key, &Item)> + '_ {
        self.ready.iter().filter_map(|&key| Some((key, self.items.get(&key)?)))
    }

    /// Puts an item into the ready queue; says whether it was not there.
    pub(crate) fn queue(&mut self, key: Key) -> bool {
        let Some(item) = self.items.get_mut(&key) else { return false };
        let is_new = !std::mem::replace(&mut item.is_queued, true);
        if is_new {
            self.ready.push_back(key);
        }
        is_new
    }

    /// Takes the first of the ready queue.
    pub(crate) fn take_ready(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        if let Some(item) = self.items.get_mut(&key) {
            item.is_queued = false;
        }
        Some(key)
    }

    /// How many are in the ready queue.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    fn remove(&mut self, key: Key) -> Option<Item> {
        self.ready.retain(|&ready| ready != key);
        self.items.remove(&key)
    }
}

/// Who watches what, over all sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches {
    by_channel: BTreeMap<Channel, BTreeSet<(ObjectId, Key)>>,
    by_description: BTreeMap<DescriptionId, BTreeSet<(ObjectId, Key)>>,
    count: usize,
}

impl Watches {
    /// Items of all sets.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The sets that watch what a channel stands for.
    pub(crate) fn sets_at(&self, channel: Channel) -> BTreeSet<ObjectId> {
        self.by_channel.get(&channel).into_iter().flatten().map(|&(set, _)| set).collect()
    }

    /// A set is gone.
    pub(crate) fn remove_set(&mut self, set: ObjectId, epoll: &Epoll) {
        for (&key, item) in &epoll.items {
            self.remove(set, key, item.channel);
        }
    }

    fn add(&mut self, set: ObjectId, key: Key, channel: Option<Channel>) {
        self.count += 1;
        self.by_description.entry(key.1).or_default().insert((set, key));
        if let Some(channel) = channel {
            self.by_channel.entry(channel).or_default().insert((set, key));
        }
    }

    fn remove(&mut self, set: ObjectId, key: Key, channel: Option<Channel>) {
        self.count -= 1;
        remove_from(&mut self.by_description, key.1, (set, key));
        if let Some(channel) = channel {
            remove_from(&mut self.by_channel, channel, (set, key));
        }
    }
}

fn remove_from<K: Ord>(
    map: &mut BTreeMap<K, BTreeSet<(ObjectId, Key)>>,
    at: K,
    value: (ObjectId, Key),
) {
    if let Some(set) = map.get_mut(&at) {
        set.remove(&value);
        if set.is_empty() {
            map.remove(&at);
        }
    }
}

impl System {
    pub(crate) fn epoll(&self, id: ObjectId) -> Option<&Epoll> {
        match self.anonymous.get(&id) {
            Some(Anonymous::Epoll(epoll)) => Some(epoll),
            _ => None,
        }
    }

    pub(crate) fn epoll_mut(&mut self, id: ObjectId) -> Option<&mut Epoll> {
        match self.anonymous.get_mut(&id) {
            Some(Anonymous::Epoll(epoll)) => Some(epoll),
            _ => None,
        }
    }

    /// Watches a descriptor.
    pub(crate) fn watch(&mut self, set: ObjectId, key: Key, item: Item) {
        self.watches.add(set, key, item.channel);
        if let Some(epoll) = self.epoll_mut(set) {
            epoll.items.insert(key, item);
        }
    }

    /// Watches a descriptor no longer; says whether it was watched.
    pub(crate) fn unwatch(&mut self, set: ObjectId, key: Key) -> bool {
        let removed = self.epoll_mut(set).and_then(|epoll| epoll.remove(key));
        if let Some(item) = &removed {
            self.watches.remove(set, key, item.channel);
        }
        removed.is_some()
    }

    /// A description is gone: nobody watches it any more.
    pub(crate) fn unwatch_description(&mut self, description: DescriptionId) {
        let watching = self.watches.by_description.get(&description).cloned();
        for (set, key) in watching.into_iter().flatten() {
            self.unwatch(set, key);
        }
    }

    /// Queues the items that a channel's events concern, and wakes those who wait for their sets.
    pub(crate) fn note_events(&mut self, channel: Channel, events: u16) {
        let Some(watching) = self.watches.by_channel.get(&channel) else { return };
        for (set, key) in watching.clone() {
            let Some(epoll) = self.epoll_mut(set) else { continue };
            let asked = epoll.item(key).map_or(0, |item| item.events & !HOW);
            if asked & u32::from(events) != 0 && epoll.queue(key) {
                self.wake(set.channel());
            }
        }
    }
}
