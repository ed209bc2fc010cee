//! prctl and kin: attributes of the process and the thread, and what the processor can do.
//!
//! Source: prctl(2), membarrier(2), personality(2), riscv_hwprobe (Documentation/arch/riscv).

use crate::call::{Args, Call, int};
use crate::credentials::CAP_ALL;
use crate::errno::Errno;
use crate::memory::{read_array, read_u64};
use crate::signal::Signal;
use crate::sys_advice;

/// Attributes of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// What it gets when its parent ends.
    pub death_signal: Option<Signal>,
    dumpable: u64,
    /// It adopts the orphans below it.
    pub is_subreaper: bool,
    no_new_privileges: bool,
    no_huge_pages: bool,
    timer_slack_ns: u64,
    personality: u32,
    /// MEMBARRIER_CMD_REGISTER_ commands that were given.
    barriers: u64,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            death_signal: None,
            dumpable: 1,
            is_subreaper: false,
            no_new_privileges: false,
            no_huge_pages: false,
            timer_slack_ns: TIMER_SLACK_NS,
            personality: 0,
            barriers: 0,
        }
    }
}

impl Attributes {
    /// What a forked process has of them.
    pub(crate) fn inherit(&self) -> Self {
        Self { death_signal: None, is_subreaper: false, ..self.clone() }
    }
}

const TIMER_SLACK_NS: u64 = 50_000;

