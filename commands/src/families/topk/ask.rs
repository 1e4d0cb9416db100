//! `TOPK.QUERY`, `TOPK.COUNT`, `TOPK.LIST`, `TOPK.INFO`.

use super::topk;
use crate::families::sketch::{integers, wrong_arity};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};

pub(super) static TOPK_QUERY: Command = command("TOPK.QUERY", "key item [item ...]", topk_query)
    .about(
        "1.0.0",
        "O(N·K) where N is the number of elements and K that of elements in the list.",
        "Tells which elements are among the most frequent.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn topk_query(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let list = topk(cx, key)?;
    reply.array(args.remaining());
    for item in args.rest() {
        reply.boolean(list.contains(item));
    }
    Ok(Outcome::Same)
}

pub(super) static TOPK_COUNT: Command = command("TOPK.COUNT", "key item [item ...]", topk_count)
    .about(
        "1.0.0",
        "O(N·(K + D)) where N is the number of elements, K that of elements in the list and D the depth.",
        "Returns about how often elements were counted.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn topk_count(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let list = topk(cx, key)?;
    reply.array(args.remaining());
    for item in args.rest() {
        reply.integer(list.count(item).into());
    }
    Ok(Outcome::Same)
}

pub(super) static TOPK_LIST: Command = command("TOPK.LIST", "key [WITHCOUNT]", topk_list)
    .about(
        "1.0.0",
        "O(K·log(K)) where K is the number of elements in the list.",
        "Returns the most frequent elements.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn topk_list(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.remaining() > 1 {
        return Err(wrong_arity("topk.list"));
    }
    let list = topk(cx, key)?;
    let with_count = args.take_word("WITHCOUNT");
    if !args.is_done() {
        return Err(Error::new("WITHCOUNT keyword expected"));
    }
    let tops = list.list();
    reply.array(if with_count { 2 * tops.len() } else { tops.len() });
    for top in tops {
        reply.bulk(&top.element);
        if with_count {
            reply.integer(top.count.into());
        }
    }
    Ok(Outcome::Same)
}

pub(super) static TOPK_INFO: Command = command("TOPK.INFO", "key", topk_info)
    .about("1.0.0", "O(1)", "Returns the properties of a list of the most frequent elements.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn topk_info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let list = topk(cx, key)?;
    reply.map(4);
    integers(
        reply,
        &[("k", list.k() as u64), ("width", list.width().into()), ("depth", list.depth().into())],
    );
    reply.simple("decay");
    reply.short_double(list.decay());
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NEW: &str = "TOPK.RESERVE t 3 50 4 0.9";

    #[test]
    fn topk_query() {
        check(&[NEW, "TOPK.ADD t a b", "TOPK.QUERY t a c b"], "*3 :1 :0 :1");
        check(&["TOPK.QUERY t a"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.QUERY t a"], WRONG_TYPE);
        let mut bench = Bench::resp3();
        bench.run(NEW);
        assert_eq!(bench.run("TOPK.QUERY t a").text(), "*1 #f");
    }

    #[test]
    fn topk_count() {
        check(&[NEW, "TOPK.ADD t a b a", "TOPK.COUNT t a c b"], "*3 :2 :0 :1");
        check(&["TOPK.COUNT t a"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.COUNT t a"], WRONG_TYPE);
    }

    #[test]
    fn topk_list() {
        check(&[NEW, "TOPK.LIST t"], "*0");
        check(&[NEW, "TOPK.INCRBY t a 2 b 5", "TOPK.LIST t"], "*2 $1 b $1 a");
        check(&[NEW, "TOPK.INCRBY t a 2 b 5", "TOPK.LIST t withcount"], "*4 $1 b :5 $1 a :2");
        check(&[NEW, "TOPK.LIST t x"], "-WITHCOUNT keyword expected");
        check(&[NEW, "TOPK.LIST t WITHCOUNT x"], "-ERR wrong number of arguments for 'topk.list' command");
        check(&["TOPK.LIST t"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.LIST t"], WRONG_TYPE);
    }

    /// redis-py's own test, whose result depends on the generator.
    #[test]
    fn lists_are_those_of_redis_py() {
        let mut bench = Bench::default();
        bench.run("TOPK.RESERVE t 3 50 4 0.9");
        assert_eq!(
            bench.run("TOPK.ADD t A B C D E A A B C G D B D A E E 1").text(),
            "*17 $-1 $-1 $-1 $1 A $1 C $1 D $-1 $-1 $1 E $-1 $1 B $1 C $-1 $-1 $-1 $1 D $-1"
        );
        assert_eq!(bench.run("TOPK.QUERY t A B C D E F G").text(), "*7 :1 :1 :0 :0 :1 :0 :0");
        assert_eq!(bench.run("TOPK.COUNT t A B C D E F G").text(), "*7 :4 :3 :2 :3 :3 :0 :1");
        bench.run("TOPK.RESERVE u 3 50 3 0.9");
        bench.run("TOPK.ADD u A B C D E A A B C G D B D A E E");
        assert_eq!(bench.run("TOPK.LIST u WITHCOUNT").text(), "*6 $1 A :4 $1 B :3 $1 E :3");
        bench.run("TOPK.RESERVE v 5 20 4 0.9");
        let words = "infinity B nan D -infinity infinity infinity B nan G D B D infinity -infinity -infinity";
        bench.run(&format!("TOPK.ADD v {words}"));
        assert_eq!(bench.run("TOPK.LIST v").text(), "*5 $8 infinity $1 B $1 D $9 -infinity $3 nan");
    }

    #[test]
    fn topk_info() {
        check(&[NEW, "TOPK.INFO t"], "*8 +k :3 +width :50 +depth :4 +decay $3 0.9");
        check(&["TOPK.INFO t"], "-TopK: key does not exist");
        check(&["SET t x", "TOPK.INFO t"], WRONG_TYPE);
        let mut bench = Bench::resp3();
        bench.run(NEW);
        assert_eq!(bench.run("TOPK.INFO t").text(), "%4 +k :3 +width :50 +depth :4 +decay ,0.9");
    }
}
