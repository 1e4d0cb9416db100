//! Deadlines of fields: `HEXPIRE`, `HTTL`, `HPERSIST` and their relatives.

use crate::families::member_expiry::{
    Timed, expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl,
};
use crate::model::{Command, Flag, KeySpec, command};
use tidegate_data::{EventClass, Hash, HashRef};

impl Timed for Hash {
    const CLASS: EventClass = EventClass::Hash;
    const MEMBERS: &'static str = "FIELDS";
    const EXPIRE_EVENT: &'static str = "hexpire";
    const PERSIST_EVENT: &'static str = "hpersist";
    const REMOVE_EVENT: &'static str = "hdel";
    const REMOVE: &'static [u8] = b"HDEL";
    const EXPIRE_AT: &'static [u8] = b"HPEXPIREAT";

    fn deadline_ms(view: HashRef<'_>, field: &[u8]) -> Option<i64> {
        view.deadline_ms(field)
    }

    fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) {
        Hash::set_deadline(self, field, deadline_ms);
    }

    fn remove_member(&mut self, field: &[u8]) {
        self.remove(field);
    }
}

const SINCE: &str = "7.4.0";
const COST: &str = "O(N) where N is the number of specified fields";
const CHANGES: KeySpec = KeySpec::first().rw().update();
const ASKS: KeySpec = KeySpec::first().ro().access();

pub(super) static HEXPIRE: Command = command(
    "HEXPIRE",
    "key seconds [condition: NX|XX|GT|LT] FIELDS numfields(integer) field [field ...]",
    expire::<Hash>,
)
.about(SINCE, COST, "Lets fields of a hash end after so many seconds.")
.arity(-6)
.keys(CHANGES)
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static HPEXPIRE: Command = command(
    "HPEXPIRE",
    "key milliseconds [condition: NX|XX|GT|LT] FIELDS numfields(integer) field [field ...]",
    pexpire::<Hash>,
)
.about(SINCE, COST, "Lets fields of a hash end after so many milliseconds.")
.arity(-6)
.keys(CHANGES)
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static HEXPIREAT: Command = command(
    "HEXPIREAT",
    "key unix-time-seconds [condition: NX|XX|GT|LT] FIELDS numfields(integer) field [field ...]",
    expireat::<Hash>,
)
.about(SINCE, COST, "Lets fields of a hash end at a Unix time in seconds.")
.arity(-6)
.keys(CHANGES)
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static HPEXPIREAT: Command = command(
    "HPEXPIREAT",
    "key unix-time-milliseconds [condition: NX|XX|GT|LT] FIELDS numfields(integer) field [field ...]",
    pexpireat::<Hash>,
)
.about(SINCE, COST, "Lets fields of a hash end at a Unix time in milliseconds.")
.arity(-6)
.keys(CHANGES)
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static HTTL: Command =
    command("HTTL", "key FIELDS numfields(integer) field [field ...]", ttl::<Hash>)
        .about(SINCE, COST, "Tells how many seconds fields of a hash have left.")
        .arity(-5)
        .keys(ASKS)
        .flags(&[Flag::Readonly, Flag::Fast])
        .tips(&["nondeterministic_output"]);

pub(super) static HPTTL: Command =
    command("HPTTL", "key FIELDS numfields(integer) field [field ...]", pttl::<Hash>)
        .about(SINCE, COST, "Tells how many milliseconds fields of a hash have left.")
        .arity(-5)
        .keys(ASKS)
        .flags(&[Flag::Readonly, Flag::Fast])
        .tips(&["nondeterministic_output"]);

pub(super) static HEXPIRETIME: Command =
    command("HEXPIRETIME", "key FIELDS numfields(integer) field [field ...]", expiretime::<Hash>)
        .about(SINCE, COST, "Tells when fields of a hash end, as Unix time in seconds.")
        .arity(-5)
        .keys(ASKS)
        .flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static HPEXPIRETIME: Command =
    command("HPEXPIRETIME", "key FIELDS numfields(integer) field [field ...]", pexpiretime::<Hash>)
        .about(SINCE, COST, "Tells when fields of a hash end, as Unix time in milliseconds.")
        .arity(-5)
        .keys(ASKS)
        .flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static HPERSIST: Command =
    command("HPERSIST", "key FIELDS numfields(integer) field [field ...]", persist::<Hash>)
        .about(SINCE, COST, "Takes back when fields of a hash end.")
        .arity(-5)
        .keys(CHANGES)
        .flags(&[Flag::Write, Flag::Fast]);

#[cfg(test)]
mod tests;
