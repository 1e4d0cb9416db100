//! Commands for keys of any type.

use crate::model::{Acl, Family, family};

mod dump;
mod expiry;
mod glob;
mod object;
mod presence;
mod sort;
mod transfer;
mod walk;

pub use dump::{UNLIMITED_MS, pack};
pub use glob::{Case, glob_matches};
pub use presence::del;
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
        &dump::DUMP,
        &dump::RESTORE,
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

/// What nodes of a cluster send each other counts as a command about the server.
pub(super) static FOR_NODES: Family = family("server", Acl::KEYSPACE, &[&dump::RESTORE_ASKING]);

/// What belongs to the types it works on.
pub(super) static OF_TYPES: Family = family(
    "generic",
    Acl::SET.with(Acl::SORTEDSET).with(Acl::LIST).with(Acl::DANGEROUS),
    &[&sort::SORT, &sort::SORT_RO],
);

/// Containers belong to no ACL category of their own; their subcommands do.
pub(super) static CONTAINERS: Family = family("generic", Acl::NONE, &[&object::OBJECT]);
