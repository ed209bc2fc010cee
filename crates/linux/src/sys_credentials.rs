//! Users, groups and capabilities of the calling process.
//!
//! Source: setuid(2), setreuid(2), setresuid(2), setfsuid(2), setgroups(2), capget(2).

use crate::call::{Args, Call, int};
use crate::credentials::{CAP_SETGID, CAP_SETUID, Capabilities, Credentials, GROUPS_MAX, Ids};
use crate::errno::Errno;
use crate::memory::{read_array, read_u32};

/// "Leave it as it is."
const UNCHANGED: u32 = u32::MAX;

/// Users or groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

impl Kind {
    const fn ids(self, who: &Credentials) -> Ids {
        match self {
            Self::User => who.user,
            Self::Group => who.group,
        }
    }

    const fn is_privileged(self, who: &Credentials) -> bool {
        who.can(match self {
            Self::User => CAP_SETUID,
            Self::Group => CAP_SETGID,
        })
    }

    fn set(self, call: &mut Call<'_>, ids: Ids) {
        match self {
            Self::User => call.process.credentials.set_user(ids),
            Self::Group => call.process.credentials.group = ids,
        }
    }
}

pub(crate) fn getuid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.credentials.user.real.into())
}

pub(crate) fn geteuid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.credentials.user.effective.into())
}

pub(crate) fn getgid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.credentials.group.real.into())
}

pub(crate) fn getegid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.credentials.group.effective.into())
}

pub(crate) fn setuid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_one(call, Kind::User, args[0] as u32)
}

pub(crate) fn setgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_one(call, Kind::Group, args[0] as u32)
}

fn set_one(call: &mut Call<'_>, kind: Kind, id: u32) -> Result<u64, Errno> {
    let old = kind.ids(&call.process.credentials);
    let new = match kind.is_privileged(&call.process.credentials) {
        _ if id == UNCHANGED => return Err(Errno::EINVAL),
        true => Ids { real: id, effective: id, saved: id, file_system: id },
        false if id == old.real || id == old.saved => Ids { effective: id, file_system: id, ..old },
        false => return Err(Errno::EPERM),
    };
    kind.set(call, new);
    Ok(0)
}

pub(crate) fn setreuid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_two(call, Kind::User, args)
}

pub(crate) fn setregid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_two(call, Kind::Group, args)
}

fn set_two(call: &mut Call<'_>, kind: Kind, args: Args) -> Result<u64, Errno> {
    let [real, effective] = [args[0] as u32, args[1] as u32];
    let old = kind.ids(&call.process.credentials);
    let privileged = kind.is_privileged(&call.process.credentials);
    let real_is_fine = real == UNCHANGED || real == old.real || real == old.effective;
    let effective_is_fine = effective == UNCHANGED || old.holds(effective);
    if !(privileged || real_is_fine && effective_is_fine) {
        return Err(Errno::EPERM);
    }
    let mut new = old;
    new.real = if real == UNCHANGED { old.real } else { real };
    new.effective = if effective == UNCHANGED { old.effective } else { effective };
    if real != UNCHANGED || (effective != UNCHANGED && effective != old.real) {
        new.saved = new.effective;
    }
    new.file_system = new.effective;
    kind.set(call, new);
    Ok(0)
}

pub(crate) fn setresuid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_three(call, Kind::User, args)
}

pub(crate) fn setresgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_three(call, Kind::Group, args)
}

fn set_three(call: &mut Call<'_>, kind: Kind, args: Args) -> Result<u64, Errno> {
    let wanted = [args[0] as u32, args[1] as u32, args[2] as u32];
    let old = kind.ids(&call.process.credentials);
    let is_fine = |id: &u32| *id == UNCHANGED || old.holds(*id);
    if !kind.is_privileged(&call.process.credentials) && !wanted.iter().all(is_fine) {
        return Err(Errno::EPERM);
    }
    let pick = |new: u32, old: u32| if new == UNCHANGED { old } else { new };
    let effective = pick(wanted[1], old.effective);
    let new = Ids {
        real: pick(wanted[0], old.real),
        effective,
        saved: pick(wanted[2], old.saved),
        file_system: effective,
    };
    kind.set(call, new);
    Ok(0)
}

pub(crate) fn getresuid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    get_three(call, Kind::User, args)
}

