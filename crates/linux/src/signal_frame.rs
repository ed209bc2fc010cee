//! The frame that a signal handler finds on its stack, as `arch/riscv/kernel/signal.c` lays it out.
//!
//! ```text
//!   sp ─►    0  siginfo_t            128 bytes
//!          128  uc_flags               8
//!          136  uc_link                8
//!          144  uc_stack              24   ss_sp, ss_flags, padding, ss_size
//!          168  uc_sigmask             8
//!          176  room for a larger set 120
//!          296  alignment to 16        8
//!          304  sc_regs              256   pc, then x1 to x31
//!          560  sc_fpregs            528   f0 to f31, fcsr, zeroes (q_ext_state)
//!         1088  end
//! ```
//!
//! The handler runs with a0 = signal, a1 = &siginfo, a2 = &ucontext, ra = a trampoline that calls
//! rt_sigreturn, sp = the frame, 16-byte aligned.

use crate::regs::Regs;
use crate::signal::{AltStack, Cause, SI_TIMER, SignalInfo};

/// The frame's length.
pub const FRAME_BYTES: usize = 1088;
/// The length of `siginfo_t`.
pub const INFO_BYTES: usize = 128;
/// Offset of the `ucontext`.
pub const UCONTEXT: usize = INFO_BYTES;

const SI_SIGNO: usize = 0;
const SI_CODE: usize = 8;
const SI_ADDR: usize = 16;
const SI_PID: usize = 16;
const UC_STACK: usize = UCONTEXT + 16;
const UC_SIGMASK: usize = UCONTEXT + 40;
const SC_REGS: usize = UCONTEXT + 176;
const SC_FPREGS: usize = UCONTEXT + 432;
const FCSR: usize = SC_FPREGS + 256;
/// `reserved` and the header of further extension records; all zero without any.
const RESERVED: usize = SC_FPREGS + 516;

/// What a frame saves besides the signal itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The interrupted registers.
    pub regs: Regs,
    /// The interrupted mask.
    pub mask: u64,
    /// The alternate stack.
    pub alt_stack: AltStack,
}

/// Builds a frame.
pub fn encode(info: SignalInfo, context: &Context) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    encode_siginfo(&mut frame, info);
    let regs = &context.regs;
    let stack = &context.alt_stack;
    put_u64(&mut frame, UC_STACK, stack.base);
    put_u32(&mut frame, UC_STACK + 8, stack.status(regs.x[crate::regs::SP]));
    put_u64(&mut frame, UC_STACK + 16, stack.bytes);
    put_u64(&mut frame, UC_SIGMASK, context.mask);
    put_u64(&mut frame, SC_REGS, regs.pc);
    for i in 1..32 {
        put_u64(&mut frame, SC_REGS + 8 * i, regs.x[i]);
    }
    for i in 0..32 {
        put_u64(&mut frame, SC_FPREGS + 8 * i, regs.f[i]);
    }
    put_u32(&mut frame, FCSR, regs.fcsr);
    frame
}

/// Reads back a frame that the handler may have changed. `None` if it holds what cannot be
/// restored.
pub fn decode(frame: &[u8; FRAME_BYTES]) -> Option<Context> {
    if frame[RESERVED..].iter().any(|&byte| byte != 0) {
        return None;
    }
    let mut regs = Regs { pc: get_u64(frame, SC_REGS), ..Regs::default() };
    for i in 1..32 {
        regs.x[i] = get_u64(frame, SC_REGS + 8 * i);
    }
    for i in 0..32 {
        regs.f[i] = get_u64(frame, SC_FPREGS + 8 * i);
    }
    // Only rounding mode and flags exist in fcsr; the rest reads as zero.
    regs.fcsr = get_u32(frame, FCSR) & 0xff;
    let alt_stack = AltStack {
        base: get_u64(frame, UC_STACK),
        flags: get_u32(frame, UC_STACK + 8),
        bytes: get_u64(frame, UC_STACK + 16),
    };
    Some(Context { regs, mask: get_u64(frame, UC_SIGMASK), alt_stack })
}

