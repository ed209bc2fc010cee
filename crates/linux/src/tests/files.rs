//! Files: opening, reading, writing, names, and the way out that there is not.

use super::{AT_FDCWD, Guest, OUT, SCRATCH};
use crate::Errno;
use crate::fd::{O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY};

const CREATE: u64 = (O_CREAT | O_RDWR) as u64;

fn error(errno: Errno) -> i64 {
    -i64::from(errno.0)
}

#[test]
fn what_is_written_is_read_back() {
    let mut guest = Guest::new();
    let fd = guest.open("/file", CREATE) as u64;
    assert_eq!(fd, 3);
    guest.put(OUT, b"hello, world");
    assert_eq!(guest.call(64, &[fd, OUT, 12]), 12);
    assert_eq!(guest.read_host("file"), b"hello, world");
    assert_eq!(guest.memory.changes.last().map(|c| (c.1, c.2)), Some((0, 12)));
    assert_eq!(guest.call(62, &[fd, 7, 0]), 7, "lseek");
    assert_eq!(guest.call(63, &[fd, OUT, 100]), 5);
    assert_eq!(&guest.get::<5>(OUT), b"world");
    assert_eq!(guest.call(67, &[fd, OUT, 5, 0]), 5, "pread64");
    assert_eq!(&guest.get::<5>(OUT), b"hello");
    assert_eq!(guest.call(63, &[fd, OUT, 1]), 0, "the offset is still at the end");
    assert_eq!(guest.call(46, &[fd, 3]), 0, "ftruncate");
    assert_eq!(guest.read_host("file"), b"hel");
    assert_eq!(guest.call(57, &[fd]), 0);
    assert_eq!(guest.call(57, &[fd]), error(Errno::EBADF));
}

#[test]
fn appending_goes_to_the_end_and_vectors_are_gathered() {
    let mut guest = Guest::new();
    guest.write_host("log", b"one ");
    let fd = guest.open("log", u64::from(O_WRONLY | O_APPEND)) as u64;
    guest.put(OUT, b"two three");
    let vector: Vec<u8> =
        [OUT, 4, OUT + 4, 0, OUT + 4, 5].iter().flat_map(|w| w.to_le_bytes()).collect();
    guest.put(SCRATCH, &vector);
    assert_eq!(guest.call(66, &[fd, SCRATCH, 3]), 9);
    assert_eq!(guest.read_host("log"), b"one two three");
    assert_eq!(guest.call(63, &[fd, OUT, 1]), error(Errno::EBADF), "not open for reading");
}

/// readv() sees that there is nothing to read before it asks the file; read() asks the file.
#[test]
fn nothing_is_read_of_a_directory() {
    let mut guest = Guest::new();
    let fd = guest.open("/", u64::from(O_DIRECTORY)) as u64;
    guest.put(SCRATCH, &[OUT, 0, OUT, 1].map(u64::to_le_bytes).concat());
    for vector in [65, 69, 286] {
        assert_eq!(guest.call(vector, &[fd, SCRATCH, 1, 0, 0, 0]), 0);
        assert_eq!(guest.call(vector, &[fd, SCRATCH, 2, 0, 0, 0]), error(Errno::EISDIR));
    }
    assert_eq!(guest.call(63, &[fd, OUT, 0]), error(Errno::EISDIR));
}

#[test]
fn open_flags_are_honoured() {
    let mut guest = Guest::new();
    guest.write_host("file", b"old");
    std::fs::create_dir(guest.root.join("dir")).unwrap();
    let exclusive = u64::from(O_CREAT | O_EXCL | O_RDWR);
    assert_eq!(guest.open("/file", exclusive), error(Errno::EEXIST));
    assert_eq!(guest.open("/none", 0), error(Errno::ENOENT));
    assert_eq!(guest.open("/none/", CREATE), error(Errno::EISDIR));
    assert_eq!(guest.open("/dir", u64::from(O_RDWR)), error(Errno::EISDIR));
    assert_eq!(guest.open("/file", u64::from(O_DIRECTORY)), error(Errno::ENOTDIR));
    assert_eq!(guest.open("/file/x", 0), error(Errno::ENOTDIR));
    assert!(guest.open("/file", u64::from(O_TRUNC | O_RDWR)) >= 0);
    assert_eq!(guest.read_host("file"), b"");
}

