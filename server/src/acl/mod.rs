//! Who may do what: users, their passwords and their rules.
//!
//! [`Users`] is the table of all users. A [`User`] in it never changes: whoever changes rules puts another in its place and
//! moves the generation on, which every connection compares with the one it has seen. What a user may do is in its
//! [`Selector`]s; [`User::check`] judges a request by the declaration of its command. Nothing here knows sockets or replies.

mod catalog;
mod check;
mod describe;
mod enforce;
mod file;
mod log;
#[cfg(debug_assertions)]
mod proof;
mod selector;
mod table;
#[cfg(test)]
mod tests;
mod user;

pub use catalog::Catalog;
pub use check::{Asked, Denied, REACHING, Reason, keys_of};
pub use file::{check_configured, load_configured, load_file, save_file, wrong_users};
pub use log::{AclLog, Context, Logged, What};
#[cfg(debug_assertions)]
pub use proof::prove;
pub use selector::{Access, Commands, Selector};
pub use table::Users;
pub use user::{PasswordHash, User, merge_selectors};

use std::fmt;

/// The user of a connection that did not say who it is.
pub const DEFAULT_USER: &[u8] = b"default";

/// What is wrong with a rule. The texts are those of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// A command or category that there is not.
    Unknown,
    /// Not a rule.
    Syntax,
    /// A key pattern where all keys are allowed.
    KeysAfterAll,
    /// A channel pattern where all channels are allowed.
    ChannelsAfterAll,
    /// A password to be removed that is not there.
    NoSuchPassword,
    /// A hash that is none.
    BadHash,
    /// A user was defined before.
    Duplicate,
    /// A subcommand with a first argument.
    FirstArgOfSubcommand,
}

impl std::error::Error for RuleError {}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::Duplicate => "Duplicate user found. A user can only be defined once in config files",
            Self::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

/// A text up to its first NUL: where Redis takes it for a string of C.
pub fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// True for what could not be written to a file of users and read again.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
