//! `IDEM.BEGIN`.

use super::{TIME_MAX_MS, effect};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_block,
};
use tidegate_data::Key;
use tidegate_data::types::idem::{Effect, FINGERPRINT_LEN_MAX, Idem, Progress};

pub(super) static BEGIN: Command = command(
    "IDEM.BEGIN",
    "key lease-ms(integer) [FINGERPRINT fingerprint] [BLOCK milliseconds(integer)]",
    begin,
)
.about(
    "1.0.0",
    "O(1), and O(N) in the size of the response.",
    "Tells whether a request is to be run, is run by somebody, or was run before, and what was answered then. Can wait \
     for that.",
)
.arity(-3)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Blocking]);

/// What is asked for.
#[derive(Debug)]
struct Ask<'a> {
    lease_ms: i64,
    fingerprint: Option<&'a [u8]>,
    /// How long the client would wait; 0 for any time.
    block_ms: Option<i64>,
}

impl<'a> Ask<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let lease_ms = args.between("lease", 1, TIME_MAX_MS)?;
        let mut ask = Ask { lease_ms, fingerprint: None, block_ms: None };
        while !args.is_done() {
            if ask.fingerprint.is_none() && args.take_word("FINGERPRINT") {
                ask.fingerprint = Some(args.name_within("fingerprint", FINGERPRINT_LEN_MAX)?);
            } else if ask.block_ms.is_none() && args.take_word("BLOCK") {
                ask.block_ms = Some(args.between("BLOCK", 0, TIME_MAX_MS)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(ask)
    }
}

fn begin(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let ask = Ask::parse(args)?;
    let (now_ms, is_retry) = (cx.env.native_ms(), cx.env.is_retry());
    let waits = ask.block_ms.is_some() && cx.env.may_wait();
    let idem = match cx.keys.for_write_as::<Idem>(key) {
        // Who waits waits on while the key is something else.
        Err(_) if is_retry => return Ok(wait(cx, key, &ask, None).into()),
        idem => idem?,
    };
    let progress = idem.and_then(|idem| idem.progress(now_ms));
    if let (Some(idem), Some(progress)) = (idem, progress) {
        if let (Some(kept), Some(given)) = (idem.fingerprint(), ask.fingerprint)
            && kept != given
        {
            return Err(mismatch(key));
        }
        let until_ms = progress.until_ms();
        match progress {
            Progress::Done { response, .. } => {
                answer(reply, b"done", None, Some(response), until_ms - now_ms);
                return Ok(Outcome::Same);
            }
            Progress::Pending { .. } if waits => return Ok(wait(cx, key, &ask, Some(until_ms)).into()),
            Progress::Pending { .. } => {
                answer(reply, b"pending", None, None, until_ms - now_ms);
                return Ok(Outcome::Same);
            }
        }
    }
    if !is_retry && cx.env.waiters() > 0 {
        // It is the turn of somebody who came before.
        if waits {
            return Ok(wait(cx, key, &ask, Some(now_ms)).into());
        }
        answer(reply, b"pending", None, None, 1);
        return Ok(Outcome::Same);
    }
    let token = cx.env.next_token();
    answer(reply, b"new", Some(token), None, ask.lease_ms);
    let end_ms = now_ms.saturating_add(ask.lease_ms);
    effect::change(cx, key, Effect::Begin { token, end_ms, fingerprint: ask.fingerprint.map(Into::into) })
}

fn answer(reply: &mut Reply, status: &[u8], token: Option<i64>, response: Option<&[u8]>, ms: i64) {
    reply.array(4);
    reply.bulk(status);
    match token {
        Some(token) => reply.integer(token),
        None => reply.null(),
    }
    reply.bulk_or_null(response);
    reply.integer(ms);
}

/// Waits until there is an answer, or nobody runs the request any more. When time runs out that is told as it is then.
fn wait(cx: &Ctx, key: Key, ask: &Ask, end_ms: Option<i64>) -> Wait {
    let mut wait = Wait::new(deadline_of_block(ask.block_ms, cx.env.now_ms()), Null::Array);
    let lease = ask.lease_ms.to_string();
    let mut words: Vec<&[u8]> = vec![b"IDEM.BEGIN", key.bytes(), lease.as_bytes()];
    if let Some(fingerprint) = ask.fingerprint {
        words.extend([&b"FINGERPRINT"[..], fingerprint]);
    }
    wait.or_answer(&words);
    words.extend([&b"BLOCK"[..], b"0"]);
    wait.on(key, &words).or_when(end_ms).in_line();
    wait
}

fn mismatch(key: Key) -> Error {
    /// Longest part of a key that an error shows.
    const SHOWN_MAX: usize = 128;
    let name = key.bytes();
    let shown = &name[..name.len().min(SHOWN_MAX)];
    Error::text([b"MISMATCH idempotency key '", shown, b"' was used with a different request"].concat())
}