#[test]
fn nothing_outside_the_root_is_reached() {
    let mut guest = Guest::new();
    let outside = guest.root.parent().unwrap().join("secret");
    std::fs::write(&outside, b"secret").unwrap();
    std::os::unix::fs::symlink(&outside, guest.root.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../secret", guest.root.join("relative")).unwrap();
    for path in ["../secret", "/../secret", "absolute", "relative", "/relative"] {
        assert_eq!(guest.open(path, 0), error(Errno::ENOENT), "{path}");
    }
    // Created through a link that climbs, a file lands below the root.
    std::os::unix::fs::symlink("../new", guest.root.join("climb")).unwrap();
    assert!(guest.open("/climb", CREATE) >= 0);
    assert!(guest.root.join("new").exists());
    assert!(!guest.root.parent().unwrap().join("new").exists());
}

#[test]
fn a_fifo_of_the_host_is_not_opened() {
    let mut guest = Guest::new();
    let fifo = guest.root.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(guest.open("/fifo", 0), error(Errno::ENXIO));
    }
}

#[test]
fn without_a_root_the_user_is_told_once() {
    let mut guest = Guest::without_root();
    assert_eq!(guest.open("/etc/passwd", 0), error(Errno::ENOENT));
    assert_eq!(guest.open("/etc/group", 0), error(Errno::ENOENT));
    let said = guest.said();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/etc/passwd") && said.contains("--root DIR"), "{said}");
    assert!(guest.open("/dev/null", 0) >= 0, "built in");
}

#[test]
fn devices_do_what_they_do() {
    let mut guest = Guest::new();
    let null = guest.open("/dev/null", u64::from(O_RDWR)) as u64;
    assert_eq!(guest.call(63, &[null, OUT, 10]), 0);
    assert_eq!(guest.call(64, &[null, OUT, 10]), 10);
    let zero = guest.open("/dev/zero", 0) as u64;
    guest.put(OUT, &[7; 8]);
    assert_eq!(guest.call(63, &[zero, OUT, 8]), 8);
    assert_eq!(guest.word(OUT), 0);
    let full = guest.open("/dev/full", u64::from(O_WRONLY)) as u64;
    assert_eq!(guest.call(64, &[full, OUT, 1]), error(Errno::ENOSPC));
    let own = guest.open("/proc/self/exe", 0) as u64;
    assert_eq!(guest.call(63, &[own, OUT, 4]), 4);
    assert_eq!(&guest.get::<4>(OUT), b"\x7fELF");
    let link = guest.path("/proc/self/exe");
    assert_eq!(guest.call(78, &[AT_FDCWD, link, OUT, 100]), 8);
    assert_eq!(&guest.get::<8>(OUT), b"/program");
}

#[test]
fn status_is_the_machines_own() {
    let mut guest = Guest::new();
    let fd = guest.open("/file", CREATE) as u64;
    guest.put(OUT, b"12345");
    guest.call(64, &[fd, OUT, 5]);
    assert_eq!(guest.call(80, &[fd, OUT]), 0, "fstat");
    assert_eq!(guest.word(OUT + 48), 5);
    assert_eq!(guest.word(OUT + 8), 17, "the second inode, after the program's");
    assert_eq!(guest.word(OUT + 88), 1_735_689_605, "the virtual clock");
    assert_eq!(guest.call(80, &[1, OUT]), 0);
    let mode = u32::from_le_bytes(guest.get(OUT + 16));
    assert_eq!(mode & 0o170_000, 0o010_000, "stdout is a pipe");
    let path = guest.path("/dev/null");
    assert_eq!(guest.call(79, &[AT_FDCWD, path, OUT, 0]), 0);
    assert_eq!(guest.word(OUT + 32), 0x103);
    let path = guest.path("");
    assert_eq!(guest.call(79, &[fd, path, OUT, 0x1000]), 0, "AT_EMPTY_PATH");
    assert_eq!(guest.call(79, &[fd, path, OUT, 0]), error(Errno::ENOENT));
}

