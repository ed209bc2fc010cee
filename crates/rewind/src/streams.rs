//! What the program reads and writes, as it is at a position.
//!
//! ```text
//!   stdout, stderr ──► Tape: how many bytes, and the last of them     mark ──► checkpoint
//!   stdin ◄── what was read before ◄── the input, read once           mark ──► checkpoint
//! ```
//!
//! Machines that are copies of each other share these streams; going back sets them to where the
//! copy was made.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pagewalk_machine::Stdio;

/// The most bytes of output that are kept.
const TAIL_BYTES: usize = 16 << 10;

/// Where the streams are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    output: Output,
    read: u64,
}

#[derive(Clone, Debug, Default)]
struct Output {
    tail: VecDeque<u8>,
    bytes: u64,
}

/// The streams of a run.
#[derive(Clone)]
pub(crate) struct Streams {
    output: Arc<Mutex<Output>>,
    input: Arc<Mutex<Input>>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("read", &lock(&self.input).at).finish_non_exhaustive()
    }
}

struct Input {
    source: Box<dyn Read + Send>,
    /// What was read of it.
    tape: File,
    taped: u64,
    /// Where the program is.
    at: u64,
}

impl Streams {
    /// Streams with this input.
    ///
    /// # Errors
    /// If there is no temporary file to keep it in.
    pub fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        let input = Input { source, tape: tempfile::tempfile()?, taped: 0, at: 0 };
        Ok(Self { output: Arc::default(), input: Arc::new(Mutex::new(input)) })
    }

    /// For a machine.
    pub fn stdio(&self) -> Stdio {
        Stdio {
            stdin: Box::new(self.clone()),
            stdout: Box::new(self.clone()),
            stderr: Box::new(self.clone()),
            messages: Box::new(self.clone()),
        }
    }

    /// Where they are now.
    pub fn mark(&self) -> Mark {
        Mark { output: lock(&self.output).clone(), read: lock(&self.input).at }
    }

    /// Goes back, or forward to where they were before.
    pub fn go_to(&self, mark: &Mark) {
        *lock(&self.output) = mark.output.clone();
        lock(&self.input).at = mark.read;
    }

    /// The end of what was written.
    pub fn text(&self) -> String {
        let output = lock(&self.output);
        let tail: Vec<u8> = output.tail.iter().copied().collect();
        String::from_utf8_lossy(&tail).into_owned()
    }
}

impl Write for Streams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = lock(&self.output);
        output.bytes += bytes.len() as u64;
        output.tail.extend(bytes);
        let surplus = output.tail.len().saturating_sub(TAIL_BYTES);
        output.tail.drain(..surplus);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Streams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = lock(&self.input);
        let input = &mut *input;
        let kept = input.taped - input.at;
        let read = if kept > 0 {
            let most = usize::try_from(kept).unwrap_or(usize::MAX).min(buffer.len());
            input.tape.seek(SeekFrom::Start(input.at))?;
            input.tape.read(&mut buffer[..most])?
        } else {
            let read = input.source.read(buffer)?.min(buffer.len());
            input.tape.seek(SeekFrom::Start(input.taped))?;
            input.tape.write_all(&buffer[..read])?;
            input.taped += read as u64;
            read
        };
        input.at += read as u64;
        Ok(read)
    }
}

/// The streams are consistent between any two statements.
fn lock<T>(stream: &Mutex<T>) -> MutexGuard<'_, T> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_again_and_output_forgotten() {
        let mut streams = Streams::new(Box::new(io::Cursor::new(b"one two".to_vec()))).unwrap();
        let mut three = [0; 3];
        let start = streams.mark();
        streams.read_exact(&mut three).unwrap();
        streams.write_all(b"seen").unwrap();
        let later = streams.mark();
        streams.go_to(&start);
        assert_eq!(streams.text(), "");
        let mut all = String::new();
        streams.read_to_string(&mut all).unwrap();
        assert_eq!(all, "one two");
        streams.go_to(&later);
        assert_eq!(streams.text(), "seen");
        all.clear();
        streams.read_to_string(&mut all).unwrap();
        assert_eq!(all, " two");
    }

    #[test]
    fn a_read_before_the_end_of_the_tape_gives_what_was_read_before() {
        let mut streams = Streams::new(Box::new(io::repeat(b'x'))).unwrap();
        let mut buffer = [0; 100];
        streams.read_exact(&mut buffer).unwrap();
        streams.go_to(&Mark::default());
        assert_eq!(streams.read(&mut [0; 1000]).unwrap(), 100);
    }
}
