//! execve, execveat: the process goes on as another program.
//!
//! ```text
//!   read path, arguments, environment ── open ── #! ? its interpreter instead
//!     │                                            │ any failure: the old program goes on
//!     ▼                                            ▼
//!   a new address space ── load ──► other threads end ─ old space freed ─ handlers reset ─ run
//! ```
//!
//! Source: execve(2).

use crate::call::{Args, Call, Then, descriptor, int};
use crate::errno::Errno;
use crate::fd::Object;
use crate::files::FileId;
use crate::load::LoadError;
use crate::memory::{read_path, read_u64};
use crate::path::LastLink;
use crate::process::{Image, Program};
use crate::sys_open::{AT_FDCWD, locate};
use crate::thread::Thread;
use crate::vfs::{BuiltIn, Magic, Node};
use crate::wait::{Channel, Pid};
use cap_std::fs::Metadata;
use std::fs::File;
use std::os::unix::fs::FileExt;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EMPTY_PATH: u64 = 0x1000;

/// Bytes of one argument (MAX_ARG_STRLEN), and of all of them.
const ARGUMENTS_BYTES_MAX: usize = 2 << 20;
/// Interpreters of interpreters (Linux: BINPRM_MAX_RECURSION).
const SCRIPTS_MAX: usize = 5;
/// The first bytes of a file, which tell what it is (BINPRM_BUF_SIZE).
const HEAD_BYTES: usize = 256;

pub(crate) fn execve(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [path, argv, envp, ..] = args;
    execveat(call, [AT_FDCWD as u64, path, argv, envp, 0, 0])
}

