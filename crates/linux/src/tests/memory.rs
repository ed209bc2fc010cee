//! The memory calls' flags and ranges, judged as Linux 6.18 does: every error was seen on the real
//! one. What the kernel makes of the calls is tested in its own crate.

use super::{Guest, OUT, SCRATCH};
use crate::Errno;
use crate::flat_memory::FlatMemory;
use pagewalk_kernel::{Placement, RegionFlags};
use pagewalk_mmu::VirtAddr;

const MREMAP: u64 = 216;
const MMAP: u64 = 222;
const MPROTECT: u64 = 226;
const MSYNC: u64 = 227;
const MLOCK: u64 = 228;
const MLOCKALL: u64 = 230;
const MINCORE: u64 = 232;
const MADVISE: u64 = 233;
const REMAP_FILE_PAGES: u64 = 234;
const MLOCK2: u64 = 284;
const PROCESS_MADVISE: u64 = 440;
const PRCTL: u64 = 167;

const PAGE: u64 = 4096;
const AT: u64 = FlatMemory::START;
const NO_FD: u64 = u64::MAX;
const RW: u64 = 3;
const ANON: u64 = 0x20;
const PRIVATE: u64 = 2;
const SHARED: u64 = 1;
const VALIDATE: u64 = 3;

/// Makes calls that fail, each with its error.
fn fail(guest: &mut Guest, number: u64, cases: &[(&[u64], Errno)]) {
    for &(args, errno) in cases {
        assert_eq!(guest.call(number, args), -i64::from(errno.0), "{number}{args:x?}");
    }
}

#[test]
fn mappings_are_refused() {
    let mut guest = Guest::new();
    guest.write_host("f", &[1; 3 * PAGE as usize]);
    let rw = guest.open("f", 2) as u64;
    let ro = guest.open("f", 0) as u64;
    let wo = guest.open("f", 1) as u64;
    let path = guest.open("f", 0o10_000_000) as u64;
    let dir = guest.open(".", 0) as u64;
    fail(
        &mut guest,
        MMAP,
        &[
            (&[0, 0, RW, PRIVATE, 77, 0], Errno::EBADF),
            (&[0, 0, RW, PRIVATE | ANON, NO_FD, 0], Errno::EINVAL),
            (&[0, PAGE, RW, PRIVATE, 77, 1], Errno::EINVAL),
            (&[0, PAGE, RW, PRIVATE, path, 0], Errno::EBADF),
            (&[0, PAGE, 1, PRIVATE, dir, 0], Errno::ENODEV),
            (&[0, PAGE, RW, ANON, NO_FD, 0], Errno::EINVAL),
            (&[0, PAGE, RW, 4 | ANON, NO_FD, 0], Errno::EINVAL),
            (&[0, PAGE, RW, VALIDATE | ANON, NO_FD, 0], Errno::EINVAL),
            (&[0, PAGE, RW, SHARED | ANON | 0x100, NO_FD, 0], Errno::EINVAL),
            (&[0, PAGE, RW, PRIVATE | 0x100, rw, 0], Errno::EINVAL),
            (&[0, PAGE, RW, VALIDATE | 0x8_0000, rw, 0], Errno::EOPNOTSUPP),
            (&[0, PAGE, RW, SHARED | 0x8_0000, rw, 0], Errno::EOPNOTSUPP),
            (&[AT, PAGE, RW, VALIDATE | 0x10_0000, rw, 0], Errno::EOPNOTSUPP),
            (&[0, PAGE, RW, VALIDATE | 0x20_0000, ro, 0], Errno::EOPNOTSUPP),
            (&[0, PAGE, RW, SHARED, ro, 0], Errno::EACCES),
            (&[0, PAGE, 2, PRIVATE, wo, 0], Errno::EACCES),
            (&[0, PAGE, RW, PRIVATE | 0x4_0000, rw, 0], Errno::EINVAL),
            (&[0, PAGE, RW, PRIVATE | ANON | 0x4_0000, NO_FD, 0], Errno::ENOMEM),
            (&[0, PAGE, RW, PRIVATE | ANON | 0x4_0000 | 13 << 26, NO_FD, 0], Errno::EINVAL),
            (&[0, 2 * PAGE, RW, PRIVATE, rw, PAGE.wrapping_neg()], Errno::EOVERFLOW),
            (&[0, u64::MAX, RW, PRIVATE | ANON, NO_FD, 0], Errno::ENOMEM),
        ],
    );
}

