//! The calls of epoll.
//!
//! Source: epoll_create(2), epoll_ctl(2), epoll_wait(2).

use crate::account::WATCH;
use crate::anonymous::{Anonymous, ObjectId};
use crate::call::{Args, Call, descriptor, int};
use crate::epoll::{EPOLLET, EPOLLONESHOT, Epoll, HOW, Item, Key};
use crate::errno::Errno;
use crate::fd::{DescriptionId, O_CLOEXEC, O_RDWR, Object};
use crate::memory::read_array;
use crate::sys_poll::{POLLERR, POLLHUP};
use crate::wait::Channel;
use std::collections::BTreeSet;

const EPOLL_CTL_ADD: i32 = 1;
const EPOLL_CTL_DEL: i32 = 2;
const EPOLL_CTL_MOD: i32 = 3;
const EPOLLEXCLUSIVE: u32 = 1 << 28;
/// Sets within sets (EP_MAX_NESTS).
const NESTS_MAX: usize = 4;
/// Items of all sets (Linux: max_user_watches, of the machine's memory).
const WATCHES_MAX: usize = 100_000;
/// `struct epoll_event`: events, padding, data.
const EVENT_BYTES: u64 = 16;
/// Told whether asked for or not.
const ALWAYS: u32 = (POLLERR | POLLHUP) as u32;

pub(crate) fn epoll_create1(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let flags = args[0] as u32;
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    call.open_anonymous(Anonymous::Epoll(Epoll::default()), O_RDWR | flags)
}