#[test]
fn directories_are_listed_in_order() {
    let mut guest = Guest::new();
    for name in ["zeta", "alpha", "mid"] {
        guest.write_host(name, b"");
    }
    let fd = guest.open("/", u64::from(O_DIRECTORY)) as u64;
    let mut names = Vec::new();
    loop {
        let n = guest.call(61, &[fd, OUT, 60]);
        if n == 0 {
            break;
        }
        let mut at = OUT;
        while at < OUT + n as u64 {
            let length = u16::from_le_bytes(guest.get(at + 16));
            let name = guest.get::<16>(at + 19);
            names.push(String::from_utf8_lossy(&name).split('\0').next().unwrap().to_owned());
            at += u64::from(length);
        }
    }
    assert_eq!(names, [".", "..", "alpha", "dev", "mid", "proc", "sys", "tmp", "zeta"]);
    assert_eq!(guest.call(62, &[fd, 0, 0]), 0, "rewind");
    assert_eq!(guest.call(61, &[fd, OUT, 8]), error(Errno::EINVAL), "no room for one");
}

#[test]
fn names_are_made_moved_and_removed() {
    let mut guest = Guest::new();
    let path = guest.path("/dir");
    assert_eq!(guest.call(34, &[AT_FDCWD, path, 0o755]), 0);
    assert_eq!(guest.call(49, &[path]), 0, "chdir");
    assert_eq!(guest.call(17, &[OUT, 100]), 5, "getcwd");
    assert_eq!(&guest.get::<5>(OUT), b"/dir\0");
    assert!(guest.open("inside", CREATE) >= 0);
    assert!(guest.root.join("dir/inside").exists());
    guest.put(OUT, b"../moved\0");
    let path = guest.path("inside");
    assert_eq!(guest.call(276, &[AT_FDCWD, path, AT_FDCWD, OUT, 0]), 0);
    assert!(guest.root.join("moved").exists());
    let path = guest.path("/moved");
    assert_eq!(guest.call(35, &[AT_FDCWD, path, 0x200]), error(Errno::ENOTDIR));
    assert_eq!(guest.call(35, &[AT_FDCWD, path, 0]), 0);
    let path = guest.path("/dir");
    assert_eq!(guest.call(35, &[AT_FDCWD, path, 0]), error(Errno::EISDIR));
    assert_eq!(guest.call(35, &[AT_FDCWD, path, 0x200]), 0);
    assert!(!guest.root.join("dir").exists());
}

#[test]
fn duplicates_and_pipes() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(59, &[OUT, 0]), 0, "pipe2");
    let ends = guest.word(OUT);
    assert_eq!(ends, 3 | 4 << 32);
    guest.put(OUT, b"through");
    assert_eq!(guest.call(64, &[4, OUT, 7]), 7);
    assert_eq!(guest.call(24, &[3, 9, 0]), 9, "dup3");
    assert_eq!(guest.call(57, &[3]), 0);
    assert_eq!(guest.call(63, &[9, OUT + 64, 100]), 7);
    assert_eq!(&guest.get::<7>(OUT + 64), b"through");
    assert_eq!(guest.call(57, &[4]), 0);
    assert_eq!(guest.call(63, &[9, OUT, 1]), 0, "no writer is left");
    assert_eq!(guest.call(25, &[9, 1030, 20]), 20, "F_DUPFD_CLOEXEC");
    assert_eq!(guest.call(25, &[20, 1]), 1);
    assert_eq!(guest.call(23, &[99]), error(Errno::EBADF));
}

#[test]
fn files_are_copied_in_the_kernel() {
    let mut guest = Guest::new();
    let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    guest.write_host("from", &content);
    let from = guest.open("/from", 0) as u64;
    let to = guest.open("/to", CREATE) as u64;
    assert_eq!(guest.call(71, &[to, from, 0, 1 << 40]), 200_000, "sendfile");
    assert_eq!(guest.read_host("to"), content);
}

#[test]
fn many_files_do_not_stay_open_on_the_host() {
    let mut guest = Guest::new();
    for i in 0..600 {
        let fd = guest.open(&format!("/file{i}"), CREATE);
        assert_eq!(guest.call(57, &[fd as u64]), 0);
    }
    assert!(guest.host.files.count() <= 257, "{}", guest.host.files.count());
}
