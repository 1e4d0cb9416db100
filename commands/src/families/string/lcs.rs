//! `LCS`: the longest common subsequence of two strings.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Key, WrongType};

pub(super) static LCS: Command =
    command("LCS", "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]", lcs)
        .about(
            "7.0.0",
            "O(N*M) where N and M are the lengths of s1 and s2, respectively",
            "Returns the longest common subsequence of two strings, its length, or where it is in both.",
        )
        .arity(-3)
        .keys(KeySpec::range(1, 1, 1).ro().access())
        .flags(&[Flag::Readonly]);

fn lcs(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (first, second) = (args.key()?, args.key()?);
    let not_strings = |WrongType| Error::new("ERR The specified keys must contain string values");
    let a = copy_of(cx, first);
    let b = copy_of(cx, second);
    let (a, b) = (a.map_err(not_strings)?, b.map_err(not_strings)?);
    let options = Options::parse(args)?;
    let table_size = check_size(cx, &a, &b)?;
    if options.len {
        reply.integer(i64::from(common_len(&a, &b)));
        return Ok(Outcome::Same);
    }
    let table = Table::new(&a, &b, table_size)?;
    if options.idx {
        reply_matches(reply, &table, &options);
    } else {
        reply.bulk(&table.common());
    }
    Ok(Outcome::Same)
}

fn copy_of(cx: &mut Ctx, key: Key) -> Result<Vec<u8>, WrongType> {
    let value = cx.keys.read_string(key)?;
    Ok(value.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).map(<[u8]>::to_vec)).unwrap_or_default())
}

#[derive(Debug, Default)]
struct Options {
    len: bool,
    idx: bool,
    /// Matches shorter than this are not answered.
    min_match_len: i64,
    with_match_len: bool,
}

