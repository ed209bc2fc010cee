//! System V shared memory: segments that processes attach where they like.
//!
//! ```text
//!   shmget ──► Segment { memory object, one handle of it }
//!   shmat  ──► a shared mapping of the object      fork and exit copy and drop it as any mapping
//!   shmdt  ──► unmapped
//!   IPC_RMID ─► the handle goes, and the key; the segment lives until nobody maps it
//! ```
//!
//! How often a segment is attached is not counted but seen: so many times its length is mapped.
//!
//! Source: shmget(2), shmop(2), shmctl(2).

use crate::account::OBJECT;
use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::ipc::{
    Entry, IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, MAY_READ, MAY_WRITE, Table,
};
use crate::memory::UserMemory;
use crate::stat::Layout;
use crate::wait::Pid;
use pagewalk_kernel::{Backing, FileId, MapRequest, Placement, Prot, Region};
use pagewalk_mmu::VirtAddr;

/// Segments at most (SHMMNI).
const SEGMENTS_MAX: usize = 4096;
/// Bytes of a segment at most (SHMMAX).
const BYTES_MAX: u64 = u64::MAX - (1 << 24);
const SHM_HUGETLB: u32 = 0o4000;
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100000;
/// In the mode: it goes when nobody is attached.
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

/// A segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    file: FileId,
    bytes: u64,
    attached_s: u64,
    detached_s: u64,
    changed_s: u64,
    creator: Pid,
    last: Pid,
}

impl Segment {
    /// The object that holds its bytes.
    pub(crate) const fn file(&self) -> FileId {
        self.file
    }
}

/// All segments.
pub(crate) type Segments = Table<Segment>;

pub(crate) fn shmget(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (key, bytes, flags) = (int(args[0]), args[1], args[2] as u32);
    sweep(call);
    if flags & SHM_HUGETLB != 0 {
        // As on a system whose pool of huge pages is empty.
        return Err(Errno::ENOMEM);
    }
    call.charge(OBJECT)?;
    let (now, pid) = (call.seconds(), call.process.pid);
    let memory = &mut *call.memory;
    let page = memory.page_bytes();
    let id = call.system.segments.find_or_make(
        key,
        flags,
        &call.process.credentials,
        SEGMENTS_MAX,
        |segment| if bytes > segment.bytes { Err(Errno::EINVAL) } else { Ok(()) },
        || {
            if bytes == 0 || bytes > BYTES_MAX {
                return Err(Errno::EINVAL);
            }
            let whole = bytes.checked_next_multiple_of(page).ok_or(Errno::ENOMEM)?;
            let file = memory.create_object(whole)?;
            let (attached_s, detached_s) = (0, 0);
            Ok(Segment {
                file,
                bytes,
                attached_s,
                detached_s,
                changed_s: now,
                creator: pid,
                last: 0,
            })
        },
    )?;
    let file = call.system.segments.get(id)?.object.file;
    let path = format!("/SYSV{:08x}", key as u32);
    call.system.name_object(call.memory, file, path.as_bytes());
    Ok(id as u64)
}

pub(crate) fn shmat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (id, mut at, flags) = (int(args[0]), args[1], args[2] as u32);
    sweep(call);
    let page = call.memory.page_bytes();
    if at % page != 0 {
        if flags & SHM_RND == 0 {
            return Err(Errno::EINVAL);
        }
        at -= at % page;
    }
    if at == 0 && flags & SHM_REMAP != 0 {
        return Err(Errno::EINVAL);
    }
    let entry = call.system.segments.get(id)?;
    let writes = flags & SHM_RDONLY == 0;
    let wanted = MAY_READ | if writes { MAY_WRITE } else { 0 } | u32::from(flags & SHM_EXEC != 0);
    entry.permissions.check(&call.process.credentials, wanted)?;
    let mut prot = Prot::READ;
    prot.set(Prot::WRITE, writes);
    prot.set(Prot::EXEC, flags & SHM_EXEC != 0);
    let place = match (at, flags & SHM_REMAP) {
        (0, _) => Placement::Anywhere { hint: VirtAddr(0) },
        (at, 0) => Placement::FixedNoReplace(VirtAddr(at)),
        (at, _) => Placement::Fixed(VirtAddr(at)),
    };
    let segment = &entry.object;
    let request = MapRequest {
        place,
        backing: Backing::File { file: segment.file, offset: 0 },
        shared: true,
        may_write: writes,
        ..MapRequest::anonymous(segment.bytes.next_multiple_of(page), prot)
    };
    let at = call.memory.map(request).map_err(|errno| match errno {
        Errno::EEXIST => Errno::EINVAL,
        other => other,
    })?;
    let (now, pid) = (call.seconds(), call.process.pid);
    let segment = &mut call.system.segments.get_mut(id)?.object;
    (segment.attached_s, segment.last) = (now, pid);
    Ok(at)
}

