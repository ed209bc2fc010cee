//! Scheduling policies and priorities: what programs ask for, kept and told, and no more.
//!
//! ```text
//!   policy       static priority   what Linux would make of it
//!   OTHER 0      0                 a share, by nice value
//!   FIFO  1      1 to 99           runs until it blocks
//!   RR    2      1 to 99           the same, in turns
//!   BATCH 3      0                 a share, in longer turns
//!   IDLE  5      0                 what nobody else wants
//! ```
//!
//! Architecture invariant: the scheduler is the same round robin for all of them. A run depends on
//! what a program asked for only through the answers that these calls give.
//!
//! Source: sched(7), sched_setscheduler(2), getpriority(2).

use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::memory::read_u32;
use crate::thread::Thread;

const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
/// Or'ed to a policy: children start with OTHER.
const RESET_ON_FORK: u32 = 0x4000_0000;
const PRIORITY_MAX: u32 = 99;
/// A turn of round robin (RR_TIMESLICE), as Linux tells it.
const TURN_NS: u64 = 100_000_000;

/// What a thread asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scheduling {
    policy: u32,
    priority: u32,
    /// -20 to 19.
    nice: i32,
}

impl Scheduling {
    /// Its nice value, -20 to 19.
    pub(crate) const fn nice(self) -> i32 {
        self.nice
    }

    /// What a new thread starts with.
    pub(crate) fn on_fork(self) -> Self {
        if self.policy & RESET_ON_FORK == 0 { self } else { Self::default() }
    }
}

pub(crate) fn sched_setscheduler(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let policy = args[1] as u32;
    let priority = priority_for(policy & !RESET_ON_FORK, read_u32(call.memory, args[2])?)?;
    let scheduling = scheduling_of(call, args[0])?;
    (scheduling.policy, scheduling.priority) = (policy, priority);
    Ok(0)
}

pub(crate) fn sched_getscheduler(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(scheduling_of(call, args[0])?.policy.into())
}

pub(crate) fn sched_setparam(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let wanted = read_u32(call.memory, args[1])?;
    let scheduling = scheduling_of(call, args[0])?;
    scheduling.priority = priority_for(scheduling.policy & !RESET_ON_FORK, wanted)?;
    Ok(0)
}

pub(crate) fn sched_getparam(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let priority = scheduling_of(call, args[0])?.priority;
    call.memory.write(args[1], &priority.to_le_bytes()).map(|()| 0)
}

pub(crate) fn sched_get_priority_max(_: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(if is_real_time(known(args[0] as u32)?) { PRIORITY_MAX.into() } else { 0 })
}

pub(crate) fn sched_get_priority_min(_: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(is_real_time(known(args[0] as u32)?).into())
}

pub(crate) fn sched_rr_get_interval(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let policy = scheduling_of(call, args[0])?.policy & !RESET_ON_FORK;
    let turn_ns = if policy == SCHED_RR { TURN_NS } else { 0 };
    call.write_pair(args[1], [0, turn_ns]).map(|()| 0)
}

/// The nice value, of the calling process or of one thread, as 20 less it: so never negative.
pub(crate) fn getpriority(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok((20 - scheduling_by(call, args[0], args[1])?.nice) as u64)
}

pub(crate) fn setpriority(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    scheduling_by(call, args[0], args[1])?.nice = int(args[2]).clamp(-20, 19);
    Ok(0)
}

fn known(policy: u32) -> Result<u32, Errno> {
    match policy {
        0..=SCHED_BATCH | SCHED_IDLE => Ok(policy),
        _ => Err(Errno::EINVAL),
    }
}

fn is_real_time(policy: u32) -> bool {
    matches!(policy, SCHED_FIFO | SCHED_RR)
}

fn priority_for(policy: u32, priority: u32) -> Result<u32, Errno> {
    let allowed = if is_real_time(known(policy)?) { 1..=PRIORITY_MAX } else { 0..=0 };
    allowed.contains(&priority).then_some(priority).ok_or(Errno::EINVAL)
}

/// Of a thread; 0 is the caller.
fn scheduling_of<'c>(call: &'c mut Call<'_>, tid: u64) -> Result<&'c mut Scheduling, Errno> {
    let tid = u32::try_from(int(tid)).map_err(|_| Errno::EINVAL)?;
    if tid == 0 || tid == call.thread.tid {
        return Ok(&mut call.thread.scheduling);
    }
    let thread: &mut Thread = call.system.threads.get_mut(&tid).ok_or(Errno::ESRCH)?;
    Ok(&mut thread.scheduling)
}

/// Of what getpriority(2) names: PRIO_PROCESS alone; of groups and users, the caller stands for all.
fn scheduling_by<'c>(
    call: &'c mut Call<'_>,
    which: u64,
    who: u64,
) -> Result<&'c mut Scheduling, Errno> {
    match which {
        0 => scheduling_of(call, who),
        1 | 2 => Ok(&mut call.thread.scheduling),
        _ => Err(Errno::EINVAL),
    }
}
