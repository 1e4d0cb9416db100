//! May this user send this request?

use super::selector::{Access, Selector};
use super::user::User;
use crate::registry::{Channels, Entry};
use smallvec::SmallVec;
use tidegate_commands::model::{
    BeginSearch, FindKeys, Flag, KeyFinder, KeyFlags, KeyPosition, Scope, Span, parse_i64,
};

/// What a request asks for and the user may not do. In the order of what is told when several selectors deny it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Run the command.
    Command,
    /// Use a database.
    Database,
    /// Use a key.
    Key,
    /// Use a channel.
    Channel,
}

/// Why a request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// What is not allowed.
    pub reason: Reason,
    /// The argument it is about, if it is a key or a channel.
    pub arg: usize,
}

/// A request that is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    /// Its command.
    pub entry: &'r Entry,
    /// Where its arguments lie.
    pub buf: &'r [u8],
    /// Its arguments.
    pub spans: &'r [Span],
    /// It will run if it is allowed. Otherwise the answer is that of Redis, who takes a request that does not fit the specs of
    /// its command for one without keys.
    pub is_real: bool,
    /// The selected database.
    pub db: u32,
}

/// Commands that read keys which patterns name: only for users who may read every key.
pub const REACHING: [&str; 2] = ["sort", "sort_ro"];

type Positions = SmallVec<[KeyPosition; 8]>;

impl<'r> Asked<'r> {
    /// Argument `index`, with the name counted.
    pub fn arg(&self, index: usize) -> &'r [u8] {
        self.spans[index].slice(self.buf)
    }

    fn words(&self) -> SmallVec<[&'r [u8]; 16]> {
        self.spans.iter().map(|span| span.slice(self.buf)).collect()
    }

    /// Its keys, and what happens to them.
    pub(super) fn keys(&self) -> Positions {
        let entry = self.entry;
        if let (Some(at), [spec]) = (entry.single_key, &entry.key_specs[..])
            && !spec.flags.has(KeyFlags::VARIABLE)
        {
            let is_key = at < self.spans.len() && !spec.flags.has(KeyFlags::NOT_KEY);
            return is_key.then_some(KeyPosition { arg: at, flags: spec.flags }).into_iter().collect();
        }
        if !entry.accepts(self.spans.len()) {
            // Only a script asks about such a request. It will not run.
            return Positions::new();
        }
        let words = self.words();
        let mut keys = keys_of(entry, &words);
        // A handler can use what the router finds, nothing else: whatever that is must be looked at, also of an option given
        // twice, of which the specs find one, and where other specs of the command do not fit (PFMERGE of one key).
        let mut known: SmallVec<[bool; 32]> = smallvec::smallvec![false; words.len()];
        keys.iter().for_each(|key| known[key.arg] = true);
        let mut add = |key: KeyPosition| {
            if !std::mem::replace(&mut known[key.arg], true) {
                keys.push(key);
            }
        };
        match entry.router_finder {
            Some(finder) => finder(&words, &mut add),
            None if self.is_real => {
                for spec in entry.key_specs.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY)) {
                    spec.positions(words.len(), |i| words[i], &mut add);
                }
            }
            None => {}
        }
        keys
    }

    /// The databases it uses, by the selected one or by name.
    pub(super) fn databases(&self) -> SmallVec<[u32; 4]> {
        const ANY: u32 = u32::MAX;
        let entry = self.entry;
        let mut found = SmallVec::new();
        let number = |index: usize| {
            let number = self.spans.get(index).and_then(|span| parse_i64(span.slice(self.buf)));
            // What is no database is refused for that.
            number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number < ANY)
        };
        match entry.name.as_str() {
            "select" => return number(1).into_iter().collect(),
            "swapdb" => return [1, 2].into_iter().filter_map(number).collect(),
            "flushall" => found.push(ANY),
            "move" => found.extend(number(2)),
            "copy" => {
                let is_db = |index: &usize| self.arg(*index).eq_ignore_ascii_case(b"db");
                found.extend((3..self.spans.len()).filter(is_db).filter_map(|index| number(index + 1)));
            }
            _ => {}
        }
        let reads = entry.flags.has(Flag::Readonly) || entry.flags.has(Flag::Write);
        if !entry.key_specs.is_empty() || reads || entry.scope == Scope::Keyspace {
            found.push(self.db);
        }
        found
    }
}

