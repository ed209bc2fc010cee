//! The R3000's translation and TLB instructions: the manual's tables, and random programs against a
//! plain model.

use pagewalk_mmu::r3000::{
    Context, Cp0, ENTRIES, EntryHi, EntryLo, ExcCode, Exception, Index, Segment, Status, Vector,
    WIRED,
};
use pagewalk_mmu::{AccessKind, Asid, FaultCause, PhysAddr, VirtAddr, Vpn};
use proptest::prelude::*;

const READ: AccessKind = AccessKind::Read;
const WRITE: AccessKind = AccessKind::Write;
const V: u32 = EntryLo::V;
const D: u32 = EntryLo::D;
const G: u32 = EntryLo::G;
const N: u32 = EntryLo::N;

/// In user mode.
fn user() -> Cp0 {
    let mut cp0 = Cp0::default();
    cp0.set_status(Status::new(Status::KUC));
    cp0
}

/// Writes entry `slot`, as TLBWI does, and leaves EntryHi with the space in it.
fn put(cp0: &mut Cp0, slot: u32, hi: u32, lo: u32) {
    let before = cp0.entry_hi();
    cp0.set_index(Index::of(slot));
    cp0.set_entry_hi(EntryHi::new(hi));
    cp0.set_entry_lo(EntryLo::new(lo));
    cp0.tlbwi();
    cp0.set_entry_hi(before);
}

fn translate(cp0: &mut Cp0, va: u64, kind: AccessKind) -> Result<(u64, bool), Exception> {
    cp0.translate(VirtAddr(va), kind, 0).map(|mapped| (mapped.pa.0, mapped.cached))
}

#[test]
fn registers_keep_the_bits_that_the_manual_gives_them() {
    assert_eq!(EntryHi::new(u32::MAX).get(), 0xffff_ffc0);
    assert_eq!(EntryLo::new(u32::MAX).get(), 0xffff_ff00);
    assert_eq!(Index::new(u32::MAX).get(), 0x8000_3f00);
    assert_eq!(Context::new(u32::MAX).get(), 0xffe0_0000);
    let hi = EntryHi::new(0x1234_5a80);
    assert_eq!((hi.vpn(), hi.asid()), (Vpn(0x12345), Asid(0x2a)));
    assert_eq!(EntryHi::of(Vpn(0x12345), Asid(0x2a)), hi);
    let lo = EntryLo::new(0xabcd_ea00);
    assert!(lo.has(N | V) && !lo.has(D) && !lo.has(G));
    assert_eq!(lo.pfn().0, 0xabcde);
    assert_eq!(Index::of(37).get(), 37 << 8);
}

#[test]
fn the_address_map_is_the_manuals() {
    for (address, segment) in [
        (0, Segment::Kuseg),
        (0x7fff_ffff, Segment::Kuseg),
        (0x8000_0000, Segment::Kseg0),
        (0x9fff_ffff, Segment::Kseg0),
        (0xa000_0000, Segment::Kseg1),
        (0xbfff_ffff, Segment::Kseg1),
        (0xc000_0000, Segment::Kseg2),
        (0xffff_ffff, Segment::Kseg2),
    ] {
        assert_eq!(Segment::of(address), segment, "{address:#x}");
    }
    let mut cp0 = Cp0::default();
    assert_eq!(translate(&mut cp0, 0x8012_3456, READ), Ok((0x12_3456, true)));
    assert_eq!(translate(&mut cp0, 0xbfc0_0180, READ), Ok((0x1fc0_0180, false)));
}

