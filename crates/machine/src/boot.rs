//! Building a machine and loading its program.

use std::fs::File;
use std::sync::{Arc, Mutex};

use pagewalk_kernel::segments::USER_START;
use pagewalk_kernel::{
    Config as KernelConfig, ConfigError, Geometry, KernelError, KernelMapping, Layout,
    SegmentKernel, SpaceId,
};
use pagewalk_linux::{Host, Layer, Program as LinuxProgram, Root, System};
use pagewalk_mmu::cache::Caches;
use pagewalk_mmu::radix::{Format, Ia32};
use pagewalk_mmu::segment::{BaseBounds, Identity, SegmentTable};
use pagewalk_mmu::{PageSize, Pfn, Tables, VirtAddr};

use crate::config::{Config, Program, RAM_BYTES_MAX, RAM_BYTES_MIN};
use crate::device_queue::DeviceQueues;
use crate::error::MachineError;
use crate::guest_clock::{GuestClock, SplitMix64};
use crate::hardware::Hardware;
use crate::harts::HARTS_MAX;
use crate::listener::Listener;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::os::{Os, PagedKernel};
use crate::platform::MachinePlatform;
use crate::ram::Ram;
use crate::segmentation::{FlatSegments, Segmentation};
use crate::stdio::Stdio;
use crate::swap_devices::SwapDevices;
use crate::time::Time;

/// What a machine is put together from.
pub(crate) struct Parts {
    pub memory: Memory,
    pub os: Os,
    pub space: SpaceId,
    pub system: System,
    pub host: Host,
    pub swap: SwapDevices,
    pub queues: DeviceQueues,
    pub listener: Listener,
    pub random: SplitMix64,
}

/// Builds a machine with a program in it, ready to run its first instruction.
pub(crate) fn boot(
    mut config: Config,
    program: Program,
    stdio: Stdio,
) -> Result<Machine, MachineError> {
    let page = config.hardware.base_page();
    if let Hardware::Unpaged(_) = config.hardware {
        config.tlb = None;
        config.walk_cache = None;
        config.swap = Vec::new();
    }
    config.hardware.check_tlb(config.tlb.as_ref()).map_err(MachineError::Tlb)?;
    check_harts(&config)?;
    check_ram(config.ram_bytes)?;
    let file = open_program(&program)?;
    let mut host = open_host(&program, stdio)?;
    let mut swap =
        SwapDevices::open(&config.swap, page, &config.cost).map_err(MachineError::Swap)?;
    config.zswap = config.zswap.filter(|_| !config.swap.is_empty());
    if let Some(zswap) = config.zswap {
        swap = swap.with_zswap(zswap, &config.cost);
    }

    let mut memory = memory(&config, page)?;
    let mut queues = DeviceQueues::default();
    let mut listener = Listener::default();
    let mut random = SplitMix64::new(config.seed);
    let files = host.files.clone();
    let mut platform = MachinePlatform {
        memory: &mut memory,
        swap: &mut swap,
        queues: &mut queues,
        files: &files,
        listener: &mut listener,
    };
    let (mut os, space) = operating_system(&config, &mut platform)?;
    let mut clock = GuestClock {
        hart: 0,
        harts: config.harts,
        cycles: 0,
        cost: &config.cost,
        random: &mut random,
    };
    let linux_program = LinuxProgram {
        file,
        name: program.path.display().to_string(),
        argv: program.args.iter().map(|arg| arg.clone().into_bytes()).collect(),
        envp: program.env.iter().map(|variable| variable.clone().into_bytes()).collect(),
    };
    let system = os.with_memory(&mut platform, space, |user| {
        System::boot(user, &mut host, &mut clock, linux_program)
    })?;
    os.after_stop(&mut platform);
    os.follow_code(&mut platform, space);
    let parts = Parts { memory, os, space, system, host, swap, queues, listener, random };
    Ok(Machine::assemble(config, program.args, parts))
}

