//! Members chosen at random: `SPOP`, `SRANDMEMBER`.

use super::{limits, reply_member};
use crate::families::repeated::Repeated;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::set::{Set, SetRef};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key};

/// Most members that one effect removes.
const EFFECT_MEMBERS_MAX: usize = 1024;

pub(super) static SPOP: Command = command("SPOP", "key [count]@3.2.0", spop)
    .about(
        "1.0.0",
        "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        "Removes and returns one or more random members of a set.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast])
    .tips(&["nondeterministic_output"])
    .history(&[("3.2.0", "Added the `count` argument.")]);

fn spop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if !args.is_done() {
        return spop_count(cx, key, args, reply);
    }
    let Some(mut set) = cx.keys.write_as::<Set>(key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let rng = cx.env.rng();
    let member = set.view().random(&mut || rng.next()).expect("a set in the keyspace is not empty");
    let member = member.bytes(&mut [0; INT_LEN_MAX]).to_vec();
    set.change().remove(&member);
    set.event(EventClass::Set, "spop");
    reply.bulk(&member);
    Ok(cx.env.changed_as(|| Outcome::changed_as(&[b"SREM", key.bytes(), &member])))
}

fn spop_count(cx: &mut Ctx, key: Key, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let count = args.clone().integer();
    args.skip(1);
    args.end()?;
    let Ok(count @ 0..) = count else {
        return Err(Error::new("ERR value is out of range, must be positive"));
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let limits = limits(cx);
    let Some(mut set) = cx.keys.write_as::<Set>(key)? else {
        reply.set(0);
        return Ok(Outcome::Same);
    };
    let len = set.view().len();
    reply.set(count.min(len));
    if count == 0 {
        return Ok(Outcome::Same);
    }
    set.event(EventClass::Set, "spop");
    if count >= len {
        for member in set.view().iter() {
            reply_member(reply, member);
        }
        drop(set);
        // The whole key goes, as with DEL: a large set is then freed off the path of requests.
        cx.keys.remove(key);
        cx.keys.event(EventClass::Generic, "del", key);
        let log = cx.keys.log();
        log.changes += len as u64 - 1;
        // Redis looks the key up a second time, to answer all of it as a union.
        log.hits += 1;
        return Ok(Outcome::changed_as(&[b"DEL", key.bytes()]));
    }
    let rng = cx.env.rng();
    let mut removal = Removal::of(key);
    set.change().pop_random(count, &limits, &mut || rng.next(), &mut |member| {
        reply_member(reply, member);
        removal.push(member.bytes(&mut [0; INT_LEN_MAX]));
    });
    set.count_changes(count as u64 - 1);
    Ok(Outcome::ChangedAs(removal.into_effects()))
}

/// The effects of removing many members.
struct Removal<'k> {
    key: &'k [u8],
    effects: Effects,
    /// Members of the next effect, back to back.
    members: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<'k> Removal<'k> {
    fn of(key: Key<'k>) -> Self {
        Removal { key: key.bytes(), effects: Effects::default(), members: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, member: &[u8]) {
        self.members.extend_from_slice(member);
        self.ends.push(self.members.len());
        if self.ends.len() == EFFECT_MEMBERS_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut words: Vec<&[u8]> = vec![b"SREM", self.key];
        let mut start = 0;
        for end in self.ends.drain(..) {
            words.push(&self.members[start..end]);
            start = end;
        }
        if words.len() > 2 {
            self.effects.push(&words);
        }
        self.members.clear();
    }

    fn into_effects(mut self) -> Effects {
        self.flush();
        self.effects
    }
}

pub(super) static SRANDMEMBER: Command = command("SRANDMEMBER", "key [count]@2.6.0", srandmember)
    .about(
        "1.0.0",
        "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        "Returns one or more random members of a set.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly])
    .tips(&["nondeterministic_output"])
    .history(&[("2.6.0", "Added the optional `count` argument.")]);

fn srandmember(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.is_done() {
        let set = cx.keys.read_as::<Set>(key)?;
        let rng = cx.env.rng();
        match set.and_then(|set| set.random(&mut || rng.next())) {
            Some(member) => reply_member(reply, member),
            None => reply.null(),
        }
        return Ok(Outcome::Same);
    }
    let count = args.clone().integer();
    args.skip(1);
    args.end()?;
    let count = count?;
    if count == i64::MIN {
        return Err(Error::text(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )));
    }
    let set = cx.keys.read_as::<Set>(key)?;
    let rng = cx.env.rng();
    let random = &mut || rng.next();
    match set {
        None => reply.array(0),
        Some(set) if count < 0 => repeat_random(set, count.unsigned_abs(), random, reply)?,
        Some(set) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
            reply.array(count);
            set.sample(count, random, |member| reply_member(reply, member));
        }
    }
    Ok(Outcome::Same)
}

