//! `LOCK.ACQUIRE`: the model of a command that waits.

use super::{effect, lease_ms, owner};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_block,
};
use tidegate_data::Key;
use tidegate_data::types::lock::{Answer, Effect, Holder, Lock, META_LEN_MAX, Mode};

/// Longest time that can be named, in ms: what a double of a client's language holds exactly.
const TIME_MAX_MS: i64 = 1 << 53;

pub(super) static ACQUIRE: Command = command(
    "LOCK.ACQUIRE",
    "key owner lease-ms(integer) [SHARED] [BLOCK milliseconds(integer)] [META text] [MAXHOLD milliseconds(integer)]",
    acquire,
)
.about(
    "1.0.0",
    "O(N) where N is the number of holders.",
    "Acquires a lock for the time of a lease, and answers a fencing token. Can wait for it, first come first served.",
)
.arity(-4)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Blocking]);

/// What is asked for.
#[derive(Debug)]
struct Ask<'a> {
    owner: &'a [u8],
    lease_ms: i64,
    mode: Mode,
    /// How long the client would wait; 0 for any time.
    block_ms: Option<i64>,
    meta: Option<&'a [u8]>,
    hold_max_ms: Option<i64>,
}

impl<'a> Ask<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let (owner, lease_ms) = (owner(args)?, lease_ms(args)?);
        let mut ask =
            Ask { owner, lease_ms, mode: Mode::Exclusive, block_ms: None, meta: None, hold_max_ms: None };
        while !args.is_done() {
            if ask.mode == Mode::Exclusive && args.take_word("SHARED") {
                ask.mode = Mode::Shared;
            } else if ask.block_ms.is_none() && args.take_word("BLOCK") {
                ask.block_ms = Some(args.between("BLOCK", 0, TIME_MAX_MS)?);
            } else if ask.meta.is_none() && args.take_word("META") {
                ask.meta = Some(args.name_within("META", META_LEN_MAX)?);
            } else if ask.hold_max_ms.is_none() && args.take_word("MAXHOLD") {
                ask.hold_max_ms = Some(args.between("MAXHOLD", 1, TIME_MAX_MS)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(ask)
    }

    /// What is run when the lock may be free: the same.
    fn words<'w>(&'w self, key: &'w [u8], numbers: &'w [String; 2]) -> Vec<&'w [u8]> {
        let mut words: Vec<&[u8]> = vec![b"LOCK.ACQUIRE", key, self.owner, numbers[0].as_bytes()];
        if self.mode == Mode::Shared {
            words.push(b"SHARED");
        }
        if let Some(meta) = self.meta {
            words.extend([&b"META"[..], meta]);
        }
        if self.hold_max_ms.is_some() {
            words.extend([&b"MAXHOLD"[..], numbers[1].as_bytes()]);
        }
        words.extend([&b"BLOCK"[..], b"0"]);
        words
    }
}

fn acquire(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let ask = Ask::parse(args)?;
    let (now_ms, is_retry) = (cx.env.native_ms(), cx.env.is_retry());
    // Whoever came first has it first, even if the lock is free by now.
    let is_my_turn = is_retry || cx.env.waiters() == 0;
    let found = match cx.keys.for_write_as::<Lock>(key) {
        // Who waits waits on while the key is something else.
        Err(_) if is_retry => return Ok(wait(cx, key, &ask, None).into()),
        lock => lock?.map_or_else(Found::default, |lock| Found::of(lock, &ask, now_ms)),
    };
    let mut changes = found.overdue;
    let holder = match (found.answer, found.held) {
        (Answer::Upgrade, _) => return Err(Error::new("ERR lock upgrade is not supported")),
        (_, Some(held)) => {
            let end_ms = held.end_of(ask.lease_ms, now_ms).max(held.ends_at(now_ms));
            Holder { end_ms, holds: held.holds.saturating_add(1), ..held }
        }
        (Answer::Free | Answer::Joinable, None) if is_my_turn => {
            let fresh = Holder {
                owner: ask.owner.into(),
                token: cx.env.next_token(),
                end_ms: 0,
                first_ms: now_ms,
                hold_max_ms: ask.hold_max_ms.unwrap_or(0),
                holds: 1,
            };
            Holder { end_ms: fresh.end_of(ask.lease_ms, now_ms), ..fresh }
        }
        _ if ask.block_ms.is_some() && cx.env.may_wait() => {
            return Ok(wait(cx, key, &ask, found.free_at_ms).into());
        }
        _ => {
            reply.null_array();
            return Ok(Outcome::Same);
        }
    };
    reply.array(3);
    reply.integer(holder.token);
    reply.integer(cx.env.wall_of_native(holder.end_ms));
    reply.integer(holder.holds);
    let meta = ask.meta.map(Into::into);
    changes.push(match found.answer {
        Answer::Held if meta.is_none() => {
            Effect::Renew { owner: holder.owner, end_ms: holder.end_ms, holds: holder.holds }
        }
        // Who holds it for itself and asks for a part of it keeps what it has.
        Answer::Held => Effect::Grant { holder, mode: found.mode, meta },
        _ => Effect::Grant { holder, mode: ask.mode, meta },
    });
    effect::change(cx, key, &changes)
}

/// How the lock is before it is changed.
#[derive(Debug)]
struct Found {
    answer: Answer,
    mode: Mode,
    /// What the owner holds already.
    held: Option<Holder>,
    overdue: Vec<Effect>,
    /// When all leases end.
    free_at_ms: Option<i64>,
}

impl Default for Found {
    fn default() -> Self {
        Found {
            answer: Answer::Free,
            mode: Mode::Exclusive,
            held: None,
            overdue: Vec::new(),
            free_at_ms: None,
        }
    }
}

impl Found {
    fn of(lock: &Lock, ask: &Ask, now_ms: i64) -> Self {
        let answer = lock.ask(ask.owner, ask.mode, now_ms);
        Found {
            answer,
            mode: lock.mode(),
            held: lock.held_by(ask.owner, now_ms).cloned(),
            overdue: lock.overdue(now_ms),
            free_at_ms: lock.free_at_ms(now_ms),
        }
    }
}

/// Stands in line until the lock is released, its leases end, or time runs out.
fn wait(cx: &Ctx, key: Key, ask: &Ask, free_at_ms: Option<i64>) -> Wait {
    let mut wait = Wait::new(deadline_of_block(ask.block_ms, cx.env.now_ms()), Null::Array);
    let numbers = [ask.lease_ms.to_string(), ask.hold_max_ms.unwrap_or(0).to_string()];
    wait.on(key, &ask.words(key.bytes(), &numbers)).or_when(free_at_ms).in_line();
    wait
}