pub(crate) fn getresgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    get_three(call, Kind::Group, args)
}

fn get_three(call: &mut Call<'_>, kind: Kind, args: Args) -> Result<u64, Errno> {
    let ids = kind.ids(&call.process.credentials);
    for (at, id) in args.into_iter().zip([ids.real, ids.effective, ids.saved]) {
        call.memory.write(at, &id.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn setfsuid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(set_file_system(call, Kind::User, args[0] as u32))
}

pub(crate) fn setfsgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    Ok(set_file_system(call, Kind::Group, args[0] as u32))
}

/// Returns the number before, changed or not.
fn set_file_system(call: &mut Call<'_>, kind: Kind, id: u32) -> u64 {
    let old = kind.ids(&call.process.credentials);
    let allowed =
        kind.is_privileged(&call.process.credentials) || old.holds(id) || id == old.file_system;
    if allowed && id != UNCHANGED {
        kind.set(call, Ids { file_system: id, ..old });
    }
    old.file_system.into()
}

pub(crate) fn getgroups(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let room = usize::try_from(int(args[0])).map_err(|_| Errno::EINVAL)?;
    let groups = &call.process.credentials.groups;
    let count = groups.len();
    if room == 0 {
        return Ok(count as u64);
    }
    if room < count {
        return Err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
    call.memory.write(args[1], &bytes)?;
    Ok(count as u64)
}

pub(crate) fn setgroups(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if !call.process.credentials.can(CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    let count = usize::try_from(int(args[0])).map_err(|_| Errno::EINVAL)?;
    if count > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; 4 * count];
    call.memory.read(args[1], &mut bytes)?;
    call.charge(bytes.len() as u64)?;
    let (words, _) = bytes.as_chunks();
    let mut groups: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
    groups.sort_unstable();
    call.process.credentials.groups = groups;
    Ok(0)
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words for each set.
const VERSION_3: u32 = 0x2008_0522;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_1: u32 = 0x1998_0330;

/// Words of each set in the version that the header asks for; if it asks for none of them, it is
/// told the newest.
fn words(call: &mut Call<'_>, header: u64) -> Result<Option<u64>, Errno> {
    Ok(match read_u32(call.memory, header)? {
        VERSION_1 => Some(1),
        VERSION_2 | VERSION_3 => Some(2),
        _ => {
            call.memory.write(header, &VERSION_3.to_le_bytes())?;
            None
        }
    })
}

pub(crate) fn capget(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [header, data, ..] = args;
    let Some(words) = words(call, header)? else {
        return if data == 0 { Ok(0) } else { Err(Errno::EINVAL) };
    };
    let pid = read_u32(call.memory, header.checked_add(4).ok_or(Errno::EFAULT)?)?;
    if (pid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let me = pid == 0 || pid == call.process.pid || pid == call.thread.tid;
    let sets = if me {
        call.process.credentials.capabilities
    } else {
        call.system.process(pid).ok_or(Errno::ESRCH)?.credentials.capabilities
    };
    for word in 0..words {
        let half = |set: u64| ((set >> (32 * word)) as u32).to_le_bytes();
        let bytes = [half(sets.effective), half(sets.permitted), half(sets.inheritable)].concat();
        call.memory.write(data.checked_add(12 * word).ok_or(Errno::EFAULT)?, &bytes)?;
    }
    Ok(0)
}

pub(crate) fn capset(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [header, data, ..] = args;
    let words = words(call, header)?.ok_or(Errno::EINVAL)?;
    let pid = read_u32(call.memory, header.checked_add(4).ok_or(Errno::EFAULT)?)?;
    if pid != 0 && pid != call.process.pid && pid != call.thread.tid {
        return Err(Errno::EPERM);
    }
    let mut new = [0u64; 3];
    for word in 0..words {
        let at = data.checked_add(12 * word).ok_or(Errno::EFAULT)?;
        let bytes: [u8; 12] = read_array(call.memory, at)?;
        for (set, half) in new.iter_mut().zip(bytes.as_chunks().0) {
            *set |= u64::from(u32::from_le_bytes(*half)) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = new;
    let old = call.process.credentials.capabilities;
    if permitted & !old.permitted != 0 || effective & !permitted != 0 {
        return Err(Errno::EPERM);
    }
    call.process.credentials.capabilities = Capabilities { effective, permitted, inheritable };
    Ok(0)
}