pub(crate) fn epoll_ctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [set, operation, fd, event, ..] = args;
    let operation = int(operation);
    let (asked, data) = match operation {
        EPOLL_CTL_DEL => (0, 0),
        _ => read_event(call, event)?,
    };
    let (set_fd, fd) = (descriptor(set), descriptor(fd));
    let set_description = call.process.fds.description(set_fd)?;
    let description = call.process.fds.description(fd)?;
    if !can_be_watched(call, fd)? {
        return Err(Errno::EPERM);
    }
    let (set, object) = call.anonymous(set_fd)?;
    if !matches!(object, Anonymous::Epoll(_)) || set_description == description {
        return Err(Errno::EINVAL);
    }
    let key = (fd, description);
    let known = call.system.epoll(set).and_then(|epoll| epoll.item(key)).is_some();
    match (operation, known) {
        (EPOLL_CTL_ADD, true) => Err(Errno::EEXIST),
        (EPOLL_CTL_ADD, false) => {
            if call.system.watches.count() >= WATCHES_MAX {
                return Err(Errno::ENOSPC);
            }
            check_nesting(call, set, description)?;
            call.charge(WATCH)?;
            let channel = call.description_channel(description);
            call.system.watch(set, key, Item::new(asked | ALWAYS, data, channel));
            queue_if_ready(call, set, key);
            Ok(0)
        }
        (EPOLL_CTL_MOD | EPOLL_CTL_DEL, false) => Err(Errno::ENOENT),
        (EPOLL_CTL_MOD, true) => {
            let Some(epoll) = call.system.epoll_mut(set) else { return Err(Errno::EINVAL) };
            if let Some(item) = epoll.item_mut(key) {
                if (item.events | asked) & EPOLLEXCLUSIVE != 0 {
                    return Err(Errno::EINVAL);
                }
                (item.events, item.data) = (asked | ALWAYS, data);
            }
            queue_if_ready(call, set, key);
            Ok(0)
        }
        (EPOLL_CTL_DEL, true) => {
            call.system.unwatch(set, key);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn read_event(call: &mut Call<'_>, at: u64) -> Result<(u32, u64), Errno> {
    let bytes: [u8; EVENT_BYTES as usize] = read_array(call.memory, at)?;
    let events = u32::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    let data = u64::from_le_bytes(std::array::from_fn(|i| bytes[8 + i]));
    Ok((events, data))
}

/// Files that are always ready cannot be watched.
fn can_be_watched(call: &Call<'_>, fd: u64) -> Result<bool, Errno> {
    let object = &call.file(fd)?.object;
    Ok(!matches!(object, Object::File(_) | Object::Directory(_) | Object::Null | Object::Zero))
}

fn queue_if_ready(call: &mut Call<'_>, set: ObjectId, key: Key) {
    let Some(item) = call.system.epoll(set).and_then(|epoll| epoll.item(key)) else { return };
    let is_ready = ready_events(call, key, item) != 0;
    let queued = is_ready && call.system.epoll_mut(set).is_some_and(|epoll| epoll.queue(key));
    if queued {
        call.system.wake(set.channel());
    }
}

/// The events of an item that hold now and are asked for.
fn ready_events(call: &Call<'_>, (_, description): Key, item: &Item) -> u32 {
    u32::from(call.description_events(description)) & item.events & !HOW
}

/// Refuses circles, and chains of more than [`NESTS_MAX`] sets.
fn check_nesting(call: &Call<'_>, set: ObjectId, new: DescriptionId) -> Result<(), Errno> {
    let Some(new) = epoll_of(call, new) else { return Ok(()) };
    let system = &*call.system;
    let below = height(new, set, |set| system.epoll(set).map(Epoll::sets).unwrap_or_default())?;
    let above = height(set, new, |set| system.watches.sets_at(set.channel()))?;
    if below + above > NESTS_MAX { Err(Errno::ELOOP) } else { Ok(()) }
}

/// How many steps a chain from a set can have, level by level.
fn height(
    from: ObjectId,
    refused: ObjectId,
    next: impl Fn(ObjectId) -> BTreeSet<ObjectId>,
) -> Result<usize, Errno> {
    let mut level = BTreeSet::from([from]);
    for depth in 0..=NESTS_MAX {
        if level.contains(&refused) {
            return Err(Errno::ELOOP);
        }
        level = level.into_iter().flat_map(&next).collect();
        if level.is_empty() {
            return Ok(depth);
        }
    }
    Err(Errno::ELOOP)
}

fn epoll_of(call: &Call<'_>, description: DescriptionId) -> Option<ObjectId> {
    match call.system.descriptions.get(description).ok()?.object {
        Object::Anonymous(id) => call.system.epoll(id).map(|_| id),
        _ => None,
    }
}

pub(crate) fn epoll_pwait(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const NS_PER_MS: u64 = 1_000_000;
    let timeout_ns = u64::try_from(int(args[3])).ok().map(|ms| ms * NS_PER_MS);
    wait(call, args, timeout_ns)
}

pub(crate) fn epoll_pwait2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let timeout_ns = call.read_timespec(args[3])?;
    wait(call, args, timeout_ns)
}

fn wait(call: &mut Call<'_>, args: Args, timeout_ns: Option<u64>) -> Result<u64, Errno> {
    let [set, events, count, _, mask, mask_bytes] = args;
    if int(count) <= 0 || u64::from(count as u32) > i32::MAX as u64 / EVENT_BYTES {
        return Err(Errno::EINVAL);
    }
    let (id, object) = call.anonymous(descriptor(set))?;
    if !matches!(object, Anonymous::Epoll(_)) {
        return Err(Errno::EINVAL);
    }
    if mask != 0 {
        if mask_bytes != 8 {
            return Err(Errno::EINVAL);
        }
        let mask = crate::memory::read_u64(call.memory, mask)?;
        call.mask_for_call(mask);
    }
    let told = collect(call, id, events, count as u32 as usize)?;
    let deadline = call.deadline(timeout_ns);
    if told > 0 || call.is_over(deadline) {
        return Ok(told);
    }
    Err(call.wait("epoll_wait", vec![id.channel()], deadline, Errno::EINTR))
}

/// Writes the events of up to `count` items that are ready.
fn collect(call: &mut Call<'_>, set: ObjectId, to: u64, count: usize) -> Result<u64, Errno> {
    let mut told = 0;
    let mut again = Vec::new();
    let mut result = Ok(());
    let queued = call.system.epoll(set).map_or(0, Epoll::ready_count);
    for _ in 0..queued {
        if told == count as u64 {
            break;
        }
        let Some(epoll) = call.system.epoll_mut(set) else { break };
        let Some(key) = epoll.take_ready() else { break };
        let Some(item) = epoll.item(key).cloned() else { continue };
        let events = ready_events(call, key, &item);
        if events == 0 {
            continue;
        }
        result = write_event(call, to, told, events, item.data);
        if result.is_err() {
            again.push(key);
            break;
        }
        told += 1;
        if item.events & EPOLLONESHOT != 0 {
            let epoll = call.system.epoll_mut(set);
            if let Some(item) = epoll.and_then(|epoll| epoll.item_mut(key)) {
                item.events &= HOW;
            }
        } else if item.events & EPOLLET == 0 {
            again.push(key);
        }
    }
    if let Some(epoll) = call.system.epoll_mut(set) {
        for key in again {
            epoll.queue(key);
        }
    }
    if told > 0 { Ok(told) } else { result.map(|()| 0) }
}

fn write_event(
    call: &mut Call<'_>,
    to: u64,
    place: u64,
    events: u32,
    data: u64,
) -> Result<(), Errno> {
    let at = to.checked_add(place * EVENT_BYTES).ok_or(Errno::EFAULT)?;
    call.write_pair(at, [events.into(), data])
}

impl Call<'_> {
    /// Whether some item of a set is ready.
    pub(crate) fn has_ready(&self, epoll: &Epoll) -> bool {
        epoll.ready().any(|(key, item)| ready_events(self, key, item) != 0)
    }

    /// What wakes those who wait for a description.
    fn description_channel(&self, id: DescriptionId) -> Option<Channel> {
        let description = self.system.descriptions.get(id).ok()?;
        crate::sys_poll::channel_of(self, description)
    }

    /// What a description is ready for.
    fn description_events(&self, id: DescriptionId) -> u16 {
        let description = self.system.descriptions.get(id);
        description.map_or(0, |description| crate::sys_poll::readiness_of(self, description))
    }
}
