//! `RL.STATS`: what limits decided.

use super::no_policy;
use super::tallies::INLINE;
use crate::model::{Args, Command, Ctx, Error, Flag, Outcome, Reply, command};

/// Most keys that are named.
const TOP_MAX: i64 = 100;

pub(super) static STATS: Command = command("RL.STATS", "[policy] [TOP count(integer)] [RESET]", stats)
    .about(
        "1.0.0",
        "O(N) where N is the number of policies.",
        "Tells what limits decided, and which keys they refused most.",
    )
    .arity(-1)
    .flags(&[Flag::Readonly]);

fn stats(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let is_token = |word: &[u8]| word.eq_ignore_ascii_case(b"TOP") || word.eq_ignore_ascii_case(b"RESET");
    let wanted = args.peek().filter(|word| !is_token(word));
    if wanted.is_some() {
        args.next()?;
    }
    let (mut top, mut reset) = (None, false);
    while !args.is_done() {
        if top.is_none() && args.take_word("TOP") {
            top = Some(args.between("TOP", 0, TOP_MAX)? as usize);
        } else if !reset && args.take_word("RESET") {
            reset = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    let policies = cx.env.native().policies();
    let mut named: Vec<(&str, u16)> = Vec::new();
    match wanted {
        Some(b"*") => named.push(("*", INLINE)),
        Some(name) => {
            let policy = policies.get(name).ok_or_else(|| no_policy(name))?;
            named.push((&policy.name, policy.id));
        }
        None => {
            named.push(("*", INLINE));
            named.extend(policies.sorted().iter().map(|policy| (&*policy.name, policy.id)));
        }
    }
    if wanted.is_none() {
        reply.array(named.len());
    }
    for (name, id) in named {
        write(cx, name, id, top, reply);
    }
    if reset {
        let now_ms = cx.env.native_ms();
        cx.env.native().book().tallies.reset(now_ms as u64);
    }
    Ok(Outcome::Same)
}

fn write(cx: &Ctx, name: &str, id: u16, top: Option<usize>, reply: &mut Reply) {
    let book = cx.env.native().book();
    let now_s = (cx.env.native_ms() / 1000) as u32;
    let figures = book.tallies.figures(id, now_s, top.unwrap_or(0));
    reply.map(10 + usize::from(top.is_some()));
    reply.bulk(b"policy");
    reply.bulk(name.as_bytes());
    for (name, value) in [
        ("allowed", figures.allowed),
        ("denied", figures.denied),
        ("shadow-denied", figures.shadow_denied),
        ("cost", figures.cost),
        ("allowed-1s", figures.allowed_s[0]),
        ("denied-1s", figures.denied_s[0]),
        ("allowed-60s", figures.allowed_s[1]),
        ("denied-60s", figures.denied_s[1]),
        ("since", book.tallies.since_ms()),
    ] {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    }
    if top.is_some() {
        reply.bulk(b"top");
        reply.array(figures.top.len());
        for (key, count) in &figures.top {
            reply.array(2);
            reply.bulk(key);
            reply.integer(*count as i64);
        }
    }
}
