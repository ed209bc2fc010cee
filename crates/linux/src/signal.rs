//! Signals: numbers, actions, masks, and what is pending.
//!
//! ```text
//!   fault ──► force(signal) ──► blocked or ignored? ──► killed
//!                           └─► deliver ──► handler's frame (signal_frame.rs)
//!   tgkill ─► the thread's ───┐ pending ──► before the thread returns to its program, unless
//!   kill ───► the process's ──┘             blocked: ignore │ kill │ stop │ deliver
//! ```
//!
//! Invariants:
//! 1. SIGKILL and SIGSTOP are never blocked, caught or ignored.
//! 2. A pending signal is delivered lowest number first, synchronous ones before others.

use crate::errno::Errno;
use std::collections::VecDeque;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $number:literal;)*) => {
        impl Signal {
            $(#[doc = concat!("Signal ", $number, ".")] pub const $name: Self = Self($number);)*

            /// The symbolic name; real-time signals have none of their own.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => stringify!($name),)*
                    _ => "SIGRT",
                }
            }
        }
    };
}

signals! {
    SIGHUP = 1; SIGINT = 2; SIGQUIT = 3; SIGILL = 4; SIGTRAP = 5; SIGABRT = 6; SIGBUS = 7;
    SIGFPE = 8; SIGKILL = 9; SIGUSR1 = 10; SIGSEGV = 11; SIGUSR2 = 12; SIGPIPE = 13; SIGALRM = 14;
    SIGTERM = 15; SIGSTKFLT = 16; SIGCHLD = 17; SIGCONT = 18; SIGSTOP = 19; SIGTSTP = 20;
    SIGTTIN = 21; SIGTTOU = 22; SIGURG = 23; SIGXCPU = 24; SIGXFSZ = 25; SIGVTALRM = 26;
    SIGPROF = 27; SIGWINCH = 28; SIGIO = 29; SIGPWR = 30; SIGSYS = 31;
}

/// What happens without a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    Kill,
    /// Nothing.
    Ignore,
    /// The process stops until SIGCONT.
    Stop,
}

impl Signal {
    /// The signal of that number.
    ///
    /// # Errors
    /// EINVAL if there is none.
    pub const fn new(number: u64) -> Result<Self, Errno> {
        match number {
            1..=64 => Ok(Self(number as u8)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The set that holds only this signal.
    pub const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// Whether each one sent is told (a real-time signal): others are pending once.
    pub const fn is_queued(self) -> bool {
        self.0 >= SIGRTMIN
    }

    /// What happens without a handler (signal(7)).
    pub const fn default_action(self) -> DefaultAction {
        match self {
            Self::SIGCHLD | Self::SIGCONT | Self::SIGURG | Self::SIGWINCH => DefaultAction::Ignore,
            Self::SIGSTOP | Self::SIGTSTP | Self::SIGTTIN | Self::SIGTTOU => DefaultAction::Stop,
            _ => DefaultAction::Kill,
        }
    }
}

/// Signals that can be neither blocked nor caught.
pub const UNBLOCKABLE: u64 = Signal::SIGKILL.bit() | Signal::SIGSTOP.bit();

/// Raised by the instruction stream itself; delivered before others.
const SYNCHRONOUS: u64 = Signal::SIGSEGV.bit()
    | Signal::SIGBUS.bit()
    | Signal::SIGILL.bit()
    | Signal::SIGTRAP.bit()
    | Signal::SIGFPE.bit()
    | Signal::SIGSYS.bit();

/// sa_handler of the default action.
pub const SIG_DFL: u64 = 0;
/// sa_handler of an ignored signal.
pub const SIG_IGN: u64 = 1;

/// No SIGCHLD for children that stop.
pub const SA_NOCLDSTOP: u64 = 1;
/// Children that end leave nothing to wait for.
pub const SA_NOCLDWAIT: u64 = 2;
/// Calls that the handler interrupted are made again.
pub const SA_RESTART: u64 = 0x1000_0000;
/// Run on the alternate stack.
pub const SA_ONSTACK: u64 = 0x0800_0000;
/// Do not block the signal during its handler.
pub const SA_NODEFER: u64 = 0x4000_0000;
/// Back to the default when delivered.
pub const SA_RESETHAND: u64 = 0x8000_0000;

/// `struct sigaction` of the kernel: on RISC-V three words, without a restorer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// SIG_DFL, SIG_IGN or the handler's address.
    pub handler: u64,
    /// SA_ flags.
    pub flags: u64,
    /// Blocked during the handler.
    pub mask: u64,
}

/// The alternate signal stack (`stack_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AltStack {
    /// The lowest address.
    pub base: u64,
    /// Bytes; 0 if disabled.
    pub bytes: u64,
    /// SS_AUTODISARM if asked for.
    pub flags: u32,
}

/// ss_flags: the process runs on it now.
pub const SS_ONSTACK: u32 = 1;
/// ss_flags: there is none.
pub const SS_DISABLE: u32 = 2;
/// ss_flags: forget it while a handler runs on it.
pub const SS_AUTODISARM: u32 = 1 << 31;

impl AltStack {
    /// Whether a stack pointer is on it.
    pub const fn holds(&self, sp: u64) -> bool {
        // As Linux' __on_sig_stack: the stack grows down, so the top belongs to it.
        sp > self.base && sp - self.base <= self.bytes
    }