#[test]
fn exceptions_have_their_codes_and_vectors() {
    use ExcCode::{Adel, Ades, Mod, Tlbl, Tlbs};
    use FaultCause::{DirtyClear, NotPresent, Privilege, TlbMiss};
    use Vector::{General, Utlb};
    let codes = [Mod, Tlbl, Tlbs, Adel, Ades].map(ExcCode::code);
    assert_eq!(codes, [1, 2, 3, 4, 5]);
    let cases = [
        // user?, address, kind, code, vector, why
        (true, 0x0040_1234, READ, Tlbl, Utlb, TlbMiss),
        (true, 0x0040_1234, AccessKind::Execute, Tlbl, Utlb, TlbMiss),
        (true, 0x0040_1234, WRITE, Tlbs, Utlb, TlbMiss),
        (false, 0x0040_1234, READ, Tlbl, Utlb, TlbMiss),
        (false, 0xc000_1234, READ, Tlbl, General, TlbMiss),
        (false, 0xc000_1234, WRITE, Tlbs, General, TlbMiss),
        (true, 0x0000_5678, READ, Tlbl, General, NotPresent),
        (true, 0x0000_5678, WRITE, Tlbs, General, NotPresent),
        (true, 0x0000_6789, WRITE, Mod, General, DirtyClear),
        (true, 0x8000_0000, READ, Adel, General, Privilege),
        (true, 0xa000_0000, WRITE, Ades, General, Privilege),
        (true, 0xc000_0000, AccessKind::Execute, Adel, General, Privilege),
    ];
    for (is_user, va, kind, code, vector, cause) in cases {
        let mut cp0 = if is_user { user() } else { Cp0::default() };
        put(&mut cp0, 1, 0x5000, D);
        put(&mut cp0, 2, 0x6000, 0x7000 | V);
        let status = cp0.status();
        let expected = Exception { code, vector, cause };
        assert_eq!(translate(&mut cp0, va, kind), Err(expected), "{va:#x} {kind:?}");
        assert_eq!((u64::from(cp0.bad_vaddr()), cp0.exc_code()), (va, Some(code)));
        assert!(!cp0.status().has(Status::KUC), "an exception leads to kernel mode");
        cp0.rfe();
        assert_eq!(cp0.status(), status, "and RFE back");
        let is_tlbs = !matches!(code, Adel | Ades);
        assert_eq!(cp0.entry_hi().vpn() == VirtAddr(va).vpn(pagewalk_mmu::r3000::PAGE), is_tlbs);
    }
    for (vector, bev, address) in [
        (Utlb, false, 0x8000_0000),
        (General, false, 0x8000_0080),
        (Utlb, true, 0xbfc0_0100),
        (General, true, 0xbfc0_0180),
    ] {
        assert_eq!(vector.address(bev), address);
    }
    let beyond = user().translate(VirtAddr(1 << 32), READ, 0).expect_err("33 bits");
    assert_eq!((beyond.code, beyond.cause), (Adel, FaultCause::NonCanonical));
}

#[test]
fn context_points_to_the_entry_of_the_page() {
    let mut cp0 = user();
    cp0.set_context(Context::new(0xc020_0000));
    translate(&mut cp0, 0x7fff_f123, READ).expect_err("a miss");
    assert_eq!(cp0.context().get(), 0xc020_0000 + 4 * 0x7_ffff);
    translate(&mut cp0, 0x0000_3456, READ).expect_err("a miss");
    assert_eq!(cp0.context().get(), 0xc020_0000 + 4 * 3);
    // An address error leaves the page of the TLB exception before it, whatever is written then.
    cp0.set_status(Status::new(Status::KUC));
    translate(&mut cp0, 0x8000_5678, READ).expect_err("an address error");
    assert_eq!(cp0.bad_vaddr(), 0x8000_5678);
    cp0.set_context(Context::new(0xc040_0000));
    assert_eq!(cp0.context().get(), 0xc040_0000 + 4 * 3);
}

/// Three exceptions deep, as a refill handler's own miss is two.
#[test]
fn status_keeps_three_modes() {
    let mut cp0 = user();
    cp0.set_status(Status::new(0x2b));
    translate(&mut cp0, 0, READ).expect_err("a miss");
    assert_eq!(cp0.status().get(), 0x2c);
    translate(&mut cp0, 0xc000_0000, READ).expect_err("a miss");
    assert_eq!(cp0.status().get(), 0x30);
    cp0.rfe();
    assert_eq!(cp0.status().get(), 0x3c);
    cp0.rfe();
    assert_eq!(cp0.status().get(), 0x3f);
}

#[test]
fn random_leaves_wired_entries_alone() {
    let cp0 = Cp0::default();
    let slots: Vec<u32> = (0..112).map(|n| cp0.random(n).slot()).collect();
    let once: Vec<u32> = (WIRED..ENTRIES).rev().collect();
    assert_eq!(slots, [once.clone(), once].concat());
    let mut cp0 = cp0;
    cp0.execute(9);
    assert_eq!(cp0.random(0).slot(), 63 - 9);
}

