//! Unions, intersections and differences of sorted sets and sets, whose members count as having the score 1.

use super::{limits, reply_members};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};
use hashbrown::HashTable;
use smallvec::SmallVec;
use tidegate_data::types::set::{Set, SetRef};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::types::zset::Member;
use tidegate_data::{Collection, EventClass, Key, KeyHasher, Keys, TypeCode, Zset, ZsetRef};

const READS: KeySpec = KeySpec::counted(1, 1).ro().access();
const READS_TO_STORE: KeySpec = KeySpec::counted(2, 1).ro().access();
const STORES: KeySpec = KeySpec::first().ow().update();
const STORE_FLAGS: &[Flag] = &[Flag::Write, Flag::DenyOom];

const UNION_COMPLEXITY: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the inputs, and M the number of members of the result.";
const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) worst case with N being the size of the smallest input, K the number of inputs and M the number of members of the result.";
const DIFF_COMPLEXITY: &str = "O(L + (N-K)log(N)) worst case where L is the number of members of all inputs, N the size of the first, and K the size of the result.";
const COUNT_ADDED: &[(&str, &str)] = &[("8.8.0", "`AGGREGATE COUNT`.")];

pub(super) static ZUNION: Command = command(
    "ZUNION",
    "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE aggregate: SUM|MIN|MAX|COUNT@8.8.0] [WITHSCORES]",
    |cx, args, reply| answer(cx, args, reply, &UNION),
)
.about("6.2.0", UNION_COMPLEXITY, "Lists the members that any of several sorted sets has.")
.arity(-3)
.keys(READS)
.flags(&[Flag::Readonly])
.history(COUNT_ADDED);

pub(super) static ZINTER: Command = command(
    "ZINTER",
    "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE aggregate: SUM|MIN|MAX|COUNT@8.8.0] [WITHSCORES]",
    |cx, args, reply| answer(cx, args, reply, &INTER),
)
.about("6.2.0", INTER_COMPLEXITY, "Lists the members that all of several sorted sets have.")
.arity(-3)
.keys(READS)
.flags(&[Flag::Readonly])
.history(COUNT_ADDED);

pub(super) static ZDIFF: Command =
    command("ZDIFF", "numkeys key [key ...] [WITHSCORES]", |cx, args, reply| answer(cx, args, reply, &DIFF))
        .about("6.2.0", DIFF_COMPLEXITY, "Lists the members that only the first of several sorted sets has.")
        .arity(-3)
        .keys(READS)
        .flags(&[Flag::Readonly]);

pub(super) static ZUNIONSTORE: Command = command(
    "ZUNIONSTORE",
    "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE aggregate: SUM|MIN|MAX|COUNT@8.8.0]",
    |cx, args, reply| store_result(cx, args, reply, &UNION, "zunionstore"),
)
.about("2.0.0", UNION_COMPLEXITY, "Stores the union of several sorted sets.")
.arity(-4)
.keys(STORES)
.keys(READS_TO_STORE)
.flags(STORE_FLAGS)
.history(COUNT_ADDED);

pub(super) static ZINTERSTORE: Command = command(
    "ZINTERSTORE",
    "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE aggregate: SUM|MIN|MAX|COUNT@8.8.0]",
    |cx, args, reply| store_result(cx, args, reply, &INTER, "zinterstore"),
)
.about("2.0.0", INTER_COMPLEXITY, "Stores the intersection of several sorted sets.")
.arity(-4)
.keys(STORES)
.keys(READS_TO_STORE)
.flags(STORE_FLAGS)
.history(COUNT_ADDED);

pub(super) static ZDIFFSTORE: Command =
    command("ZDIFFSTORE", "destination numkeys key [key ...]", |cx, args, reply| {
        store_result(cx, args, reply, &DIFF, "zdiffstore")
    })
    .about("6.2.0", DIFF_COMPLEXITY, "Stores the difference of several sorted sets.")
    .arity(-4)
    .keys(STORES)
    .keys(READS_TO_STORE)
    .flags(STORE_FLAGS);

pub(super) static ZINTERCARD: Command =
    command("ZINTERCARD", "numkeys key [key ...] [LIMIT limit]", zintercard)
        .about(
            "7.0.0",
            "O(N*K) worst case with N being the size of the smallest input, K the number of inputs.",
            "Counts the members that all of several sorted sets have.",
        )
        .arity(-3)
        .keys(READS)
        .flags(&[Flag::Readonly]);

/// One of the three operations.
struct Operation {
    /// `WEIGHTS` and `AGGREGATE` mean something.
    has_weights: bool,
    combine: fn(&mut Vec<Source>, Aggregate) -> Members,
}

static UNION: Operation = Operation { has_weights: true, combine: unite };
static INTER: Operation = Operation { has_weights: true, combine: intersect };
static DIFF: Operation = Operation { has_weights: false, combine: |sources, _| subtract(sources) };

/// How the scores of one member become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The weights instead of the scores, added.
    Count,
}