/// Answers `count` random members, each independent of the others.
fn repeat_random(
    set: SetRef,
    count: u64,
    random: &mut dyn FnMut() -> u64,
    reply: &mut Reply,
) -> Result<(), Error> {
    let bounds = Repeated::begin(reply, count)?;
    reply.array(count as usize);
    for _ in 0..count {
        let member = set.random(random).expect("a set in the keyspace is not empty");
        reply_member(reply, member);
        if !bounds.goes_on(reply) {
            break;
        }
    }
    bounds.end(reply)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn spop_of_one() {
        check(&["SADD s a", "SPOP s"], "$1 a");
        check(&["SADD s a", "SPOP s", "EXISTS s"], ":0");
        check(&["SADD s 1 2 3", "SPOP s", "SCARD s"], ":2");
        check(&["SPOP s"], "$-1");
        check(&["SET s x", "SPOP s"], WRONG_TYPE);
        check_effects(&["SADD s a", "SPOP s"], &["SREM s a"]);
        check_events(&["SADD s a b", "SPOP s"], &["spop s"]);
        check_events(&["SADD s a", "SPOP s"], &["spop s", "del s"]);
        check_lookups(&["SADD s a", "SPOP s"], 0, 0);
        assert_eq!(Bench::resp3().run("SPOP s").text(), "_");
    }

    #[test]
    fn spop_of_all() {
        check(&["SADD s 1 2 3", "SPOP s 3"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD s 1 2 3", "SPOP s 9223372036854775807", "EXISTS s"], ":0");
        check_effects(&["SADD s a b", "SPOP s 5"], &["DEL s"]);
        check_events(&["SADD s a b", "SPOP s 5"], &["spop s", "del s"]);
        check_lookups(&["SADD s a b", "SPOP s 5"], 1, 0);
        let mut bench = Bench::resp3();
        bench.run("SADD s 2 1");
        assert_eq!(bench.run("SPOP s 5").text(), "~2 $1 1 $1 2");
    }

    #[test]
    fn spop_of_none() {
        check(&["SADD s a", "SPOP s 0"], "*0");
        check(&["SPOP s 1"], "*0");
        check_events(&["SADD s a", "SPOP s 0"], &[]);
        check(&["SADD s a", "SPOP s -1"], "-ERR value is out of range, must be positive");
        check(&["SPOP s -1"], "-ERR value is out of range, must be positive");
        check(&["SPOP s x"], "-ERR value is out of range, must be positive");
        check(&["SPOP s 1 2"], "-ERR syntax error");
        check(&["SPOP s x 2"], "-ERR syntax error");
        check(&["SET s x", "SPOP s 0"], WRONG_TYPE);
    }

    #[test]
    fn spop_of_some_replays_as_srem() {
        for (members, count) in [(10, 3), (10, 9), (3000, 2999), (3000, 1025), (3000, 2)] {
            let mut bench = Bench::default();
            for n in 0..members {
                bench.run(&format!("SADD s m{n}"));
            }
            let ran = bench.run(&format!("SPOP s {count}"));
            assert_eq!(ran.text().matches('$').count(), count);
            assert_eq!(ran.events, ["spop s"]);
            assert_eq!(ran.effects.len(), count.div_ceil(1024));
            assert_eq!(bench.run("SCARD s").text(), format!(":{}", members - count));
            // What was answered is gone, and is what is removed on a twin.
            for word in ran.text().split(' ').filter(|word| word.starts_with('m')) {
                assert_eq!(bench.run(&format!("SISMEMBER s {word}")).text(), ":0");
                let effects = String::from_utf8_lossy(ran.effects.bytes()).into_owned();
                assert!(effects.contains(&format!("\r\n{word}\r\n")), "{word}");
            }
        }
    }

    #[test]
    fn few_integers_that_remain_are_an_intset_again() {
        let mut bench = Bench::default();
        bench.run("SADD s a b c d e f g h i j k l m n o");
        bench.run("SREM s a b c d e f g h i j k l m n");
        bench.run("SADD s 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
        bench.run("SREM s o");
        assert_eq!(bench.run("OBJECT ENCODING s").text(), "$9 hashtable");
        bench.run("SPOP s 17");
        assert_eq!(bench.run("OBJECT ENCODING s").text(), "$6 intset");
        assert_eq!(bench.run("SCARD s").text(), ":3");
    }

    #[test]
    fn srandmember() {
        check(&["SRANDMEMBER s"], "$-1");
        check(&["SADD s a", "SRANDMEMBER s"], "$1 a");
        check(&["SADD s 1 2 3", "SRANDMEMBER s 5"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD s 1", "SRANDMEMBER s -3"], "*3 $1 1 $1 1 $1 1");
        check(&["SADD s 1", "SRANDMEMBER s 0"], "*0");
        check(&["SRANDMEMBER s 5"], "*0");
        check(&["SRANDMEMBER s -5"], "*0");
        check(&["SRANDMEMBER s x"], "-ERR value is not an integer or out of range");
        check(&["SRANDMEMBER s 1 2"], "-ERR syntax error");
        check(&["SET s x", "SRANDMEMBER s"], WRONG_TYPE);
        check(&["SET s x", "SRANDMEMBER s 1"], WRONG_TYPE);
        check(
            &["SRANDMEMBER s -9223372036854775808"],
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check(&["SADD s a", "SRANDMEMBER s -9223372036854775807"], "-ERR value is out of range");
        check_effects(&["SADD s a b", "SRANDMEMBER s 1"], &[]);
        check_lookups(&["SADD s a b", "SRANDMEMBER s 1"], 1, 0);
        let mut bench = Bench::resp3();
        bench.run("SADD s 1 2");
        assert_eq!(bench.run("SRANDMEMBER s 2").text(), "*2 $1 1 $1 2");
        assert_eq!(bench.run("SRANDMEMBER nil").text(), "_");
    }

    #[test]
    fn srandmember_answers_different_members() {
        for members in [20, 1000] {
            let mut bench = Bench::default();
            for n in 0..members {
                bench.run(&format!("SADD s m{n}"));
            }
            for count in [1, 3, members / 2, members - 1] {
                let text = bench.run(&format!("SRANDMEMBER s {count}")).text();
                let mut found: Vec<&str> = text.split(' ').filter(|word| word.starts_with('m')).collect();
                found.sort_unstable();
                found.dedup();
                assert_eq!(found.len(), count);
            }
        }
    }
}