#[test]
fn spaces_are_told_apart_unless_an_entry_is_global() {
    let mut cp0 = user();
    put(&mut cp0, 8, 0x1000 | 5 << 6, 0xa000 | V);
    put(&mut cp0, 9, 0x2000 | 5 << 6, 0xb000 | V | G | N);
    for (asid, first) in [(5, Ok((0xa00c, true))), (6, Err(FaultCause::TlbMiss))] {
        cp0.set_entry_hi(EntryHi::of(Vpn(0), Asid(asid)));
        assert_eq!(translate(&mut cp0, 0x100c, READ).map_err(|e| e.cause), first);
        cp0.set_status(Status::new(Status::KUC));
        assert_eq!(translate(&mut cp0, 0x200c, READ), Ok((0xb00c, false)));
    }
}

#[test]
fn an_address_that_matches_twice_shuts_the_tlb_down() {
    let mut cp0 = user();
    put(&mut cp0, 8, 0x1000 | 1 << 6, 0xa000 | V);
    put(&mut cp0, 40, 0x1000, 0xb000 | V | G);
    put(&mut cp0, 41, 0x2000, 0xc000 | V | G);
    // Space 2 has the global entry alone.
    cp0.set_entry_hi(EntryHi::of(Vpn(0), Asid(2)));
    assert_eq!(translate(&mut cp0, 0x1000, READ), Ok((0xb000, true)));
    assert!(!cp0.status().has(Status::TS));
    cp0.set_entry_hi(EntryHi::of(Vpn(0), Asid(1)));
    let exception = translate(&mut cp0, 0x1000, READ).expect_err("two entries");
    assert_eq!(exception.cause, FaultCause::TlbShutdown);
    assert!(cp0.status().has(Status::TS));
    cp0.set_status(Status::new(Status::KUC));
    assert!(cp0.status().has(Status::TS), "until reset");
    let exception = translate(&mut cp0, 0x2000, READ).expect_err("nothing matches any more");
    assert_eq!(exception.cause, FaultCause::TlbMiss);
}

/// What a model remembers: registers as numbers, entries as pairs of them.
struct Model {
    entries: Vec<(u32, u32)>,
    hi: u32,
    lo: u32,
    index: u32,
    instructions: u64,
}

impl Model {
    fn matches(&self, hi: u32) -> Vec<usize> {
        let is_match =
            |&(h, l): &(u32, u32)| h >> 12 == hi >> 12 && (l & G != 0 || h & 0xfc0 == hi & 0xfc0);
        (0..64).filter(|&slot| is_match(&self.entries[slot])).collect()
    }

    /// A user's access: the physical address and whether it is cached, or the code and the vector.
    fn access(&mut self, va: u32, store: bool) -> Result<(u32, bool), (u8, u32)> {
        if va >= 0x8000_0000 {
            return Err((if store { 5 } else { 4 }, 0x8000_0080));
        }
        let hi = va & 0xffff_f000 | self.hi & 0xfc0;
        let tlb = if store { 3 } else { 2 };
        let result = match self.matches(hi)[..] {
            [] => Err((tlb, 0x8000_0000)),
            [slot] => match self.entries[slot].1 {
                lo if lo & V == 0 => Err((tlb, 0x8000_0080)),
                lo if store && lo & D == 0 => Err((1, 0x8000_0080)),
                lo => return Ok((lo & 0xffff_f000 | va & 0xfff, lo & N == 0)),
            },
            _ => Err((tlb, 0)),
        };
        self.hi = hi;
        result
    }
}

#[derive(Clone, Debug)]
enum Op {
    Hi(u32),
    Lo(u32),
    Index(u32),
    Read,
    WriteIndexed,
    WriteRandom,
    Probe,
    Run(u64),
    Access(u32, bool),
}