    /// Whether a program with this stack pointer counts as running on it. With SS_AUTODISARM the
    /// stack is forgotten as soon as it is entered.
    pub const fn in_use(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.holds(sp)
    }

    /// `ss_flags` for a program with this stack pointer.
    pub const fn status(&self, sp: u64) -> u32 {
        let state = if self.bytes == 0 {
            SS_DISABLE
        } else if self.in_use(sp) {
            SS_ONSTACK
        } else {
            0
        };
        state | self.flags
    }
}

/// Who sent a signal, as `siginfo_t` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A fault at an address: SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE.
    Fault {
        /// si_code.
        code: i32,
        /// si_addr.
        addr: u64,
    },
    /// A process, by kill or tgkill.
    Sender {
        /// si_code: SI_USER, SI_TKILL or SI_KERNEL.
        code: i32,
        /// si_pid.
        pid: u32,
        /// si_uid.
        uid: u32,
    },
    /// A process, by sigqueue, with a value.
    Queued {
        /// si_code, negative.
        code: i32,
        /// si_pid.
        pid: u32,
        /// si_uid.
        uid: u32,
        /// si_value.
        value: u64,
    },
    /// A child that ended, stopped or went on.
    Child {
        /// si_code: CLD_EXITED …
        code: i32,
        /// si_pid.
        pid: u32,
        /// si_uid.
        uid: u32,
        /// si_status.
        status: i32,
    },
    /// A timer of timer_create.
    Timer {
        /// si_timerid.
        id: u32,
        /// si_overrun.
        overrun: u32,
        /// si_value.
        value: u64,
    },
}

/// si_code of kill.
pub const SI_USER: i32 = 0;
/// si_code of tkill and tgkill.
pub const SI_TKILL: i32 = -6;
/// si_code of a timer of timer_create.
pub const SI_TIMER: i32 = -2;
/// si_code of the kernel itself.
pub const SI_KERNEL: i32 = 0x80;

/// A signal with its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    /// Which.
    pub signal: Signal,
    /// Why.
    pub cause: Cause,
}

/// Queued signals of one thread or process at most (Linux: RLIMIT_SIGPENDING).
const QUEUED_MAX: usize = 1024;

/// The first real-time signal; those are queued, others are pending once.
const SIGRTMIN: u8 = 32;

/// Signals on their way.
#[derive(Clone, Debug, Default)]
pub struct Pending(VecDeque<SignalInfo>);

impl Pending {
    /// The signals that wait here.
    pub fn set(&self) -> u64 {
        self.0.iter().fold(0, |set, info| set | info.signal.bit())
    }

