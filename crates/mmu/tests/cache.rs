//! Data caches against a plain model, and by hand.

use pagewalk_mmu::PhysAddr;
use pagewalk_mmu::cache::{
    CacheConfig, CacheCounters, Caches, LineAccess, LookupCounts, Requester,
};
use proptest::prelude::*;

fn caches(text: &str) -> Caches {
    Caches::new(CacheConfig::parse(text).expect("a good description"))
}

fn read(caches: &mut Caches, at: u64) {
    caches.refer(PhysAddr(at), 8, LineAccess::Read, Requester::Data);
}

fn write(caches: &mut Caches, at: u64) {
    caches.refer(PhysAddr(at), 8, LineAccess::Write, Requester::Data);
}

/// Hits and misses of data, and write-backs, by level.
fn counts(caches: &Caches) -> Vec<(u64, u64, u64)> {
    caches.counters().map(|level| (level.data.hits, level.data.misses, level.writebacks)).collect()
}

#[test]
fn a_line_is_fetched_once_and_found_by_all_its_bytes() {
    let mut caches = caches("l1=1KiB:2,l2=4KiB:4");
    for at in [0, 8, 56, 64, 0] {
        read(&mut caches, at);
    }
    assert_eq!(counts(&caches), [(3, 2, 0), (0, 2, 0)]);
    // Eight bytes from 60 on lie in two lines, both there.
    read(&mut caches, 60);
    assert_eq!(counts(&caches), [(5, 2, 0), (0, 2, 0)]);
}

#[test]
fn the_least_recently_used_line_of_a_set_makes_room() {
    // Eight sets of two: addresses 512 apart meet.
    let mut caches = caches("l1=1KiB:2");
    for at in [0, 512, 0, 1024, 0, 512] {
        read(&mut caches, at);
    }
    assert_eq!(counts(&caches), [(2, 4, 0)]);
}

#[test]
fn a_dirty_line_goes_down_when_it_makes_room() {
    let mut caches = caches("l1=128:1,l2=256:1");
    write(&mut caches, 0);
    // A store to a line that is there makes it dirty, too; a load leaves it so.
    read(&mut caches, 64);
    write(&mut caches, 64);
    read(&mut caches, 64);
    assert_eq!(counts(&caches), [(2, 2, 0), (0, 2, 0)]);
    // 128 takes the place of 0 in the first level, 192 that of 64.
    read(&mut caches, 128);
    read(&mut caches, 192);
    assert_eq!(counts(&caches), [(2, 4, 2), (0, 4, 0)]);
    // The second level has both dirty: 256 pushes the first of them to memory.
    read(&mut caches, 256);
    assert_eq!(counts(&caches), [(2, 5, 2), (0, 5, 1)]);
}

#[test]
fn walks_are_counted_apart() {
    let mut caches = caches("l1=1KiB:2");
    caches.refer(PhysAddr(0), 8, LineAccess::Read, Requester::Walk);
    caches.refer(PhysAddr(8), 8, LineAccess::Write, Requester::Walk);
    read(&mut caches, 16);
    let walks = LookupCounts { hits: 1, misses: 1 };
    let data = LookupCounts { hits: 1, misses: 0 };
    let expected = CacheCounters { data, walks, writebacks: 0 };
    assert_eq!(caches.counters().collect::<Vec<_>>(), [&expected]);
}

/// One level, least recently used line first in each set.
struct Plain {
    sets: Vec<Vec<(u64, bool)>>,
    ways: usize,
    hits: u64,
    misses: u64,
    writebacks: u64,
}

impl Plain {
    fn new(sets: usize, ways: usize) -> Self {
        Self { sets: vec![Vec::new(); sets], ways, hits: 0, misses: 0, writebacks: 0 }
    }

    fn set(&mut self, line: u64) -> &mut Vec<(u64, bool)> {
        let sets = self.sets.len() as u64;
        &mut self.sets[(line % sets) as usize]
    }

    /// Takes the line in as the most recent; returns a dirty one that leaves.
    fn take_in(&mut self, line: u64, dirty: bool) -> Option<u64> {
        let ways = self.ways;
        let set = self.set(line);
        let left = (set.len() == ways).then(|| set.remove(0));
        set.push((line, dirty));
        let left = left.filter(|(_, dirty)| *dirty).map(|(line, _)| line);
        self.writebacks += u64::from(left.is_some());
        left
    }
}

fn refer(levels: &mut [Plain], line: u64, write: bool) {
    let Some((level, below)) = levels.split_first_mut() else { return };
    let set = level.set(line);
    if let Some(place) = set.iter().position(|(held, _)| *held == line) {
        let (_, dirty) = set.remove(place);
        set.push((line, dirty || write));
        level.hits += 1;
        return;
    }
    level.misses += 1;
    refer(below, line, false);
    if let Some(left) = level.take_in(line, write) {
        hand_down(below, left);
    }
}