/// Addresses of few pages, in few spaces, so that entries meet.
fn address() -> impl Strategy<Value = u32> {
    (prop_oneof![4 => 0..12u32, 1 => 0x7fff8..0x8_0008u32, 1 => Just(0xc0001u32)], 0..4096u32)
        .prop_map(|(page, offset)| page << 12 | offset)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (address(), 0..3u32, any::<u32>())
            .prop_map(|(va, asid, junk)| Op::Hi(va & !0xfff | asid << 6 | junk & 0x3f)),
        any::<u32>().prop_map(Op::Lo),
        prop_oneof![any::<u32>(), (0..64u32).prop_map(|slot| slot << 8)].prop_map(Op::Index),
        Just(Op::Read),
        Just(Op::WriteIndexed),
        Just(Op::WriteRandom),
        Just(Op::Probe),
        (0..100u64).prop_map(Op::Run),
        (address(), any::<bool>()).prop_map(|(va, store)| Op::Access(va, store)),
        (address(), any::<bool>()).prop_map(|(va, store)| Op::Access(va, store)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn instructions_agree_with_a_plain_model(ops in prop::collection::vec(op(), 1..200)) {
        let mut cp0 = user();
        let mut model = Model { entries: Vec::new(), hi: 0, lo: 0, index: 0, instructions: 0 };
        for slot in 0..64 {
            cp0.set_index(Index::of(slot));
            cp0.tlbr();
            model.entries.push((cp0.entry_hi().get(), cp0.entry_lo().get()));
            prop_assert_eq!(Segment::of(cp0.entry_hi().get()), Segment::Kseg0);
        }
        cp0.set_index(Index::of(0));
        cp0.set_entry_hi(EntryHi::new(0));
        cp0.set_entry_lo(EntryLo::new(0));
        for op in ops {
            model.instructions += 1;
            let slot = (model.index >> 8 & 63) as usize;
            let random = 63 - (model.instructions % 56) as usize;
            match op {
                Op::Hi(value) => {
                    cp0.set_entry_hi(EntryHi::new(value));
                    model.hi = value & !0x3f;
                }
                Op::Lo(value) => {
                    cp0.set_entry_lo(EntryLo::new(value));
                    model.lo = value & !0xff;
                }
                Op::Index(value) => {
                    cp0.set_index(Index::new(value));
                    model.index = value & 0x8000_3f00;
                }
                Op::Read => {
                    cp0.tlbr();
                    (model.hi, model.lo) = model.entries[slot];
                }
                Op::WriteIndexed => {
                    cp0.tlbwi();
                    model.entries[slot] = (model.hi, model.lo);
                }
                Op::WriteRandom => {
                    prop_assert_eq!(cp0.tlbwr(model.instructions) as usize, random);
                    model.entries[random] = (model.hi, model.lo);
                }
                Op::Probe => {
                    cp0.tlbp();
                    let found = model.matches(model.hi).first().map(|&slot| (slot as u32) << 8);
                    model.index = found.unwrap_or(0x8000_0000);
                }
                Op::Run(count) => model.instructions += count,
                Op::Access(va, store) => {
                    let kind = if store { WRITE } else { READ };
                    let found = cp0.translate(VirtAddr(u64::from(va)), kind, model.instructions);
                    let expected = model.access(va, store);
                    if expected == Err((if store { 3 } else { 2 }, 0)) {
                        prop_assert_eq!(found.expect_err("two match").cause, FaultCause::TlbShutdown);
                        return Ok(());
                    }
                    let told = found
                        .map(|m| (m.pa, m.cached))
                        .map_err(|e| (e.code.code(), e.vector.address(false)));
                    prop_assert_eq!(told, expected.map(|(pa, cached)| (PhysAddr(pa.into()), cached)));
                    if told.is_err() {
                        prop_assert_eq!(cp0.bad_vaddr(), va);
                        cp0.rfe();
                    }
                }
            }
            let registers = (cp0.entry_hi().get(), cp0.entry_lo().get(), cp0.index().get());
            prop_assert_eq!(registers, (model.hi, model.lo, model.index));
        }
        for slot in 0..64 {
            cp0.set_index(Index::of(slot));
            cp0.tlbr();
            let entry = (cp0.entry_hi().get(), cp0.entry_lo().get());
            prop_assert_eq!(entry, model.entries[slot as usize]);
        }
    }
}
