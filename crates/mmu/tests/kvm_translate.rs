//! KVM's own page walker as the oracle for the x86 formats: the same random, damaged tables, the
//! same addresses, KVM_TRANSLATE against our walk.
//!
//! What KVM_TRANSLATE judges: presence and reserved bits at every level, as a supervisor's read,
//! which no R/W, U/S or XD bit can refuse. It also sets accessed bits, so that memory must be
//! equal afterwards. What it does not: canonical form (only canonical addresses are asked),
//! permissions, and PSE-36 beyond 36 bits (so IA-32 runs with MAXPHYADDR 36).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{Ram, Random, Tables, canonical, dense_address, random_tables};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use pagewalk_mmu::radix::{Format, Ia32, Pae, Radix, X86_64, X86Controls};
use pagewalk_mmu::{Access, AccessKind};
use std::alloc::{Layout, alloc_zeroed, dealloc};

const MEMORY_BYTES: usize = 64 * 0x1000;
const ADDRESSES_PER_TREE: u64 = 500;
const TREES: u64 = 12;

/// A virtual machine that never runs.
struct Machine {
    // Dropped in this order: the memory outlives the machine that maps it.
    vcpu: VcpuFd,
    _vm: VmFd,
    memory: Memory,
}

/// Page-aligned memory, lent to KVM.
struct Memory(*mut u8);

impl Memory {
    const LAYOUT: Layout = match Layout::from_size_align(MEMORY_BYTES, 0x1000) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    fn new() -> Self {
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(Self::LAYOUT) };
        assert!(!start.is_null(), "out of memory");
        Self(start)
    }

    fn write(&mut self, ram: &Ram) {
        assert_eq!(ram.bytes.len(), MEMORY_BYTES);
        // SAFETY: `self.0` points to MEMORY_BYTES bytes that only KVM's ioctls, which are not
        // under way, also reach.
        unsafe { self.0.copy_from_nonoverlapping(ram.bytes.as_ptr(), MEMORY_BYTES) }
    }

    fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; MEMORY_BYTES];
        // SAFETY: as in `write`.
        unsafe { self.0.copy_to_nonoverlapping(bytes.as_mut_ptr(), MEMORY_BYTES) }
        bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.0, Self::LAYOUT) }
    }
}

impl Machine {
    /// A machine with an Intel processor of `phys_bits`.
    fn new(kvm: &Kvm, phys_bits: u8) -> Self {
        let vm = kvm.create_vm().expect("KVM_CREATE_VM");
        let memory = Memory::new();
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: MEMORY_BYTES as u64,
            userspace_addr: memory.0 as u64,
        };
        // SAFETY: the memory is valid, and freed only after the machine is gone.
        unsafe { vm.set_user_memory_region(region) }.expect("KVM_SET_USER_MEMORY_REGION");
        let vcpu = vm.create_vcpu(0).expect("KVM_CREATE_VCPU");
        vcpu.set_cpuid2(&cpuid(kvm, phys_bits)).expect("KVM_SET_CPUID2");
        Self { vcpu, _vm: vm, memory }
    }

    /// Turns paging on. `false`, if this KVM does not keep it on: some (seen on a nested AMD host)
    /// accept 32-bit paging without an error, but leave CR0.PG clear.
    fn load(&self, format: &Format, cr3: u64) -> bool {
        const PE_ET_NE_WP_PG: u64 = 0x8001_0031;
        let (controls, cr4, efer) = match format {
            Format::Ia32(f) => (f.controls(), u64::from(f.controls().pse) << 4, 0),
            Format::Pae(f) => (f.controls(), 1 << 5, 0),
            Format::X86_64(f) => {
                let la57 = u64::from(f.geometry().levels.len() == 5);
                (f.controls(), 1 << 5 | la57 << 12, 0x500)
            }
            _ => unreachable!("not an x86 format"),
        };
        let mut sregs = self.vcpu.get_sregs().expect("KVM_GET_SREGS");
        sregs.cr0 = PE_ET_NE_WP_PG;
        sregs.cr3 = cr3;
        sregs.cr4 = cr4;
        sregs.efer = efer | u64::from(controls.nxe) << 11;
        // A flat code segment, of 64 bits in long mode.
        let long = efer != 0;
        (sregs.cs.l, sregs.cs.db) = (u8::from(long), u8::from(!long));
        (sregs.cs.type_, sregs.cs.s, sregs.cs.present) = (0xb, 1, 1);
        self.vcpu.set_sregs(&sregs).expect("KVM_SET_SREGS");
        let kept = self.vcpu.get_sregs().expect("KVM_GET_SREGS");
        (kept.cr0, kept.cr3, kept.cr4, kept.efer) == (sregs.cr0, cr3, cr4, sregs.efer)
    }
}

/// The host's CPUID, as an Intel processor (AMD's reserves bit 8 of a PML4E) of `phys_bits`.
fn cpuid(kvm: &Kvm, phys_bits: u8) -> CpuId {
    let mut cpuid =
        kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).expect("KVM_GET_SUPPORTED_CPUID");
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            0 => (entry.ebx, entry.edx, entry.ecx) = (0x756e_6547, 0x4965_6e69, 0x6c65_746e),
            0x8000_0008 => entry.eax = entry.eax & !0xff | u32::from(phys_bits),
            _ => {}
        }
    }
    cpuid
}

