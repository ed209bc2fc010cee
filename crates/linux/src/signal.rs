//! Signals: numbers, actions, masks, and what is pending.
//!
//! ```text
//!   fault ───────► force(signal) ──► blocked or ignored? ──► killed
//!                                └─► deliver ──► handler's frame (signal_frame.rs)
//!   tgkill(self) ► raise(signal) ──► pending ──► at the end of a system call, unless blocked:
//!                                                ignore │ kill │ deliver
//! ```
//!
//! Invariants:
//! 1. SIGKILL and SIGSTOP are never blocked, caught or ignored.
//! 2. A pending signal is delivered lowest number first, synchronous ones before others.

use crate::errno::Errno;

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
    /// The process stops; with no one to continue it, it goes on.
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
        /// si_code: SI_USER or SI_TKILL.
        code: i32,
        /// si_pid.
        pid: u32,
    },
}

/// si_code of kill.
pub const SI_USER: i32 = 0;
/// si_code of tkill and tgkill.
pub const SI_TKILL: i32 = -6;
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

/// The signal state of a process.
#[derive(Clone, Debug)]
pub struct Signals {
    actions: [Action; 64],
    /// Blocked signals.
    mask: u64,
    pending: u64,
    causes: [Cause; 64],
    /// The alternate stack.
    pub alt_stack: AltStack,
    /// The mask to return to after a handler that rt_sigsuspend let in.
    pub suspended_mask: Option<u64>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            actions: [Action::default(); 64],
            mask: 0,
            pending: 0,
            causes: [Cause::Sender { code: SI_USER, pid: 0 }; 64],
            alt_stack: AltStack::default(),
            suspended_mask: None,
        }
    }
}

impl Signals {
    /// The action for a signal.
    pub const fn action(&self, signal: Signal) -> Action {
        self.actions[signal.0 as usize - 1]
    }

    /// Sets the action for a signal. An ignored signal that is pending is forgotten.
    pub fn set_action(&mut self, signal: Signal, action: Action) {
        let action = Action { mask: action.mask & !UNBLOCKABLE, ..action };
        self.actions[usize::from(signal.0) - 1] = action;
        if self.is_ignored(signal) {
            self.pending &= !signal.bit();
        }
    }

    /// The blocked signals.
    pub const fn mask(&self) -> u64 {
        self.mask
    }

    /// Sets the blocked signals.
    pub const fn set_mask(&mut self, mask: u64) {
        self.mask = mask & !UNBLOCKABLE;
    }

    /// The pending signals.
    pub const fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether delivering the signal would do nothing.
    pub fn is_ignored(&self, signal: Signal) -> bool {
        match self.action(signal).handler {
            SIG_IGN => true,
            SIG_DFL => signal.default_action() == DefaultAction::Ignore,
            _ => false,
        }
    }

    /// Whether the signal is blocked.
    pub const fn is_blocked(&self, signal: Signal) -> bool {
        self.mask & signal.bit() != 0
    }

    /// Makes a signal pending, unless it is ignored. Of several alike the first is kept.
    pub fn raise(&mut self, info: SignalInfo) {
        let bit = info.signal.bit();
        if self.pending & bit != 0 || (self.is_ignored(info.signal) && self.mask & bit == 0) {
            return;
        }
        self.pending |= bit;
        self.causes[usize::from(info.signal.0) - 1] = info.cause;
    }

    /// Makes a signal pending that cannot wait: if it is blocked or ignored, its action becomes the
    /// default and it is unblocked, as Linux' force_sig does.
    pub fn force_pending(&mut self, info: SignalInfo) {
        if self.is_blocked(info.signal) || self.is_ignored(info.signal) {
            self.set_action(info.signal, Action::default());
            self.mask &= !info.signal.bit();
        }
        self.pending &= !info.signal.bit();
        self.raise(info);
    }

    /// Takes the next signal to deliver.
    pub fn take(&mut self) -> Option<SignalInfo> {
        let ready = self.pending & !self.mask;
        let first = if ready & SYNCHRONOUS != 0 { ready & SYNCHRONOUS } else { ready };
        if first == 0 {
            return None;
        }
        let signal = Signal(first.trailing_zeros() as u8 + 1);
        self.pending &= !signal.bit();
        Some(SignalInfo { signal, cause: self.causes[usize::from(signal.0) - 1] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(signal: Signal) -> SignalInfo {
        SignalInfo { signal, cause: Cause::Sender { code: SI_USER, pid: 1 } }
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
        let mut signals = Signals::default();
        signals.set_mask(u64::MAX);
        signals.raise(sent(Signal::SIGTERM));
        signals.raise(sent(Signal::SIGKILL));
        assert_eq!(signals.take(), Some(sent(Signal::SIGKILL)));
        assert_eq!(signals.take(), None);
        assert_eq!(signals.pending(), Signal::SIGTERM.bit());
    }

    #[test]
    fn synchronous_signals_come_first() {
        let mut signals = Signals::default();
        signals.raise(sent(Signal::SIGHUP));
        signals.raise(sent(Signal::SIGSEGV));
        assert_eq!(signals.take(), Some(sent(Signal::SIGSEGV)));
        assert_eq!(signals.take(), Some(sent(Signal::SIGHUP)));
    }

    #[test]
    fn ignored_signals_do_not_wait() {
        let mut signals = Signals::default();
        signals.raise(sent(Signal::SIGCHLD));
        assert_eq!(signals.pending(), 0);
        signals.raise(sent(Signal::SIGUSR1));
        signals.set_action(Signal::SIGUSR1, Action { handler: SIG_IGN, ..Action::default() });
        assert_eq!(signals.pending(), 0);
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
