//! A process: what its threads share, and how a program gets into an address space.
//!
//! ```text
//!   ELF ──load──► Image { registers, heap, executable … } ──► Process and its first thread (boot)
//!                                                        └──► a process that goes on as it (exec)
//! ```
//!
//! Architecture invariants:
//! 1. Nothing here depends on the host's time, environment, or order of hashing.
//! 2. No input of the guest's panics: every number is checked where it is used.
//! 3. What a process holds of the machine (descriptions, its address space) it lets go when it
//!    ends; what is left is its status, for its parent.

use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::elf::{self, Executable};
use crate::errno::Errno;
use crate::fd::{Descriptions, FdTable};
use crate::files::FileId;
use crate::host::Host;
use crate::load::{self, FileImage, Interpreter, LoadError, Loaded};
use crate::memory::UserMemory;
use crate::path::{self, LastLink, Location};
use crate::regs::{Regs, SP};
use crate::signal::{GroupSignals, Signal};
use crate::stack::StackImage;
use crate::sys_prctl::Attributes;
use crate::sys_process::Limits;
use crate::sys_sem::Undo;
use crate::system::Outcome;
use crate::timers::Timers;
use crate::wait::Pid;
use pagewalk_kernel::{MapRequest, Placement, Prot, RegionName, SpaceId};
use pagewalk_mmu::VirtAddr;
use std::fs::File;

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

/// A change of a process that its parent can wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It stopped.
    Stopped(Signal),
    /// It went on.
    Continued,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Who made it, or init.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// Its session.
    pub session: Pid,
    /// Its address space; processes made by vfork share their parent's.
    pub space: SpaceId,
    pub(crate) fds: FdTable,
    pub(crate) cwd: Location,
    pub(crate) umask: u32,
    pub(crate) signals: GroupSignals,
    pub(crate) limits: Limits,
    pub(crate) attributes: Attributes,
    pub(crate) timers: Timers,
    /// What its end takes back of semaphores.
    pub(crate) undo: Undo,
    pub(crate) credentials: Credentials,
    /// The executable, which /proc/self/exe names.
    pub(crate) executable: FileId,
    pub(crate) executable_path: Vec<u8>,
    /// The arguments, each with its terminator, as /proc/self/cmdline tells them.
    pub(crate) command_line: Vec<u8>,
    /// The environment, likewise, as /proc/self/environ tells it.
    pub(crate) environment: Vec<u8>,
    /// The name of the thread that it was named by last (comm).
    pub(crate) last_name: [u8; 16],
    /// How soon it is killed for want of memory.
    pub(crate) oom_score_adj: i32,
    /// Its memory was taken for others (oom.rs): why it is about to end.
    pub(crate) verdict: Option<String>,
    /// The page that holds the code of [`SIGRETURN`].
    pub(crate) trampoline: u64,
    /// What its parent gets when it ends.
    pub(crate) exit_signal: Option<Signal>,
    /// It uses its parent's memory, and the parent waits for that to end (vfork).
    pub(crate) borrows_memory: bool,
    /// It has called execve.
    pub(crate) has_execed: bool,
    /// Its threads do not run.
    pub(crate) is_stopped: bool,
    /// Neither do they while it is swapped out.
    pub(crate) is_swapped_out: bool,
    /// What its parent has not heard of yet.
    pub(crate) change: Option<Change>,
    /// How it ended; nothing but this is left of it.
    pub(crate) ended: Option<Outcome>,
    /// What the leader's exit said, if other threads outlive it.
    pub(crate) leader_status: i32,
    /// Nanoseconds that threads of it ran which are gone, and children that it waited for.
    pub(crate) cpu_ns_gone: u64,
    pub(crate) cpu_ns_children: u64,
}

/// `li a7, 139` (rt_sigreturn); `ecall`.
const SIGRETURN: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];

/// A program in an address space, ready to run.
pub(crate) struct Image {
    pub regs: Regs,
    pub executable: FileId,
    pub path: Vec<u8>,
    pub command_line: Vec<u8>,
    pub environment: Vec<u8>,
    pub trampoline: u64,
    pub name: [u8; 16],
}

impl Image {
    /// Maps a program and its stack into an empty address space.
    ///
    /// # Errors
    /// If it is not an executable that this machine can hold.
    pub fn load(
        memory: &mut dyn UserMemory,
        host: &mut Host,
        clock: &mut dyn Clock,
        program: Program,
    ) -> Result<Self, LoadError> {
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
        let mut regs = Regs { pc: loaded.start(), ..Regs::default() };
        regs.x[SP] = sp;
        let environment = envp.iter().flat_map(|var| var.iter().copied().chain([0])).collect();
        let command_line = argv.iter().flat_map(|arg| arg.iter().copied().chain([0])).collect();
        Ok(Self {
            regs,
            executable,
            path: guest_path_of(&name),
            command_line,
            environment,
            trampoline,
            name: short_name(&name),
        })
    }
}

