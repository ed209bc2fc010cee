//! Who a process acts as: user and group numbers, supplementary groups, capabilities.
//!
//! The guest begins as root. What a process may do to files is the host's business; here the
//! numbers decide who may send signals and who may change the numbers.
//!
//! Source: credentials(7), capabilities(7); Linux kernel/sys.c, security/commoncap.c
//! (cap_emulate_setxuid).

/// CAP_KILL.
pub(crate) const CAP_KILL: u64 = 1 << 5;
/// CAP_SETGID.
pub(crate) const CAP_SETGID: u64 = 1 << 6;
/// CAP_SETUID.
pub(crate) const CAP_SETUID: u64 = 1 << 7;
/// CAP_IPC_LOCK.
pub(crate) const CAP_IPC_LOCK: u64 = 1 << 14;
/// CAP_SYS_ADMIN.
pub(crate) const CAP_SYS_ADMIN: u64 = 1 << 21;
/// All that there are (CAP_LAST_CAP is 40).
pub(crate) const CAP_ALL: u64 = (1 << 41) - 1;
/// Supplementary groups at most.
pub(crate) const GROUPS_MAX: usize = 65_536;

/// The four numbers of a user or group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    pub file_system: u32,
}

impl Ids {
    /// Whether a number is one of the first three.
    pub(crate) const fn holds(&self, id: u32) -> bool {
        id == self.real || id == self.effective || id == self.saved
    }
}

/// Capability sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

/// Who a process acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub user: Ids,
    pub group: Ids,
    pub groups: Vec<u32>,
    pub capabilities: Capabilities,
    /// PR_SET_KEEPCAPS.
    pub keeps_capabilities: bool,
}

impl Default for Credentials {
    fn default() -> Self {
        let capabilities = Capabilities { effective: CAP_ALL, permitted: CAP_ALL, inheritable: 0 };
        Self {
            user: Ids::default(),
            group: Ids::default(),
            groups: Vec::new(),
            capabilities,
            keeps_capabilities: false,
        }
    }
}

impl Credentials {
    /// Whether a capability is in effect.
    pub(crate) const fn can(&self, capability: u64) -> bool {
        self.capabilities.effective & capability != 0
    }

    /// Changes the user's numbers, and the capabilities as root's numbers come and go.
    pub(crate) fn set_user(&mut self, new: Ids) {
        let old = std::mem::replace(&mut self.user, new);
        let capabilities = &mut self.capabilities;
        if old.holds(0) && !new.holds(0) && !self.keeps_capabilities {
            *capabilities = Capabilities { effective: 0, permitted: 0, ..*capabilities };
        }
        match (old.effective == 0, new.effective == 0) {
            (true, false) => capabilities.effective = 0,
            (false, true) => capabilities.effective = capabilities.permitted,
            _ => {}
        }
    }

    /// Whether a process of these may send a signal to one of those (kill(2)).
    pub(crate) const fn may_signal(&self, other: &Self) -> bool {
        let (mine, its) = (&self.user, &other.user);
        self.can(CAP_KILL)
            || mine.real == its.real
            || mine.real == its.saved
            || mine.effective == its.real
            || mine.effective == its.saved
    }

    /// Another program begins: root has all capabilities again, others none.
    pub(crate) fn exec(&mut self) {
        self.user.saved = self.user.effective;
        self.group.saved = self.group.effective;
        self.keeps_capabilities = false;
        let inheritable = self.capabilities.inheritable;
        let (effective, permitted) = match (self.user.effective, self.user.real) {
            (0, _) => (CAP_ALL, CAP_ALL),
            (_, 0) => (0, CAP_ALL),
            _ => (0, 0),
        };
        self.capabilities = Capabilities { effective, permitted, inheritable };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, file_system: id }
    }

    #[test]
    fn root_that_gives_itself_up_can_do_nothing() {
        let mut who = Credentials::default();
        assert!(who.can(CAP_KILL));
        who.set_user(user(1000));
        assert_eq!((who.capabilities.effective, who.capabilities.permitted), (0, 0));
    }

    #[test]
    fn root_comes_back_from_the_saved_number() {
        let mut who = Credentials::default();
        who.set_user(Ids { effective: 1000, file_system: 1000, ..user(0) });
        assert_eq!((who.can(CAP_KILL), who.capabilities.permitted), (false, CAP_ALL));
        who.set_user(user(0));
        assert!(who.can(CAP_KILL));
    }

    #[test]
    fn users_signal_their_own() {
        let [mut a, mut b] = [Credentials::default(), Credentials::default()];
        a.set_user(user(1));
        b.set_user(user(2));
        assert!(!a.may_signal(&b) && a.may_signal(&a));
        assert!(Credentials::default().may_signal(&a));
    }
}
