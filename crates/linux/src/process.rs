//! A process: loaded, served at every system call, signalled, ended.
//!
//! ```text
//!            load()                    syscall()                      Outcome
//!   ELF ───────────────► Process ──► handler ──► pending signals ──► Continue │ Exit │ Killed
//!                           ▲                                           │
//!                           └───────────────────────────────────────────┘
//!                              deliver_fault_signal() on a fault
//! ```
//!
//! Architecture invariants:
//! 1. Nothing here depends on the host's time, environment, or order of hashing.
//! 2. No input of the guest's panics: every number is checked where it is used.
//! 3. Descriptors, pipes and signals belong to the process and are copied with it; what is shared
//!    with the machine is in [`Host`].

use crate::call::Call;
use crate::clock::Clock;
use crate::deliver;
use crate::elf;
use crate::fd::FdTable;
use crate::files::FileId;
use crate::host::Host;
use crate::load::{self, FileImage, LoadError, Loaded};
use crate::memory::UserMemory;
use crate::pipe::Pipes;
use crate::regs::{A0, A7, ECALL_BYTES, Regs, SP};
use crate::root::Location;
use crate::signal::{Cause, Signal, SignalInfo, Signals};
use crate::stack::StackImage;
use crate::sys_process::Limits;
use crate::table;
use pagewalk_kernel::{MapRequest, Placement, Prot, RegionName, Shortage};
use pagewalk_mmu::VirtAddr;
use std::fs::File;

/// The only process's id.
pub(crate) const PID: u32 = 1;

/// What to run.
#[derive(Debug)]
pub struct Program {
    /// The executable.
    pub file: File,
    /// Its name, for messages and AT_EXECFN.
    pub name: String,
    /// Arguments; the first is the program's own name.
    pub argv: Vec<Vec<u8>>,
    /// Environment, `NAME=value`.
    pub envp: Vec<Vec<u8>>,
}

/// What is left after a system call or a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process goes on at `regs.pc`.
    Continue,
    /// It ended by itself.
    Exit(i32),
    /// A signal ended it.
    Killed {
        /// Which.
        signal: Signal,
        /// Why, for a person.
        reason: String,
    },
}

/// A signal that an instruction caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSignal {
    /// SIGSEGV, SIGBUS, SIGILL, SIGTRAP or SIGFPE.
    pub signal: Signal,
    /// si_code.
    pub code: i32,
    /// si_addr.
    pub addr: u64,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    pub(crate) fds: FdTable,
    pub(crate) pipes: Pipes,
    pub(crate) cwd: Location,
    pub(crate) umask: u32,
    pub(crate) signals: Signals,
    pub(crate) limits: Limits,
    /// The executable, which /proc/self/exe names.
    pub(crate) executable: FileId,
    pub(crate) executable_path: Vec<u8>,
    /// PR_SET_NAME.
    pub(crate) name: [u8; 16],
    /// The page that holds the code of [`SIGRETURN`].
    pub(crate) trampoline: u64,
}

/// `li a7, 139` (rt_sigreturn); `ecall`.
const SIGRETURN: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];

impl Process {
    /// Maps the program and its stack into an empty address space.
    ///
    /// # Errors
    /// If it is not an executable that this machine can hold.
    pub fn load(
        memory: &mut dyn UserMemory,
        host: &mut Host,
        clock: &mut dyn Clock,
        program: Program,
    ) -> Result<(Self, Regs), LoadError> {
        let Program { file, name, argv, envp } = program;
        let (executable, loaded) = load_file(memory, host, file, &name)?;
        let trampoline = map_trampoline(memory, &name)?;
        let mut random = [0; 16];
        clock.random(&mut random);
        let image = StackImage {
            argv: &argv,
            envp: &envp,
            exec_name: name.as_bytes(),
            random,
            loaded,
            page_bytes: memory.page_bytes(),
        };
        let sp = write_stack(memory, &image, &name)?;
        let mut regs = Regs { pc: loaded.entry, ..Regs::default() };
        regs.x[SP] = sp;
        let process = Self {
            fds: FdTable::with_stdio(),
            pipes: Pipes::default(),
            cwd: Location::default(),
            umask: 0o022,
            signals: Signals::default(),
            limits: Limits::new(memory.stack_limit()),
            executable,
            executable_path: guest_path_of(&name),
            name: short_name(&name),
            trampoline,
        };
        Ok((process, regs))
    }

