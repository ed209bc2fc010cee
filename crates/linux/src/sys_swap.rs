//! swapon and swapoff: the machine's swap devices in and out of use.
//!
//! The devices are `/dev/swap`, `/dev/swap1` …, and are in use from the start. Files of the guest are
//! no swap areas.
//!
//! Source: swapon(2).

use crate::call::{Args, Call};
use crate::credentials::CAP_SYS_ADMIN;
use crate::errno::Errno;
use crate::memory::read_path;
use crate::path::LastLink;
use crate::sys_open::{AT_FDCWD, locate};
use crate::vfs::{BuiltIn, Node};

/// SWAP_FLAG_PREFER: the low bits are a priority.
const PREFER: u64 = 0x8000;
/// SWAP_FLAG_PRIO_MASK.
const PRIORITY: u64 = 0x7fff;
/// The above, SWAP_FLAG_DISCARD and its two policies.
const FLAGS: u64 = PREFER | PRIORITY | 0x1_0000 | 0x2_0000 | 0x4_0000;

pub(crate) fn swapon(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    check_privilege(call)?;
    if args[1] & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let device = device(call, args[0], "swapon")?;
    let priority = (args[1] & PREFER != 0).then_some((args[1] & PRIORITY) as i32);
    call.memory.swap_on(device, priority).map(|()| 0)
}

pub(crate) fn swapoff(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    check_privilege(call)?;
    let device = device(call, args[0], "swapoff")?;
    call.memory.swap_off(device).map(|()| 0)
}

fn check_privilege(call: &Call<'_>) -> Result<(), Errno> {
    match call.process.credentials.can(CAP_SYS_ADMIN) {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}

/// The swap device that a path leads to.
fn device(call: &mut Call<'_>, path: u64, name: &str) -> Result<usize, Errno> {
    let path = read_path(call.memory, path)?;
    let at = locate(call, AT_FDCWD as u64, &path, LastLink::Follow)?;
    match call.view().node(&at)? {
        Node::BuiltIn(BuiltIn::SwapDevice(index)) => Ok(index),
        _ => {
            call.host.say_once(&format!(
                "{name}: only /dev/swap and its like can be swap areas: EINVAL"
            ));
            Err(Errno::EINVAL)
        }
    }
}
