//! fork: what parent and child see, what it costs, who copies, and what is left at the end.

mod common;

use common::*;
use pagewalk_kernel::{Config, HugePolicy, IoError, KernelError, MapRequest, Signal, SpaceId};

fn roomy(name: &str) -> Machine {
    let frames = frames_min(name).max(400);
    Machine::new(name, Config { frames, ..Config::default() })
}

fn fork(m: &mut Machine) -> SpaceId {
    let child = m.kernel.fork_space(&mut m.mock, m.space).expect("enough memory");
    m.audit();
    child
}

/// Runs `act` in another space.
fn inside<T>(m: &mut Machine, space: SpaceId, act: impl FnOnce(&mut Machine) -> T) -> T {
    let before = std::mem::replace(&mut m.space, space);
    let result = act(m);
    m.space = before;
    m.audit();
    result
}

/// Ends the spaces: nothing may be left.
fn end(m: &mut Machine, spaces: impl IntoIterator<Item = SpaceId>) {
    for space in spaces {
        m.kernel.destroy_space(&mut m.mock, space);
        m.audit();
    }
    let frames = m.kernel.frames();
    assert_eq!((frames.anon, m.kernel.swap().used()), (0, 0), "{frames:?}");
    assert_eq!(frames.page_table, machine_tables(m), "{frames:?}");
}

#[test]
fn parent_and_child_go_their_own_ways() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let parent = m.space;
        let va = m.map_anon(4);
        (0..3).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
        let before = m.kernel.frames();
        let child = fork(&mut m);
        let after = m.kernel.frames();
        assert_eq!(after.anon, before.anon, "{name}: a fork copies no page");
        assert_eq!(m.kernel.counters().fork_pages_shared, 3);
        m.store(va, 10).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va)), Ok(0));
        inside(&mut m, child, |m| m.store(va + PAGE, 11)).unwrap();
        assert_eq!(m.load(va + PAGE), Ok(1));
        assert_eq!(m.kernel.counters().cow_copied, 2);
        // Both have stored to one page: one copy, and the other is alone.
        inside(&mut m, child, |m| m.store(va, 12)).unwrap();
        m.store(va + PAGE, 13).unwrap();
        assert_eq!((m.kernel.counters().cow_copied, m.kernel.counters().cow_reused), (2, 2));
        assert_eq!(inside(&mut m, child, |m| m.load(va + 3 * PAGE)), Ok(0));
        m.store(va + 3 * PAGE, 14).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va + 3 * PAGE)), Ok(0));
        let all = |m: &mut Machine| [0, 1, 2, 3].map(|page| m.load(va + page * PAGE).unwrap());
        assert_eq!(all(&mut m), [10, 13, 2, 14], "{name}");
        assert_eq!(inside(&mut m, child, all), [12, 11, 2, 0], "{name}");
        end(&mut m, [child, parent]);
    });
}

#[test]
fn the_last_owner_writes_without_a_copy() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let va = m.map_anon(8);
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
        let child = fork(&mut m);
        m.kernel.destroy_space(&mut m.mock, child);
        m.audit();
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
        assert_eq!((m.kernel.counters().cow_copied, m.kernel.counters().cow_reused), (0, 8));
        m.audit();
        let parent = m.space;
        end(&mut m, [parent]);
    });
}

#[test]
fn a_program_and_its_files_are_inherited() {
    on_all_formats(|name| {
        let mut m = roomy(name);
        let parent = m.space;
        m.mock.files.push(vec![7; 3 * PAGE as usize]);
        let private = m.map_file(0, 3, RW, false);
        let shared = m.map_file(0, 3, RW, true);
        m.store(private, 1).unwrap();
        m.load(private + PAGE).unwrap();
        let child = fork(&mut m);
        inside(&mut m, child, |m| {
            assert_eq!((m.load(private), m.load(private + PAGE)), (Ok(1), Ok(7)));
            m.store(private, 2).unwrap();
            m.store(shared + 5, 3).unwrap();
        });
        assert_eq!((m.load(private), m.load(shared + 5)), (Ok(1), Ok(3)));
        assert_eq!(m.load(private + 2 * PAGE), Ok(7));
        end(&mut m, [parent, child]);
        assert_eq!(m.mock.files[0][5], 3);
    });
}

