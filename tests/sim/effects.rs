//! Every command on one shard, its effects on a twin: both hold the same after each command.

use crate::lines::{self, LINES};
use crate::rounds;
use tidegate_commands::families;
use tidegate_commands::model::check::Bench;
use tidegate_commands::model::{Command, Protocol};
use tidegate_tests::oracle::generate::{Args, Generator};
use tidegate_tests::resp::Reply;
use tidegate_tests::twin::{Contents, Seen, Twin, collect, difference};

/// Commands of one sequence.
const SEQUENCE: usize = 400;

#[test]
fn every_command_has_lines() {
    let (names, missing) = lines::commands();
    assert!(
        missing.is_empty(),
        "the simulation never sends {missing:?}: add them to LINES in tests/sim/lines.rs"
    );
    let gone: Vec<_> = LINES.iter().filter(|(name, _)| !names.iter().any(|known| known == name)).collect();
    assert!(gone.is_empty(), "lines of commands that are not declared: {gone:?}");
}

/// How the names of the commands of sketches begin.
const SKETCHES: [&[u8]; 5] = [b"bf.", b"cf.", b"cms.", b"topk.", b"tdigest."];

/// Commands that may change a key without an event: BITFIELD makes room for a value that then overflows, PFCOUNT notes the
/// count in the value, PFDEBUG makes the value dense. Limits count without a word, or nobody would hear anything else.
const SILENT: &[&str] = &[
    "bitfield",
    "cache.get",
    "cache.put",
    "cb.allow",
    "cb.force",
    "cb.report",
    "cb.set",
    "ctr.add",
    "ctr.create",
    "idem.begin",
    "idem.complete",
    "lock.acquire",
    "lock.renew",
    "lock.release",
    "pfcount",
    "pfdebug",
    "rl.acquire",
    "rl.adjust",
    "rl.check",
    "rl.fixed",
    "rl.gcra",
    "rl.leaky",
    "rl.release",
    "rl.sliding",
    "rl.tokenbucket",
    "seq.next",
    "seq.set",
    "uniq.add",
    "uniq.create",
    "xack",
    "xackdel",
    "xautoclaim",
    "xcfgset",
    "xclaim",
    "xdelex",
    "xidmprecord",
    "xnack",
    "xqueue.ack",
    "xqueue.bind",
    "xqueue.call",
    "xqueue.create",
    "xqueue.del",
    "xqueue.extend",
    "xqueue.nack",
    "xqueue.pause",
    "xqueue.pop",
    "xqueue.purge",
    "xqueue.push",
    "xqueue.redrive",
    "xqueue.reply",
    "xqueue.unbind",
    "xreadgroup",
];

type Pair<'a> = (&'a (usize, Vec<u8>), &'a Seen);

#[test]
fn effects_make_a_twin() {
    let mut changes = vec![0_u32; LINES.len()];
    for seed in rounds("effects", 500, 20_000) {
        sequence(seed, &mut changes);
    }
    // A write that never wrote proved nothing.
    let idle: Vec<_> = LINES
        .iter()
        .zip(&changes)
        .filter(|((name, _), changes)| **changes == 0 && writes(name))
        .map(|((name, _), _)| name)
        .collect();
    assert!(idle.is_empty(), "no line of {idle:?} ever changed anything");
}

fn sequence(seed: u64, changes: &mut [u32]) {
    let mut generator = Generator::new(seed, &[]);
    let (mut bench, mut twin) = (Bench::default(), Twin::default());
    let mut sent: Vec<String> = Vec::new();
    // Commands that meet each other's keys: mostly those of one type, so that more happens.
    let theme = lines::theme(generator.random.pick(LINES));
    let themed: Vec<usize> = (0..LINES.len()).filter(|which| lines::theme(&LINES[*which]) == theme).collect();
    let is_filler = |which: &usize| lines::FILLERS.contains(&LINES[*which].0);
    let fillers: Vec<usize> = themed.iter().copied().filter(is_filler).collect();
    for _ in 0..SEQUENCE {
        let which = match generator.random.below(8) {
            0..4 => generator.random.below(LINES.len()),
            4 if !fillers.is_empty() => *generator.random.pick(&fillers),
            _ => *generator.random.pick(&themed),
        };
        // Emptying a database makes a sequence forget; once in a while is enough.
        if LINES[which].0.starts_with("flush") && !generator.one_in(8) {
            continue;
        }
        vary(&mut generator, &mut bench);
        let args = lines::line(&mut generator, &LINES[which], bench.now_ms);
        sent.push(format!("{} at {}: {}", bench.db, bench.now_ms, shown(&args)));
        if let Err(reason) = step(&mut bench, &mut twin, &args, &mut changes[which]) {
            let first = sent.len().saturating_sub(30);
            panic!("seed {seed}: {reason}\nafter\n{}", sent[first..].join("\n"));
        }
    }
}