/// Whether a leaf of the CPUID that KVM offers has what `bit` looks at.
fn offers(kvm: &Kvm, function: u32, bit: impl Fn(&kvm_cpuid_entry2) -> bool) -> bool {
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).expect("KVM_GET_SUPPORTED_CPUID");
    cpuid.as_slice().iter().any(|e| e.function == function && e.index == 0 && bit(e))
}

/// Compares random trees of `format`; returns the numbers of translations and of faults, or `None`
/// if this KVM does not do that mode.
fn compare(kvm: &Kvm, format: Format, phys_bits: u8, seed: u64) -> Option<(u64, u64)> {
    let mut random = Random(seed);
    let mut machine = Machine::new(kvm, phys_bits);
    let (mut translations, mut faults) = (0, 0);
    let frame_bits = if format.name() == "ia32" { 20 } else { phys_bits - 12 };
    for tree in 0..TREES {
        let mut tables = Tables::new(format, 0, 0x1000, MEMORY_BYTES);
        // Every third tree is undamaged.
        let damage = if tree % 3 == 0 { 0 } else { 40 };
        let mapped = random_tables(&mut tables, &mut random, frame_bits, 60, damage);
        machine.memory.write(&tables.ram);
        if !machine.load(&format, tables.table.0) {
            return None;
        }
        let root = tables.root();
        for _ in 0..ADDRESSES_PER_TREE {
            let dense = dense_address(&format, random.next());
            let va = match (random.below(4), mapped.get(random.below(60) as usize)) {
                (0, _) | (_, None) => dense,
                (1, _) => canonical(&format, random.next()),
                (_, Some(va)) => canonical(&format, va.0 ^ random.next() & 0x1f_ffff),
            };
            let access = Access::supervisor(AccessKind::Read);
            let ours = format.walk(&mut tables.ram, &root, va, access);
            let kvms = machine.vcpu.translate_gva(va.0).expect("KVM_TRANSLATE");
            let kvms = (kvms.valid != 0).then_some(kvms.physical_address);
            assert_eq!(
                ours.ok().map(|t| t.pa.0),
                kvms,
                "{format:?}, tree {tree}, {va}: ours (left) and KVM's: {ours:?}, entries {:x?}",
                tables.path(va)
            );
            if ours.is_ok() { translations += 1 } else { faults += 1 }
        }
        let differs = tables.ram.bytes.iter().zip(machine.memory.read()).position(|(&a, b)| a != b);
        assert_eq!(differs, None, "{format:?}, tree {tree}: the first byte that differs");
    }
    Some((translations, faults))
}

#[test]
fn kvm_agrees() {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        // A matter of the machine, which no installation changes: no failure where oracles are
        // required.
        Err(error) => return println!("skipped: no /dev/kvm ({error})"),
    };
    // Without nested paging, KVM offers no 1 GiB pages: CPUID.80000001H:EDX bit 26.
    let page1gb = offers(&kvm, 0x8000_0001, |e| e.edx >> 26 & 1 != 0);
    println!("1 GiB pages: {page1gb}");
    let x86 = |phys_bits| X86Controls { phys_bits, page1gb, ..X86Controls::default() };
    let no_nx = |phys_bits| X86Controls { nxe: false, ..x86(phys_bits) };
    // CPUID.(7,0):ECX bit 16.
    let la57 = offers(&kvm, 7, |e| e.ecx >> 16 & 1 != 0);
    let mut cases = vec![
        ("ia32 with PSE", Format::Ia32(Ia32::new(x86(36))), 36),
        ("ia32 without PSE", Format::Ia32(Ia32::new(X86Controls { pse: false, ..x86(36) })), 36),
    ];
    for bits in [36, 40, 46] {
        cases.push(("pae", Format::Pae(Pae::new(x86(bits))), bits));
        cases.push(("pae without NX", Format::Pae(Pae::new(no_nx(bits))), bits));
        cases.push(("4 levels", Format::X86_64(X86_64::new(4, x86(bits))), bits));
        cases.push(("4 levels without NX", Format::X86_64(X86_64::new(4, no_nx(bits))), bits));
        if la57 {
            cases.push(("5 levels", Format::X86_64(X86_64::new(5, x86(bits))), bits));
        }
    }
    if !la57 {
        println!("not compared: 5 levels (the host has no LA57)");
    }
    let mut compared = 0;
    for (seed, (name, format, phys_bits)) in cases.into_iter().enumerate() {
        let Some((translations, faults)) = compare(&kvm, format, phys_bits, seed as u64) else {
            println!("not compared: {name} (this KVM does not keep the mode)");
            continue;
        };
        compared += 1;
        println!("{name}, MAXPHYADDR {phys_bits}: {translations} translations, {faults} faults");
        assert!(translations > 100 && faults > 100, "{name}: both outcomes are compared");
    }
    assert!(compared > 0, "this KVM does not keep any paging mode");
}