#[test]
fn swapped_pages_are_shared_by_their_slots() {
    on_all_formats(|name| {
        let mut m = Machine::tight(name, 30, 1000);
        let parent = m.space;
        let va = m.map_anon(8);
        (0..8).for_each(|page| m.store(va + page * PAGE, page as u8 + 1).unwrap());
        m.press();
        let swapped = m.kernel.residency(parent).swapped;
        assert_eq!(swapped, 8, "{name}");
        let child = fork(&mut m);
        assert_eq!(m.kernel.residency(child).swapped, 8);
        assert_eq!(m.kernel.swap().used(), 8);
        // The first who wants a page reads it, the other finds it.
        assert_eq!(m.load(va), Ok(1));
        let reads = m.kernel.counters().pswpin;
        assert_eq!(inside(&mut m, child, |m| m.load(va)), Ok(1));
        assert_eq!((m.kernel.counters().pswpin, m.kernel.counters().swap_cache_hit), (reads, 1));
        // A store is the program's own, the page stays for the other.
        inside(&mut m, child, |m| m.store(va + PAGE, 50)).unwrap();
        let reads = m.kernel.counters().pswpin;
        assert_eq!(m.load(va + PAGE), Ok(2));
        assert_eq!(m.kernel.counters().pswpin, reads);
        m.store(va + PAGE, 51).unwrap();
        assert_eq!(inside(&mut m, child, |m| m.load(va + PAGE)), Ok(50));
        // Shared pages leave once, with one slot.
        m.press();
        m.audit();
        for page in 2..8 {
            assert_eq!(m.load(va + page * PAGE), Ok(page as u8 + 1));
            assert_eq!(inside(&mut m, child, |m| m.load(va + page * PAGE)), Ok(page as u8 + 1));
        }
        assert_eq!((m.load(va), m.load(va + PAGE)), (Ok(1), Ok(51)));
        end(&mut m, [parent, child]);
    });
}

/// A parent with pages of every kind: in memory, shared with a first child, swapped, of a file, of
/// an object.
struct Family {
    m: Machine,
    va: u64,
    shared: u64,
    file: u64,
    children: Vec<SpaceId>,
}

const PAGES: u64 = 10;

/// One format of each kind.
const SOME: [&str; 6] = ["sv39", "ia32", "pae", "inverted", "ppc", "r3000"];

impl Family {
    fn new(name: &str, spare: u64, slots: u64) -> Option<Self> {
        let mut m = Machine::tight(name, spare, slots);
        m.mock.files.push(vec![9; 2 * PAGE as usize]);
        let va = m.map_anon(PAGES);
        let shared = m.map(MapRequest { shared: true, ..MapRequest::anonymous(2 * PAGE, RW) });
        let file = m.map_file(0, 2, RW, false);
        let mut family = Self { m, va, shared, file, children: Vec::new() };
        for page in 0..PAGES {
            family.store(None, va + page * PAGE, page as u8 + 1)?;
        }
        family.store(None, shared, 50)?;
        family.store(None, file, 60)?;
        family.fork();
        Some(family)
    }

    fn fork(&mut self) {
        let Machine { kernel, mock, space } = &mut self.m;
        match kernel.fork_space(mock, *space) {
            Ok(child) => self.children.push(child),
            Err(error) => assert!(matches!(error, KernelError::OutOfMemory(_)), "{error}"),
        }
        self.m.audit();
    }

    /// Runs `act` in the parent, or in a child. `None` for want of memory or a device that failed.
    fn within<T>(
        &mut self,
        child: Option<usize>,
        act: impl FnOnce(&mut Machine) -> Result<T, Stop>,
    ) -> Option<T> {
        let parent = self.m.space;
        self.m.space = child.map_or(parent, |child| self.children[child]);
        let result = act(&mut self.m);
        self.m.space = parent;
        match result {
            Ok(value) => Some(value),
            Err(Stop::OutOfMemory | Stop::Signal(Signal::Bus)) => None,
            Err(stop) => panic!("{stop:?}"),
        }
    }

    fn store(&mut self, child: Option<usize>, va: u64, byte: u8) -> Option<()> {
        let stored = self.within(child, |m| m.store(va, byte));
        self.m.audit();
        stored
    }

    /// A byte that, if it can be read, is as expected.
    fn expect(&mut self, child: Option<usize>, va: u64, byte: u8) {
        if let Some(found) = self.within(child, |m| m.load(va)) {
            assert_eq!(found, byte, "{child:?} {va:x}");
        }
    }

    /// Stores everywhere, in all orders, and looks at what the others see; then all die.
    fn live_and_die(mut self) {
        self.fork();
        let spaces: Vec<Option<usize>> = (0..self.children.len()).map(Some).chain([None]).collect();
        let (va, shared, file) = (self.va, self.shared, self.file);
        let mut bytes = vec![[0u8; PAGES as usize]; spaces.len()];
        for (n, byte) in bytes.iter_mut().flat_map(|space| space.iter_mut().enumerate()) {
            *byte = n as u8 + 1;
        }
        for page in 0..PAGES {
            for turn in 0..spaces.len() {
                let who = (turn + page as usize) % spaces.len();
                let new = (100 + page * 10) as u8 + who as u8;
                if self.store(spaces[who], va + page * PAGE, new).is_some() {
                    bytes[who][page as usize] = new;
                }
                for (space, bytes) in spaces.iter().zip(&bytes) {
                    self.expect(*space, va + page * PAGE, bytes[page as usize]);
                }
            }
        }
        for space in &spaces {
            self.expect(*space, shared, 50);
            self.expect(*space, file, 60);
            self.expect(*space, file + PAGE, 9);
        }
        self.m.mock.heal();
        let parent = self.m.space;
        end(&mut self.m, [parent].into_iter().chain(self.children));
    }
}

