//! System calls as a program makes them: registers in, registers and memory out.

mod files;
mod hostile;
mod ipc;
mod load;
mod memory;
mod signals;
mod system;

use crate::clock::Clock;
use crate::flat_memory::FlatMemory;
use crate::process::Program;
use crate::regs::{A0, A7, Regs};
use crate::signal::Signal;
use crate::system::{FIRST, System};
use crate::thread::{State, Thread};
use crate::{Host, Root};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Room for arguments.
const SCRATCH: u64 = FlatMemory::START + 0x1_0000;
/// A second place.
const OUT: u64 = SCRATCH + 0x1000;
const AT_FDCWD: u64 = -100i64 as u64;

struct TestClock {
    now_ns: u64,
    next: u8,
}

impl Clock for TestClock {
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn random(&mut self, buf: &mut [u8]) {
        for byte in buf {
            *byte = self.next;
            self.next = self.next.wrapping_add(1);
        }
    }
}

/// What became of the first thread.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It goes on.
    Continue,
    /// Its process exited.
    Exit(i32),
    /// A signal ended its process, or it waits for ever.
    Killed { signal: Signal, reason: String },
}

/// A machine with one process and a directory of its own.
struct Guest {
    system: System,
    memory: FlatMemory,
    host: Host,
    clock: TestClock,
    regs: Regs,
    stdout: Arc<Mutex<Vec<u8>>>,
    messages: Arc<Mutex<Vec<u8>>>,
    root: PathBuf,
    _temp: tempfile::TempDir,
}

/// An executable with one page of text and two of data at the start of the memory.
fn executable() -> Vec<u8> {
    let mut bytes = vec![0; 0x1010];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    put(16, &[2, 0, 243, 0, 1, 0, 0, 0]);
    put(24, &0x1_0100u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0]);
    let segments: [(u64, [u64; 6]); 2] = [
        (1 | 5 << 32, [0, 0x1_0000, 0, 0x1000, 0x1000, 0x1000]),
        (1 | 6 << 32, [0x1000, 0x1_1000, 0, 0x10, 0x2000, 0x1000]),
    ];
    for (i, (kind, words)) in segments.iter().enumerate() {
        put(64 + 56 * i, &kind.to_le_bytes());
        for (j, word) in words.iter().enumerate() {
            put(72 + 56 * i + 8 * j, &word.to_le_bytes());
        }
    }
    bytes
}

/// How often a call is made again before the guest is taken to wait for ever.
const WAKES_MAX: u32 = 1000;

impl Guest {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let program = temp.path().join("program");
        std::fs::write(&program, executable()).unwrap();
        let dir = Dir::open_ambient_dir(&root, ambient_authority()).unwrap();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let messages = Arc::new(Mutex::new(Vec::new()));
        let mut host = Host::empty();
        host.root = Root::below(dir);
        host.stdout = stdout.clone();
        host.messages = messages.clone();
        let mut memory = FlatMemory::new();
        let mut clock = TestClock { now_ns: 5_000_000_123, next: 0 };
        let program = Program {
            file: std::fs::File::open(&program).unwrap(),
            name: "some/program".to_owned(),
            argv: vec![b"program".to_vec()],
            envp: Vec::new(),
        };
        let mut system = System::boot(&mut memory, &mut host, &mut clock, program).unwrap();
        assert_eq!(system.next_thread(), Some(FIRST));
        let regs = system.thread(FIRST).unwrap().regs.clone();
        Self { system, memory, host, clock, regs, stdout, messages, root, _temp: temp }
    }

    /// A machine without a root.
    fn without_root() -> Self {
        let mut guest = Self::new();
        guest.host.root = Root::default();
        guest
    }

    fn enter(&mut self, number: u64, args: &[u64]) -> Outcome {
        self.regs.x[A7] = number;
        for (i, &arg) in args.iter().enumerate() {
            self.regs.x[A0 + i] = arg;
        }
        self.system.thread_mut(FIRST).unwrap().regs = self.regs.clone();
        for _ in 0..WAKES_MAX {
            let Self { system, memory, host, clock, .. } = self;
            system.serve(FIRST, memory, host, clock);
            if self.system.end().is_some() || !self.thread().in_call {
                return self.outcome();
            }
            // Time is all that can end its wait.
            let Some(deadline) = self.system.next_deadline() else {
                let reason = self.system.deadlock();
                return Outcome::Killed { signal: Signal::SIGKILL, reason };
            };
            self.clock.now_ns = self.clock.now_ns.max(deadline);
            self.system.expire(deadline);
            assert_eq!(self.system.next_thread(), Some(FIRST));
        }
        Outcome::Killed { signal: Signal::SIGKILL, reason: "only timers go on".to_owned() }
    }

    /// What became of the thread, whose registers are copied.
    fn outcome(&mut self) -> Outcome {
        match self.system.end() {
            Some(crate::Outcome::Exit(status)) => Outcome::Exit(*status),
            Some(crate::Outcome::Killed { signal, reason }) => {
                Outcome::Killed { signal: *signal, reason: reason.clone() }
            }
            None => {
                if self.thread().state == State::Runnable {
                    assert_eq!(self.system.next_thread(), Some(FIRST));
                }
                self.regs = self.thread().regs.clone();
                Outcome::Continue
            }
        }
    }

    fn thread(&self) -> &Thread {
        self.system.thread(FIRST).unwrap()
    }

    fn mask(&self) -> u64 {
        self.thread().signals.mask()
    }

    /// Makes a call that returns: a value or a negative error number.
    fn call(&mut self, number: u64, args: &[u64]) -> i64 {
        assert_eq!(self.enter(number, args), Outcome::Continue);
        self.regs.x[A0] as i64
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        use crate::memory::UserMemory;
        self.memory.write(at, bytes).unwrap();
    }

    fn get<const N: usize>(&mut self, at: u64) -> [u8; N] {
        crate::memory::read_array(&mut self.memory, at).unwrap()
    }

    fn word(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at))
    }

    /// Puts a path where it can be named.
    fn path(&mut self, path: &str) -> u64 {
        let bytes = [path.as_bytes(), b"\0"].concat();
        self.put(SCRATCH, &bytes);
        SCRATCH
    }

    fn open(&mut self, path: &str, flags: u64) -> i64 {
        let at = self.path(path);
        self.call(56, &[AT_FDCWD, at, flags, 0o644])
    }

    fn write_host(&self, name: &str, bytes: &[u8]) {
        std::fs::File::create(self.root.join(name)).unwrap().write_all(bytes).unwrap();
    }

    fn read_host(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.root.join(name)).unwrap()
    }

    fn said(&self) -> String {
        String::from_utf8(self.messages.lock().unwrap().clone()).unwrap()
    }
}
