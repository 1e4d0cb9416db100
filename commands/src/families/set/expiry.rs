//! Deadlines of members: `SEXPIRE`, `STTL`, `SPERSIST` and their relatives, in the shape of `HEXPIRE` with `MEMBERS` for
//! `FIELDS`. Redis has them for the fields of hashes only.

use crate::families::member_expiry::{
    Timed, expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl,
};
use crate::model::{Command, Flag, KeySpec, command};
use tidegate_data::EventClass;
use tidegate_data::types::set::{Set, SetRef};

impl Timed for Set {
    const CLASS: EventClass = EventClass::Set;
    const MEMBERS: &'static str = "MEMBERS";
    const EXPIRE_EVENT: &'static str = "sexpire";
    const PERSIST_EVENT: &'static str = "spersist";
    const REMOVE_EVENT: &'static str = "srem";
    const REMOVE: &'static [u8] = b"SREM";
    const EXPIRE_AT: &'static [u8] = b"SPEXPIREAT";

    fn deadline_ms(view: SetRef<'_>, member: &[u8]) -> Option<i64> {
        view.deadline_ms(member)
    }

    fn set_deadline(&mut self, member: &[u8], deadline_ms: Option<i64>) {
        Set::set_deadline(self, member, deadline_ms);
    }

    fn remove_member(&mut self, member: &[u8]) {
        self.remove(member);
    }
}

const SINCE: &str = "0.1.0";
const COST: &str = "O(N) where N is the number of specified members";

pub(super) static SEXPIRE: Command = command(
    "SEXPIRE",
    "key seconds [condition: NX|XX|GT|LT] MEMBERS nummembers(integer) member [member ...]",
    expire::<Set>,
)
.about(SINCE, COST, "Lets members of a set end after so many seconds.")
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static SPEXPIRE: Command = command(
    "SPEXPIRE",
    "key milliseconds [condition: NX|XX|GT|LT] MEMBERS nummembers(integer) member [member ...]",
    pexpire::<Set>,
)
.about(SINCE, COST, "Lets members of a set end after so many milliseconds.")
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static SEXPIREAT: Command = command(
    "SEXPIREAT",
    "key unix-time-seconds [condition: NX|XX|GT|LT] MEMBERS nummembers(integer) member [member ...]",
    expireat::<Set>,
)
.about(SINCE, COST, "Lets members of a set end at a Unix time in seconds.")
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static SPEXPIREAT: Command = command(
    "SPEXPIREAT",
    "key unix-time-milliseconds [condition: NX|XX|GT|LT] MEMBERS nummembers(integer) member [member ...]",
    pexpireat::<Set>,
)
.about(SINCE, COST, "Lets members of a set end at a Unix time in milliseconds.")
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static STTL: Command =
    command("STTL", "key MEMBERS nummembers(integer) member [member ...]", ttl::<Set>)
        .about(SINCE, COST, "Tells how many seconds members of a set have left.")
        .arity(-5)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Fast])
        .tips(&["nondeterministic_output"]);

pub(super) static SPTTL: Command =
    command("SPTTL", "key MEMBERS nummembers(integer) member [member ...]", pttl::<Set>)
        .about(SINCE, COST, "Tells how many milliseconds members of a set have left.")
        .arity(-5)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Fast])
        .tips(&["nondeterministic_output"]);