#[test]
fn every_shortage_of_frames_is_survived() {
    for name in SOME {
        let mut complete = 0;
        for (spare, slots) in (0..40).flat_map(|spare| [(spare, 0), (spare, 6), (spare, 200)]) {
            let Some(family) = Family::new(name, spare, slots) else { continue };
            complete += u32::from(family.children.len() == 1);
            family.live_and_die();
        }
        assert!(complete > 20, "{name}: {complete} forks succeeded");
    }
}

#[test]
fn a_fork_that_fails_leaves_everything_as_it_was() {
    on_all_trees(|name| {
        let mut failed = 0;
        for spare in 0..12 {
            let mut m = Machine::tight(name, 40, 0);
            let va = m.map_anon(6);
            (0..6).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
            let hog = m.map_anon(100);
            let mut pages = (0..100).map(|page| hog + page * PAGE);
            while m.kernel.frames().free > spare {
                m.store(pages.next().unwrap(), 1).unwrap();
            }
            let (frames, mapped) = (m.kernel.frames(), m.kernel.residency(m.space));
            match m.kernel.fork_space(&mut m.mock, m.space) {
                Ok(child) => m.kernel.destroy_space(&mut m.mock, child),
                Err(_) => {
                    failed += 1;
                    let now = m.kernel.frames();
                    assert_eq!((now.free, now.page_table), (frames.free, frames.page_table));
                    assert_eq!(m.kernel.residency(m.space), mapped);
                    assert_eq!(m.kernel.counters().forks, 0);
                }
            }
            m.audit();
            for page in 0..6 {
                assert_eq!(m.load(va + page * PAGE), Ok(page as u8));
                m.store(va + page * PAGE, 100).unwrap();
            }
            assert_eq!(m.kernel.counters().cow_copied, 0);
            let parent = m.space;
            end(&mut m, [parent]);
        }
        assert!(failed > 0, "{name}: no fork failed");
    });
}

/// Fails the `n`th transfer.
fn nth(n: u32) -> Faults {
    let mut count = 0;
    Box::new(move || {
        count += 1;
        (count == n).then_some(IoError::Io)
    })
}

#[test]
fn every_failing_transfer_is_survived() {
    for name in SOME {
        for n in 1..30 {
            for reads in [false, true] {
                let mut m = Family::new(name, 14, 200).expect("enough swap");
                let fault = nth(n);
                match reads {
                    true => m.m.mock.swap_read_fails = fault,
                    false => m.m.mock.swap_write_fails = fault,
                }
                m.m.press();
                m.live_and_die();
            }
        }
    }
}

#[test]
fn large_pages_fall_apart_in_a_fork() {
    for name in ["sv39", "x86-64", "ia32"] {
        let huge = HugePolicy::Always;
        let mut m = Machine::new(name, Config { frames: 8192, huge, ..Config::default() });
        let size = m.kernel.large_page().expect("large pages").bytes();
        let place = at(2 * size);
        let va = m.map(MapRequest { place, ..MapRequest::anonymous(2 * size, RW) });
        m.store(va, 1).unwrap();
        m.store(va + size, 2).unwrap();
        assert_eq!(m.kernel.residency(m.space).anon_huge, 2 * size / PAGE);
        let child = fork(&mut m);
        assert_eq!(m.kernel.residency(m.space).anon_huge, 0);
        m.store(va + 5, 3).unwrap();
        assert_eq!(inside(&mut m, child, |m| (m.load(va), m.load(va + 5))), (Ok(1), Ok(0)));
        assert_eq!(m.kernel.counters().cow_copied, 1);
        let parent = m.space;
        end(&mut m, [parent, child]);
    }
}

/// A thousand processes of a thousand pages: what they share exists once, and who comes and goes
/// does not disturb the others.
#[test]
fn a_thousand_processes_share_a_thousand_pages() {
    let config = Config { frames: 16 << 10, swap_slots: 0, ..Config::default() };
    let mut m = Machine::new("sv39", config);
    m.mock.quiet = true;
    let va = m.map_anon(1000);
    (0..1000).for_each(|page| m.store(va + page * PAGE, page as u8).unwrap());
    let parent = m.space;
    let mut children = Vec::new();
    for _ in 0..1000 {
        children.push(m.kernel.fork_space(&mut m.mock, parent).expect("enough memory"));
    }
    assert_eq!(m.kernel.frames().anon, 1000);
    assert_eq!(m.kernel.counters().fork_pages_shared, 1_000_000);
    // Every other one dies, oldest first; the rest see what they saw.
    for &child in children.iter().step_by(2) {
        m.kernel.destroy_space(&mut m.mock, child);
    }
    m.audit();
    for (n, &child) in children.iter().skip(1).step_by(2).enumerate() {
        m.space = child;
        m.store(va + n as u64 * PAGE, 0xff).unwrap();
        assert_eq!(m.load(va + (n as u64 + 1) % 1000 * PAGE), Ok((n + 1) as u8));
    }
    assert_eq!(m.kernel.counters().cow_copied, 500);
    m.space = parent;
    assert!((0..1000).all(|page| m.load(va + page * PAGE) == Ok(page as u8)));
    for child in children.into_iter().skip(1).step_by(2) {
        m.kernel.destroy_space(&mut m.mock, child);
    }
    end(&mut m, [parent]);
}