pub(crate) fn shmdt(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let at = args[0];
    let page = call.memory.page_bytes();
    if !at.is_multiple_of(page) {
        return Err(Errno::EINVAL);
    }
    // The first part that is left tells which segment it is, as on Linux: its beginning may be
    // something else by now.
    let parts = attachment(call, at);
    let mut known = parts.iter().filter_map(|part| Some((part, segment_of(call, part)?)));
    let (&first, (id, bytes)) = known.next().ok_or(Errno::EINVAL)?;
    drop(known);
    let end = at.saturating_add(bytes.next_multiple_of(page)).max(first.end.0);
    let is_its = |part: &&Region| match (part.file_at(part.start), first.file_at(first.start)) {
        (Some((file, _)), Some((of, _))) => file == of && part.end.0 <= end,
        _ => false,
    };
    for part in parts.iter().filter(is_its) {
        call.memory.unmap(part.start.0, part.len())?;
    }
    let (now, pid) = (call.seconds(), call.process.pid);
    let segment = &mut call.system.segments.get_mut(id)?.object;
    (segment.detached_s, segment.last) = (now, pid);
    sweep(call);
    Ok(0)
}

/// The shared mappings behind `at` that an attachment there would have made.
fn attachment(call: &Call<'_>, at: u64) -> Vec<Region> {
    let regions = call.memory.regions(call.memory.space());
    let is_part = |region: &Region| {
        let offset = region.file_at(region.start).map(|(_, offset)| offset);
        region.shared && offset.is_some() && region.start.0.checked_sub(at) == offset
    };
    regions.into_iter().filter(is_part).collect()
}

/// The segment that a mapping shows, and its bytes.
fn segment_of(call: &Call<'_>, part: &Region) -> Option<(i32, u64)> {
    let (file, _) = part.file_at(part.start)?;
    let mut all = call.system.segments.iter();
    let found = all.find(|(_, entry)| entry.object.file == file);
    found.map(|(id, entry)| (id, entry.object.bytes))
}

