//! Random programs: blocks of all lengths, entered everywhere, at every address modulo a page.

use crate::common::Rng;
use crate::common::random::{Size, program};
use crate::oracle::{is_available, run_both_ways, run_qemu};

const PROGRAMS: u64 = 12;

const SIZE: Size =
    Size { bodies: 40, segments: 3, items: 40, rounds: 12, counters: false, conditional: false };

#[test]
fn random_programs_give_what_qemu_gives() {
    if !is_available() {
        return;
    }
    let mut retired = 0;
    for seed in 0..PROGRAMS {
        let program = program(&mut Rng::new(seed + 500), SIZE);
        let theirs = run_qemu(&program.elf);
        let ours = run_both_ways(&program.elf);
        assert_eq!(theirs.len(), program.output_bytes as usize);
        let differs = theirs.iter().zip(&ours.output).position(|(a, b)| a != b);
        let round = differs.map(|byte| byte / 520);
        let register = differs.map(|byte| byte % 520 / 8);
        assert_eq!(differs, None, "program {seed}, round {round:?}, register {register:?}");
        retired += ours.hart.retired;
    }
    println!("{retired} instructions retired in {PROGRAMS} random programs");
}
