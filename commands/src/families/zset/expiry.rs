//! Deadlines of single members. A sorted set with one is in its large form; changing a score leaves the deadline as it
//! is, and what is stored by another command has none.

use crate::families::member_expiry::{self, Timed};
use crate::model::{Command, Flag, KeySpec, command};
use tidegate_data::{EventClass, NEVER_MS, Zset, ZsetRef};

impl Timed for Zset {
    const CLASS: EventClass = EventClass::Zset;
    const MEMBERS: &'static str = "MEMBERS";
    const EXPIRE_EVENT: &'static str = "zexpire";
    const PERSIST_EVENT: &'static str = "zpersist";
    const REMOVE_EVENT: &'static str = "zrem";
    const REMOVE: &'static [u8] = b"ZREM";
    const EXPIRE_AT: &'static [u8] = b"ZPEXPIREAT";

    fn deadline_ms(zset: ZsetRef<'_>, member: &[u8]) -> Option<i64> {
        zset.score(member)?;
        Some(zset.deadline_ms(member).unwrap_or(NEVER_MS))
    }

    fn set_deadline(&mut self, member: &[u8], deadline_ms: Option<i64>) {
        Zset::set_deadline(self, member, deadline_ms);
    }

    fn remove_member(&mut self, member: &[u8]) {
        self.remove(member);
    }
}

const SETS: KeySpec = KeySpec::first().rw().update();
const ASKS: KeySpec = KeySpec::first().ro().access();
const SET_FLAGS: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const ASK_FLAGS: &[Flag] = &[Flag::Readonly, Flag::Fast];
/// No Redis has them: this is Tidegate's own version.
const SINCE: &str = "0.1.0";
const COMPLEXITY: &str =
    "O(M*log(N)) with N being the number of members of the sorted set and M the number of members named.";
const ASK_COMPLEXITY: &str = "O(N) where N is the number of members named.";

pub(super) static ZEXPIRE: Command = command(
    "ZEXPIRE",
    "key seconds [condition: NX|XX|GT|LT] <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::expire::<Zset>,
)
.about(SINCE, COMPLEXITY, "Lets members of a sorted set end after a number of seconds.")
.arity(-6)
.keys(SETS)
.flags(SET_FLAGS);

pub(super) static ZPEXPIRE: Command = command(
    "ZPEXPIRE",
    "key milliseconds [condition: NX|XX|GT|LT] <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::pexpire::<Zset>,
)
.about(SINCE, COMPLEXITY, "Lets members of a sorted set end after a number of milliseconds.")
.arity(-6)
.keys(SETS)
.flags(SET_FLAGS);

pub(super) static ZEXPIREAT: Command = command(
    "ZEXPIREAT",
    "key unix-time-seconds [condition: NX|XX|GT|LT] <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::expireat::<Zset>,
)
.about(SINCE, COMPLEXITY, "Lets members of a sorted set end at a Unix time in seconds.")
.arity(-6)
.keys(SETS)
.flags(SET_FLAGS);

pub(super) static ZPEXPIREAT: Command = command(
    "ZPEXPIREAT",
    "key unix-time-milliseconds [condition: NX|XX|GT|LT] <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::pexpireat::<Zset>,
)
.about(SINCE, COMPLEXITY, "Lets members of a sorted set end at a Unix time in milliseconds.")
.arity(-6)
.keys(SETS)
.flags(SET_FLAGS);

pub(super) static ZTTL: Command = command(
    "ZTTL",
    "key <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::ttl::<Zset>,
)
.about(SINCE, ASK_COMPLEXITY, "Tells how many seconds members of a sorted set have left.")
.arity(-5)
.keys(ASKS)
.flags(ASK_FLAGS)
.tips(&["nondeterministic_output"]);

pub(super) static ZPTTL: Command = command(
    "ZPTTL",
    "key <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::pttl::<Zset>,
)
.about(SINCE, ASK_COMPLEXITY, "Tells how many milliseconds members of a sorted set have left.")
.arity(-5)
.keys(ASKS)
.flags(ASK_FLAGS)
.tips(&["nondeterministic_output"]);

pub(super) static ZEXPIRETIME: Command = command(
    "ZEXPIRETIME",
    "key <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::expiretime::<Zset>,
)
.about(SINCE, ASK_COMPLEXITY, "Tells the Unix times in seconds members of a sorted set end at.")
.arity(-5)
.keys(ASKS)
.flags(ASK_FLAGS);

