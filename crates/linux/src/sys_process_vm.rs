//! process_vm_readv and process_vm_writev: bytes from one process's memory to another's.
//!
//! Source: process_vm_readv(2).

use crate::buffers::Buffers;
use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::memory::CHUNK_BYTES;
use crate::wait::Pid;
use pagewalk_kernel::SpaceId;

pub(crate) fn process_vm_readv(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    transfer(call, args, false)
}

pub(crate) fn process_vm_writev(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    transfer(call, args, true)
}

/// The space of a process that the caller may look into.
fn space_of(call: &Call<'_>, pid: u64) -> Result<SpaceId, Errno> {
    let pid = int(pid) as Pid;
    if pid == call.process.pid {
        return Ok(call.process.space);
    }
    let process = call.system.process(pid).filter(|process| process.ended.is_none());
    let process = process.ok_or(Errno::ESRCH)?;
    let (mine, its) = (&call.process.credentials, &process.credentials);
    let may = mine.user.effective == 0
        || (mine.user.real == its.user.real && its.user.holds(mine.user.real));
    if may { Ok(process.space) } else { Err(Errno::EPERM) }
}

fn transfer(call: &mut Call<'_>, args: Args, to_other: bool) -> Result<u64, Errno> {
    let [pid, local, local_count, remote, remote_count, flags] = args;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let local = Buffers::vector(call, local, local_count)?;
    let remote = Buffers::vector(call, remote, remote_count)?;
    let other = space_of(call, pid)?;
    let own = call.process.space;
    let total = local.total().min(remote.total());
    let (from, from_space, to, to_space) = match to_other {
        true => (&local, own, &remote, other),
        false => (&remote, other, &local, own),
    };
    let mut done = 0;
    let mut bytes = Vec::new();
    while done < total {
        let (Some(source), Some(target)) = (piece(from, done)?, piece(to, done)?) else { break };
        let len = source.1.min(target.1).min((total - done) as usize).min(CHUNK_BYTES);
        bytes.resize(len, 0);
        call.memory.switch_space(from_space);
        let read = call.memory.read(source.0, &mut bytes);
        call.memory.switch_space(to_space);
        let moved = read.and_then(|()| call.memory.write(target.0, &bytes));
        call.memory.switch_space(own);
        match moved {
            Err(_) if done > 0 => break,
            result => result?,
        }
        done += len as u64;
    }
    Ok(done)
}

/// The first piece behind so many bytes that is not empty.
fn piece(buffers: &Buffers, done: u64) -> Result<Option<(u64, usize)>, Errno> {
    buffers.pieces_from(done).find(|piece| !matches!(piece, Ok((_, 0)))).transpose()
}