/// `siginfo_t`, 128 bytes of which are given.
pub fn encode_siginfo(frame: &mut [u8], info: SignalInfo) {
    put_u32(frame, SI_SIGNO, info.signal.number().into());
    match info.cause {
        Cause::Fault { code, addr } => {
            put_u32(frame, SI_CODE, code as u32);
            put_u64(frame, SI_ADDR, addr);
        }
        Cause::Sender { code, pid, uid } => {
            put_u32(frame, SI_CODE, code as u32);
            put_u32(frame, SI_PID, pid);
            put_u32(frame, SI_PID + 4, uid);
        }
        Cause::Queued { code, pid, uid, value } => {
            put_u32(frame, SI_CODE, code as u32);
            put_u32(frame, SI_PID, pid);
            put_u32(frame, SI_PID + 4, uid);
            put_u64(frame, SI_PID + 8, value);
        }
        Cause::Child { code, pid, uid, status } => {
            put_u32(frame, SI_CODE, code as u32);
            put_u32(frame, SI_PID, pid);
            put_u32(frame, SI_PID + 4, uid);
            put_u32(frame, SI_PID + 8, status as u32);
        }
        Cause::Timer { id, overrun, value } => {
            put_u32(frame, SI_CODE, SI_TIMER as u32);
            put_u32(frame, SI_PID, id);
            put_u32(frame, SI_PID + 4, overrun);
            put_u64(frame, SI_PID + 8, value);
        }
    }
}

fn put_u32(frame: &mut [u8], at: usize, value: u32) {
    frame[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(frame: &mut [u8], at: usize, value: u64) {
    frame[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(frame: &[u8; FRAME_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}

fn get_u64(frame: &[u8; FRAME_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{SI_TKILL, Signal};

    fn context() -> Context {
        let mut regs = Regs { pc: 0x1_0440, fcsr: 0x61, ..Regs::default() };
        for i in 1..32 {
            regs.x[i] = 0x100 + i as u64;
        }
        for i in 0..32 {
            regs.f[i] = 0xf00 + i as u64;
        }
        let alt_stack = AltStack { base: 0x7000, bytes: 0x2000, flags: 0 };
        Context { regs, mask: 0x8000_0001, alt_stack }
    }

    fn fault() -> SignalInfo {
        let cause = Cause::Fault { code: 2, addr: 0xdead_b000 };
        SignalInfo { signal: Signal::SIGSEGV, cause }
    }

    /// Offsets printed by a C program with `offsetof` on RISC-V's own headers.
    #[test]
    fn fields_lie_where_the_headers_say() {
        let frame = encode(fault(), &context());
        assert_eq!(get_u32(&frame, 0), 11);
        assert_eq!(get_u32(&frame, 8), 2);
        assert_eq!(get_u64(&frame, 16), 0xdead_b000);
        assert_eq!(get_u64(&frame, 144), 0x7000);
        assert_eq!(get_u64(&frame, 160), 0x2000);
        assert_eq!(get_u64(&frame, 168), 0x8000_0001);
        assert_eq!(get_u64(&frame, 304), 0x1_0440, "pc");
        assert_eq!(get_u64(&frame, 304 + 8), 0x101, "ra");
        assert_eq!(get_u64(&frame, 304 + 8 * 31), 0x11f, "t6");
        assert_eq!(get_u64(&frame, 560), 0xf00, "f0");
        assert_eq!(get_u64(&frame, 560 + 8 * 31), 0xf1f, "f31");
        assert_eq!(get_u32(&frame, 560 + 256), 0x61, "fcsr");
        assert!(frame[560 + 260..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_is_saved_is_restored() {
        let before = context();
        assert_eq!(decode(&encode(fault(), &before)), Some(before));
    }

    #[test]
    fn unknown_records_are_refused() {
        let mut frame = encode(fault(), &context());
        frame[FRAME_BYTES - 8] = 1;
        assert_eq!(decode(&frame), None);
    }

    #[test]
    fn a_sent_signal_names_its_sender() {
        let cause = Cause::Sender { code: SI_TKILL, pid: 7, uid: 5 };
        let frame = encode(SignalInfo { signal: Signal::SIGABRT, cause }, &context());
        assert_eq!(get_u32(&frame, 8) as i32, -6);
        assert_eq!(get_u32(&frame, 16), 7);
        assert_eq!(get_u32(&frame, 20), 5);
    }
}
