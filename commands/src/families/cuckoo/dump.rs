//! `CF.SCANDUMP`, `CF.LOADCHUNK`, `CF.COMPACT`, `CF.DEBUG`.

use super::filter;
use crate::families::sketch::{FILTER_NOT_FOUND, FILTER_TOO_LARGE, no_room};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::types::cuckoo::Cuckoo;
use tidegate_data::types::fields::HeaderError;

const INVALID_POSITION: Error = Error::new("Invalid position");

pub(super) static CF_SCANDUMP: Command = command("CF.SCANDUMP", "key iterator", cf_scandump)
    .about("1.0.0", "O(N) where N is the size of the piece.", "Returns a piece of a cuckoo filter.")
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn cf_scandump(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let position = position(args)?;
    let filter = filter(cx, key)?;
    reply.array(2);
    let Some(start) = position.checked_sub(1) else {
        reply.integer(1);
        reply.bulk(&filter.header());
        return Ok(Outcome::Same);
    };
    if let Some(piece) = filter.chunk(start) {
        reply.integer(position as i64 + piece.len() as i64);
        reply.bulk(piece);
    } else {
        reply.integer(0);
        reply.null();
    }
    Ok(Outcome::Same)
}

fn position(args: &mut Args) -> Result<u64, Error> {
    parse_i64(args.next()?).and_then(|position| u64::try_from(position).ok()).ok_or(INVALID_POSITION)
}

pub(super) static CF_LOADCHUNK: Command = command("CF.LOADCHUNK", "key iterator data", cf_loadchunk)
    .about(
        "1.0.0",
        "O(N) where N is the size of the piece.",
        "Puts back a piece of a cuckoo filter, the first of which creates it.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn cf_loadchunk(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const HEADER: u64 = 1;
    let key = args.key()?;
    let position = position(args)?;
    if position == 0 {
        return Err(INVALID_POSITION);
    }
    let data = args.next()?;
    if cx.keys.for_write_as::<Cuckoo>(key)?.is_none() {
        if position != HEADER {
            return Err(FILTER_NOT_FOUND);
        }
        let room = cx.env.limits().memory_left;
        let new = Cuckoo::of_header(data, room).map_err(|error| match error {
            HeaderError::Malformed => Error::new("Invalid header"),
            HeaderError::TooLarge => no_room(cx, FILTER_TOO_LARGE),
        })?;
        cx.keys.store(key, new);
    } else {
        let mut filter = cx.keys.write_as::<Cuckoo>(key)?.ok_or(FILTER_NOT_FOUND)?;
        if !filter.change_if(|filter| filter.put_chunk(position - 1, data).is_ok()) {
            return Err(Error::new("Couldn't load chunk!"));
        }
    }
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static CF_COMPACT: Command = command("CF.COMPACT", "key", cf_compact)
    .about(
        "1.0.0",
        "O(N) where N is the size of the filter.",
        "Moves elements to the older layers of a cuckoo filter, and frees the younger ones if nothing is left there.",
    )
    .arity(2)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write]);

fn cf_compact(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = cx.keys.write_as::<Cuckoo>(key).ok().flatten();
    let mut filter = filter.ok_or(Error::new("Cuckoo filter was not found"))?;
    let has_changed = filter.change_if(|filter| {
        let has_work = filter.layers_len() > 1 || filter.deletes() > 0;
        filter.compact();
        has_work
    });
    drop(filter);
    reply.ok();
    Ok(Outcome::changed_if(has_changed))
}

pub(super) static CF_DEBUG: Command = command("CF.DEBUG", "key", cf_debug)
    .about("1.0.0", "O(1)", "Returns the properties of a cuckoo filter in a line.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::System]);

fn cf_debug(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = filter(cx, key)?;
    let line = format!(
        "bktsize:{} buckets:{} items:{} deletes:{} filters:{} max_iterations:{} expansion:{}",
        filter.bucket_size(),
        filter.buckets(),
        filter.items(),
        filter.deletes(),
        filter.layers_len(),
        filter.iterations_max(),
        filter.expansion(),
    );
    reply.bulk(line.as_bytes());
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn cf_scandump_and_cf_loadchunk() {
        let mut bench = Bench::default();
        bench.run("CF.RESERVE c 8 EXPANSION 2");
        (0..50).for_each(|number| drop(bench.run(&format!("CF.ADD c {number}"))));
        let mut at = "0".to_owned();
        let mut pieces = 0;
        loop {
            let reply = bench.run(&format!("CF.SCANDUMP c {at}")).reply;
            let mut parts = reply.splitn(4, |byte| *byte == b'\n');
            let mut line = || parts.next().unwrap().to_vec();
            let (_, next, _) = (line(), line(), line());
            at = String::from_utf8_lossy(&next[1..]).trim().to_owned();
            if at == "0" {
                break;
            }
            let data = line();
            let data = &data[..data.len() - 2];
            assert_eq!(bench.run_words(&[b"CF.LOADCHUNK", b"d", at.as_bytes(), data]).text(), "+OK");
            pieces += 1;
        }
        assert!(pieces > 2);
        assert_eq!(bench.run("DUMP c").reply, bench.run("DUMP d").reply);
        assert_eq!(bench.run("CF.LOADCHUNK c 1 x").text(), "-Couldn't load chunk!");
        assert_eq!(bench.run("CF.LOADCHUNK c 1000000 x").text(), "-Couldn't load chunk!");
        check(&["CF.ADD c x", "CF.SCANDUMP c 9000000"], "*2 :0 $-1");
        check(&["CF.SCANDUMP c 0"], "-ERR not found");
        check(&["CF.SCANDUMP c x"], "-Invalid position");
        check(&["CF.SCANDUMP c -1"], "-Invalid position");
        check(&["CF.LOADCHUNK c 0 x"], "-Invalid position");
        check(&["CF.LOADCHUNK c x x"], "-Invalid position");
        check(&["CF.LOADCHUNK c 1 x"], "-Invalid header");
        check(&["CF.LOADCHUNK c 2 x"], "-ERR not found");
        check(&["SET c x", "CF.LOADCHUNK c 1 x"], WRONG_TYPE);
        check(&["SET c x", "CF.SCANDUMP c 1"], WRONG_TYPE);
    }

    #[test]
    fn cf_compact() {
        check(&["CF.COMPACT c"], "-Cuckoo filter was not found");
        check(&["SET c x", "CF.COMPACT c"], "-Cuckoo filter was not found");
        check(&["CF.ADD c x", "CF.COMPACT c"], "+OK");
        check_effects(&["CF.ADD c x", "CF.COMPACT c"], &[]);
        check_effects(&["CF.ADD c x", "CF.DEL c x", "CF.COMPACT c"], &["CF.COMPACT c"]);
    }

    #[test]
    fn cf_debug() {
        check(&["CF.DEBUG c"], "-ERR not found");
        let mut bench = Bench::default();
        bench.run("CF.RESERVE c 9 EXPANSION 0");
        bench.run("CF.ADD c x");
        let line = "bktsize:2 buckets:4 items:1 deletes:0 filters:1 max_iterations:20 expansion:0";
        assert_eq!(bench.run("CF.DEBUG c").text(), format!("${} {line}", line.len()));
    }
}
