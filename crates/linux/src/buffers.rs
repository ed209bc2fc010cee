//! The guest's buffers of one read or write: one, or an array of `struct iovec`.

use std::ops::Range;

use crate::call::Call;
use crate::errno::Errno;
use crate::memory::{CHUNK_BYTES, UserMemory, read_array};

/// The most that one call moves, as Linux (MAX_RW_COUNT).
pub(crate) const MAX_BYTES: u64 = 0x7fff_f000;
/// The most buffers in one call.
const IOV_MAX: u64 = 1024;
const IOVEC_BYTES: u64 = 16;
/// Files end here, as with 64-bit `off_t`.
pub(crate) const MAX_OFFSET: u64 = i64::MAX as u64;

/// A buffer of the guest's.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    at: u64,
    len: u64,
}

/// Buffers of one call, whose lengths together do not exceed [`MAX_BYTES`].
pub(crate) struct Buffers(Vec<Buffer>);

impl Buffers {
    pub(crate) fn one(at: u64, len: u64) -> Result<Self, Errno> {
        if len > MAX_OFFSET {
            return Err(Errno::EINVAL);
        }
        Ok(Self(vec![Buffer { at, len: len.min(MAX_BYTES) }]))
    }

    /// Reads an array of `struct iovec`.
    pub(crate) fn vector(call: &mut Call<'_>, at: u64, count: u64) -> Result<Self, Errno> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut total: u64 = 0;
        let mut buffers = Vec::new();
        for i in 0..count {
            let place = at.checked_add(i * IOVEC_BYTES).ok_or(Errno::EFAULT)?;
            let bytes: [u8; 16] = read_array(call.memory, place)?;
            let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * n + j]));
            let (at, len) = (word(0), word(1));
            if len > MAX_OFFSET {
                return Err(Errno::EINVAL);
            }
            let len = len.min(MAX_BYTES - total);
            total += len;
            buffers.push(Buffer { at, len });
        }
        Ok(Self(buffers))
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|b| b.len).sum()
    }

    /// EFAULT if a buffer is not within user space, as access_ok says on Linux.
    pub(crate) fn check(&self, memory: &dyn UserMemory) -> Result<(), Errno> {
        let end = memory.user_end();
        let within = |&Buffer { at, len }: &Buffer| at.checked_add(len).is_some_and(|to| to <= end);
        if self.0.iter().all(within) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Where the buffers are and how long.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|buffer| (buffer.at, buffer.len))
    }

    /// The buffers in pieces, one after the other.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Result<(u64, usize), Errno>> {
        self.pieces_from(0)
    }

    /// The buffers in pieces, without their first `skipped` bytes.
    pub(crate) fn pieces_from(
        &self,
        skipped: u64,
    ) -> impl Iterator<Item = Result<(u64, usize), Errno>> {
        let mut left = skipped;
        self.0.iter().flat_map(move |buffer| {
            let first = left.min(buffer.len);
            left -= first;
            (first..buffer.len).step_by(CHUNK_BYTES).map(|start| {
                let at = buffer.at.checked_add(start).ok_or(Errno::EFAULT)?;
                Ok((at, (buffer.len - start).min(CHUNK_BYTES as u64) as usize))
            })
        })
    }
}

/// Moves bytes to or from the guest by `copy`, which gets an address and a range of them, up to the
/// first page that cannot be reached: how many.
///
/// # Errors
/// If not one byte can be moved.
pub(crate) fn copy_prefix(
    page_bytes: u64,
    at: u64,
    len: usize,
    mut copy: impl FnMut(u64, Range<usize>) -> Result<(), Errno>,
) -> Result<usize, Errno> {
    let Err(error) = copy(at, 0..len) else { return Ok(len) };
    let mut done = 0;
    while done < len {
        let from = at.checked_add(done as u64).ok_or(Errno::EFAULT)?;
        let within_page = page_bytes - from % page_bytes;
        let end = len.min(done.saturating_add(within_page as usize));
        if copy(from, done..end).is_err() {
            break;
        }
        done = end;
    }
    if done > 0 { Ok(done) } else { Err(error) }
}
