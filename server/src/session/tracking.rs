//! What `CLIENT TRACKING` was set to, for other threads to see.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// A set of the options of `CLIENT TRACKING`, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackOptions(u8);

impl TrackOptions {
    /// The client tracks keys.
    pub const ON: Self = TrackOptions(1);
    /// It hears of all keys with some prefix, whether it read them or not.
    pub const BCAST: Self = TrackOptions(1 << 1);
    /// Keys count as read only after `CLIENT CACHING YES`.
    pub const OPTIN: Self = TrackOptions(1 << 2);
    /// Keys count as read except after `CLIENT CACHING NO`.
    pub const OPTOUT: Self = TrackOptions(1 << 3);
    /// It does not want to hear of its own changes.
    pub const NOLOOP: Self = TrackOptions(1 << 4);
    /// `CLIENT CACHING` was given for the next command or transaction.
    pub const CACHING: Self = TrackOptions(1 << 5);
    /// The connection that was to hear of its keys is gone.
    pub const BROKEN_REDIRECT: Self = TrackOptions(1 << 6);

    /// True when all of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        TrackOptions(self.0 | other.0)
    }

    /// True when the keys of a command count as read.
    pub const fn remembers(self) -> bool {
        if !self.has(Self::ON) || self.has(Self::BCAST) {
            return false;
        }
        if self.has(Self::CACHING) { !self.has(Self::OPTOUT) } else { !self.has(Self::OPTIN) }
    }
}

/// What `CLIENT TRACKING` of a connection was set to. Its own thread writes it, except that whoever finds that the
/// redirection leads nowhere says so.
#[derive(Debug, Default)]
pub struct Tracking {
    options: AtomicU8,
    redirect: AtomicU64,
}

impl Tracking {
    /// The options; none while it is off.
    #[inline]
    pub fn options(&self) -> TrackOptions {
        TrackOptions(self.options.load(Relaxed))
    }

    /// The id of the connection that hears of the keys instead, 0 for none.
    pub fn redirect(&self) -> u64 {
        self.redirect.load(Relaxed)
    }

    /// Sets everything anew.
    pub fn set(&self, options: TrackOptions, redirect: u64) {
        self.redirect.store(redirect, Relaxed);
        self.options.store(options.0, Relaxed);
    }

    /// Adds an option.
    pub fn add(&self, option: TrackOptions) {
        self.options.fetch_or(option.0, Relaxed);
    }

    /// Takes an option away.
    pub fn remove(&self, option: TrackOptions) {
        self.options.fetch_and(!option.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::TrackOptions as Options;

    #[test]
    fn the_options_say_whether_keys_count_as_read() {
        let remembers = |options: &[Options]| {
            options.iter().fold(Options::default(), |all, option| all.with(*option)).remembers()
        };
        let (on, caching) = (Options::ON, Options::CACHING);
        assert!(!remembers(&[]));
        assert!(remembers(&[on]) && remembers(&[on, Options::NOLOOP]));
        assert!(!remembers(&[on, Options::BCAST]));
        assert!(!remembers(&[on, Options::OPTIN]) && remembers(&[on, Options::OPTIN, caching]));
        assert!(remembers(&[on, Options::OPTOUT]) && !remembers(&[on, Options::OPTOUT, caching]));
    }
}
