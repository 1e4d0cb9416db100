//! Fields chosen at random: `HRANDFIELD`.

use super::reply_item;
use crate::families::repeated::Repeated;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Protocol, Reply, command};
use tidegate_data::{Field, Hash};

const OUT_OF_RANGE: Error = Error::new("ERR value is out of range");

pub(super) static HRANDFIELD: Command =
    command("HRANDFIELD", "key [options: count [WITHVALUES]]", hrandfield)
        .about(
            "6.2.0",
            "O(N) where N is the number of fields returned",
            "Returns one or more random fields of a hash.",
        )
        .arity(-2)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly])
        .tips(&["nondeterministic_output"]);

fn hrandfield(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.is_done() {
        let hash = cx.keys.read_as::<Hash>(key)?;
        let rng = cx.env.rng();
        match hash {
            Some(hash) => hash.draw(1, &mut || rng.next(), |field| {
                reply_item(reply, field.name);
                true
            }),
            None => reply.null(),
        }
        return Ok(Outcome::Same);
    }
    let count = args.integer()?;
    if count == i64::MIN {
        return Err(Error::text(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )));
    }
    let with_values = !args.is_done();
    if with_values && !(args.take_word("WITHVALUES") && args.is_done()) {
        return Err(Error::Syntax);
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    let Some(hash) = cx.keys.read_as::<Hash>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    let rng = cx.env.rng();
    let random = &mut || rng.next();
    if count >= 0 {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(hash.len());
        begin(reply, count, with_values);
        hash.sample(count, random, |field| answer(reply, field, with_values));
        return Ok(Outcome::Same);
    }
    let count = count.unsigned_abs();
    let bounds = Repeated::begin(reply, count)?;
    begin(reply, count as usize, with_values);
    hash.draw(count as usize, random, |field| {
        answer(reply, field, with_values);
        bounds.goes_on(reply)
    });
    bounds.end(reply)?;
    Ok(Outcome::Same)
}

/// RESP3 has an array per field and value, RESP2 one for all.
fn begin(reply: &mut Reply, fields: usize, with_values: bool) {
    let flat = with_values && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { 2 * fields } else { fields });
}

fn answer(reply: &mut Reply, field: Field, with_values: bool) {
    if with_values && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_item(reply, field.name);
    if with_values {
        reply_item(reply, field.value);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn one() {
        check(&["HRANDFIELD h"], "$-1");
        check(&["HSET h a 1", "HRANDFIELD h"], "$1 a");
        check(&["SET h x", "HRANDFIELD h"], WRONG_TYPE);
        check_effects(&["HSET h a 1 b 2", "HRANDFIELD h"], &[]);
        check_lookups(&["HSET h a 1", "HRANDFIELD h"], 1, 0);
        assert_eq!(Bench::resp3().run("HRANDFIELD h").text(), "_");
    }

    #[test]
    fn many() {
        let setup = "HSET h a 1 b 2";
        check(&[setup, "HRANDFIELD h 5"], "*2 $1 a $1 b");
        check(&[setup, "HRANDFIELD h 9223372036854775807"], "*2 $1 a $1 b");
        check(&[setup, "HRANDFIELD h 5 withvalues"], "*4 $1 a $1 1 $1 b $1 2");
        check(&[setup, "HRANDFIELD h 0"], "*0");
        check(&[setup, "HRANDFIELD h 0 WITHVALUES"], "*0");
        check(&["HSET h a 1", "HRANDFIELD h -3"], "*3 $1 a $1 a $1 a");
        check(&["HSET h a 1", "HRANDFIELD h -2 WITHVALUES"], "*4 $1 a $1 1 $1 a $1 1");
        for count in ["5", "-5", "0"] {
            check(&[&format!("HRANDFIELD h {count} WITHVALUES")], "*0");
        }
        let mut bench = Bench::resp3();
        bench.run(setup);
        assert_eq!(bench.run("HRANDFIELD h 2").text(), "*2 $1 a $1 b");
        assert_eq!(bench.run("HRANDFIELD h 2 WITHVALUES").text(), "*2 *2 $1 a $1 1 *2 $1 b $1 2");
    }

    #[test]
    fn different_fields() {
        for fields in [20, 100, 1000] {
            let mut bench = Bench::default();
            for n in 0..fields {
                bench.run(&format!("HSET h f{n} v{n}"));
            }
            for count in [1, 3, fields / 2, fields - 1] {
                let text = bench.run(&format!("HRANDFIELD h {count} WITHVALUES")).text();
                let words: Vec<&str> = text.split(' ').filter(|word| word.starts_with(['f', 'v'])).collect();
                assert!(words.chunks(2).all(|pair| pair[0][1..] == pair[1][1..]));
                let mut names: Vec<&str> = words.chunks(2).map(|pair| pair[0]).collect();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), count);
            }
        }
    }

    #[test]
    fn a_reply_nobody_reads_is_not_made() {
        let mut bench = Bench::default();
        bench.run("HSET h a 1");
        bench.reply_max = 1000;
        let len = bench.run("HRANDFIELD h -999999999").reply.len();
        assert!((1001..1050).contains(&len), "{len}");
    }

    #[test]
    fn refusals() {
        check(&["HRANDFIELD h x"], "-ERR value is not an integer or out of range");
        check(&["HRANDFIELD h x WITHVALUES"], "-ERR value is not an integer or out of range");
        check(&["HRANDFIELD h 1 WITHVALUE"], "-ERR syntax error");
        check(&["HRANDFIELD h 1 WITHVALUES x"], "-ERR syntax error");
        check(&["SET h x", "HRANDFIELD h 1 x"], "-ERR syntax error");
        check(&["SET h x", "HRANDFIELD h 1"], WRONG_TYPE);
        check(
            &["HRANDFIELD h -9223372036854775808"],
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        let too_many = "-ERR value is out of range";
        check(&["HRANDFIELD h 9223372036854775807 WITHVALUES"], too_many);
        check(&["HRANDFIELD h -4611686018427387904 WITHVALUES"], too_many);
        check(&["HSET h a 1", "HRANDFIELD h -4611686018427387903 WITHVALUES"], too_many);
        check(&["HSET h a 1", "HRANDFIELD h -9223372036854775807"], too_many);
    }
}
