//! Pipes inside the machine: a bounded queue of bytes with two kinds of ends.

use crate::account::PIPE;
use crate::sys_poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use crate::wait::Channel;
use std::collections::VecDeque;

/// A pipe's capacity, as Linux's default.
pub const PIPE_BYTES: usize = 64 * 1024;

/// Which end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// The end that is read.
    Read,
    /// The end that is written.
    Write,
}

/// A pipe's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeId(usize);

impl PipeId {
    /// What wakes those who wait for the pipe.
    pub(crate) const fn channel(self) -> Channel {
        Channel::Pipe(self.0)
    }
}

/// The outcome of an operation on a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeResult {
    /// So many bytes were moved; 0 is the end of input.
    Moved(usize),
    /// Nothing can be moved until the other end does something.
    WouldBlock,
    /// No one will ever read.
    Broken,
}

#[derive(Clone, Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// Descriptions that read it, and that write it.
    readers: u32,
    writers: u32,
    /// How often each end was opened.
    opened: [u64; 2],
    /// It has a name, and so stays while nobody has it open.
    is_named: bool,
}

/// The machine's pipes.
#[derive(Clone, Debug, Default)]
pub struct Pipes(Vec<Option<Pipe>>);

impl Pipes {
    /// A new pipe with both ends open.
    pub fn create(&mut self) -> PipeId {
        self.add(Pipe { readers: 1, writers: 1, ..Pipe::default() })
    }

    /// A new pipe that nobody has open yet (FIFO).
    pub fn create_named(&mut self) -> PipeId {
        self.add(Pipe { is_named: true, ..Pipe::default() })
    }

    fn add(&mut self, pipe: Pipe) -> PipeId {
        let pipe = Some(pipe);
        match self.0.iter().position(Option::is_none) {
            Some(place) => {
                self.0[place] = pipe;
                PipeId(place)
            }
            None => {
                self.0.push(pipe);
                PipeId(self.0.len() - 1)
            }
        }
    }

