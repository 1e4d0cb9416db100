//! Commands for keys of any type.

use crate::model::{Acl, Family, family};

mod expiry;
mod glob;
mod object;
mod presence;
mod transfer;
mod walk;

pub use glob::{Case, glob_matches};
pub(crate) use walk::{MemberScan, reply_scan, scan_cursor};

pub(super) static FAMILY: Family = family(
    "generic",
    Acl::KEYSPACE,
    &[
        &presence::DEL,
        &presence::UNLINK,
        &presence::EXISTS,
        &presence::TOUCH,
        &presence::TYPE,
        &transfer::RENAME,
        &transfer::RENAMENX,
        &transfer::COPY,
        &transfer::MOVE,
        &expiry::EXPIRE,
        &expiry::PEXPIRE,
        &expiry::EXPIREAT,
        &expiry::PEXPIREAT,
        &expiry::TTL,
        &expiry::PTTL,
        &expiry::EXPIRETIME,
        &expiry::PEXPIRETIME,
        &expiry::PERSIST,
        &walk::KEYS,
        &walk::SCAN,
        &walk::RANDOMKEY,
    ],
);

/// Containers belong to no ACL category of their own; their subcommands do.
pub(super) static CONTAINERS: Family = family("generic", Acl::NONE, &[&object::OBJECT]);
