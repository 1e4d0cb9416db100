//! `RL.POLICY`: limits by name.
#![expect(clippy::unnecessary_wraps, reason = "every handler has the one type of handlers")]

use super::effect::read_policy;
use super::parse;
use crate::families::Case;
use crate::families::glob_matches;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, Outcome, Reply, command, container};

pub(super) static POLICY: Command = container("RL.POLICY", &[&DEL, &FLUSH, &GET, &LIST, &SET]).about(
    "1.0.0",
    "Depends on subcommand.",
    "A container of commands about limits with names.",
);

/// Whoever rewrites the journal finds a change either before or behind its snapshot.
static SET: Command = command("SET", "name algorithm parameter [parameter...]", set)
    .about("1.0.0", "O(N) where N is the number of policies.", "Sets a policy.")
    .arity(-5)
    .flags(&[Flag::Admin])
    .whole_keyspace();

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let name = args.next()?;
    let mut words = args.clone();
    parse::policy(&mut words.clone(), cx.env.native().log_entries_max.get())?;
    let policy = read_policy(name, args)?;
    let id = cx.env.native().book().set(policy, None)?.to_string();
    let mut effects = Effects::default();
    let start: [&[u8]; 4] = [b"NATIVE.POLICY", b"SET", name, id.as_bytes()];
    let all: Vec<&[u8]> = start.into_iter().chain(words.rest()).collect();
    effects.push(&all);
    reply.ok();
    Ok(Outcome::ChangedAs(effects))
}

static GET: Command = command("GET", "name", get)
    .about("1.0.0", "O(1)", "Tells a policy.")
    .arity(3)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let policies = cx.env.native().policies();
    let Some(policy) = policies.get(args.next()?) else {
        reply.null();
        return Ok(Outcome::Same);
    };
    reply.map(5);
    for (name, value) in
        [("name", &*policy.name), ("algo", policy.algorithm()), ("spec", policy.text.as_str())]
    {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"shadow");
    reply.boolean(policy.is_shadow);
    reply.bulk(b"blockfor");
    reply.integer(policy.block_for_ms.unwrap_or(0));
    Ok(Outcome::Same)
}

static DEL: Command = command("DEL", "name [name...]", del)
    .about("1.0.0", "O(N) where N is the number of names.", "Deletes policies.")
    .arity(-3)
    .flags(&[Flag::Admin])
    .whole_keyspace();

fn del(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let book = cx.env.native().book();
    let (mut removed, mut effects) = (0, Effects::default());
    for name in args.rest() {
        let id = book.read().1.get(name).map(|policy| policy.id);
        if book.remove(name) {
            removed += 1;
            book.tallies.forget(id.unwrap_or(0));
            effects.push(&[b"NATIVE.POLICY", b"DEL", name]);
        }
    }
    reply.integer(removed);
    Ok(if removed > 0 { Outcome::ChangedAs(effects) } else { Outcome::Same })
}

static LIST: Command = command("LIST", "[pattern]", list)
    .about("1.0.0", "O(N*log(N)) where N is the number of policies.", "Lists the names of policies.")
    .arity(-2)
    .flags(&[Flag::Readonly]);

fn list(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let pattern = args.peek();
    if args.remaining() > 1 {
        return Err(Error::Syntax);
    }
    let policies = cx.env.native().policies();
    let is_wanted =
        |name: &str| pattern.is_none_or(|pattern| glob_matches(pattern, name.as_bytes(), Case::Sensitive));
    let names: Vec<&str> =
        policies.sorted().into_iter().map(|policy| &*policy.name).filter(|name| is_wanted(name)).collect();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(Outcome::Same)
}

static FLUSH: Command = command("FLUSH", "", flush)
    .about("1.0.0", "O(N) where N is the number of policies.", "Deletes all policies.")
    .arity(2)
    .flags(&[Flag::Admin])
    .whole_keyspace();

fn flush(cx: &mut Ctx, _: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let book = cx.env.native().book();
    let policies = book.read().1;
    book.clear();
    policies.sorted().iter().for_each(|policy| book.tallies.forget(policy.id));
    reply.ok();
    Ok(if policies.is_empty() { Outcome::Same } else { Outcome::changed_as(&[b"NATIVE.POLICY", b"FLUSH"]) })
}
