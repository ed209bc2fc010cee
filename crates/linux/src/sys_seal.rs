//! Files in memory: writing, lengths and holes as far as seals allow; memfd_create.
//!
//! ```text
//!   F_SEAL_SEAL          no more seals
//!   F_SEAL_SHRINK, GROW  the length stays
//!   F_SEAL_WRITE         neither write nor hole nor shared mapping that could be written
//!   F_SEAL_FUTURE_WRITE  the same, but what is mapped already stays so
//! ```
//!
//! Source: memfd_create(2), fcntl(2); Linux mm/memfd.c.

use std::ops::Range;

use pagewalk_kernel::Backing;

use crate::call::{Args, Call};
use crate::errno::Errno;
use crate::fd::{Description, O_RDWR, Object};
use crate::files::FileId;
use crate::host::unix_ns;
use crate::memory::read_path;
use crate::sys_open::make_unnamed;
use crate::tmpfs::{NodeId, SEAL_SEAL};

const SEAL_SHRINK: u32 = 2;
const SEAL_GROW: u32 = 4;
const SEAL_WRITE: u32 = 8;
const SEAL_FUTURE_WRITE: u32 = 0x10;
const SEAL_EXEC: u32 = 0x20;
const SEALS: u32 = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE | SEAL_EXEC;
/// Writing is over.
const SEAL_WRITES: u32 = SEAL_WRITE | SEAL_FUTURE_WRITE;

pub(crate) fn memfd_create(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const CLOEXEC: u64 = 1;
    const ALLOW_SEALING: u64 = 2;
    const NOEXEC_SEAL: u64 = 8;
    const EXEC: u64 = 0x10;
    const NAME_MAX: usize = 249;
    let [name, flags, ..] = args;
    // Files of huge pages there are none.
    if flags & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0
        || flags & (NOEXEC_SEAL | EXEC) == NOEXEC_SEAL | EXEC
    {
        return Err(Errno::EINVAL);
    }
    let name = match read_path(call.memory, name) {
        Ok(name) if name.len() <= NAME_MAX => name,
        Ok(_) | Err(Errno::ENAMETOOLONG) => return Err(Errno::EINVAL),
        Err(errno) => return Err(errno),
    };
    let path = [b"/memfd:", name.as_slice()].concat();
    let sealed_exec = flags & NOEXEC_SEAL != 0;
    let (file, id) = make_unnamed(call, &path, if sealed_exec { 0o666 } else { 0o777 })?;
    call.system.tmpfs.node_mut(id).seals = match (sealed_exec, flags & ALLOW_SEALING != 0) {
        (true, _) => SEAL_EXEC,
        (false, true) => 0,
        (false, false) => SEAL_SEAL,
    };
    call.open(Description::new(Object::File(file), O_RDWR, &path), flags & CLOEXEC != 0)
}

/// The node of a file in memory.
fn node(call: &Call<'_>, file: FileId) -> Result<NodeId, Errno> {
    call.system.tmpfs.of_file(file).ok_or(Errno::EINVAL)
}

fn seals(call: &Call<'_>, file: FileId) -> u32 {
    call.system.tmpfs.of_file(file).map_or(0, |id| call.system.tmpfs.node(id).seals)
}

/// Refuses what a seal forbids.
fn check(call: &Call<'_>, file: FileId, forbidden_by: u32) -> Result<(), Errno> {
    if seals(call, file) & forbidden_by != 0 { Err(Errno::EPERM) } else { Ok(()) }
}

fn touch(call: &mut Call<'_>, file: FileId) {
    let now = unix_ns(call.clock);
    if let Some(id) = call.system.tmpfs.of_file(file) {
        call.system.tmpfs.touch(id, now);
    }
}

/// Writes to a file in memory.
pub(crate) fn write(
    call: &mut Call<'_>,
    file: FileId,
    offset: u64,
    bytes: &[u8],
) -> Result<usize, Errno> {
    check(call, file, SEAL_WRITES)?;
    let end = offset.saturating_add(bytes.len() as u64);
    if end > call.memory.object_len(file)? {
        check(call, file, SEAL_GROW)?;
    }
    let n = call.memory.write_object(file, offset, bytes)?;
    touch(call, file);
    Ok(n)
}

/// Sets the length of a file in memory.
pub(crate) fn set_length(call: &mut Call<'_>, file: FileId, len: u64) -> Result<(), Errno> {
    match len.cmp(&call.memory.object_len(file)?) {
        std::cmp::Ordering::Less => check(call, file, SEAL_SHRINK)?,
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => check(call, file, SEAL_GROW)?,
    }
    call.memory.set_object_len(file, len)?;
    touch(call, file);
    Ok(())
}

/// Makes a hole in a file in memory.
pub(crate) fn punch(call: &mut Call<'_>, file: FileId, range: Range<u64>) -> Result<(), Errno> {
    check(call, file, SEAL_WRITES)?;
    call.memory.punch_object(file, range)?;
    touch(call, file);
    Ok(())
}

/// Whether a shared mapping may be written, now or after mprotect.
///
/// # Errors
/// EPERM if it is to be written at once, and must not.
pub(crate) fn may_map_writable(call: &Call<'_>, file: FileId, writes: bool) -> Result<bool, Errno> {
    let is_sealed = file.is_memory() && seals(call, file) & SEAL_WRITES != 0;
    if is_sealed && writes { Err(Errno::EPERM) } else { Ok(!is_sealed) }
}

/// F_GET_SEALS.
pub(crate) fn get_seals(call: &Call<'_>, fd: u64) -> Result<u64, Errno> {
    match call.file(fd)?.object {
        Object::File(file) if file.is_memory() => Ok(seals(call, file).into()),
        _ => Err(Errno::EINVAL),
    }
}

/// F_ADD_SEALS.
pub(crate) fn add_seals(call: &mut Call<'_>, fd: u64, more: u32) -> Result<u64, Errno> {
    let description = call.file(fd)?;
    let Object::File(file) = description.object else { return Err(Errno::EINVAL) };
    if !file.is_memory() || more & !SEALS != 0 {
        return Err(Errno::EINVAL);
    }
    if !description.writable() {
        return Err(Errno::EPERM);
    }
    check(call, file, SEAL_SEAL)?;
    if more & SEAL_WRITE != 0 && is_mapped_writable(call, file) {
        return Err(Errno::EBUSY);
    }
    let id = node(call, file)?;
    let is_executable = call.system.tmpfs.node(id).mode & 0o111 != 0;
    let more = match more & SEAL_EXEC != 0 && is_executable {
        true => more | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE,
        false => more,
    };
    call.system.tmpfs.node_mut(id).seals |= more;
    Ok(0)
}

/// Whether some process shares the file's pages and may store to them.
fn is_mapped_writable(call: &Call<'_>, file: FileId) -> bool {
    let own = call.process.space;
    let spaces = call.system.processes().map(|process| process.space).chain([own]);
    let writes = |region: &pagewalk_kernel::Region| {
        let is_its = matches!(region.backing, Backing::File { file: of, .. } if of == file);
        is_its && region.shared && region.may_write
    };
    spaces.into_iter().any(|space| call.memory.regions(space).iter().any(writes))
}
