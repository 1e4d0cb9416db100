//! `XQUEUE.CALL`, `XQUEUE.REPLY`: a request to several queues, and the answers to it.

use super::open::{Done, Now, Open};
use super::push::{self, Wanted};
use super::settle::STALE;
use super::{receipt, skip_keys};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, parse_i64,
};
use tidegate_data::Key;
use tidegate_data::types::queue::{Effect, Headers, Message, Options};

/// The header that names the call.
const REPLY_TO: &[u8] = b"reply-to";

pub(super) static CALL: Command = command(
    "XQUEUE.CALL",
    "numkeys key [key...] DEADLINE milliseconds(integer) [NEED replies(integer)] \
     [<DELAY milliseconds(integer)|AT unix-time-milliseconds>] [PRIORITY priority(integer)] [GROUP group] \
     [TTL milliseconds(integer)] [MAXDELIVER deliveries(integer)] [HEADERS count <name value> [<name value>...]] BODY body",
    call,
)
.about(
    "1.0.0",
    "O(K*log(N)) where K is the number of keys and N that of messages.",
    "Adds a request to each of several work queues and waits for the answers of their workers.",
)
.arity(-7)
.keys(KeySpec::counted(1, 1).rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Blocking]);

fn call(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    skip_keys(args)?;
    let wanted = Wanted::parse(args, true)?;
    let keys: Vec<Key> = args.keys().collect();
    let need = wanted.need.unwrap_or(keys.len() as u64);
    if need > keys.len() as u64 {
        return Err(Error::text(format!("ERR NEED must be between 1 and {}", keys.len())));
    }
    let given = Headers::of_bytes(wanted.headers()).unwrap_or_default();
    if given.words().step_by(2).any(|name| name == REPLY_TO) {
        return Err(Error::new("ERR HEADERS of a call have no reply-to"));
    }
    let due_ms = wanted.due_ms(Now::of(&cx.env))?;
    let mut done = match check(cx, &keys, &wanted, reply)? {
        Checked::Taken(done) => done,
        Checked::Refused(done) => return Ok(done.outcome(cx)),
    };
    let number = cx.env.next_token();
    let call = cx.env.native().calls().begin(number, need as usize);
    let number = number.to_string();
    let headers = Headers::of_words(given.words().chain([REPLY_TO, number.as_bytes()]));
    for key in keys {
        let mut open = Open::or_create(&mut cx.keys, &cx.env, key)?;
        open.tell_all();
        let message = wanted.message(open.queue().options(), due_ms, headers.as_bytes(), wanted.body());
        let id = push::add(&mut open, message);
        push::trim(&mut open);
        done = done.and(open.done());
        call.ask(cx.keys.db(), key.bytes(), id);
    }
    if !cx.env.may_wait() {
        call.write(reply);
        return Ok(done.outcome(cx));
    }
    let deadline_ms = wanted.deadline_ms.map(|ms| cx.env.now_ms().saturating_add(ms as i64));
    let mut wait = Wait::new(deadline_ms, Null::Array);
    wait.effects = done.into_effects(cx);
    wait.call = Some(call);
    Ok(wait.into())
}

/// Whether all queues of a call take what is pushed.
enum Checked {
    /// They do; time has brought this to them.
    Taken(Done),
    /// One does not, which was written.
    Refused(Done),
}

fn check(cx: &mut Ctx, keys: &[Key], wanted: &Wanted, reply: &mut Reply) -> Result<Checked, Error> {
    let mut done = Done::default();
    for key in keys {
        let refusal = match Open::of(&mut cx.keys, &cx.env, *key) {
            Ok(Some(mut open)) => {
                let count = keys.iter().filter(|other| other.bytes() == key.bytes()).count();
                let refusal = push::is_closed(&open)
                    .or_else(|| push::is_too_big(open.queue().options(), &[wanted.body()]))
                    .or_else(|| push::lacks_room(&mut open, count));
                done = done.and(open.done());
                refusal
            }
            Ok(None) => push::is_too_big(&Options::default(), &[wanted.body()]),
            Err(error) => Some(error),
        };
        match refusal {
            None => {}
            Some(error) if done.has_changes() => {
                reply.error(&error);
                return Ok(Checked::Refused(done));
            }
            Some(error) => return Err(error),
        }
    }
    Ok(Checked::Taken(done))
}

pub(super) static REPLY: Command = command("XQUEUE.REPLY", "key receipt body", answer)
    .about(
        "1.0.0",
        "O(log(N)) where N is the number of messages.",
        "Removes a message that is done, and gives the answer to whoever has called for it, if they still wait.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

/// Where the answer to a message is to go; empty for nowhere.
pub(super) fn reply_to(message: &Message) -> &[u8] {
    let mut words = message.headers();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == REPLY_TO {
            return value;
        }
    }
    &[]
}

fn answer(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, text, body) = (args.key()?, args.next()?, args.next()?);
    let db = cx.keys.db();
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else { return Err(STALE) };
    let now_ms = open.now.ms;
    let queue = open.queue();
    let current = receipt(text).filter(|(id, token)| queue.is_current(*id, *token, now_ms));
    let Some(message) = current.and_then(|(id, _)| queue.get(id)) else {
        return open.refused(reply, STALE).map(|done| done.outcome(cx));
    };
    if let Some(error) = push::is_too_big(queue.options(), &[body]) {
        return open.refused(reply, error).map(|done| done.outcome(cx));
    }
    let (id, number) = (message.id, parse_i64(reply_to(message)));
    open.apply(&Effect::Ack { id, now_ms });
    let done = open.done();
    let calls = cx.env.native().calls();
    let is_heard = number.is_some_and(|number| calls.answer(number, db, key.bytes(), id, body));
    reply.integer(is_heard.into());
    Ok(done.outcome(cx))
}