fn hand_down(levels: &mut [Plain], line: u64) {
    let Some((level, below)) = levels.split_first_mut() else { return };
    if let Some(held) = level.set(line).iter_mut().find(|(held, _)| *held == line) {
        held.1 = true;
    } else if let Some(left) = level.take_in(line, true) {
        hand_down(below, left);
    }
}

proptest! {
    #[test]
    fn caches_are_recency_lists(
        ops in prop::collection::vec((0..400u64, any::<bool>()), 1..600),
    ) {
        let mut caches = caches("l1=512:2:lru,l2=1KiB:4,l3=4KiB:8,line=32");
        let mut model = [Plain::new(8, 2), Plain::new(8, 4), Plain::new(16, 8)];
        for &(line, is_write) in &ops {
            let access = if is_write { LineAccess::Write } else { LineAccess::Read };
            caches.refer(PhysAddr(line * 32 + 5), 4, access, Requester::Data);
            refer(&mut model, line, is_write);
        }
        let expected = model.map(|level| (level.hits, level.misses, level.writebacks));
        prop_assert_eq!(counts(&caches), expected);
    }

    /// Look-ups of a level are the misses of the level above, whatever the policies.
    #[test]
    fn misses_are_looked_up_below(
        ops in prop::collection::vec((0..20_000u64, 1..9u64, any::<bool>(), any::<bool>()), 1..300),
        policy in prop::sample::select(vec!["lru", "plru", "fifo", "random:3"]),
    ) {
        let mut caches = caches(&format!("l1=1KiB:2:{policy},l2=2KiB:4:{policy},l3=8KiB:8"));
        let mut references = [0, 0];
        for &(at, bytes, is_write, is_walk) in &ops {
            let access = if is_write { LineAccess::Write } else { LineAccess::Read };
            let by = if is_walk { Requester::Walk } else { Requester::Data };
            caches.refer(PhysAddr(at), bytes, access, by);
            references[usize::from(is_walk)] += 1 + u64::from(at % 64 + bytes > 64);
        }
        for level in caches.counters() {
            let all = |counts: LookupCounts| counts.hits + counts.misses;
            prop_assert_eq!([all(level.data), all(level.walks)], references);
            references = [level.data.misses, level.walks.misses];
        }
    }

    #[test]
    fn no_description_panics(text in "[l0-4ine=,:KMGB0-9]{0,28}") {
        if let Ok(config) = CacheConfig::parse(&text) {
            prop_assert_eq!(CacheConfig::parse(&config.to_string()), Ok(config));
        }
    }
}

#[test]
fn descriptions_read_back_and_errors_name_the_part() {
    for (text, full) in [
        ("l1=32K:8", "l1=32KiB:8:lru"),
        ("l2=256KiB:8:plru,l1=48KiB:12", "l1=48KiB:12:lru,l2=256KiB:8:plru"),
        ("l1=1024:4:random:9,line=16", "l1=1KiB:4:random:9,line=16"),
    ] {
        assert_eq!(CacheConfig::parse(text).expect(text).to_string(), full);
    }
    for (text, part, hint) in [
        ("", "", "l1=32KiB:8"),
        ("l4=1K:1", "l4=1K:1", "l1=32KiB:8"),
        ("l2=1K:1", "l2=1K:1", "give l1"),
        ("l1=1K:1,l3=1K:1", "l1=1K:1,l3=1K:1", "l2"),
        ("l1=1K:1,l1=2K:1", "l1=2K:1", "given twice"),
        ("l1=32K", "l1=32K", "SIZE:WAYS"),
        ("l1=32Q:8", "l1=32Q:8", "SIZE:WAYS"),
        ("l1=48K:8", "l1=48K:8", "power of two"),
        ("l1=0:8", "l1=0:8", "power of two"),
        ("l1=100:1", "l1=100:1", "power of two"),
        ("l1=1K:0", "l1=1K:0", "1 to 4096"),
        ("l1=4G:16", "l1=4G:16", "at most"),
        ("l1=48K:12:plru", "l1=48K:12:plru", "power of two"),
        ("l1=1K:1:mru", "l1=1K:1:mru", "lru plru fifo random"),
        ("l1=1K:1,line=48", "line=48", "8 to 4096"),
    ] {
        let error = CacheConfig::parse(text).expect_err(text);
        assert_eq!(error.part, part, "{text}");
        assert!(error.to_string().contains(hint), "{text}: {error}");
    }
}