impl Aggregate {
    fn of(word: &[u8]) -> Result<Self, Error> {
        let words = [
            ("SUM", Aggregate::Sum),
            ("MIN", Aggregate::Min),
            ("MAX", Aggregate::Max),
            ("COUNT", Aggregate::Count),
        ];
        let found = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, aggregate)| aggregate).ok_or(Error::Syntax)
    }

    fn weigh(self, score: f64, weight: f64) -> f64 {
        if self == Aggregate::Count { weight } else { score * weight }
    }

    fn add(self, total: &mut f64, score: f64) {
        match self {
            // Both infinities together are 0.
            Aggregate::Sum | Aggregate::Count => *total = not_nan(*total + score),
            Aggregate::Min if score < *total => *total = score,
            Aggregate::Max if score > *total => *total = score,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

/// Zero times infinity is 0.
fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// An input.
#[derive(Clone, Copy)]
struct Source<'a> {
    content: Content<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Nothing,
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
}

impl<'a> Source<'a> {
    fn len(&self) -> usize {
        match self.content {
            Content::Nothing => 0,
            Content::Set(set) => set.len(),
            Content::Zset(zset) => zset.len(),
        }
    }

    fn score(&self, name: &[u8]) -> Option<f64> {
        match self.content {
            Content::Nothing => None,
            Content::Set(set) => set.contains(Member::Text(name)).then_some(1.0),
            Content::Zset(zset) => zset.score(name),
        }
    }

    /// Visits all members until told to stop.
    fn visit(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        let mut scratch = [0; INT_LEN_MAX];
        let mut visit = |member: Member<'a>, score| visit(member.bytes(&mut scratch), score);
        match self.content {
            Content::Nothing => {}
            Content::Set(set) => _ = set.iter().all(|member| visit(member, 1.0)),
            Content::Zset(zset) => _ = zset.iter().all(|(member, score)| visit(member, score)),
        }
    }
}

/// Keys of a request. They are looked up before its options are read, so there may be none of the right type.
type Names<'a> = SmallVec<[Key<'a>; 8]>;

/// Reads `numkeys key [key ...]`.
fn names<'a>(args: &mut Args<'a>) -> Result<Names<'a>, Error> {
    let count = args.integer()?;
    if count < 1 {
        let name = String::from_utf8_lossy(&args.get(0).to_ascii_lowercase()).into_owned();
        return Err(Error::text(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    match usize::try_from(count) {
        Ok(count) if count <= args.remaining() => (0..count).map(|_| args.key()).collect(),
        _ => Err(Error::Syntax),
    }
}

/// Looks up all keys, as many reads.
fn look_up(keys: &mut Keys, names: &[Key]) -> Result<(), Error> {
    for name in names {
        let code = keys.read(*name).map(tidegate_data::Record::type_code);
        if !matches!(code, None | Some(TypeCode::Set | TypeCode::Zset)) {
            return Err(Error::WrongType);
        }
    }
    Ok(())
}

/// The inputs, which were looked up.
fn sources<'a>(keys: &'a Keys, names: &[Key], weights: &[f64]) -> Vec<Source<'a>> {
    let content = |name: Key| {
        if let Ok(found) = keys.view_as::<Zset>(name) {
            return found.map_or(Content::Nothing, Content::Zset);
        }
        keys.view_as::<Set>(name).ok().flatten().map_or(Content::Nothing, Content::Set)
    };
    let weights = weights.iter().copied().chain(std::iter::repeat(1.0));
    names.iter().zip(weights).map(|(name, weight)| Source { content: content(*name), weight }).collect()
}