    /// Serves the system call at `regs.pc`, number in a7, arguments in a0 to a5, and delivers what
    /// signals it left.
    pub fn syscall(
        &mut self,
        memory: &mut dyn UserMemory,
        host: &mut Host,
        clock: &mut dyn Clock,
        regs: &mut Regs,
    ) -> Outcome {
        let number = regs.x[A7];
        let args = regs.arguments();
        regs.pc = regs.pc.wrapping_add(ECALL_BYTES);
        let mut call = Call { process: self, memory, host, clock, regs, end: None };
        let result = match table::find(&mut call, number) {
            Ok(handler) => handler(&mut call, args),
            Err(errno) => Err(errno),
        };
        let end = call.end;
        if let Some(shortage) = memory.shortage() {
            return out_of_memory(shortage);
        }
        if let Some(outcome) = end {
            return outcome;
        }
        regs.x[A0] = result.unwrap_or_else(crate::Errno::to_register);
        deliver::pending(self, memory, regs)
    }

    /// Delivers a signal that the instruction at `regs.pc` caused. If it is blocked or ignored the
    /// process is killed: it could not go on.
    pub fn deliver_fault_signal(
        &mut self,
        memory: &mut dyn UserMemory,
        regs: &mut Regs,
        fault: SyncSignal,
    ) -> Outcome {
        let cause = Cause::Fault { code: fault.code, addr: fault.addr };
        deliver::force(self, memory, regs, SignalInfo { signal: fault.signal, cause })
    }

    /// The path of the executable, as /proc/self/exe tells it.
    pub fn executable_path(&self) -> &[u8] {
        &self.executable_path
    }
}

/// The verdict on a process that needed memory which no one could give.
pub(crate) fn out_of_memory(shortage: Shortage) -> Outcome {
    Outcome::Killed { signal: Signal::SIGKILL, reason: format!("out of memory: {shortage}") }
}

fn load_file(
    memory: &mut dyn UserMemory,
    host: &mut Host,
    file: File,
    name: &str,
) -> Result<(FileId, Loaded), LoadError> {
    let open_error = |source| LoadError::Open { file: name.to_owned(), source };
    let metadata = file.metadata().map_err(open_error)?;
    if !metadata.is_file() {
        return Err(open_error(std::io::Error::other("not a regular file: name an executable")));
    }
    let id = host.files.insert(file, true, false).map_err(open_error)?;
    let image = FileImage { files: &host.files, id, len: metadata.len() };
    let executable =
        elf::parse(&image).map_err(|source| LoadError::Elf { file: name.to_owned(), source })?;
    Ok((id, load::load(memory, &executable, id, name)?))
}

/// The page that Linux would take from its vDSO: signal handlers return to it.
fn map_trampoline(memory: &mut dyn UserMemory, name: &str) -> Result<u64, LoadError> {
    let page = memory.page_bytes();
    // Executable from the start: some memories put code apart.
    let request = MapRequest::anonymous(page, Prot::all());
    let result = memory.map(request).and_then(|at| {
        memory.write(at, &SIGRETURN)?;
        memory.protect(at, page, Prot::READ | Prot::EXEC)?;
        Ok(at)
    });
    result.map_err(|errno| LoadError::map(name, "the signal trampoline", 0, errno, memory))
}

fn write_stack(
    memory: &mut dyn UserMemory,
    image: &StackImage<'_>,
    name: &str,
) -> Result<u64, LoadError> {
    let top = memory.stack_top();
    let need = image.bytes();
    // As Linux: arguments may take a quarter of the stack.
    let limit = memory.stack_limit() / 4;
    if need > limit || need > top {
        return Err(LoadError::TooManyArguments { need, limit });
    }
    let page = memory.page_bytes();
    let start = (top - need) & !(page - 1);
    let stack = MapRequest {
        place: Placement::FixedNoReplace(VirtAddr(start)),
        grows_down: true,
        name: RegionName::Stack,
        ..MapRequest::anonymous(top - start, Prot::READ | Prot::WRITE)
    };
    let (sp, bytes) = image.build(top);
    let result = memory.map(stack).and_then(|_| memory.write(sp, &bytes));
    result.map_err(|errno| LoadError::map(name, "the stack", start, errno, memory))?;
    Ok(sp)
}

/// The host's directories are none of the guest's business.
fn guest_path_of(name: &str) -> Vec<u8> {
    let base = name.rsplit('/').next().unwrap_or(name);
    [b"/", base.as_bytes()].concat()
}

fn short_name(name: &str) -> [u8; 16] {
    let base = name.rsplit('/').next().unwrap_or(name).as_bytes();
    std::array::from_fn(|i| if i < 15 { base.get(i).copied().unwrap_or(0) } else { 0 })
}
