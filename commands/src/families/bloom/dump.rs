//! `BF.SCANDUMP`, `BF.LOADCHUNK`, `BF.DEBUG`.

use super::filter;
use crate::families::sketch::{FILTER_NOT_FOUND, FILTER_TOO_LARGE, no_room};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, format_double, parse_i64,
};
use tidegate_data::types::bloom::{Bloom, ChunkError};
use tidegate_data::types::fields::HeaderError;

pub(super) static BF_SCANDUMP: Command = command("BF.SCANDUMP", "key iterator", bf_scandump)
    .about("1.0.0", "O(N) where N is the size of the piece.", "Returns a piece of a Bloom filter.")
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn bf_scandump(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let iterator = iterator(args, "Second argument must be numeric")?;
    let filter = filter(cx, key)?;
    reply.array(2);
    if iterator == 0 {
        reply.integer(1);
        reply.bulk(&filter.header());
        return Ok(Outcome::Same);
    }
    if let Some(piece) = filter.chunk(iterator - 1) {
        reply.integer(iterator as i64 + piece.len() as i64);
        reply.bulk(piece);
    } else {
        reply.integer(0);
        reply.bulk(b"");
    }
    Ok(Outcome::Same)
}

fn iterator(args: &mut Args, error: &'static str) -> Result<u64, Error> {
    let iterator = parse_i64(args.next()?).and_then(|iterator| u64::try_from(iterator).ok());
    iterator.ok_or(Error::new(error))
}

pub(super) static BF_LOADCHUNK: Command = command("BF.LOADCHUNK", "key iterator data", bf_loadchunk)
    .about(
        "1.0.0",
        "O(N) where N is the size of the piece.",
        "Puts back a piece of a Bloom filter, the first of which creates it.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn bf_loadchunk(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const HEADER: u64 = 1;
    let key = args.key()?;
    let iterator = iterator(args, "ERR Second argument must be numeric")?;
    let data = args.next()?;
    if cx.keys.for_write_as::<Bloom>(key)?.is_none() {
        if iterator != HEADER {
            return Err(FILTER_NOT_FOUND);
        }
        let room = cx.env.limits().memory_left;
        let new = Bloom::of_header(data, room).map_err(|error| match error {
            HeaderError::Malformed => Error::new("ERR received bad data"),
            HeaderError::TooLarge => no_room(cx, FILTER_TOO_LARGE),
        })?;
        cx.keys.store(key, new);
    } else {
        let mut filter = cx.keys.write_as::<Bloom>(key)?.ok_or(FILTER_NOT_FOUND)?;
        let mut result = Ok(());
        filter.change_if(|filter| {
            result = filter.put_chunk(iterator.saturating_sub(1), data);
            result.is_ok()
        });
        result.map_err(|error| match error {
            ChunkError::NoLink => Error::new("ERR invalid offset - no link found"),
            ChunkError::TooLong => Error::new("ERR invalid chunk - Too big for current filter"),
        })?;
    }
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static BF_DEBUG: Command = command("BF.DEBUG", "key", bf_debug)
    .about(
        "1.0.0",
        "O(N) where N is the number of links.",
        "Returns the properties of all links of a Bloom filter.",
    )
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::System]);

fn bf_debug(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = filter(cx, key)?;
    reply.array(1 + filter.links().len());
    reply.bulk(format!("size:{}", filter.size()).as_bytes());
    for link in filter.links() {
        let mut line = format!(
            "bytes:{} bits:{} hashes:{} hashwidth:64 capacity:{} size:{} ratio:",
            link.bytes(),
            link.bits_len(),
            link.hashes(),
            link.capacity(),
            link.size(),
        )
        .into_bytes();
        line.extend_from_slice(format_double(six_digits(link.error_rate())).as_bytes());
        reply.bulk(&line);
    }
    Ok(Outcome::Same)
}

