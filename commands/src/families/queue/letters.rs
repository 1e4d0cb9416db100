//! Dead letters of a queue whose options name another one for them.
//!
//! A message dies in its own queue, as any does, and is handed over by the command in which that was found, in the same unit.
//! Where the other queue takes nothing in, is full, or is no queue, the dead stay where they are, and are handed over later:
//! nothing gets lost between the two.

use super::open::{Done, Open};
use super::push;
use crate::model::Env;
use tidegate_data::types::queue::{Effect, Headers, Id, Message, Push, State};
use tidegate_data::{Key, Keys};

/// Most messages that one command hands over.
const LETTERS_MAX: usize = 1000;
/// Headers that tell where a letter comes from, and why it is dead.
const FROM: &[u8] = b"dead-in";
const REASON: &[u8] = b"dead-reason";

/// A message that is handed over.
struct Letter {
    id: Id,
    group: Vec<u8>,
    priority: u8,
    headers: Headers,
    body: Vec<u8>,
}

impl Letter {
    fn of(from: Key, group: &[u8], message: &Message) -> Self {
        let mut words: Vec<&[u8]> = Vec::new();
        let mut before = message.headers();
        while let (Some(name), Some(value)) = (before.next(), before.next()) {
            // It may have died before, elsewhere.
            if name != FROM && name != REASON {
                words.extend([name, value]);
            }
        }
        words.extend([FROM, from.bytes(), REASON, message.reason()]);
        Letter {
            id: message.id,
            group: group.to_vec(),
            priority: message.priority(),
            headers: Headers::of_words(words.into_iter()),
            body: message.body().to_vec(),
        }
    }
}

/// Hands over what is dead in the queue at `key`, as far as the other queue takes it.
pub(super) fn hand_over(keys: &mut Keys<'_>, env: &Env, key: Key, name: &[u8]) -> Done {
    let done = keys.with_neighbour(key, name, |keys, to| {
        // A key of another type takes nothing.
        let Ok(target) = Open::or_create(keys, env, to) else { return Done::default() };
        if push::is_closed(&target).is_some() {
            return target.done();
        }
        let queue = target.queue();
        let options = queue.options();
        let excess = if options.drops_old { 0 } else { queue.excess(LETTERS_MAX as u64) };
        let has_ids =
            queue.next_id(target.now.ms).and_then(|id| id.seq.checked_add(LETTERS_MAX as u64)).is_some();
        let left = if has_ids { LETTERS_MAX.saturating_sub(excess as usize) } else { 0 };
        let (max_body, ttl_ms) = (options.max_body, options.ttl_ms);
        let mut all = target.done();
        let Ok(Some(source)) = Open::of(keys, env, key) else { return all };
        let queue = source.queue();
        let dead = queue.list(State::Dead, None, left, source.now.ms).into_iter();
        let fits =
            |message: &&Message| message.state() == State::Dead && message.body().len() as u64 <= max_body;
        let letters: Vec<Letter> =
            dead.filter(fits).map(|message| Letter::of(key, queue.group(message), message)).collect();
        all = all.and(source.done());
        let Ok(mut target) = Open::or_create(keys, env, to) else { return all };
        let due_ms = target.now.ms;
        for Letter { group, priority, headers, body, .. } in &letters {
            let (priority, headers) = (*priority, headers.as_bytes());
            push::add(
                &mut target,
                Push { due_ms, priority, group, ttl_ms, headers, body, ..Push::default() },
            );
        }
        push::trim(&mut target);
        all = all.and(target.done());
        let Ok(Some(mut source)) = Open::of(keys, env, key) else { return all };
        for letter in &letters {
            source.apply(&Effect::Delete(letter.id));
        }
        all.and(source.done())
    });
    done.unwrap_or_default()
}