pub(super) static SEXPIRETIME: Command =
    command("SEXPIRETIME", "key MEMBERS nummembers(integer) member [member ...]", expiretime::<Set>)
        .about(SINCE, COST, "Tells when members of a set end, as Unix time in seconds.")
        .arity(-5)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static SPEXPIRETIME: Command =
    command("SPEXPIRETIME", "key MEMBERS nummembers(integer) member [member ...]", pexpiretime::<Set>)
        .about(SINCE, COST, "Tells when members of a set end, as Unix time in milliseconds.")
        .arity(-5)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static SPERSIST: Command =
    command("SPERSIST", "key MEMBERS nummembers(integer) member [member ...]", persist::<Set>)
        .about(SINCE, COST, "Takes back when members of a set end.")
        .arity(-5)
        .keys(KeySpec::first().rw().update())
        .flags(&[Flag::Write, Flag::Fast]);

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

    #[test]
    fn members_end_at_their_time() {
        let mut bench = Bench::default();
        bench.run("SADD s a b c");
        assert_eq!(bench.run("SEXPIRE s 10 MEMBERS 2 a x").text(), "*2 :1 :-2");
        assert_eq!(bench.run("SPEXPIRE s 10001 MEMBERS 1 b").text(), "*1 :1");
        assert_eq!(bench.run("STTL s MEMBERS 4 a b c x").text(), "*4 :10 :11 :-1 :-2");
        assert_eq!(bench.run("SPTTL s MEMBERS 2 a b").text(), "*2 :10000 :10001");
        let seconds = START_MS / 1000 + 10;
        assert_eq!(bench.run("SEXPIRETIME s MEMBERS 1 a").text(), format!("*1 :{seconds}"));
        assert_eq!(bench.run("SPEXPIRETIME s MEMBERS 1 a").text(), format!("*1 :{}", START_MS + 10_000));
        bench.now_ms += 10_001;
        let ran = bench.run("SCARD s");
        assert_eq!(ran.text(), ":2");
        assert_eq!(ran.events, ["sexpired s"]);
        assert_eq!(
            String::from_utf8_lossy(ran.effects.bytes()),
            "*3\r\n$4\r\nSREM\r\n$1\r\ns\r\n$1\r\na\r\n"
        );
        assert_eq!(bench.run("SMISMEMBER s a b c").text(), "*3 :0 :1 :1");
        assert_eq!(bench.run("SADD s a").text(), ":1");
        assert_eq!(bench.run("STTL s MEMBERS 1 a").text(), "*1 :-1");
    }

    #[test]
    fn a_set_ends_with_its_last_member() {
        let mut bench = Bench::default();
        bench.run("SADD s a b");
        bench.run("SPEXPIRE s 5 MEMBERS 2 a b");
        bench.now_ms += 6;
        let ran = bench.run("EXISTS s");
        assert_eq!(ran.text(), ":0");
        assert_eq!(ran.events, ["sexpired s", "del s", "keymiss s"]);
    }

    #[test]
    fn deadlines_are_replayed_as_points_in_time() {
        let at = START_MS + 10_000;
        let effect = format!("SPEXPIREAT s {at} MEMBERS 1 a");
        check_effects(&["SADD s a", "SEXPIRE s 10 MEMBERS 2 a x"], &[&effect]);
        check_effects(&["SADD s a", &effect], &[&effect]);
        let line = format!("SEXPIREAT s {} MEMBERS 1 a", at / 1000);
        check_effects(&["SADD s a", &line], &[&effect]);
        check_effects(&["SADD s a b", "SEXPIRE s 0 MEMBERS 1 a"], &["SREM s a"]);
        check_effects(&["SADD s a", "SEXPIRE s 10 XX MEMBERS 1 a"], &[]);
        check_events(&["SADD s a", "SEXPIRE s 10 MEMBERS 1 a"], &["sexpire s"]);
        check_events(&["SADD s a", "SEXPIRE s 0 MEMBERS 1 a"], &["srem s", "del s"]);
    }

    #[test]
    fn spersist_takes_deadlines_back() {
        let setup = ["SADD s a b", "SEXPIRE s 10 MEMBERS 1 a"];
        check(&[setup[0], setup[1], "SPERSIST s MEMBERS 3 a b c"], "*3 :1 :-1 :-2");
        check(&[setup[0], setup[1], "SPERSIST s MEMBERS 1 a", "STTL s MEMBERS 1 a"], "*1 :-1");
        check_effects(&[setup[0], setup[1], "SPERSIST s MEMBERS 1 a"], &["SPERSIST s MEMBERS 1 a"]);
        check_effects(&[setup[0], setup[1], "SPERSIST s MEMBERS 1 b"], &[]);
        check_events(&[setup[0], setup[1], "SPERSIST s MEMBERS 1 a"], &["spersist s"]);
    }

    #[test]
    fn conditions() {
        check(&["SADD s a", "SEXPIRE s 10 NX MEMBERS 1 a"], "*1 :1");
        check(&["SADD s a", "SEXPIRE s 10 XX MEMBERS 1 a"], "*1 :0");
        check(&["SADD s a", "SEXPIRE s 10 MEMBERS 1 a", "SEXPIRE s 5 GT MEMBERS 1 a"], "*1 :0");
        check(&["SADD s a", "SEXPIRE s 10 MEMBERS 1 a", "SEXPIRE s 5 LT MEMBERS 1 a"], "*1 :1");
        check(&["SADD s a", "SEXPIRE s 0 MEMBERS 1 a"], "*1 :2");
        check(&["SEXPIRE s 10 MEMBERS 2 a b"], "*2 :-2 :-2");
        check(&["STTL s MEMBERS 1 a"], "*1 :-2");
    }

    #[test]
    fn refusals() {
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&["SET s x", "SEXPIRE s 10 MEMBERS 1 a"], wrong_type);
        check(&["SET s x", "STTL s MEMBERS 1 a"], wrong_type);
        check(
            &["SADD s a", "SEXPIRE s 10 FIELDS 1 a"],
            "-ERR Mandatory argument MEMBERS is missing or not at the right position",
        );
        check(
            &["SADD s a", "SEXPIRE s 10 MEMBERS 2 a"],
            "-ERR The `nummembers` parameter must match the number of arguments",
        );
        check(
            &["SADD s a", "SEXPIRE s 10 MEMBERS 0 a"],
            "-ERR Parameter `numMembers` should be greater than 0",
        );
    }

    #[test]
    fn what_happens_to_deadlines() {
        let ttl = |lines: &[&str], reply: &str| {
            let mut all = vec!["SADD s a b c", "SEXPIRE s 10 MEMBERS 1 a"];
            all.extend(lines);
            check(&all, reply);
        };
        // Adding what is there changes nothing; what was removed and comes back starts anew.
        ttl(&["SADD s a", "STTL s MEMBERS 1 a"], "*1 :10");
        ttl(&["SREM s a", "SADD s a", "STTL s MEMBERS 1 a"], "*1 :-1");
        // A member keeps its deadline on its way to another set, as the set does.
        ttl(&["SMOVE s t a", "STTL t MEMBERS 1 a"], "*1 :10");
        ttl(&["SADD t a", "SMOVE s t a", "STTL t MEMBERS 1 a"], "*1 :-1");
        ttl(&["RENAME s t", "STTL t MEMBERS 1 a"], "*1 :10");
        ttl(&["COPY s t", "STTL t MEMBERS 1 a"], "*1 :10");
        // Computed sets have none.
        ttl(&["SUNIONSTORE t s", "STTL t MEMBERS 1 a"], "*1 :-1");
        ttl(&["OBJECT ENCODING s"], "$9 hashtable");
    }
}