pub(crate) fn shmctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SHM_LOCK: i32 = 11;
    const SHM_UNLOCK: i32 = 12;
    const SHM_STAT: i32 = 13;
    const SHM_INFO: i32 = 14;
    const SHM_STAT_ANY: i32 = 15;
    let (id, command, at) = (int(args[0]), int(args[1]), args[2]);
    sweep(call);
    match command {
        IPC_INFO => write_limits(call, at),
        SHM_INFO => write_use(call, at),
        IPC_STAT => write_status(call, id, at, MAY_READ).map(|()| 0),
        SHM_STAT | SHM_STAT_ANY => {
            let id = call.system.segments.id_at(id)?;
            let wanted = if command == SHM_STAT { MAY_READ } else { 0 };
            write_status(call, id, at, wanted).map(|()| id as u64)
        }
        IPC_SET => {
            let mut permissions = own(call, id)?.permissions.clone();
            permissions.set(call, at)?;
            let now = call.seconds();
            let entry = call.system.segments.get_mut(id)?;
            entry.permissions = permissions;
            entry.object.changed_s = now;
            Ok(0)
        }
        IPC_RMID => {
            own(call, id)?;
            remove(call, id)?;
            Ok(0)
        }
        SHM_LOCK | SHM_UNLOCK => {
            own(call, id)?;
            let mode = &mut call.system.segments.get_mut(id)?.permissions.mode;
            *mode = *mode & !SHM_LOCKED | if command == SHM_LOCK { SHM_LOCKED } else { 0 };
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// A segment that the caller may change.
fn own<'a>(call: &'a Call<'_>, id: i32) -> Result<&'a Entry<Segment>, Errno> {
    let entry = call.system.segments.get(id)?;
    entry.permissions.check_owner(&call.process.credentials)?;
    Ok(entry)
}

/// The key is free from now on, and the segment goes with its last mapping.
fn remove(call: &mut Call<'_>, id: i32) -> Result<(), Errno> {
    let entry = call.system.segments.get_mut(id)?;
    if entry.permissions.mode & SHM_DEST != 0 {
        return Ok(());
    }
    entry.permissions.key = IPC_PRIVATE;
    entry.permissions.mode |= SHM_DEST;
    let file = entry.object.file;
    let is_attached = call.memory.mapped_bytes(file) > 0;
    if !is_attached {
        call.system.segments.remove(id);
    }
    call.memory.release_object(file)
}

/// Forgets removed segments that nobody maps any more.
fn sweep(call: &mut Call<'_>) {
    let memory = &*call.memory;
    let gone = |entry: &Entry<Segment>| {
        entry.permissions.mode & SHM_DEST != 0 && memory.mapped_bytes(entry.object.file) == 0
    };
    let gone: Vec<i32> =
        call.system.segments.iter().filter_map(|(id, entry)| gone(entry).then_some(id)).collect();
    for id in gone {
        call.system.segments.remove(id);
    }
}

/// How often a segment is attached, in whole or in part.
fn attached(memory: &dyn UserMemory, segment: &Segment) -> u64 {
    let whole = segment.bytes.next_multiple_of(memory.page_bytes());
    memory.mapped_bytes(segment.file).div_ceil(whole)
}

/// `struct shmid64_ds`.
fn write_status(call: &mut Call<'_>, id: i32, at: u64, wanted: u32) -> Result<(), Errno> {
    let entry = call.system.segments.get(id)?;
    entry.permissions.check(&call.process.credentials, wanted)?;
    let segment = &entry.object;
    let mut out = Layout::<112>::new();
    entry.permissions.encode(&mut out);
    out.u64(48, segment.bytes);
    out.u64(56, segment.attached_s);
    out.u64(64, segment.detached_s);
    out.u64(72, segment.changed_s);
    out.u32(80, segment.creator);
    out.u32(84, segment.last);
    out.u64(88, attached(call.memory, segment));
    call.memory.write(at, &out.0)
}

/// `struct shminfo64`.
fn write_limits(call: &mut Call<'_>, at: u64) -> Result<u64, Errno> {
    let mut out = Layout::<72>::new();
    let words = [BYTES_MAX, 1, SEGMENTS_MAX as u64, SEGMENTS_MAX as u64, BYTES_MAX];
    for (n, word) in words.into_iter().enumerate() {
        out.u64(8 * n, word);
    }
    call.memory.write(at, &out.0)?;
    Ok(call.system.segments.highest_place() as u64)
}

/// `struct shm_info`: how many there are, and their pages.
fn write_use(call: &mut Call<'_>, at: u64) -> Result<u64, Errno> {
    let page = call.memory.page_bytes();
    let (mut total, mut resident, mut swapped) = (0u64, 0u64, 0u64);
    for (_, entry) in call.system.segments.iter() {
        total = total.saturating_add(entry.object.bytes.div_ceil(page));
        let pages = call.memory.object_pages(entry.object.file)?;
        resident += pages.resident;
        swapped += pages.swapped;
    }
    let mut out = Layout::<48>::new();
    out.u32(0, call.system.segments.len() as u32);
    for (n, word) in [total, resident, swapped].into_iter().enumerate() {
        out.u64(8 + 8 * n, word);
    }
    call.memory.write(at, &out.0)?;
    Ok(call.system.segments.highest_place() as u64)
}
