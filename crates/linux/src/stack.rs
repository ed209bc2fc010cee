//! The first stack: what `_start` finds.
//!
//! ```text
//!   stack_top ─►  8 zero bytes
//!                 program's file name             AT_EXECFN
//!                 environment strings
//!                 argument strings
//!                 16 random bytes                 AT_RANDOM
//!                 padding to 16
//!                 auxiliary vector                (type, value) …, (AT_NULL, 0)
//!                 envp[0], …, NULL
//!                 argv[0], …, NULL
//!   sp, 16-aligned ─►  argc
//! ```

use crate::load::Loaded;
use std::iter;

/// What the program is told.
#[derive(Clone, Debug)]
pub struct StackImage<'a> {
    /// The arguments.
    pub argv: &'a [Vec<u8>],
    /// The environment, `NAME=value`.
    pub envp: &'a [Vec<u8>],
    /// The name under which it was started.
    pub exec_name: &'a [u8],
    /// Seed of the C library's stack protector.
    pub random: [u8; 16],
    /// Where the program was loaded.
    pub loaded: Loaded,
    /// The page size.
    pub page_bytes: u64,
}

const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_BASE: u64 = 7;
const AT_FLAGS: u64 = 8;
const AT_ENTRY: u64 = 9;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_HWCAP: u64 = 16;
const AT_CLKTCK: u64 = 17;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;

/// The extensions A, C, D, F, I and M, one bit for each letter.
const HWCAP_IMAFDC: u64 = 0x112d;
/// Units of times(2) in a second.
pub const CLOCK_TICKS_PER_S: u64 = 100;

const ALIGN: u64 = 16;
/// The zero word at the very top.
const TOP_BYTES: u64 = 8;

impl StackImage<'_> {
    /// The bytes that the image needs at most, whatever the alignment.
    pub fn bytes(&self) -> u64 {
        let strings: usize = self.strings().map(|s| s.len() + 1).sum();
        let words = 1 + self.argv.len() + 1 + self.envp.len() + 1 + 2 * self.auxv(0, 0).len();
        strings as u64 + 8 * words as u64 + self.random.len() as u64 + TOP_BYTES + 2 * ALIGN
    }

    /// Lays the image out below `top`: the stack pointer and the bytes from there to `top`.
    ///
    /// `top` must be above [`StackImage::bytes`].
    pub fn build(&self, top: u64) -> (u64, Vec<u8>) {
        let strings_len: usize = self.strings().map(|s| s.len() + 1).sum();
        let strings_at = top - TOP_BYTES - strings_len as u64;
        let random_at = (strings_at - self.random.len() as u64) & !(ALIGN - 1);

        let (argv_at, after) = addresses(self.argv, strings_at);
        let (envp_at, exec_name_at) = addresses(self.envp, after);
        let auxv = self.auxv(random_at, exec_name_at);
        let words: Vec<u64> = iter::once(self.argv.len() as u64)
            .chain(argv_at)
            .chain(iter::once(0))
            .chain(envp_at)
            .chain(iter::once(0))
            .chain(auxv.into_iter().flatten())
            .collect();
        let sp = (random_at - 8 * words.len() as u64) & !(ALIGN - 1);

        let mut image = vec![0; (top - sp) as usize];
        let mut put = |at: u64, bytes: &[u8]| {
            let start = (at - sp) as usize;
            image[start..start + bytes.len()].copy_from_slice(bytes);
        };
        for (i, word) in words.iter().enumerate() {
            put(sp + 8 * i as u64, &word.to_le_bytes());
        }
        put(random_at, &self.random);
        let mut at = strings_at;
        for string in self.strings() {
            put(at, string);
            at += string.len() as u64 + 1;
        }
        (sp, image)
    }

    /// All strings in ascending order of address.
    fn strings(&self) -> impl Iterator<Item = &[u8]> {
        let lists = self.argv.iter().chain(self.envp).map(Vec::as_slice);
        lists.chain(iter::once(self.exec_name))
    }

    fn auxv(&self, random_at: u64, exec_name_at: u64) -> Vec<[u64; 2]> {
        let loaded = &self.loaded;
        vec![
            [AT_HWCAP, HWCAP_IMAFDC],
            [AT_PAGESZ, self.page_bytes],
            [AT_CLKTCK, CLOCK_TICKS_PER_S],
            [AT_PHDR, loaded.headers_at],
            [AT_PHENT, crate::elf::PROGRAM_HEADER_BYTES as u64],
            [AT_PHNUM, loaded.header_count.into()],
            [AT_BASE, loaded.interpreter.map_or(0, |interpreter| interpreter.base)],
            [AT_FLAGS, 0],
            [AT_ENTRY, loaded.entry],
            [AT_UID, 0],
            [AT_EUID, 0],
            [AT_GID, 0],
            [AT_EGID, 0],
            [AT_SECURE, 0],
            [AT_RANDOM, random_at],
            [AT_EXECFN, exec_name_at],
            [AT_NULL, 0],
        ]
    }
}

