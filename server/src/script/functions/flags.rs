//! What a function says it does.

use crate::script::Permits;

/// The flags of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// Their names, in the order of their bits.
    const NAMES: [&str; 5] = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

    /// It writes nothing.
    pub const NO_WRITES: Flags = Flags(1);
    /// It may be called when the memory limit is reached.
    pub const ALLOW_OOM: Flags = Flags(2);
    /// It may be called on a replica that has lost its master.
    pub const ALLOW_STALE: Flags = Flags(4);
    /// It may not be called in a cluster.
    pub const NO_CLUSTER: Flags = Flags(8);
    /// It may use keys of several slots.
    pub const ALLOW_CROSS_SLOT: Flags = Flags(16);

    /// True if all of `flags` are set.
    pub fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// What it may do according to them.
    pub fn permits(self) -> Permits {
        Permits {
            declared: true,
            no_writes: self.has(Flags::NO_WRITES),
            allow_oom: self.has(Flags::ALLOW_OOM),
            allow_stale: self.has(Flags::ALLOW_STALE),
            no_cluster: self.has(Flags::NO_CLUSTER),
            allow_cross_slot: self.has(Flags::ALLOW_CROSS_SLOT),
        }
    }

    /// Sets the flag of this name, in whatever case; false when there is none.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let known = Self::NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        if let Some(bit) = known {
            self.0 |= 1 << bit;
        }
        known.is_some()
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::NAMES).filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }
}
