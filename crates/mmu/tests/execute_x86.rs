//! The x86 formats against QEMU and KVM executing the access.

mod common;
mod execute;

#[test]
fn shuffle_is_a_permutation() {
    for size in [1, 2, 3, 1000, 4096] {
        let shuffle = execute::Shuffle::new(size, 7);
        let mut seen: Vec<u64> = (0..size).map(|n| shuffle.at(n)).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..size), "size {size}");
    }
}
