//! Locks in the journal: `NATIVE.APPLY key LK ...`, and how they are changed.
//!
//! ```text
//! GRANT owner token end holds mode first longest [meta]      mode: X one holder, S any number; longest 0: for any time
//! REN owner end holds      REL owner holds      EXP owner
//! ```

use crate::model::{Args, Ctx, Effects, Error, Outcome};
use tidegate_data::types::lock::{Effect, Holder, Lock, META_LEN_MAX, Mode, OWNER_LEN_MAX};
use tidegate_data::{EventClass, Key};

/// Makes changes, tells of them, and sees to the deadline of the key. The lock at `key` is there, or is granted now.
pub(super) fn change(cx: &mut Ctx, key: Key, changes: &[Effect]) -> Result<Outcome, Error> {
    let before = cx.keys.log().changes;
    let mut write = cx.keys.write_or_create::<Lock>(key)?;
    for change in changes {
        let was_held = held(write.view(), change);
        write.change().apply(change);
        let is_held = held(write.view(), change);
        match (change, was_held, is_held) {
            (Effect::Grant { .. }, false, _) => write.event(EventClass::Module, "lock.acquired"),
            (Effect::Release { .. }, true, false) => write.event(EventClass::Module, "lock.released"),
            (Effect::Expire { .. }, true, _) => write.event(EventClass::Module, "lock.expired"),
            _ => {}
        }
    }
    let deadline_ms = write.view().key_deadline_ms();
    drop(write);
    if deadline_ms.is_some() {
        cx.keys.set_expiry(key, deadline_ms);
    }
    cx.keys.log().recount(before, 1);
    Ok(cx.env.changed_as(|| {
        let mut effects = Effects::default();
        for change in changes {
            push(&mut effects, key.bytes(), change);
        }
        Outcome::ChangedAs(effects)
    }))
}

/// True if the owner of whom the change tells is among the holders.
fn held(lock: &Lock, change: &Effect) -> bool {
    let (Effect::Grant { holder: Holder { owner, .. }, .. }
    | Effect::Renew { owner, .. }
    | Effect::Release { owner, .. }
    | Effect::Expire { owner }) = change;
    lock.held_by(owner, i64::MIN).is_some()
}

/// Appends an effect.
fn push(effects: &mut Effects, key: &[u8], change: &Effect) {
    let text = |n: i64| n.to_string().into_bytes();
    let words: Vec<Vec<u8>> = match change {
        Effect::Grant { holder, mode, meta } => {
            let mode: &[u8] = if *mode == Mode::Shared { b"S" } else { b"X" };
            let mut words = vec![
                b"GRANT".to_vec(),
                holder.owner.to_vec(),
                text(holder.token),
                text(holder.end_ms),
                text(holder.holds),
                mode.to_vec(),
                text(holder.first_ms),
                text(holder.hold_max_ms),
            ];
            words.extend(meta.as_ref().map(|meta| meta.to_vec()));
            words
        }
        Effect::Renew { owner, end_ms, holds } => {
            vec![b"REN".to_vec(), owner.to_vec(), text(*end_ms), text(*holds)]
        }
        Effect::Release { owner, holds } => vec![b"REL".to_vec(), owner.to_vec(), text(*holds)],
        Effect::Expire { owner } => vec![b"EXP".to_vec(), owner.to_vec()],
    };
    let fixed: [&[u8]; 3] = [b"NATIVE.APPLY", key, b"LK"];
    let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
    effects.push(&all);
}

/// Reads what [`push`] wrote, behind `LK`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let op = args.next()?;
    let owner: Box<[u8]> = args.name_within("owner", OWNER_LEN_MAX)?.into();
    let change = match op {
        b"GRANT" => {
            let (token, end_ms, holds) = (args.integer()?, args.integer()?, args.integer()?);
            let mode = if args.next()? == b"S" { Mode::Shared } else { Mode::Exclusive };
            let (first_ms, hold_max_ms) = (args.integer()?, args.integer()?);
            let meta =
                if args.is_done() { None } else { Some(args.name_within("META", META_LEN_MAX)?.into()) };
            cx.env.native().raise_clocks(0, token);
            let holder = Holder { owner, token, end_ms, first_ms, hold_max_ms, holds };
            Effect::Grant { holder, mode, meta }
        }
        b"REN" => Effect::Renew { owner, end_ms: args.integer()?, holds: args.integer()? },
        b"REL" => Effect::Release { owner, holds: args.integer()? },
        b"EXP" => Effect::Expire { owner },
        _ => return Err(Error::Syntax),
    };
    args.end()?;
    change_loaded(cx, key, &change)
}

fn change_loaded(cx: &mut Ctx, key: Key, change_: &Effect) -> Result<Outcome, Error> {
    change(cx, key, std::slice::from_ref(change_)).map(|_| Outcome::Changed)
}