impl Process {
    /// The first process, its descriptors on the machine's streams.
    pub(crate) fn first(
        pid: Pid,
        image: &Image,
        memory: &dyn UserMemory,
        descriptions: &mut Descriptions,
    ) -> Self {
        Self {
            pid,
            parent: crate::system::INIT,
            group: pid,
            session: pid,
            space: memory.space(),
            fds: FdTable::with_stdio(descriptions),
            cwd: Location::default(),
            umask: 0o022,
            signals: GroupSignals::default(),
            limits: Limits::new(memory.stack_limit()),
            attributes: Attributes::default(),
            timers: Timers::default(),
            undo: Undo::new(),
            credentials: Credentials::default(),
            executable: image.executable,
            executable_path: image.path.clone(),
            command_line: image.command_line.clone(),
            environment: image.environment.clone(),
            last_name: image.name,
            oom_score_adj: 0,
            verdict: None,
            trampoline: image.trampoline,
            exit_signal: Some(Signal::SIGCHLD),
            borrows_memory: false,
            has_execed: true,
            is_stopped: false,
            is_swapped_out: false,
            change: None,
            ended: None,
            leader_status: 0,
            cpu_ns_gone: 0,
            cpu_ns_children: 0,
        }
    }

    /// Whether it has ended, and only its parent has not heard of it.
    pub const fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The copy that fork makes, in an address space of its own or its parent's.
    pub(crate) fn forked(&self, pid: Pid, space: SpaceId, descriptions: &mut Descriptions) -> Self {
        Self {
            pid,
            parent: self.pid,
            space,
            fds: self.fds.copy(descriptions),
            signals: self.signals.inherit(),
            attributes: self.attributes.inherit(),
            timers: Timers::default(),
            undo: Undo::new(),
            verdict: None,
            borrows_memory: false,
            has_execed: false,
            is_stopped: false,
            is_swapped_out: false,
            change: None,
            ended: None,
            leader_status: 0,
            cpu_ns_gone: 0,
            cpu_ns_children: 0,
            ..self.clone()
        }
    }

    /// The process goes on as another program.
    pub(crate) fn become_image(&mut self, image: &Image) {
        self.executable = image.executable;
        self.executable_path.clone_from(&image.path);
        self.command_line.clone_from(&image.command_line);
        self.environment.clone_from(&image.environment);
        self.last_name = image.name;
        self.trampoline = image.trampoline;
        self.signals.reset_handlers();
        self.timers.exec();
        self.credentials.exec();
        self.has_execed = true;
    }
}

fn load_file(
    memory: &mut dyn UserMemory,
    host: &mut Host,
    file: File,
    name: &str,
) -> Result<(FileId, Loaded), LoadError> {
    let (id, executable) = parse_file(host, file, name, &guest_path_of(name))?;
    let mut loaded = load::load(memory, &executable, id, name)?;
    if let Some(path) = &executable.interpreter {
        loaded.interpreter = Some(load_interpreter(memory, host, path, name)?);
    }
    Ok((id, loaded))
}

fn parse_file(
    host: &mut Host,
    file: File,
    name: &str,
    path: &[u8],
) -> Result<(FileId, Executable), LoadError> {
    let open_error = |source| LoadError::Open { file: name.to_owned(), source };
    let metadata = file.metadata().map_err(open_error)?;
    if !metadata.is_file() {
        return Err(open_error(std::io::Error::other("not a regular file: name an executable")));
    }
    let id = host.register(file, true, false, path).map_err(open_error)?;
    let image = FileImage { files: &host.files, id, len: metadata.len() };
    let executable =
        elf::parse(&image).map_err(|source| LoadError::Elf { file: name.to_owned(), source })?;
    Ok((id, executable))
}

/// Loads the dynamic linker that the program names, from below the root or the sysroot.
fn load_interpreter(
    memory: &mut dyn UserMemory,
    host: &mut Host,
    path: &[u8],
    program: &str,
) -> Result<Interpreter, LoadError> {
    let shown = String::from_utf8_lossy(path).escape_debug().to_string();
    let refuse = |problem: String, errno| LoadError::Interpreter {
        file: program.to_owned(),
        interpreter: shown.clone(),
        problem,
        errno,
    };
    let opened = path::resolve(&host.root, &Location::default(), path, LastLink::Follow);
    let file = opened.and_then(|at| host.root.open_file(&at)).map_err(|errno| {
        let advice = "give the directory that holds it with --sysroot DIR, or link with -static";
        refuse(format!("{errno}; {advice}"), errno)
    })?;
    // What is wrong with it is told under its own name.
    let (id, executable) = parse_file(host, file, &shown, path)?;
    if executable.interpreter.is_some() {
        return Err(refuse("has an interpreter itself".to_owned(), Errno::ELIBBAD));
    }
    load::load_interpreter(memory, &executable, id, &shown)
}

/// The page that Linux would take from its vDSO: signal handlers return to it.
fn map_trampoline(memory: &mut dyn UserMemory, name: &str) -> Result<u64, LoadError> {
    let page = memory.page_bytes();
    // Executable from the start: some memories put code apart.
    let request = MapRequest { name: RegionName::Vdso, ..MapRequest::anonymous(page, Prot::all()) };
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