/// The addresses of consecutive strings from `at`, and the address after them.
fn addresses(strings: &[Vec<u8>], mut at: u64) -> (Vec<u64>, u64) {
    let starts = strings
        .iter()
        .map(|string| {
            let start = at;
            at += string.len() as u64 + 1;
            start
        })
        .collect();
    (starts, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Interpreter;

    const TOP: u64 = 0x8000_0000;

    fn word(sp: u64, image: &[u8], at: u64) -> u64 {
        let start = (at - sp) as usize;
        u64::from_le_bytes(image[start..start + 8].try_into().unwrap())
    }

    fn string(sp: u64, image: &[u8], at: u64) -> &[u8] {
        image[(at - sp) as usize..].split(|&byte| byte == 0).next().unwrap()
    }

    #[test]
    fn start_finds_arguments_environment_and_auxv() {
        let argv = [b"prog".to_vec(), b"".to_vec(), b"-x".to_vec()];
        let envp = [b"HOME=/".to_vec()];
        let loaded = Loaded {
            entry: 0x10400,
            headers_at: 0x10040,
            header_count: 4,
            end: 0x20000,
            interpreter: Some(Interpreter { base: 0x7000, entry: 0x7040 }),
        };
        let image = StackImage {
            argv: &argv,
            envp: &envp,
            exec_name: b"bin/prog",
            random: [7; 16],
            loaded,
            page_bytes: 4096,
        };
        let (sp, bytes) = image.build(TOP);
        assert!(sp.is_multiple_of(16));
        assert!(TOP - sp <= image.bytes());
        assert_eq!(word(sp, &bytes, sp), 3);
        for (i, argument) in argv.iter().enumerate() {
            let at = word(sp, &bytes, sp + 8 + 8 * i as u64);
            assert_eq!(string(sp, &bytes, at), argument);
        }
        assert_eq!(word(sp, &bytes, sp + 32), 0, "end of argv");
        assert_eq!(string(sp, &bytes, word(sp, &bytes, sp + 40)), b"HOME=/");
        assert_eq!(word(sp, &bytes, sp + 48), 0, "end of envp");
        let mut aux = std::collections::BTreeMap::new();
        let mut at = sp + 56;
        while word(sp, &bytes, at) != AT_NULL {
            aux.insert(word(sp, &bytes, at), word(sp, &bytes, at + 8));
            at += 16;
        }
        assert_eq!(aux[&AT_PHDR], 0x10040);
        assert_eq!(aux[&AT_PHENT], 56);
        assert_eq!(aux[&AT_ENTRY], 0x10400);
        assert_eq!(aux[&AT_BASE], 0x7000);
        assert_eq!(aux[&AT_HWCAP], 0x112d);
        assert_eq!(string(sp, &bytes, aux[&AT_EXECFN]), b"bin/prog");
        let random = (aux[&AT_RANDOM] - sp) as usize;
        assert_eq!(bytes[random..random + 16], [7; 16]);
        assert_eq!(bytes[bytes.len() - 8..], [0; 8]);
    }

    #[test]
    fn an_empty_command_line_is_laid_out() {
        let loaded = Loaded { entry: 0, headers_at: 0, header_count: 0, end: 0, interpreter: None };
        let image = StackImage {
            argv: &[],
            envp: &[],
            exec_name: b"",
            random: [0; 16],
            loaded,
            page_bytes: 4096,
        };
        let (sp, bytes) = image.build(TOP);
        assert_eq!(word(sp, &bytes, sp), 0);
        assert!(bytes.len() as u64 <= image.bytes());
    }
}