/// What follows the keys.
struct Options {
    weights: SmallVec<[f64; 8]>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn parse(args: &mut Args, operation: &Operation, keys: usize, stores: bool) -> Result<Self, Error> {
        let mut options = Options { weights: SmallVec::new(), aggregate: Aggregate::Sum, with_scores: false };
        while !args.is_done() {
            if operation.has_weights && args.remaining() > keys && args.take_word("WEIGHTS") {
                options.weights.clear();
                for _ in 0..keys {
                    let weight = parse_double(args.next()?);
                    options.weights.push(weight.ok_or(Error::new("ERR weight value is not a float"))?);
                }
            } else if operation.has_weights && args.remaining() >= 2 && args.take_word("AGGREGATE") {
                options.aggregate = Aggregate::of(args.next()?)?;
            } else if !stores && args.take_word("WITHSCORES") {
                options.with_scores = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

fn answer(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, operation: &Operation) -> Result<Outcome, Error> {
    let names = names(args)?;
    look_up(&mut cx.keys, &names)?;
    let options = Options::parse(args, operation, names.len(), false)?;
    let members = (operation.combine)(&mut sources(&cx.keys, &names, &options.weights), options.aggregate);
    let members = members.sorted();
    let members = members.iter().map(|(name, score)| (Member::Text(name), *score));
    reply_members(reply, members, options.with_scores);
    Ok(Outcome::Same)
}

fn store_result(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    operation: &Operation,
    event: &'static str,
) -> Result<Outcome, Error> {
    let target = args.key()?;
    let names = names(args)?;
    look_up(&mut cx.keys, &names)?;
    let options = Options::parse(args, operation, names.len(), true)?;
    let members = (operation.combine)(&mut sources(&cx.keys, &names, &options.weights), options.aggregate);
    let result = Zset::of_sorted(members.sorted().iter().copied(), limits(cx));
    Ok(store(cx, target, result, event, reply))
}

/// Stores a result and answers its size. An empty one deletes the key.
pub(super) fn store(
    cx: &mut Ctx,
    target: Key,
    result: Zset,
    event: &'static str,
    reply: &mut Reply,
) -> Outcome {
    let len = result.view().len();
    reply.integer(len as i64);
    let existed = cx.keys.store(target, result);
    if len > 0 {
        cx.keys.event(EventClass::Zset, event, target);
    } else if existed {
        cx.keys.event(EventClass::Generic, "del", target);
    }
    Outcome::changed_if(len > 0 || existed)
}

fn zintercard(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const NEGATIVE: Error = Error::new("ERR LIMIT can't be negative");
    let names = names(args)?;
    look_up(&mut cx.keys, &names)?;
    let mut limit = 0;
    while !args.is_done() {
        if args.remaining() < 2 || !args.take_word("LIMIT") {
            return Err(Error::Syntax);
        }
        limit = usize::try_from(args.integer().map_err(|_| NEGATIVE)?).map_err(|_| NEGATIVE)?;
    }
    let mut sources = sources(&cx.keys, &names, &[]);
    let mut count = 0;
    visit_common(&mut sources, Aggregate::Sum, |_, _| {
        count += 1;
        count != limit
    });
    reply.integer(count as i64);
    Ok(Outcome::Same)
}

/// Visits the members that all inputs have until told to stop, in the order of the smallest.
fn visit_common(sources: &mut [Source], aggregate: Aggregate, mut visit: impl FnMut(&[u8], f64) -> bool) {
    // The order also decides in which order scores are added, and so how the sum is rounded: it is that of Redis.
    sources.sort_by_key(Source::len);
    let Some((smallest, others)) = sources.split_first() else { return };
    smallest.visit(|name, score| {
        let mut total = not_nan(aggregate.weigh(score, smallest.weight));
        for other in others {
            let Some(score) = other.score(name) else { return true };
            aggregate.add(&mut total, aggregate.weigh(score, other.weight));
        }
        visit(name, total)
    });
}

fn intersect(sources: &mut Vec<Source>, aggregate: Aggregate) -> Members {
    let mut members = Members::default();
    visit_common(sources, aggregate, |name, score| {
        members.push(name, score);
        true
    });
    members
}

fn unite(sources: &mut Vec<Source>, aggregate: Aggregate) -> Members {
    sources.sort_by_key(Source::len);
    let hasher = KeyHasher::members();
    let mut table = HashTable::<usize>::with_capacity(sources.last().map_or(0, Source::len));
    let mut members = Members::default();
    for source in sources {
        source.visit(|name, score| {
            let score = not_nan(aggregate.weigh(score, source.weight));
            let hash = hasher.hash(name);
            if let Some(&found) = table.find(hash, |&index| members.name(index) == name) {
                aggregate.add(&mut members.entries[found].1, score);
            } else {
                let index = members.entries.len();
                members.push(name, score);
                table.insert_unique(hash, index, |&index| hasher.hash(members.name(index)));
            }
            true
        });
    }
    members
}

fn subtract(sources: &[Source]) -> Members {
    let mut members = Members::default();
    if let Some((first, others)) = sources.split_first() {
        first.visit(|name, score| {
            if others.iter().all(|other| other.score(name).is_none()) {
                members.push(name, score);
            }
            true
        });
    }
    members
}

/// Different members with scores, in no particular order.
#[derive(Default)]
struct Members {
    /// All names, back to back.
    names: Vec<u8>,
    /// Where each name ends, and the score.
    entries: Vec<(usize, f64)>,
}

impl Members {
    fn push(&mut self, name: &[u8], score: f64) {
        self.names.extend_from_slice(name);
        self.entries.push((self.names.len(), score));
    }

    fn name(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.entries[index - 1].0 };
        &self.names[start..self.entries[index].0]
    }

    /// In the order of a sorted set.
    fn sorted(&self) -> Vec<(&[u8], f64)> {
        let mut sorted: Vec<_> =
            self.entries.iter().enumerate().map(|(index, (_, score))| (self.name(index), *score)).collect();
        sorted.sort_unstable_by(|one, two| {
            // Zeros of both signs are equal.
            one.1.partial_cmp(&two.1).expect("scores are numbers").then_with(|| one.0.cmp(two.0))
        });
        sorted
    }
}

#[cfg(test)]
mod tests;