#[test]
fn mappings_are_asked_for() {
    let mut guest = Guest::new();
    guest.write_host("f", &[1; PAGE as usize]);
    let ro = guest.open("f", 0) as u64;
    let mut asked = |args: &[u64]| {
        assert!(guest.call(MMAP, args) > 0, "{args:x?}");
        *guest.memory.maps.last().unwrap()
    };
    let anon = asked(&[0, 5, RW, PRIVATE | ANON | 0x2000 | 0x4000, NO_FD, 0]);
    assert_eq!((anon.len, anon.populate, anon.shared), (PAGE, false, false));
    assert_eq!(anon.flags, RegionFlags::LOCKED | RegionFlags::NO_RESERVE);
    assert!(asked(&[0, PAGE, RW, PRIVATE | ANON | 0x8000, NO_FD, 0]).populate);
    assert!(!asked(&[0, PAGE, RW, PRIVATE | ANON | 0x1_8000, NO_FD, 0]).populate, "MAP_NONBLOCK");
    let here = asked(&[AT, PAGE, RW, PRIVATE | ANON | 0x10_0010, NO_FD, 0]);
    assert_eq!(here.place, Placement::FixedNoReplace(VirtAddr(AT)), "wins over MAP_FIXED");
    let file = asked(&[0, PAGE, 1, VALIDATE | 0x4000, ro, 0]);
    assert!(file.shared && !file.may_write);
    assert!(asked(&[0, PAGE, RW, PRIVATE, ro, 0]).may_write, "the copies are the program's");
}

#[test]
fn rights_and_moves_are_refused() {
    let mut guest = Guest::new();
    fail(
        &mut guest,
        MPROTECT,
        &[
            (&[AT, PAGE, 0x300_0000], Errno::EINVAL),
            (&[AT, PAGE, 0x200_0001], Errno::EINVAL),
            (&[AT, PAGE, 0x10], Errno::EINVAL),
            (&[AT + 1, 0, 1], Errno::EINVAL),
            (&[AT, PAGE.wrapping_neg(), 1], Errno::ENOMEM),
        ],
    );
    assert_eq!(guest.call(MPROTECT, &[AT, 0, 0x10]), 0, "nothing is nothing");
    assert_eq!(guest.call(MPROTECT, &[AT, PAGE, 8 | RW]), 0, "PROT_SEM");
    fail(
        &mut guest,
        MREMAP,
        &[
            (&[AT, PAGE, PAGE, 8], Errno::EINVAL),
            (&[AT, PAGE, PAGE, 2, AT + PAGE], Errno::EINVAL),
            (&[AT, PAGE, PAGE, 4], Errno::EINVAL),
            (&[AT, PAGE, 2 * PAGE, 5], Errno::EINVAL),
            (&[AT, PAGE, 2 * PAGE, 7, AT], Errno::EINVAL),
        ],
    );
    assert_eq!(guest.call(MREMAP, &[AT, PAGE - 1, PAGE, 5]), AT as i64, "the same in pages");
    fail(&mut guest, REMAP_FILE_PAGES, &[(&[AT, PAGE, 1, 0, 0], Errno::EINVAL)]);
}

