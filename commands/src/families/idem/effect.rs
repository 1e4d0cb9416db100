//! Idempotency keys in the journal: `NATIVE.APPLY key ID ...`, and how they are changed.
//!
//! ```text
//! BEGIN token end [fingerprint]      DONE token response until      FAIL
//! ```

use crate::model::{Args, Ctx, Effects, Error, Outcome};
use tidegate_data::Key;
use tidegate_data::types::idem::{Effect, FINGERPRINT_LEN_MAX, Idem};

/// Makes a change, and sees to the deadline of the key.
pub(super) fn change(cx: &mut Ctx, key: Key, change: Effect) -> Result<Outcome, Error> {
    let outcome = cx.env.changed_as(|| {
        let mut effects = Effects::default();
        push(&mut effects, key.bytes(), &change);
        Outcome::ChangedAs(effects)
    });
    let before = cx.keys.log().changes;
    let mut write = cx.keys.write_or_create::<Idem>(key)?;
    write.change().apply(change);
    let deadline_ms = write.view().key_deadline_ms();
    drop(write);
    if deadline_ms.is_some() {
        cx.keys.set_expiry(key, deadline_ms);
    }
    cx.keys.log().recount(before, 1);
    Ok(outcome)
}

/// Appends an effect.
fn push(effects: &mut Effects, key: &[u8], change: &Effect) {
    let numbers = match change {
        Effect::Begin { token, end_ms, .. } => [token.to_string(), end_ms.to_string()],
        Effect::Done { token, until_ms, .. } => [token.to_string(), until_ms.to_string()],
        Effect::Fail => Default::default(),
    };
    let [token, moment] = numbers.each_ref().map(String::as_bytes);
    let mut words: Vec<&[u8]> = vec![b"NATIVE.APPLY", key, b"ID"];
    match change {
        Effect::Begin { fingerprint, .. } => {
            words.extend([&b"BEGIN"[..], token, moment]);
            words.extend(fingerprint.as_deref());
        }
        Effect::Done { response, .. } => words.extend([&b"DONE"[..], token, response, moment]),
        Effect::Fail => words.push(b"FAIL"),
    }
    effects.push(&words);
}

/// Reads what [`push`] wrote, behind `ID`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let effect = match args.next()? {
        b"BEGIN" => {
            let (token, end_ms) = (args.integer()?, args.integer()?);
            let fingerprint = if args.is_done() {
                None
            } else {
                Some(args.name_within("fingerprint", FINGERPRINT_LEN_MAX)?.into())
            };
            cx.env.native().raise_clocks(0, token);
            Effect::Begin { token, end_ms, fingerprint }
        }
        b"DONE" => {
            let token = args.integer()?;
            Effect::Done { token, response: args.next()?.into(), until_ms: args.integer()? }
        }
        b"FAIL" => Effect::Fail,
        _ => return Err(Error::Syntax),
    };
    args.end()?;
    change(cx, key, effect).map(|_| Outcome::Changed)
}