/// RAM, and what is in front of it.
fn memory(config: &Config, page: PageSize) -> Result<Memory, MachineError> {
    let frames = config.ram_bytes / page.bytes();
    let time = Time::new(config.cost);
    let mut ram = Ram::new(frames, page);
    let segmentation = match config.hardware {
        Hardware::Paged(_) => Segmentation::Off,
        Hardware::SegmentedPages(_) => {
            let gdt = gdt_frame(frames).base(page);
            if u32::try_from(gdt.0).is_err() {
                return Err(MachineError::Ram("IA-32 reaches 4 GiB: give at most that".into()));
            }
            Segmentation::Ia32(FlatSegments::new(&mut ram, gdt))
        }
        Hardware::Unpaged(Geometry::Identity) if ram.bytes() <= USER_START => {
            let problem = "no RAM answers below 64 KiB on this machine: give more";
            return Err(MachineError::Ram(problem.into()));
        }
        Hardware::Unpaged(Geometry::Identity) => {
            Segmentation::Identity(Identity::new(USER_START..ram.bytes()))
        }
        Hardware::Unpaged(Geometry::BaseBounds) => Segmentation::Bounds(BaseBounds::new()),
        Hardware::Unpaged(Geometry::Table(shape)) => Segmentation::Table(SegmentTable::new(shape)),
    };
    // Without pages the MMU is there, but never switched on.
    let tables = config.hardware.tables().copied();
    let tables = tables.unwrap_or(Tables::Radix(Format::Ia32(Ia32::default())));
    let mut memory = Memory::new(ram, tables, config.tlb.clone(), config.slow, time);
    if let Some(walk_cache) = &config.walk_cache {
        memory = memory.with_walk_cache(walk_cache.clone())?;
    }
    if let Some(cache) = &config.cache {
        memory = memory.with_caches(Caches::new(cache.clone()));
    }
    Ok(memory.with_segmentation(segmentation).with_harts(config.harts))
}

/// With IA-32's segments the last frame holds their table, and is not the kernel's to give.
fn gdt_frame(frames: u64) -> Pfn {
    Pfn(frames - 1)
}

/// The memory manager that the hardware needs, with an address space.
fn operating_system(
    config: &Config,
    platform: &mut MachinePlatform<'_>,
) -> Result<(Os, SpaceId), MachineError> {
    let page = config.hardware.base_page();
    let frames = platform.memory.ram.bytes() / page.bytes();
    let (tables, frames) = match config.hardware {
        Hardware::Unpaged(_) if config.kernel != KernelMapping::Absent || config.self_map => {
            let problem = "a machine without pages has nothing to map the kernel with";
            return Err(MachineError::Kernel(problem.into()));
        }
        Hardware::Unpaged(geometry) => return Ok(unpaged(config, geometry, platform)),
        Hardware::Paged(tables) => (tables, frames),
        Hardware::SegmentedPages(tables) => (tables, gdt_frame(frames).0),
    };
    // zswap has the frames behind those of programs.
    let pool = config.zswap.map_or(0, |zswap| zswap.bytes.div_ceil(page.bytes()));
    let Some(frames) = frames.checked_sub(pool) else {
        return Err(MachineError::Ram(format!(
            "zswap is to have {pool} of {frames} frames: give it less, or more RAM"
        )));
    };
    let slots = platform.swap.slots();
    let mut kernel = PagedKernel::new(tables, kernel_config(config, frames, slots)).map_err(
        |error| match error {
            ConfigError::KernelWindow { .. } => MachineError::Kernel(error.to_string()),
            ConfigError::TooManySlots { .. } => MachineError::Swap(format!("--swap: {error}")),
            _ => MachineError::Ram(error.to_string()),
        },
    )?;
    kernel
        .set_swap_devices(&platform.swap.for_kernel())
        .map_err(|error| MachineError::Swap(format!("--swap: {error}")))?;
    if platform.swap.wants_to_forget() {
        kernel.tell_freed_slots();
    }
    let space = kernel.create_space(platform, layout(user_end(&config.hardware), page)).map_err(
        |error| match error {
            KernelError::NoSelfMap => MachineError::SelfMap(error.to_string()),
            _ => MachineError::Ram(error.to_string()),
        },
    )?;
    if let Some(limit) = config.limit {
        let all = kernel.create_root_group(limit);
        // It has no tables that others have.
        let _joined = kernel.join_group(platform, space, Some(all));
    }
    if let Some(&map) = kernel.kernel_map() {
        platform.memory.set_kernel_map(map);
    }
    kernel.activate(platform, space);
    Ok((Os::Paged(Box::new(kernel)), space))
}