    /// What they take of the host's memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().flatten().map(|pipe| PIPE + pipe.bytes.capacity() as u64).sum()
    }

    /// Takes bytes from the queue.
    pub fn read(&mut self, id: PipeId, buf: &mut [u8]) -> PipeResult {
        let Some(pipe) = self.get(id) else { return PipeResult::Moved(0) };
        if pipe.bytes.is_empty() && pipe.writers > 0 && !buf.is_empty() {
            return PipeResult::WouldBlock;
        }
        let n = pipe.bytes.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(pipe.bytes.drain(..n)) {
            *to = from;
        }
        PipeResult::Moved(n)
    }

    /// Adds bytes to the queue, as many as there is room for.
    pub fn write(&mut self, id: PipeId, bytes: &[u8]) -> PipeResult {
        let Some(pipe) = self.get(id).filter(|p| p.readers > 0) else { return PipeResult::Broken };
        let n = (PIPE_BYTES - pipe.bytes.len()).min(bytes.len());
        if n == 0 && !bytes.is_empty() {
            return PipeResult::WouldBlock;
        }
        pipe.bytes.extend(&bytes[..n]);
        PipeResult::Moved(n)
    }

    /// Bytes waiting to be read.
    pub fn waiting(&self, id: PipeId) -> usize {
        self.0.get(id.0).and_then(Option::as_ref).map_or(0, |pipe| pipe.bytes.len())
    }

    /// Whether an operation on this end would not wait.
    pub fn ready(&self, id: PipeId, end: PipeEnd) -> bool {
        let Some(pipe) = self.0.get(id.0).and_then(Option::as_ref) else { return true };
        match end {
            PipeEnd::Read => !pipe.bytes.is_empty() || pipe.writers == 0,
            PipeEnd::Write => pipe.bytes.len() < PIPE_BYTES || pipe.readers == 0,
        }
    }

    /// What poll tells of the end that is read.
    pub fn read_events(&self, id: PipeId) -> u16 {
        let Some(pipe) = self.0.get(id.0).and_then(Option::as_ref) else { return POLLHUP };
        let bytes = if pipe.bytes.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        bytes | if pipe.writers > 0 { 0 } else { POLLHUP }
    }

    /// What poll tells of the end that is written.
    pub fn write_events(&self, id: PipeId) -> u16 {
        let Some(pipe) = self.0.get(id.0).and_then(Option::as_ref) else { return POLLERR };
        let room = if pipe.bytes.len() < PIPE_BYTES { POLLOUT | POLLWRNORM } else { 0 };
        room | if pipe.readers > 0 { 0 } else { POLLERR }
    }

    /// One more description has an end open.
    pub fn open(&mut self, id: PipeId, end: PipeEnd) {
        let Some(pipe) = self.get(id) else { return };
        pipe.opened[end as usize] += 1;
        match end {
            PipeEnd::Read => pipe.readers += 1,
            PipeEnd::Write => pipe.writers += 1,
        }
    }

    /// How often an end was opened so far.
    pub fn opened(&self, id: PipeId, end: PipeEnd) -> u64 {
        let pipe = self.0.get(id.0).and_then(Option::as_ref);
        pipe.map_or(0, |pipe| pipe.opened[end as usize])
    }

    /// Whether somebody has an end open.
    pub fn is_open(&self, id: PipeId, end: PipeEnd) -> bool {
        let pipe = self.0.get(id.0).and_then(Option::as_ref);
        pipe.is_some_and(|pipe| match end {
            PipeEnd::Read => pipe.readers > 0,
            PipeEnd::Write => pipe.writers > 0,
        })
    }

    /// A pipe has lost its name.
    pub fn forget_name(&mut self, id: PipeId) {
        if let Some(pipe) = self.get(id) {
            pipe.is_named = false;
            self.drop_unused(id);
        }
    }

    /// The last description is gone: what was not read is lost, and the pipe too, unless named.
    fn drop_unused(&mut self, id: PipeId) {
        let Some(pipe) = self.get(id).filter(|pipe| pipe.readers == 0 && pipe.writers == 0) else {
            return;
        };
        pipe.bytes.clear();
        if !pipe.is_named {
            self.0[id.0] = None;
        }
    }

    /// Closes one end; the pipe goes with the last.
    pub fn close(&mut self, id: PipeId, end: PipeEnd) {
        let Some(pipe) = self.get(id) else { return };
        match end {
            PipeEnd::Read => pipe.readers = pipe.readers.saturating_sub(1),
            PipeEnd::Write => pipe.writers = pipe.writers.saturating_sub(1),
        }
        self.drop_unused(id);
    }

    fn get(&mut self, id: PipeId) -> Option<&mut Pipe> {
        self.0.get_mut(id.0)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_until_the_writer_is_gone() {
        let mut pipes = Pipes::default();
        let id = pipes.create();
        let mut buf = [0; 4];
        assert_eq!(pipes.read(id, &mut buf), PipeResult::WouldBlock);
        assert_eq!(pipes.write(id, b"abcdef"), PipeResult::Moved(6));
        assert_eq!(pipes.read(id, &mut buf), PipeResult::Moved(4));
        assert_eq!(&buf, b"abcd");
        pipes.close(id, PipeEnd::Write);
        assert_eq!(pipes.read(id, &mut buf), PipeResult::Moved(2));
        assert_eq!(pipes.read(id, &mut buf), PipeResult::Moved(0));
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut pipes = Pipes::default();
        let id = pipes.create();
        let many = vec![1; PIPE_BYTES + 1];
        assert_eq!(pipes.write(id, &many), PipeResult::Moved(PIPE_BYTES));
        assert_eq!(pipes.write(id, &many), PipeResult::WouldBlock);
        pipes.close(id, PipeEnd::Read);
        assert_eq!(pipes.write(id, b"x"), PipeResult::Broken);
    }

    #[test]
    fn places_are_used_again() {
        let mut pipes = Pipes::default();
        let id = pipes.create();
        pipes.close(id, PipeEnd::Read);
        pipes.close(id, PipeEnd::Write);
        assert_eq!(pipes.create(), id);
    }
}