/// The keys of a request, and what happens to them, by the declaration of its command. The key specs are trusted when they
/// find every key and what happens to it. The number of arguments must be acceptable.
pub fn keys_of(entry: &Entry, words: &[&[u8]]) -> SmallVec<[KeyPosition; 8]> {
    let is_variable = entry.key_specs.iter().any(|spec| spec.flags.has(KeyFlags::VARIABLE));
    match entry.key_finder {
        Some(finder) if is_variable => by_finder(finder, words),
        finder => match (by_specs(entry, words), finder) {
            (Some(keys), _) => keys,
            (None, Some(finder)) => by_finder(finder, words),
            (None, None) => Positions::new(),
        },
    }
}

fn by_finder(finder: KeyFinder, words: &[&[u8]]) -> Positions {
    let mut keys = Positions::new();
    finder(words, &mut |key| keys.push(key));
    keys
}

/// `None` when one of the specs does not fit the request, or does not tell everything.
fn by_specs(entry: &Entry, words: &[&[u8]]) -> Option<Positions> {
    let mut keys = Positions::new();
    for spec in entry.key_specs.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY)) {
        let before = keys.len();
        let fits = spec.positions(words.len(), |i| words[i], &mut |key| keys.push(key));
        // A count of zero is taken where no key is needed, but no spec is fulfilled by it.
        let is_counted = matches!((spec.begin, spec.find), (BeginSearch::Index(_), FindKeys::KeyNum { .. }));
        let is_empty = is_counted && keys.len() == before;
        if !fits || is_empty || spec.flags.has(KeyFlags::INCOMPLETE) || spec.begin == BeginSearch::Unknown {
            return None;
        }
    }
    Some(keys)
}

impl User {
    /// May it send this request? One of its selectors has to allow all of it. What is told otherwise is what Redis tells:
    /// the worst that any selector says, and of that the last argument.
    ///
    /// # Errors
    /// What it may not do.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let mut keys = None;
        let mut told = Denied { reason: Reason::Command, arg: 0 };
        let mut arg = 0;
        for selector in self.selectors() {
            let Err(denied) = selector.check(asked, &mut keys) else { return Ok(()) };
            if denied.reason >= Reason::Key {
                arg = denied.arg;
            }
            if denied.reason > told.reason || denied.reason == told.reason && arg > told.arg {
                told = Denied { reason: denied.reason, arg };
            }
        }
        Err(told)
    }

    /// May it send this request, and besides use any key so?
    pub fn allows_with_all_keys(&self, asked: &Asked<'_>, access: Access) -> bool {
        let mut keys = None;
        let allows =
            |selector: &Selector| selector.check(asked, &mut keys).is_ok() && selector.allows_any_key(access);
        self.selectors().iter().any(allows)
    }
}

impl Selector {
    fn check(&self, asked: &Asked<'_>, keys: &mut Option<Positions>) -> Result<(), Denied> {
        let entry = asked.entry;
        if !self.all_commands && !self.commands.has(entry.id) && !entry.flags.has(Flag::NoAuth) {
            let given = asked.spans.get(entry.words).map(|span| span.slice(asked.buf));
            let listed = self.first_args.get(&entry.id);
            let is_listed = |given: &[u8]| {
                let given = super::until_zero(given);
                listed.is_some_and(|listed| listed.iter().any(|known| known.eq_ignore_ascii_case(given)))
            };
            if !given.is_some_and(is_listed) {
                return Err(Denied { reason: Reason::Command, arg: 0 });
            }
        }
        if self.dbs.is_some() && !asked.databases().iter().all(|db| self.allows_db(*db)) {
            return Err(Denied { reason: Reason::Database, arg: 0 });
        }
        if !self.all_keys && !entry.key_specs.is_empty() {
            for key in keys.get_or_insert_with(|| asked.keys()) {
                if !self.allows_key(asked.arg(key.arg), Access::of(key.flags)) {
                    return Err(Denied { reason: Reason::Key, arg: key.arg });
                }
            }
        }
        if !self.all_channels
            && let Some(Channels { first, is_pattern, pattern_word, many }) = entry.channels
        {
            let last = if many { asked.spans.len() } else { (first + 1).min(asked.spans.len()) };
            let says = |word: &str| {
                asked.spans.len() > last && asked.arg(last).eq_ignore_ascii_case(word.as_bytes())
            };
            let is_pattern = is_pattern || pattern_word.is_some_and(says);
            for arg in first..last {
                if !self.allows_channel(asked.arg(arg), is_pattern) {
                    return Err(Denied { reason: Reason::Channel, arg });
                }
            }
        }
        Ok(())
    }
}