pub(crate) fn execveat(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [dirfd, path, argv, envp, flags, _] = args;
    let flags = u64::from(flags as u32);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = read_path(call.memory, path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    let start = Start { dirfd, keeps_link: flags & AT_SYMLINK_NOFOLLOW != 0 };
    let mut budget = ARGUMENTS_BYTES_MAX;
    let mut argv = strings(call, argv, &mut budget)?;
    if argv.is_empty() {
        // As Linux since 5.18: no program finds its environment where its name should be.
        argv.push(Vec::new());
    }
    let envp = strings(call, envp, &mut budget)?;
    call.charge((ARGUMENTS_BYTES_MAX - budget) as u64)?;
    let (file, path, argv) = resolve(call, start, path, argv)?;
    let name = String::from_utf8_lossy(&path).into_owned();
    become_program(call, Program { file, name, argv, envp })
}

/// An array of strings that ends with a null pointer.
fn strings(call: &mut Call<'_>, at: u64, budget: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut strings = Vec::new();
    if at == 0 {
        return Ok(strings);
    }
    for n in 0.. {
        let place = at.checked_add(8 * n).ok_or(Errno::EFAULT)?;
        let string = read_u64(call.memory, place)?;
        if string == 0 {
            break;
        }
        let string = read_string(call, string, budget)?;
        strings.push(string);
    }
    Ok(strings)
}

fn read_string(call: &mut Call<'_>, at: u64, budget: &mut usize) -> Result<Vec<u8>, Errno> {
    let mut string = Vec::new();
    let mut piece = [0; 64];
    loop {
        let from = at.checked_add(string.len() as u64).ok_or(Errno::EFAULT)?;
        // A piece never crosses a 64-byte line, so never into a page that is not the string's.
        let len = piece.len() - (from % piece.len() as u64) as usize;
        call.memory.read(from, &mut piece[..len])?;
        let end = piece[..len].iter().position(|&byte| byte == 0);
        string.extend_from_slice(&piece[..end.unwrap_or(len)]);
        let cost = end.unwrap_or(len) + if end.is_some() { 9 } else { 0 };
        *budget = budget.checked_sub(cost).ok_or(Errno::E2BIG)?;
        if end.is_some() {
            return Ok(string);
        }
    }
}

/// A program's file, its path, and the arguments that it is given.
type Resolved = (File, Vec<u8>, Vec<Vec<u8>>);

/// Where the way to a program begins, and whether a link at its end is followed.
#[derive(Clone, Copy)]
struct Start {
    dirfd: u64,
    keeps_link: bool,
}

impl Start {
    /// The working directory.
    const HERE: Self = Self { dirfd: AT_FDCWD as u64, keeps_link: false };

    /// What a script's interpreter is told of the script's place.
    fn name_of(self, path: &[u8]) -> Vec<u8> {
        let fd = int(self.dirfd);
        match path {
            [b'/', ..] => path.to_vec(),
            _ if fd == AT_FDCWD => path.to_vec(),
            [] => format!("/dev/fd/{fd}").into_bytes(),
            _ => [format!("/dev/fd/{fd}/").as_bytes(), path].concat(),
        }
    }
}

/// Opens the program that a path stands for: a script stands for its interpreter.
fn resolve(
    call: &mut Call<'_>,
    start: Start,
    path: Vec<u8>,
    argv: Vec<Vec<u8>>,
) -> Result<Resolved, Errno> {
    let (mut start, mut path, mut argv) = (start, path, argv);
    for _ in 0..SCRIPTS_MAX {
        let file = open_program(call, start, &path)?;
        let name = start.name_of(&path);
        // The interpreter would find the descriptor closed.
        let is_gone = name != path && call.process.fds.close_on_exec(start.dirfd) == Ok(true);
        path = name;
        start = Start::HERE;
        let mut head = [0; HEAD_BYTES];
        let len = file.read_at(&mut head, 0)?;
        let Some(line) = head[..len].strip_prefix(b"#!") else {
            return Ok((file, path, argv));
        };
        if is_gone {
            return Err(Errno::ENOENT);
        }
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        let end = line.iter().position(|byte| b" \t".contains(byte)).unwrap_or(line.len());
        let (interpreter, argument) = (line[..end].to_vec(), line[end..].trim_ascii().to_vec());
        if interpreter.is_empty() {
            return Err(Errno::ENOEXEC);
        }
        let rest = argv.into_iter().skip(1);
        let argument = (!argument.is_empty()).then_some(argument);
        argv =
            [interpreter.clone()].into_iter().chain(argument).chain([path]).chain(rest).collect();
        path = interpreter;
    }
    Err(Errno::ELOOP)
}

fn open_program(call: &mut Call<'_>, start: Start, path: &[u8]) -> Result<File, Errno> {
    if path.is_empty() {
        return open_descriptor(call, start.dirfd);
    }
    let last = if start.keeps_link { LastLink::Keep } else { LastLink::Follow };
    let found = locate(call, start.dirfd, path, last)
        .and_then(|at| call.view().node(&at).map(|node| (at, node)));
    match found {
        Ok((_, Node::Host(metadata))) if metadata.is_symlink() => Err(Errno::ELOOP),
        Ok((at, Node::Host(metadata))) => {
            if !metadata.is_file() || !call.host.root.is_executable(&metadata) {
                return Err(Errno::EACCES);
            }
            call.host.root.open_file(&at)
        }
        Ok((at, Node::BuiltIn(BuiltIn::Magic(pid, magic)))) if at.is_followed => {
            let file = held_file(call, pid, magic)?;
            Ok(call.host.files.reopen(file)?)
        }
        Ok(_) => Err(Errno::EACCES),
        // The first program comes from the host, and may be nowhere below the root.
        Err(Errno::ENOENT) if path == call.process.executable_path => {
            Ok(call.host.files.reopen(call.process.executable)?)
        }
        Err(errno) => Err(errno),
    }
}

/// The program that a descriptor is open for.
fn open_descriptor(call: &mut Call<'_>, fd: u64) -> Result<File, Errno> {
    let Object::File(file) = call.file(descriptor(fd))?.object else { return Err(Errno::EACCES) };
    if file.is_memory() {
        return Err(Errno::EACCES);
    }
    let file = call.host.files.reopen(file)?;
    match call.host.root.is_executable(&Metadata::from_file(&file)?) {
        true => Ok(file),
        false => Err(Errno::EACCES),
    }
}

/// The file that a process runs or has open: programs start themselves by /proc/self/exe.
fn held_file(call: &Call<'_>, pid: Pid, magic: Magic) -> Result<FileId, Errno> {
    let view = call.view();
    let process = view.process(pid).ok_or(Errno::ENOENT)?;
    let Magic::Descriptor(fd) = magic else { return Ok(process.executable) };
    let id = process.fds.description(fd).map_err(|_| Errno::ENOENT)?;
    match call.system.descriptions.get(id)?.object {
        Object::File(file) if !file.is_memory() => Ok(file),
        _ => Err(Errno::EACCES),
    }
}

fn become_program(call: &mut Call<'_>, program: Program) -> Result<u64, Errno> {
    let old = call.memory.space();
    let new = call.memory.create_space()?;
    call.memory.switch_space(new);
    call.memory.set_limits(call.process.limits.of_memory());
    let image = match Image::load(call.memory, call.host, call.clock, program) {
        Ok(image) => image,
        Err(error) => {
            call.memory.switch_space(old);
            call.memory.destroy_space(new);
            return Err(errno_of(call, &error));
        }
    };
    let cpu_ns = call.system.end_other_threads(call.process.pid);
    call.process.cpu_ns_gone += cpu_ns;
    if !call.system.is_shared(old, call.process.pid) {
        call.memory.destroy_space(old);
    }
    call.process.space = new;
    call.process.borrows_memory = false;
    call.process.become_image(&image);
    call.system.made.execs += 1;
    close_on_exec(call);
    become_thread(call.thread, call.process.pid, image);
    call.system.wake(Channel::Vfork(call.process.pid));
    call.then = Then::Resume;
    Ok(0)
}

/// The thread that called is the process's only one now, and its leader.
fn become_thread(thread: &mut Thread, pid: u32, image: Image) {
    let mut new = Thread::new(pid, pid, image.regs, image.name);
    new.state = thread.state.clone();
    new.signals.set_mask(thread.signals.mask());
    new.signals.pending = std::mem::take(&mut thread.signals.pending);
    new.cpu_ns = thread.cpu_ns;
    new.scheduling = thread.scheduling;
    new.affinity = thread.affinity;
    *thread = new;
}

fn close_on_exec(call: &mut Call<'_>) {
    let open: Vec<u64> = call.process.fds.open_descriptors().collect();
    for fd in open {
        if call.process.fds.close_on_exec(fd) == Ok(true) {
            // It is open, so that closing it succeeds.
            let _closed = call.close(fd);
        }
    }
}

/// What a program hears of an executable that cannot be loaded; the reason is told to the user.
fn errno_of(call: &mut Call<'_>, error: &LoadError) -> Errno {
    call.host.say_once(&format!("execve: {error}"));
    match error {
        LoadError::Elf { .. } => Errno::ENOEXEC,
        LoadError::Interpreter { errno, .. } => *errno,
        LoadError::TooManyArguments { .. } => Errno::E2BIG,
        LoadError::Open { .. } => Errno::EACCES,
        LoadError::OutsideUserSpace { .. } | LoadError::Map { .. } => Errno::ENOMEM,
    }
}