/// Lets time pass, and changes what a client may change between two commands.
fn vary(generator: &mut Generator, bench: &mut Bench) {
    match generator.random.below(40) {
        0..=9 => bench.now_ms += generator.random.between(1, 10),
        10 => bench.now_ms += 1_000,
        11 => bench.now_ms += 300_000_000,
        12..=14 => bench.db = *generator.random.pick(&[0, 0, 1, 2]),
        15 => bench.protocol = Protocol::Resp3,
        16 => bench.protocol = Protocol::Resp2,
        _ => {}
    }
}

fn step(bench: &mut Bench, twin: &mut Twin, args: &Args, changes: &mut u32) -> Result<(), String> {
    let mut before = Contents::new();
    collect(bench.databases(), i64::MIN, &mut before);
    let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let ran = bench.run_words(&words);
    match Reply::decode(&ran.reply) {
        Ok(Some((_, used))) if used == ran.reply.len() => {}
        other => return Err(format!("not one reply: {} ({other:?})", ran.reply.escape_ascii())),
    }
    for (db, effects) in &ran.expired_elsewhere {
        twin.replay(*db, effects.bytes())?;
    }
    let commands = twin.replay(bench.db, ran.effects.bytes())?;
    if commands != ran.effects.len() {
        return Err(format!("{commands} effects, but it counts {}", ran.effects.len()));
    }
    let mut after = Contents::new();
    let all = collect(bench.databases(), i64::MIN, &mut after);
    if all != after.len() {
        return Err("two records for one key".to_owned());
    }
    let replayed = twin.contents(i64::MIN);
    if let Some(difference) = difference(&after, &replayed) {
        return Err(format!("{difference}; effects: {}", ran.effects.bytes().escape_ascii()));
    }
    let changed = differ(&before, &after);
    // What a tag makes useless is so in the copy that was made before, too: there the command's own count tells.
    *changes += u32::from(changed || ran.changes > 0);
    let nothing_told = ran.effects.is_empty() && ran.expired_elsewhere.is_empty();
    if changed && nothing_told {
        return Err("it changed the keyspace and told nobody".to_owned());
    }
    // Each change of single keys is announced; emptying and exchanging databases is not, as in Redis.
    let events = ran.events.iter().filter(|event| !event.starts_with("keymiss ")).count();
    let whole = declared(&words).is_some_and(|command| command.specs().next().is_none());
    // As values of modules do in Redis, sketches change silently.
    let is_sketch = SKETCHES.iter().any(|family| words[0].to_ascii_lowercase().starts_with(family));
    let silent = is_sketch || SILENT.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(words[0]));
    if changed && !whole && events == 0 && !silent {
        return Err(format!("a change without event: {}", ran.effects.bytes().escape_ascii()));
    }
    if nothing_told && events > 0 {
        return Err(format!("events without a change: {:?}", ran.events));
    }
    Ok(())
}

/// Whether two states differ in more than the encoding of strings: SETBIT makes a string `raw` even where it changes no
/// bit, and tells nobody, as in Redis.
fn differ(before: &Contents, after: &Contents) -> bool {
    let same = |((key, old), (other_key, new)): (Pair, Pair)| {
        key == other_key
            && (old.type_code, old.expiry_ms, &old.held) == (new.type_code, new.expiry_ms, &new.held)
    };
    before.len() != after.len() || !before.iter().zip(after).all(same)
}

fn declared(words: &[&[u8]]) -> Option<&'static Command> {
    let mut all = families::every().flat_map(|family| family.commands);
    let command = all.find(|command| command.name.as_bytes().eq_ignore_ascii_case(words[0]))?;
    Some(command)
}

fn writes(name: &str) -> bool {
    declared(&[name.as_bytes()])
        .is_some_and(|command| command.flags.has(tidegate_commands::model::Flag::Write))
}

fn shown(args: &Args) -> String {
    args.iter().map(|arg| format!("\"{}\"", arg.escape_ascii())).collect::<Vec<_>>().join(" ")
}