pub(crate) fn prctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SET_PDEATHSIG: i32 = 1;
    const GET_PDEATHSIG: i32 = 2;
    const GET_DUMPABLE: i32 = 3;
    const SET_DUMPABLE: i32 = 4;
    const GET_KEEPCAPS: i32 = 7;
    const SET_KEEPCAPS: i32 = 8;
    const SET_NAME: i32 = 15;
    const GET_NAME: i32 = 16;
    const GET_SECCOMP: i32 = 21;
    const CAPBSET_READ: i32 = 23;
    const GET_SECUREBITS: i32 = 27;
    const SET_TIMERSLACK: i32 = 29;
    const GET_TIMERSLACK: i32 = 30;
    const SET_CHILD_SUBREAPER: i32 = 36;
    const GET_CHILD_SUBREAPER: i32 = 37;
    const SET_NO_NEW_PRIVS: i32 = 38;
    const GET_NO_NEW_PRIVS: i32 = 39;
    const GET_TID_ADDRESS: i32 = 40;
    const SET_THP_DISABLE: i32 = 41;
    const GET_THP_DISABLE: i32 = 42;
    const SET_VMA: i32 = 0x5356_4d41;
    const SET_VMA_ANON_NAME: u64 = 0;
    let value = args[1];
    let attributes = &mut call.process.attributes;
    match int(args[0]) {
        SET_PDEATHSIG => {
            attributes.death_signal = match value {
                0 => None,
                number => Some(Signal::new(number)?),
            };
        }
        GET_PDEATHSIG => {
            let number = attributes.death_signal.map_or(0, |signal| signal.number().into());
            return write_int(call, value, number);
        }
        GET_DUMPABLE => return Ok(attributes.dumpable),
        SET_DUMPABLE if value <= 1 => attributes.dumpable = value,
        GET_KEEPCAPS => return Ok(call.process.credentials.keeps_capabilities.into()),
        SET_KEEPCAPS if value <= 1 => call.process.credentials.keeps_capabilities = value != 0,
        SET_NAME => {
            let mut name: [u8; 16] = read_array(call.memory, value)?;
            name[15] = 0;
            call.thread.name = name;
        }
        GET_NAME => return call.memory.write(value, &call.thread.name.clone()).map(|()| 0),
        GET_SECCOMP | GET_SECUREBITS => {}
        CAPBSET_READ if value < u64::from(CAP_ALL.count_ones()) => return Ok(1),
        SET_TIMERSLACK => {
            attributes.timer_slack_ns = if value == 0 { TIMER_SLACK_NS } else { value };
        }
        GET_TIMERSLACK => return Ok(attributes.timer_slack_ns),
        SET_CHILD_SUBREAPER => attributes.is_subreaper = value != 0,
        GET_CHILD_SUBREAPER => {
            let flag = u32::from(attributes.is_subreaper);
            return write_int(call, value, flag);
        }
        SET_NO_NEW_PRIVS if value == 1 && args[2..5] == [0; 3] => {
            attributes.no_new_privileges = true;
        }
        GET_NO_NEW_PRIVS if args[1..5] == [0; 4] => return Ok(attributes.no_new_privileges.into()),
        GET_TID_ADDRESS => {
            let at = call.thread.clear_child_tid;
            return call.memory.write(value, &at.to_le_bytes()).map(|()| 0);
        }
        SET_THP_DISABLE if args[2..5] == [0; 3] => attributes.no_huge_pages = value != 0,
        GET_THP_DISABLE if args[1..5] == [0; 4] => return Ok(attributes.no_huge_pages.into()),
        SET_VMA if value == SET_VMA_ANON_NAME => {
            return sys_advice::name_memory(call, args[2], args[3], args[4]);
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn write_int(call: &mut Call<'_>, at: u64, value: u32) -> Result<u64, Errno> {
    call.memory.write(at, &value.to_le_bytes()).map(|()| 0)
}

/// Kept to be read: nothing here depends on it.
pub(crate) fn personality(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const QUERY: u32 = u32::MAX;
    let before = call.process.attributes.personality;
    if args[0] as u32 != QUERY {
        call.process.attributes.personality = args[0] as u32;
    }
    Ok(before.into())
}

/// The machine stays on; who may not ask for anything else hears EPERM as well.
pub(crate) fn reboot(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Err(Errno::EPERM)
}

/// Stores of one hart are seen by all others at once: every barrier is there already.
pub(crate) fn membarrier(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const GLOBAL: u64 = 1;
    const GLOBAL_EXPEDITED: u64 = 2;
    const REGISTER_GLOBAL_EXPEDITED: u64 = 4;
    const PRIVATE_EXPEDITED: u64 = 8;
    const REGISTER_PRIVATE_EXPEDITED: u64 = 16;
    const PRIVATE_EXPEDITED_SYNC_CORE: u64 = 32;
    const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: u64 = 64;
    const ALL: u64 = 127;
    let (command, flags) = (args[0] as u32 as u64, args[1] as u32);
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let barriers = &mut call.process.attributes.barriers;
    match command {
        0 => Ok(ALL),
        GLOBAL | GLOBAL_EXPEDITED => Ok(0),
        REGISTER_GLOBAL_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED_SYNC_CORE => {
            *barriers |= command;
            Ok(0)
        }
        PRIVATE_EXPEDITED | PRIVATE_EXPEDITED_SYNC_CORE if *barriers & command << 1 != 0 => Ok(0),
        PRIVATE_EXPEDITED | PRIVATE_EXPEDITED_SYNC_CORE => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Pairs of keys and values: RV64GC with Zba, Zbb and Zbs, misaligned accesses as fast as others.
pub(crate) fn riscv_hwprobe(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const PAIR_BYTES: u64 = 16;
    const PAIRS_MAX: u64 = 4096;
    const BASE_IMA: u64 = 1;
    const EXTENSIONS: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5;
    const MISALIGNED_FAST: u64 = 3;
    let [pairs, count, _, _, flags, _] = args;
    if flags as u32 != 0 || count > PAIRS_MAX {
        return Err(Errno::EINVAL);
    }
    for n in 0..count {
        let at = pairs.checked_add(n * PAIR_BYTES).ok_or(Errno::EFAULT)?;
        let key = read_u64(call.memory, at)?;
        let pair = match key {
            0..=2 => [key, 0],
            3 => [key, BASE_IMA],
            4 => [key, EXTENSIONS],
            5 => [key, MISALIGNED_FAST],
            _ => [u64::MAX, 0],
        };
        call.write_pair(at, pair)?;
    }
    Ok(0)
}