fn unpaged(
    config: &Config,
    geometry: Geometry,
    platform: &mut MachinePlatform<'_>,
) -> (Os, SpaceId) {
    let page = config.hardware.base_page();
    let ram_bytes = platform.memory.ram.bytes();
    let first = if geometry == Geometry::Identity { USER_START / page.bytes() } else { 0 };
    let pool = first..ram_bytes / page.bytes();
    let mut kernel = SegmentKernel::new(geometry, page, pool, config.fit);
    let space = kernel.create_space(geometry.layout(ram_bytes, page));
    kernel.activate(platform, space);
    (Os::Segments(Box::new(kernel)), space)
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

fn check_harts(config: &Config) -> Result<(), MachineError> {
    let refuse = |problem: String| Err(MachineError::Harts(problem));
    match (config.harts, config.hardware) {
        (2.., Hardware::Unpaged(_)) => {
            refuse("a machine without pages has one: leave the option out".into())
        }
        (1..=HARTS_MAX, _) => Ok(()),
        (harts, _) => refuse(format!("{harts} are out of range: give 1 to {HARTS_MAX}")),
    }
}

fn check_ram(bytes: u64) -> Result<(), MachineError> {
    if !(RAM_BYTES_MIN..=RAM_BYTES_MAX).contains(&bytes) {
        return Err(MachineError::Ram(format!(
            "{bytes} bytes are out of range: give {} KiB to {} GiB",
            RAM_BYTES_MIN >> 10,
            RAM_BYTES_MAX >> 30
        )));
    }
    check_host(bytes)
}

/// RAM is one mapping of the host's, without which there is no way on: so as much is allocated
/// first, without being touched.
fn check_host(bytes: u64) -> Result<(), MachineError> {
    let reserved =
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    match reserved {
        true => Ok(()),
        false => Err(MachineError::Ram(format!("the host has no {bytes} bytes for it: give less"))),
    }
}

fn kernel_config(config: &Config, frames: u64, swap_slots: u64) -> KernelConfig {
    KernelConfig {
        frames,
        swap_slots,
        read_ahead: config.read_ahead,
        policy: config.policy,
        scope: config.scope,
        resident: config.resident,
        harvest: config.harvest,
        huge: config.huge,
        share_tables: config.share_tables,
        seed: config.seed,
        kernel: config.kernel,
        self_map: config.self_map,
        device_wait: config.device_wait,
        launder_ahead: config.launder_ahead,
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
    let (root, sysroot) = (program.root.as_deref(), program.sysroot.as_deref());
    host.root = Root::open(root, sysroot).map_err(|(layer, source)| {
        let (option, path) = match layer {
            Layer::Root => ("root", root),
            Layer::Sysroot => ("sysroot", sysroot),
        };
        let path = path.map(|path| path.display().to_string()).unwrap_or_default();
        MachineError::Root { option, path, source }
    })?;
    host.stdin = Arc::new(Mutex::new(stdio.stdin));
    host.stdout = Arc::new(Mutex::new(stdio.stdout));
    host.stderr = Arc::new(Mutex::new(stdio.stderr));
    host.messages = Arc::new(Mutex::new(stdio.messages));
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_that_the_host_has_not_is_refused() {
        assert!(check_host(1 << 20).is_ok());
        let error = check_host(1 << 62).expect_err("more than any host has").to_string();
        assert!(error.starts_with("--ram: the host has no 4611686018427387904 bytes"), "{error}");
    }
}
