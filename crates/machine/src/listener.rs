//! What hears of everything that happens, and knows when it happened.

use std::io::{self, Write};

use pagewalk_kernel::{Event, FaultCause};
use pagewalk_linux::{Pid, Regs};
use serde_json::{Map, Value, json};

use crate::event_watcher::{EventWatcher, Watching};
use crate::events::EventSink;
use crate::observe::Observer;

/// What the kernel had done for it by the machine: the basis of its share of virtual time.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Frames filled with zeroes.
    pub frames_zeroed: u64,
    /// Frames copied.
    pub frames_copied: u64,
    /// Pages read from files, also in vain.
    pub file_reads: u64,
    /// Pages written to files, also in vain.
    pub file_writes: u64,
    /// Pages read from swap, also in vain.
    pub swap_reads: u64,
    /// Pages written to swap, also in vain.
    pub swap_writes: u64,
    /// Nanoseconds that swap devices were waited for.
    pub swap_ns: u64,
    /// Nanoseconds spent on compression and decompression.
    pub zswap_ns: u64,
    /// Those of the pages read from and written to files that were transferred while others ran.
    pub file_deferred: u64,
    /// Cycles that a hart waited for transfers that had been begun while others ran.
    pub waited: u64,
    /// Invalidations of translations.
    pub flushes: u64,
    /// Faults resolved, in the order of [`FaultCause::ALL`].
    pub faults: [u64; FaultCause::ALL.len()],
}

/// The listener: counts, and passes events on with the time.
#[derive(Debug, Default)]
pub struct Listener {
    /// What it counted.
    pub traffic: Traffic,
    /// Who sees every reference.
    pub(crate) observer: Option<Box<Observer>>,
    sink: Option<EventSink>,
    watching: Watching,
    /// Instructions retired before the one that is at hand.
    window: u64,
    instruction: u64,
    cycle: u64,
}

impl Listener {
    /// Sends events to `out` from now on.
    pub fn send_to(&mut self, out: Box<dyn Write + Send>) {
        self.sink = Some(EventSink::new(out));
    }

    /// Tells `watcher` of events from now on.
    pub fn tell(&mut self, watcher: Box<dyn EventWatcher>) {
        self.watching = Watching(Some(watcher));
    }

    /// What happens from now on happens after so many instructions.
    pub const fn set_window(&mut self, instructions: u64) {
        self.window = instructions;
    }

    /// A listener for a copied machine: the same counts, nobody to tell. Nor are references seen: a
    /// policy that was told of them acts on what it knows.
    pub fn snapshot(&self) -> Self {
        Self { traffic: self.traffic.clone(), ..Self::default() }
    }

    /// Flushes the stream.
    ///
    /// # Errors
    /// The stream's first error.
    pub fn finish(&mut self) -> io::Result<()> {
        self.sink.as_mut().map_or(Ok(()), EventSink::finish)
    }

    /// Whether nobody hears when events were: then nobody looks at the clock for them.
    pub const fn is_alone(&self) -> bool {
        self.sink.is_none()
    }

    /// It is now this many instructions and cycles after the start.
    pub fn set_now(&mut self, instruction: u64, cycle: u64) {
        self.instruction = instruction;
        self.cycle = cycle;
    }

    /// It is now at least this many cycles after the start: the kernel has waited.
    pub fn advance_to(&mut self, cycle: u64) {
        self.cycle = self.cycle.max(cycle);
    }

    /// Cycles after the start, as far as the kernel knows.
    pub const fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The kernel did something.
    pub fn kernel_event(&mut self, event: &Event<'_>) {
        if let Event::Fault { cause, .. } = event {
            self.traffic.faults[*cause as usize] += 1;
        }
        if let Some(observer) = &mut self.observer {
            observer.event(event);
        }
        if let Some(watcher) = &mut self.watching.0 {
            watcher.kernel(self.window, event);
        }
        if self.sink.is_some() {
            let (name, fields) = crate::kernel_events::fields(event);
            self.write(name, fields);
        }
    }

    /// The program makes a system call.
    pub fn syscall(&mut self, tid: Pid, number: u64, regs: &Regs) {
        if let Some(watcher) = &mut self.watching.0 {
            watcher.syscall(self.window, tid, number, regs.arguments());
        }
        if self.sink.is_some() {
            let fields = object(json!({
                "number": number,
                "name": pagewalk_linux::syscall_name(number),
                "pc": hex(regs.pc),
                "args": regs.arguments().map(hex),
            }));
            self.write("syscall", fields);
        }
    }

    fn write(&mut self, name: &str, fields: Map<String, Value>) {
        if let Some(sink) = &mut self.sink {
            sink.write(self.instruction, self.cycle, name, fields);
        }
    }
}

/// A number as events show addresses: JSON has no 64-bit integers that all readers keep.
pub(crate) fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// The fields of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
