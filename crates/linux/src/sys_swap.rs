//! swapon and swapoff: the machine's swap device in and out of use.
//!
//! There is one device, `/dev/swap`, which is in use from the start. Files of the guest are no swap
//! areas.
//!
//! Source: swapon(2).

use crate::call::{Args, Call};
use crate::credentials::CAP_SYS_ADMIN;
use crate::errno::Errno;
use crate::memory::read_path;
use crate::path::LastLink;
use crate::sys_open::{AT_FDCWD, locate};
use crate::vfs::{BuiltIn, Node};

/// SWAP_FLAG_PREFER with a priority, SWAP_FLAG_DISCARD and its two policies.
const FLAGS: u64 = 0x8000 | 0x7fff | 0x1_0000 | 0x2_0000 | 0x4_0000;

pub(crate) fn swapon(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    check_privilege(call)?;
    if args[1] & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    check_device(call, args[0], "swapon")?;
    call.memory.swap_on().map(|()| 0)
}

pub(crate) fn swapoff(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    check_privilege(call)?;
    check_device(call, args[0], "swapoff")?;
    call.memory.swap_off().map(|()| 0)
}

fn check_privilege(call: &Call<'_>) -> Result<(), Errno> {
    match call.process.credentials.can(CAP_SYS_ADMIN) {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}

/// Whether a path leads to the swap device.
fn check_device(call: &mut Call<'_>, path: u64, name: &str) -> Result<(), Errno> {
    let path = read_path(call.memory, path)?;
    let at = locate(call, AT_FDCWD as u64, &path, LastLink::Follow)?;
    match call.view().node(&at)? {
        Node::BuiltIn(BuiltIn::SwapDevice) => Ok(()),
        _ => {
            call.host.say_once(&format!("{name}: only /dev/swap can be a swap area: EINVAL"));
            Err(Errno::EINVAL)
        }
    }
}