pub(super) static ZPEXPIRETIME: Command = command(
    "ZPEXPIRETIME",
    "key <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::pexpiretime::<Zset>,
)
.about(SINCE, ASK_COMPLEXITY, "Tells the Unix times in milliseconds members of a sorted set end at.")
.arity(-5)
.keys(ASKS)
.flags(ASK_FLAGS);

pub(super) static ZPERSIST: Command = command(
    "ZPERSIST",
    "key <members: MEMBERS nummembers(integer) member [member ...]>",
    member_expiry::persist::<Zset>,
)
.about(SINCE, COMPLEXITY, "Lets members of a sorted set live as long as their key again.")
.arity(-5)
.keys(SETS)
.flags(&[Flag::Write, Flag::Fast]);

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects, check_events};

    const ADD: &str = "ZADD k 1 a 2 b 3 c";

    #[test]
    fn members_get_deadlines() {
        check(&[ADD, "ZEXPIRE k 10 MEMBERS 2 a x"], "*2 :1 :-2");
        check(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a", "ZTTL k MEMBERS 3 a b x"], "*3 :10 :-1 :-2");
        check(&[ADD, "ZPEXPIRE k 1500 MEMBERS 1 a", "ZPTTL k MEMBERS 1 a"], "*1 :1500");
        check(&[ADD, "ZEXPIREAT k 1800000000 MEMBERS 1 a", "ZEXPIRETIME k MEMBERS 1 a"], "*1 :1800000000");
        check(
            &[ADD, "ZPEXPIREAT k 1800000000001 MEMBERS 1 a", "ZPEXPIRETIME k MEMBERS 1 a"],
            "*1 :1800000000001",
        );
        check(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a", "ZEXPIRE k 20 NX MEMBERS 2 a b"], "*2 :0 :1");
        check(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a", "ZEXPIRE k 5 GT MEMBERS 1 a"], "*1 :0");
        check(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a", "ZPERSIST k MEMBERS 3 a b x"], "*3 :1 :-1 :-2");
        check(&["ZTTL k MEMBERS 1 a"], "*1 :-2");
        check(&["ZPERSIST k MEMBERS 1 a"], "*1 :-2");
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&["SET k v", "ZEXPIRE k 10 MEMBERS 1 a"], wrong_type);
        check(
            &[ADD, "ZEXPIRE k 10 FIELDS 1 a"],
            "-ERR Mandatory argument MEMBERS is missing or not at the right position",
        );
        check(
            &[ADD, "ZEXPIRE k 10 MEMBERS 2 a"],
            "-ERR The `nummembers` parameter must match the number of arguments",
        );
        let at = START_MS + 10_000;
        let effect = format!("ZPEXPIREAT k {at} MEMBERS 1 a");
        check_effects(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a"], &[&effect]);
        check_effects(&[ADD, &effect, "ZPERSIST k MEMBERS 1 a"], &["ZPERSIST k MEMBERS 1 a"]);
        check_effects(&[ADD, "ZEXPIREAT k 1 MEMBERS 2 a b"], &["ZREM k a b"]);
        check_events(&[ADD, "ZEXPIRE k 10 MEMBERS 1 a"], &["zexpire k"]);
        check_events(&[ADD, &effect, "ZPERSIST k MEMBERS 1 a"], &["zpersist k"]);
        check_events(&[ADD, "ZPEXPIRE k 0 MEMBERS 3 a b c"], &["zrem k", "del k"]);
    }

    #[test]
    fn due_members_are_gone() {
        let mut bench = Bench::default();
        bench.run(ADD);
        bench.run("ZPEXPIRE k 5 MEMBERS 2 a b");
        bench.run("ZINCRBY k 7 b");
        assert_eq!(bench.run("ZRANGE k 0 -1").text(), "*3 $1 a $1 c $1 b");
        assert_eq!(bench.run("ZPTTL k MEMBERS 1 b").text(), "*1 :5", "a new score leaves the deadline");
        bench.now_ms += 6;
        let ran = bench.run("ZCARD k");
        assert_eq!(ran.text(), ":1");
        assert_eq!(ran.events, ["zexpired k"]);
        bench.run("ZPEXPIRE k 5 MEMBERS 1 c");
        bench.now_ms += 6;
        assert_eq!(bench.run("EXISTS k").text(), ":0");
    }
}