    /// Adds a signal. Of several alike that are not real-time signals the first is kept.
    ///
    /// # Errors
    /// EAGAIN if too many are queued.
    pub fn add(&mut self, info: SignalInfo) -> Result<(), Errno> {
        if !info.signal.is_queued() && self.set() & info.signal.bit() != 0 {
            return Ok(());
        }
        if self.is_full() && info.signal.is_queued() {
            return Err(Errno::EAGAIN);
        }
        self.0.push_back(info);
        Ok(())
    }

    /// How many are queued.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no more can be queued.
    pub fn is_full(&self) -> bool {
        self.0.len() >= QUEUED_MAX
    }

    /// Forgets the signals of a set.
    pub fn remove(&mut self, set: u64) {
        self.0.retain(|info| info.signal.bit() & set == 0);
    }

    /// A timer was set anew: what it sent before is not news.
    pub fn forget_timer(&mut self, timer: u32) {
        self.0.retain(|info| !matches!(info.cause, Cause::Timer { id, .. } if id == timer));
    }

    /// Takes the first of the lowest-numbered signals of a set.
    pub fn take(&mut self, set: u64) -> Option<SignalInfo> {
        let wanted = self.0.iter().filter(|info| info.signal.bit() & set != 0);
        let lowest = wanted.map(|info| info.signal).min()?;
        let place = self.0.iter().position(|info| info.signal == lowest)?;
        self.0.remove(place)
    }
}

/// What the threads of a process share: its actions, and signals for any of them.
#[derive(Clone, Debug)]
pub struct GroupSignals {
    actions: [Action; 64],
    /// Signals that any thread may take.
    pub pending: Pending,
}

impl Default for GroupSignals {
    fn default() -> Self {
        Self { actions: [Action::default(); 64], pending: Pending::default() }
    }
}

impl GroupSignals {
    /// The action for a signal.
    pub const fn action(&self, signal: Signal) -> Action {
        self.actions[signal.0 as usize - 1]
    }

    /// Sets the action for a signal. The caller forgets what is pending if it is ignored now.
    pub fn set_action(&mut self, signal: Signal, action: Action) {
        let action = Action { mask: action.mask & !UNBLOCKABLE, ..action };
        self.actions[usize::from(signal.0) - 1] = action;
        if self.is_ignored(signal) {
            self.pending.remove(signal.bit());
        }
    }

    /// Handlers are gone after exec; what is ignored stays ignored.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.actions {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = Action { handler, ..Action::default() };
        }
    }

    /// Whether delivering the signal would do nothing.
    pub fn is_ignored(&self, signal: Signal) -> bool {
        match self.action(signal).handler {
            SIG_IGN => true,
            SIG_DFL => signal.default_action() == DefaultAction::Ignore,
            _ => false,
        }
    }

    /// A copy for a new process: the actions, nothing pending.
    pub fn inherit(&self) -> Self {
        Self { actions: self.actions, pending: Pending::default() }
    }
}

/// A thread's own signals.
#[derive(Clone, Debug, Default)]
pub struct ThreadSignals {
    mask: u64,
    /// Signals for this thread alone.
    pub pending: Pending,
    /// The alternate stack.
    pub alt_stack: AltStack,
    /// The mask to return to after a handler that rt_sigsuspend, ppoll or another let in.
    pub suspended_mask: Option<u64>,
}

impl ThreadSignals {
    /// The blocked signals.
    pub const fn mask(&self) -> u64 {
        self.mask
    }

    /// Sets the blocked signals.
    pub const fn set_mask(&mut self, mask: u64) {
        self.mask = mask & !UNBLOCKABLE;
    }

    /// Whether the signal is blocked.
    pub const fn is_blocked(&self, signal: Signal) -> bool {
        self.mask & signal.bit() != 0
    }

    /// Signals that could be delivered now, of the thread's or its process's.
    pub fn deliverable(&self, group: &GroupSignals) -> u64 {
        (self.pending.set() | group.pending.set()) & !self.mask
    }

