//! The RISC-V Linux ABI: ELF loading, system calls, files and signals.
//!
//! ```text
//!                Process ── load ── elf, load, stack
//!                   │
//!        syscall ── table ── sys_memory  sys_io  sys_file  sys_open  sys_path  sys_poll  sys_time
//!                   │        sys_process  sys_signal
//!                   ├── fd, pipe       what descriptors name
//!                   ├── signal, deliver, signal_frame
//!                   ▼
//!        Host: root (one directory), files, streams        Clock: time and chance, injected
//!        UserMemory: the kernel's address space, as system calls see it
//! ```
//!
//! Architecture invariants:
//! 1. The guest is hostile: no argument, pointer, length, path or file of its own makes this crate
//!    panic, allocate without bound, or reach a file outside the root.
//! 2. The host is a parameter: time, randomness, streams and files are injected, so that a run is a
//!    function of its inputs.
//! 3. cap-std appears nowhere else in the workspace but where a [`Root`] is made.

#![forbid(unsafe_code)]

mod account;
mod address;
mod alarm;
mod anonymous;
mod buffers;
mod call;
mod cgroups;
mod clock;
mod credentials;
mod deliver;
mod devices;
pub mod elf;
mod elf_error;
mod elf_layout;
mod epoll;
mod errno;
mod event_counter;
mod exit;
mod fd;
mod files;
mod host;
mod ipc;
mod kernel_memory;
mod load;
mod locks;
mod memory;
mod moved;
mod oom;
mod path;
mod pid_file;
mod pipe;
mod process;
mod procfs;
mod regs;
mod root;
mod segment_memory;
mod send;
mod signal;
mod signal_file;
mod signal_frame;
mod socket;
mod socket_options;
mod stack;
mod stat;
mod swapped;
mod sys_advice;
mod sys_affinity;
mod sys_clone;
mod sys_credentials;
mod sys_descriptor;
mod sys_directory;
mod sys_epoll;
mod sys_exec;
mod sys_file;
mod sys_futex;
mod sys_futex_lock;
mod sys_futex_waitv;
mod sys_io;
mod sys_lock;
mod sys_memory;
mod sys_msg;
mod sys_open;
mod sys_path;
mod sys_poll;
mod sys_prctl;
mod sys_process;
mod sys_process_vm;
mod sys_receive;
mod sys_sched;
mod sys_seal;
mod sys_sem;
mod sys_send;
mod sys_shm;
mod sys_signal;
mod sys_socket;
mod sys_stat;
mod sys_swap;
mod sys_time;
mod sys_timer;
mod sys_wait;
mod system;
mod table;
mod thread;
mod timer_file;
mod timers;
mod tmpfs;
mod vfs;
mod wait;

#[cfg(test)]
mod flat_memory;
#[cfg(test)]
mod tests;

pub use clock::{BOOT_UNIX_S, Clock};
pub use devices::swap_device_path;
pub use errno::Errno;
pub use files::{FileId, Files};
pub use host::{Host, Input, Output};
pub use kernel_memory::KernelMemory;
pub use load::LoadError;
pub use memory::{Usage, UserMemory};
pub use moved::{HostInode, Moved};
pub use oom::OomEnd;
pub use process::{Process, Program};
pub use regs::Regs;
pub use root::{Layer, Root};
pub use segment_memory::SegmentMemory;
pub use signal::Signal;
pub use system::{FIRST, Made, Outcome, SyncSignal, System};
pub use table::name as syscall_name;
pub use thread::{PendingFault, State, Thread};
pub use wait::Pid;
