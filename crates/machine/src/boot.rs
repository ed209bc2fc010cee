//! Building a machine and loading its program.

use std::fs::File;
use std::sync::{Arc, Mutex};

use pagewalk_kernel::{Config as KernelConfig, Layout, SpaceId};
use pagewalk_linux::{Host, KernelMemory, Process, Program as LinuxProgram, Root};
use pagewalk_mmu::{PageSize, VirtAddr};

use crate::config::{Config, Program, RAM_BYTES_MAX, RAM_BYTES_MIN};
use crate::error::MachineError;
use crate::guest_clock::{GuestClock, SplitMix64};
use crate::hardware::Hardware;
use crate::listener::Listener;
use crate::machine::{Machine, MachineKernel};
use crate::memory::Memory;
use crate::platform::MachinePlatform;
use crate::ram::Ram;
use crate::stdio::Stdio;
use crate::swap_file::SwapFile;
use crate::time::Time;

/// What a machine is put together from.
pub(crate) struct Parts {
    pub memory: Memory,
    pub kernel: MachineKernel,
    pub space: SpaceId,
    pub process: Process,
    pub host: Host,
    pub swap: SwapFile,
    pub listener: Listener,
    pub random: SplitMix64,
}

/// Builds a machine with a program in it, ready to run its first instruction.
pub(crate) fn boot(
    config: Config,
    program: Program,
    stdio: Stdio,
) -> Result<Machine, MachineError> {
    let page = config.hardware.base_page();
    let Hardware::Paged(tables) = config.hardware;
    config.hardware.check_tlb(config.tlb.as_ref()).map_err(MachineError::Tlb)?;
    check_ram(config.ram_bytes)?;
    let file = open_program(&program)?;
    let mut host = open_host(&program, stdio)?;
    let mut swap = SwapFile::open(&config.swap, page).map_err(MachineError::Swap)?;

    let frames = config.ram_bytes / page.bytes();
    let time = Time::new(config.cost);
    let ram = Ram::new(frames, page);
    let mut memory = Memory::new(ram, tables, config.tlb.clone(), config.slow, time);
    let mut listener = Listener::default();
    let mut random = SplitMix64::new(config.seed);
    let mut kernel = MachineKernel::new(tables, kernel_config(&config, frames, swap.slots()))
        .map_err(|error| MachineError::Ram(error.to_string()))?;

    let files = host.files.clone();
    let mut platform = MachinePlatform {
        memory: &mut memory,
        swap: &mut swap,
        files: &files,
        listener: &mut listener,
    };
    let layout = layout(user_end(&config.hardware), page);
    let space = kernel
        .create_space(&mut platform, layout)
        .map_err(|error| MachineError::Ram(error.to_string()))?;
    let mut user = KernelMemory::new(&mut kernel, &mut platform, space);
    let mut clock = GuestClock { cycles: 0, slept: 0, cost: &config.cost, random: &mut random };
    let linux_program = LinuxProgram {
        file,
        name: program.path.display().to_string(),
        argv: program.args.iter().map(|arg| arg.clone().into_bytes()).collect(),
        envp: program.env.iter().map(|variable| variable.clone().into_bytes()).collect(),
    };
    let (process, regs) = Process::load(&mut user, &mut host, &mut clock, linux_program)?;
    let parts = Parts { memory, kernel, space, process, host, swap, listener, random };
    Ok(Machine::assemble(config, program.args, parts, &regs))
}

/// Linux's layout on RISC-V: the stack at the top, room for it to grow, then mappings downwards.
fn layout(user_end: u64, page: PageSize) -> Layout {
    const STACK_LIMIT: u64 = 8 << 20;
    // Linux leaves at least this much to the stack (MIN_GAP of mmap_base in mm/util.c).
    const STACK_GAP: u64 = 128 << 20;
    // Linux's default of vm.mmap_min_addr.
    const USER_START: u64 = 64 << 10;
    let stack_top = user_end - page.bytes();
    Layout {
        user_start: VirtAddr(USER_START),
        user_end: VirtAddr(user_end),
        mmap_base: VirtAddr(stack_top - STACK_GAP),
        stack_top: VirtAddr(stack_top),
        stack_limit: STACK_LIMIT,
    }
}

/// The first address above the program's: half of what the format can address, as Linux takes it,
/// but three quarters of a 32-bit space if they are the user's, and never more than 47 bits, which is what programs are
/// promised unless they ask for more.
fn user_end(hardware: &Hardware) -> u64 {
    match hardware.va_bits() {
        bits @ ..=32 => (3 << (bits - 2)).min(hardware.user_end_max().0),
        bits => 1 << (bits - 1).min(47),
    }
}

fn check_ram(bytes: u64) -> Result<(), MachineError> {
    if (RAM_BYTES_MIN..=RAM_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(MachineError::Ram(format!(
        "{bytes} bytes are out of range: give {} KiB to {} GiB",
        RAM_BYTES_MIN >> 10,
        RAM_BYTES_MAX >> 30
    )))
}

fn kernel_config(config: &Config, frames: u64, swap_slots: u64) -> KernelConfig {
    KernelConfig {
        frames,
        swap_slots,
        policy: config.policy,
        seed: config.seed,
        ..KernelConfig::default()
    }
}

fn open_program(program: &Program) -> Result<File, MachineError> {
    File::open(&program.path).map_err(|source| MachineError::Program {
        path: program.path.display().to_string(),
        source,
    })
}

fn open_host(program: &Program, stdio: Stdio) -> Result<Host, MachineError> {
    let mut host = Host::empty();
    if let Some(path) = &program.root {
        host.root = Root::open(path)
            .map_err(|source| MachineError::Root { path: path.display().to_string(), source })?;
    }
    host.stdin = Arc::new(Mutex::new(stdio.stdin));
    host.stdout = Arc::new(Mutex::new(stdio.stdout));
    host.stderr = Arc::new(Mutex::new(stdio.stderr));
    host.messages = Arc::new(Mutex::new(stdio.messages));
    Ok(host)
}