    /// Makes a signal pending that cannot wait: if it is blocked or ignored, its action becomes the
    /// default and it is unblocked, as Linux' force_sig does.
    pub fn force(&mut self, group: &mut GroupSignals, info: SignalInfo) {
        if self.is_blocked(info.signal) || group.is_ignored(info.signal) {
            group.set_action(info.signal, Action::default());
            self.mask &= !info.signal.bit();
        }
        self.pending.remove(info.signal.bit());
        // There is room: one more of a kind that is pending once.
        let _queued = self.pending.add(info);
    }

    /// Takes the next signal to deliver: the thread's own first, synchronous ones before others.
    pub fn take(&mut self, group: &mut GroupSignals) -> Option<SignalInfo> {
        let open = !self.mask;
        self.pending
            .take(open & SYNCHRONOUS)
            .or_else(|| self.pending.take(open))
            .or_else(|| group.pending.take(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(signal: Signal) -> SignalInfo {
        SignalInfo { signal, cause: Cause::Sender { code: SI_USER, pid: 1, uid: 0 } }
    }

    #[test]
    fn numbers_are_bounded() {
        assert!(Signal::new(0).is_err());
        assert!(Signal::new(65).is_err());
        assert_eq!(Signal::new(64).unwrap().bit(), 1 << 63);
        assert_eq!(Signal::new(11).unwrap().name(), "SIGSEGV");
    }

    #[test]
    fn kill_cannot_be_blocked() {
        let (mut group, mut thread) = (GroupSignals::default(), ThreadSignals::default());
        thread.set_mask(u64::MAX);
        group.pending.add(sent(Signal::SIGTERM)).unwrap();
        group.pending.add(sent(Signal::SIGKILL)).unwrap();
        assert_eq!(thread.take(&mut group), Some(sent(Signal::SIGKILL)));
        assert_eq!(thread.take(&mut group), None);
        assert_eq!(group.pending.set(), Signal::SIGTERM.bit());
    }

    #[test]
    fn synchronous_signals_come_first() {
        let (mut group, mut thread) = (GroupSignals::default(), ThreadSignals::default());
        thread.pending.add(sent(Signal::SIGHUP)).unwrap();
        thread.pending.add(sent(Signal::SIGSEGV)).unwrap();
        assert_eq!(thread.take(&mut group), Some(sent(Signal::SIGSEGV)));
        assert_eq!(thread.take(&mut group), Some(sent(Signal::SIGHUP)));
    }

    #[test]
    fn real_time_signals_are_queued_and_others_are_not() {
        let mut pending = Pending::default();
        let real_time = sent(Signal::new(40).unwrap());
        for info in [sent(Signal::SIGUSR1), sent(Signal::SIGUSR1), real_time, real_time] {
            pending.add(info).unwrap();
        }
        let all = std::iter::from_fn(|| pending.take(u64::MAX)).collect::<Vec<_>>();
        assert_eq!(all, [sent(Signal::SIGUSR1), real_time, real_time]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut pending = Pending::default();
        let real_time = sent(Signal::new(64).unwrap());
        assert!((0..QUEUED_MAX).all(|_| pending.add(real_time).is_ok()));
        assert_eq!(pending.add(real_time), Err(Errno::EAGAIN));
        assert_eq!(pending.add(sent(Signal::SIGKILL)), Ok(()));
    }

    #[test]
    fn ignoring_a_signal_forgets_it() {
        let mut group = GroupSignals::default();
        group.pending.add(sent(Signal::SIGUSR1)).unwrap();
        group.set_action(Signal::SIGUSR1, Action { handler: SIG_IGN, ..Action::default() });
        assert_eq!(group.pending.set(), 0);
    }

    #[test]
    fn the_top_of_the_alternate_stack_belongs_to_it() {
        let stack = AltStack { base: 0x1000, bytes: 0x1000, flags: 0 };
        assert!(stack.holds(0x2000) && stack.holds(0x1001));
        assert!(!stack.holds(0x1000) && !stack.holds(0x2001));
        assert_eq!(stack.status(0x1800), SS_ONSTACK);
        assert_eq!(AltStack::default().status(0), SS_DISABLE);
    }
}