#[test]
fn advice_is_refused() {
    let mut guest = Guest::new();
    fail(
        &mut guest,
        MADVISE,
        &[
            (&[AT, 0, 5], Errno::EINVAL),
            (&[AT, PAGE, 100], Errno::EINVAL),
            (&[AT + 1, PAGE, 4], Errno::EINVAL),
            (&[AT, u64::MAX, 4], Errno::EINVAL),
            (&[AT, PAGE.wrapping_neg(), 4], Errno::EINVAL),
            (&[0x1000, PAGE, 4], Errno::ENOMEM),
        ],
    );
    assert_eq!(guest.call(MADVISE, &[AT, 0, 4]), 0);
    let this = -10_000i64 as u64;
    guest.put(SCRATCH, &[AT, PAGE, 0x1000, PAGE].map(u64::to_le_bytes).concat());
    fail(
        &mut guest,
        PROCESS_MADVISE,
        &[
            (&[this, SCRATCH, 1, 4, 1], Errno::EINVAL),
            (&[77, SCRATCH, 1, 4, 0], Errno::EBADF),
            (&[this, SCRATCH, 1, 5, 0], Errno::EINVAL),
            (&[this, SCRATCH + 16, 1, 4, 0], Errno::ENOMEM),
        ],
    );
    assert_eq!(guest.call(PROCESS_MADVISE, &[this, SCRATCH, 2, 20, 0]), PAGE as i64, "so far");
}

#[test]
fn residence_synchronisation_and_locks_are_refused() {
    let mut guest = Guest::new();
    let beyond = FlatMemory::END;
    fail(
        &mut guest,
        MINCORE,
        &[
            (&[AT + 1, PAGE, OUT], Errno::EINVAL),
            (&[AT, u64::MAX, OUT], Errno::ENOMEM),
            (&[beyond, PAGE, 1], Errno::ENOMEM),
            (&[0x1000, PAGE, 1], Errno::ENOMEM),
            (&[AT, PAGE, 1], Errno::EFAULT),
            (&[AT, PAGE, u64::MAX], Errno::EFAULT),
        ],
    );
    assert_eq!(guest.call(MINCORE, &[AT, 0, 1]), 0);
    assert_eq!(guest.call(MINCORE, &[AT, PAGE + 1, OUT]), 0);
    assert_eq!(guest.get::<3>(OUT), [1, 1, 0], "two pages");
    fail(
        &mut guest,
        MSYNC,
        &[
            (&[AT, PAGE, 5], Errno::EINVAL),
            (&[AT, PAGE, 8], Errno::EINVAL),
            (&[AT + 1, PAGE, 1], Errno::EINVAL),
            (&[AT, PAGE.wrapping_neg(), 4], Errno::ENOMEM),
        ],
    );
    assert_eq!(guest.call(MSYNC, &[AT, u64::MAX, 4]), 0, "wraps to nothing");
    fail(
        &mut guest,
        MLOCK,
        &[(&[AT, (10 * PAGE).wrapping_neg()], Errno::EINVAL), (&[0x1000, PAGE], Errno::ENOMEM)],
    );
    assert_eq!(guest.call(MLOCK, &[AT + 1, 1]), 0, "the page around it");
    assert_eq!(guest.call(MLOCK, &[AT, u64::MAX]), 0, "wraps to nothing");
    fail(&mut guest, MLOCK2, &[(&[AT, PAGE, 2], Errno::EINVAL)]);
    let refused: Vec<_> = [0, 4, 8].iter().map(|flags| guest.call(MLOCKALL, &[*flags])).collect();
    assert_eq!(refused, [-22; 3]);
    assert_eq!(guest.call(MLOCKALL, &[5]), 0);
}

#[test]
fn names_of_memory_are_printable() {
    let mut guest = Guest::new();
    let set_vma = [0x5356_4d41, 0, AT, PAGE, SCRATCH];
    for name in [&b"he[llo\0"[..], b"back\\slash\0", b"tab\t\0", &[b'a'; 81]] {
        guest.put(SCRATCH, name);
        fail(&mut guest, PRCTL, &[(&set_vma, Errno::EINVAL)]);
    }
    fail(&mut guest, PRCTL, &[(&[0x5356_4d41, 0, AT, PAGE, 1], Errno::EFAULT)]);
}