/// The number with six significant digits, as C's `%g` prints it.
fn six_digits(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects};

    /// The parts of `*2 :n $len data`.
    fn piece(reply: &[u8]) -> (String, Vec<u8>) {
        let mut parts = reply.splitn(4, |byte| *byte == b'\n');
        let mut line = || parts.next().unwrap().to_vec();
        let (_, number, _, data) = (line(), line(), line(), line());
        (String::from_utf8_lossy(&number[1..]).trim().to_owned(), data[..data.len() - 2].to_vec())
    }

    #[test]
    fn bf_scandump_and_bf_loadchunk() {
        let mut bench = Bench::default();
        bench.run("BF.RESERVE b 0.01 10");
        (0..50).for_each(|number| drop(bench.run(&format!("BF.ADD b {number}"))));
        let mut at = "0".to_owned();
        let mut pieces = Vec::new();
        loop {
            let (next, data) = piece(&bench.run(&format!("BF.SCANDUMP b {at}")).reply);
            if next == "0" {
                assert_eq!(data, b"");
                break;
            }
            pieces.push((next.clone(), data));
            at = next;
        }
        assert_eq!(pieces.len(), 4);
        for (at, data) in &pieces {
            let ran = bench.run_words(&[b"BF.LOADCHUNK", b"c", at.as_bytes(), data]);
            assert_eq!((ran.text(), ran.effects.len()), ("+OK".to_owned(), 1));
        }
        assert_eq!(bench.run("BF.DEBUG b").text(), bench.run("BF.DEBUG c").text());
        let value = |bench: &mut Bench, key: &str| bench.run(&format!("DUMP {key}")).reply;
        assert_eq!(value(&mut bench, "b"), value(&mut bench, "c"));
        assert_eq!(bench.run("BF.LOADCHUNK b 1 x").text(), "-ERR invalid offset - no link found");
        assert_eq!(bench.run("BF.LOADCHUNK b 100000 x").text(), "-ERR invalid offset - no link found");
        assert_eq!(
            bench.run("BF.LOADCHUNK b 18 xyz").text(),
            "-ERR invalid chunk - Too big for current filter"
        );
        bench.limits.memory_left = 100;
        let ran = bench.run_words(&[b"BF.LOADCHUNK", b"d", b"1", &pieces[0].1]);
        assert_eq!(ran.text(), "-OOM command not allowed when used memory > 'maxmemory'.");
    }

    #[test]
    fn what_is_no_piece() {
        check(&["BF.SCANDUMP b 0"], "-ERR not found");
        check(&["BF.SCANDUMP b x"], "-Second argument must be numeric");
        check(&["BF.SCANDUMP b -1"], "-Second argument must be numeric");
        check(&["BF.ADD b x", "BF.SCANDUMP b 9223372036854775807"], "*2 :0 $0");
        check(&["BF.LOADCHUNK b x y"], "-ERR Second argument must be numeric");
        check(&["BF.LOADCHUNK b 1 y"], "-ERR received bad data");
        check(&["BF.LOADCHUNK b 2 y"], "-ERR not found");
        check(
            &["SET b x", "BF.LOADCHUNK b 1 y"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["BF.ADD b x", "BF.LOADCHUNK b 0 y"], "-ERR invalid offset - no link found");
        check_effects(&["BF.LOADCHUNK b 1 y"], &[]);
    }

    #[test]
    fn bf_debug() {
        check(&["BF.DEBUG b"], "-ERR not found");
        let mut bench = Bench::default();
        bench.run("BF.RESERVE d 0.01 10");
        (0..100).for_each(|number| drop(bench.run(&format!("BF.ADD d {number}"))));
        let lines = bench.run("BF.DEBUG d").text();
        assert!(lines.contains("size:99 "), "{lines}");
        assert!(
            lines.ends_with("bytes:160 bits:1280 hashes:11 hashwidth:64 capacity:80 size:29 ratio:0.000625"),
            "{lines}"
        );
    }
}