impl Options {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        let mut options = Options::default();
        while !args.is_done() {
            if args.take_word("IDX") {
                options.idx = true;
            } else if args.take_word("LEN") {
                options.len = true;
            } else if args.take_word("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.remaining() > 1 && args.take_word("MINMATCHLEN") {
                options.min_match_len = args.integer()?.max(0);
            } else {
                return Err(Error::Syntax);
            }
        }
        if options.len && options.idx {
            return Err(Error::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

/// The number of cells of the table for two strings, if it may be that large.
fn check_size(cx: &Ctx, a: &[u8], b: &[u8]) -> Result<usize, Error> {
    let len_max = u32::MAX as usize - 1;
    if a.len() >= len_max || b.len() >= len_max {
        return Err(Error::new("ERR String too long for LCS"));
    }
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * size_of::<u32>() as u128 > u128::from(cx.env.limits().max_bulk_len) {
        return Err(Error::new(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(cells as usize)
}

/// The length of the longest common subsequence, with one row of the table at a time. O(N*M), O(M) memory.
fn common_len(a: &[u8], b: &[u8]) -> u32 {
    let mut row = vec![0_u32; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    cells: Vec<u32>,
}

/// A run of bytes that both strings share: first and last index in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

impl Match {
    fn len(&self) -> usize {
        self.a.1 - self.a.0 + 1
    }
}

impl<'a> Table<'a> {
    /// O(N*M) time and memory.
    fn new(a: &'a [u8], b: &'a [u8], size: usize) -> Result<Self, Error> {
        let mut cells = Vec::new();
        if cells.try_reserve_exact(size).is_err() {
            return Err(Error::new("ERR Insufficient memory, failed allocating transient memory for LCS"));
        }
        cells.resize(size, 0_u32);
        let width = b.len() + 1;
        for (i, x) in a.iter().enumerate() {
            let (above, row) = cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, y) in b.iter().enumerate() {
                row[j + 1] = if x == y { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Ok(Table { a, b, cells })
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    fn common_len(&self) -> u32 {
        self.at(self.a.len(), self.b.len())
    }

    /// Walks back from the ends of both strings along the longest common subsequence, telling each index pair of equal
    /// bytes, and `None` for each step over a byte that is left out. Of two ways of the same length it takes the one
    /// that leaves out bytes of `b`.
    fn walk_back(&self, mut visit: impl FnMut(Option<(usize, usize)>)) {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                i -= 1;
                j -= 1;
                visit(Some((i, j)));
            } else {
                if self.at(i - 1, j) > self.at(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
                visit(None);
            }
        }
    }

    /// The longest common subsequence.
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.common_len() as usize);
        self.walk_back(|pair| bytes.extend(pair.map(|(i, _)| self.a[i])));
        bytes.reverse();
        bytes
    }

    /// The runs of the longest common subsequence, last one first.
    fn matches(&self) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut run: Option<Match> = None;
        self.walk_back(|pair| match (pair, &mut run) {
            (Some((i, j)), Some(run)) => {
                // Equal pairs in a row are adjacent in both strings: anything between them is a step of its own.
                run.a.0 = i;
                run.b.0 = j;
            }
            (Some((i, j)), None) => run = Some(Match { a: (i, i), b: (j, j) }),
            (None, _) => matches.extend(run.take()),
        });
        matches.extend(run);
        matches
    }
}

fn reply_matches(reply: &mut Reply, table: &Table, options: &Options) {
    let mut matches = table.matches();
    matches.retain(|run| run.len() as i64 >= options.min_match_len);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for run in matches {
        reply.array(2 + usize::from(options.with_match_len));
        for (start, end) in [run.a, run.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer(end as i64);
        }
        if options.with_match_len {
            reply.integer(run.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.common_len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::{Bench, check, check_effects};
    use proptest::prelude::*;

    const TEXTS: &str = "MSET a ohmytext b mynewtext";

    #[test]
    fn lcs() {
        check(&[TEXTS, "LCS a b"], "$6 mytext");
        check(&[TEXTS, "LCS a b LEN"], ":6");
        check(&["LCS a b"], "$0");
        check(&["SET a x", "LCS a b LEN"], ":0");
        check(&["MSET a 12345 b 245", "LCS a b"], "$3 245");
        check(&[TEXTS, "LCS a a"], "$8 ohmytext");
        check(&[TEXTS, "LCS a b MINMATCHLEN 5 WITHMATCHLEN"], "$6 mytext");
        check(&["LCS a"], "-ERR wrong number of arguments for 'lcs' command");
        check_effects(&[TEXTS, "LCS a b"], &[]);
    }

    #[test]
    fn lcs_with_idx() {
        check(
            &[TEXTS, "LCS a b IDX"],
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        );
        check(&[TEXTS, "LCS a b IDX MINMATCHLEN 4"], "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6");
        check(
            &[TEXTS, "lcs a b idx minmatchlen 4 withmatchlen"],
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        );
        check(&["LCS a b IDX MINMATCHLEN -1"], "*4 $7 matches *0 $3 len :0");
        let mut bench = Bench::resp3();
        bench.run(TEXTS);
        assert_eq!(
            bench.run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN").text(),
            "%2 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"
        );
    }

    #[test]
    fn lcs_refuses() {
        check(&["LCS a b LEN IDX"], "-ERR If you want both the length and indexes, please just use IDX.");
        check(&["LCS a b FOO"], "-ERR syntax error");
        check(&["LCS a b MINMATCHLEN"], "-ERR syntax error");
        check(&["LCS a b MINMATCHLEN x"], "-ERR value is not an integer or out of range");
        let mut bench = Bench::default();
        bench.limits.max_bulk_len = 4 * 9 * 10;
        bench.run(TEXTS);
        assert_eq!(bench.run("LCS a b LEN").text(), ":6");
        bench.limits.max_bulk_len -= 1;
        let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        assert_eq!(bench.run("LCS a b LEN").text(), refused);
        assert_eq!(bench.run("LCS a b").text(), refused);
    }

    /// The definition, without a table.
    fn model(a: &[u8], b: &[u8]) -> u32 {
        match (a, b) {
            ([], _) | (_, []) => 0,
            ([x, a_rest @ ..], [y, b_rest @ ..]) if x == y => 1 + model(a_rest, b_rest),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => model(a_rest, b).max(model(a, b_rest)),
        }
    }

    fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
        let mut rest = whole.iter();
        part.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_table_agrees_with_the_definition(
            a in prop::collection::vec(b'a'..=b'c', 0..9),
            b in prop::collection::vec(b'a'..=b'c', 0..9),
        ) {
            let table = Table::new(&a, &b, (a.len() + 1) * (b.len() + 1)).unwrap();
            let common = table.common();
            prop_assert_eq!(table.common_len(), model(&a, &b));
            prop_assert_eq!(common_len(&a, &b), table.common_len());
            prop_assert_eq!(common.len() as u32, table.common_len());
            prop_assert!(is_subsequence(&common, &a) && is_subsequence(&common, &b));
            let mut joined = Vec::new();
            for run in table.matches().iter().rev() {
                prop_assert_eq!(&a[run.a.0..=run.a.1], &b[run.b.0..=run.b.1]);
                joined.extend_from_slice(&a[run.a.0..=run.a.1]);
            }
            prop_assert_eq!(joined, common);
        }
    }
}
