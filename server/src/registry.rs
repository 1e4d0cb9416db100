//! All commands by name: the families of the keyspace and the commands about the connection or the process.
//!
//! `COMMAND`, ACL, the router and the statistics read from here; nothing else lists commands.

use crate::control::{self, Control};
use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tidegate_commands::families;
use tidegate_commands::model::{
    Acl, BeginSearch, Command, Family, FindKeys, Flag, Flags, Group, Handler, Judge, KeyFinder, KeyFlags,
    KeySpec, Scope,
};

/// What runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// A function of the keyspace.
    Data(Handler),
    /// A function of the connection or the process.
    Control(Control),
    /// Nothing: a container of subcommands.
    Container,
}

/// A command or subcommand as the server knows it.
#[derive(Debug)]
pub struct Entry {
    /// Index into the statistics.
    pub id: usize,
    /// Lower-case name, subcommands with a bar: `config|get`.
    pub name: String,
    /// The name it answers to: another one after `rename-command`.
    called: String,
    /// What runs it.
    pub body: Body,
    /// Its properties.
    pub flags: Flags,
    /// All its ACL categories.
    pub acl: Acl,
    /// Exact number of arguments with the name(s), or minus the least number.
    pub arity: i32,
    /// Where its keys are.
    pub key_specs: Vec<KeySpec>,
    /// What finds them where the specs alone do not.
    pub key_finder: Option<KeyFinder>,
    /// What finds them for the router; `None` where the specs do.
    pub router_finder: Option<KeyFinder>,
    /// The one key is at this argument: the common case, decided once.
    pub single_key: Option<usize>,
    /// It runs a script.
    pub is_script: bool,
    /// `GUARD`: `EXEC` looks at it before it runs anything.
    pub is_guard: bool,
    /// How a short call of it runs: one that needs constant or logarithmic time for each of its few arguments, and never
    /// waits. `None` if no call is one.
    pub short: Option<Short>,
    /// What of the keyspace it needs.
    pub scope: Scope,
    /// Tells which requests need all of it.
    pub whole_if: Option<Judge>,
    /// Words of its name: 1, or 2 for a subcommand.
    pub words: usize,
    /// Its subcommands by lower-case name, in declared order.
    pub subcommands: Vec<Entry>,
    /// Which of its arguments are channels.
    pub channels: Option<Channels>,
    /// Arguments from here on are secrets.
    pub secret_from: Option<usize>,
    /// What a wrong number of arguments is answered with, where that is another error than usual.
    pub usage: Option<&'static str>,
    /// Its documentation.
    pub docs: Docs,
}

/// Arguments that are channels, of a command that publishes or subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// The first of them.
    pub first: usize,
    /// They are patterns of channels.
    pub is_pattern: bool,
    /// They are if this word follows.
    pub pattern_word: Option<&'static str>,
    /// All arguments from there on are, not just the first.
    pub many: bool,
}

impl Channels {
    fn of(name: &str) -> Option<Self> {
        let (first, is_pattern, many) = match name {
            "publish" | "spublish" => (1, false, false),
            "subscribe" | "ssubscribe" => (1, false, true),
            "psubscribe" => (1, true, true),
            "xqueue.bind" => (2, false, false),
            _ => return None,
        };
        let pattern_word = (name == "xqueue.bind").then_some("PATTERN");
        Some(Channels { first, is_pattern, pattern_word, many })
    }
}

/// Calls of a command that are short.
#[derive(Debug, Clone, Copy)]
pub struct Short {
    /// What runs them.
    pub handler: Handler,
    /// The least number of arguments, with the name(s).
    argc_min: u32,
    /// How many more there may be.
    argc_more: u32,
}

impl Short {
    /// More arguments than this are no short call.
    const ARGC_MAX: u32 = 8;

    fn of(body: Body, arity: i32, complexity: &str) -> Option<Self> {
        /// Constant or logarithmic for each argument.
        const EACH: [&str; 6] = [
            "O(1)",
            "O(log(N))",
            // Sketches: their hashes, layers and rows are few.
            "O(K) where K is the number of hashes",
            "O(K) where K is the number of layers",
            "O(N·K) where N is the number of elements",
            "O(N·D) where N is the number of elements",
        ];
        /// It depends on how many elements are wanted, which is one if no number is given.
        const ALONE: [&str; 5] = [
            "Without the count argument O(1)",
            "O(N) where N is the number of elements returned",
            "O(N) where N is the number of fields returned",
            "O(N) where N is the number of members returned",
            "O(log(N)*M)",
        ];
        let Body::Data(handler) = body else { return None };
        let begins_as = |starts: &[&str]| starts.iter().any(|start| complexity.starts_with(start));
        let argc_min = arity.unsigned_abs();
        let argc_more = match arity {
            0.. if begins_as(&EACH) => 0,
            ..0 if begins_as(&EACH) => Self::ARGC_MAX.checked_sub(argc_min)?,
            ..0 if begins_as(&ALONE) => 0,
            _ => return None,
        };
        (argc_min <= Self::ARGC_MAX).then_some(Short { handler, argc_min, argc_more })
    }

    /// True when a request with `argc` arguments is acceptable, and short.
    #[inline]
    pub fn accepts(&self, argc: u32) -> bool {
        argc.wrapping_sub(self.argc_min) <= self.argc_more
    }
}

/// What `COMMAND DOCS` prints.
#[derive(Debug)]
pub struct Docs {
    /// One sentence.
    pub summary: &'static str,
    /// Version that introduced it.
    pub since: &'static str,
    /// Group.
    pub group: Group,
    /// Time complexity.
    pub complexity: &'static str,
    /// Arguments in the notation of the documentation.
    pub syntax: &'static str,
    /// Tips for clients.
    pub tips: &'static [&'static str],
    /// Version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Version that deprecated it and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
}

impl Entry {
    /// True when a request with `argc` arguments is acceptable.
    #[inline]
    pub fn accepts(&self, argc: usize) -> bool {
        if self.arity >= 0 { argc == self.arity as usize } else { argc >= self.arity.unsigned_abs() as usize }
    }

    /// The subcommand with this name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Entry> {
        self.subcommands.iter().find(|sub| sub.own_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name without the container's.
    pub fn own_name(&self) -> &str {
        self.name.split_once('|').map_or(&self.name, |(_, own)| own)
    }

    /// True for a container that is never called itself.
    pub fn is_container(&self) -> bool {
        matches!(self.body, Body::Container)
    }

    /// Where its keys are, as far as one range of arguments can tell.
    ///
    /// This is what `COMMAND` told before key specs existed, and what simple clients go by.
    pub fn key_range(&self) -> KeyRange {
        let range_of = |spec: &KeySpec| match (spec.begin, spec.find) {
            (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) => {
                let last = if last >= 0 { last + first as i32 } else { last };
                Some(KeyRange { first, last, step, movable: spec.flags.has(KeyFlags::INCOMPLETE) })
            }
            _ => None,
        };
        if let [only] = &self.key_specs[..] {
            return range_of(only).unwrap_or(KeyRange { movable: true, ..KeyRange::default() });
        }
        let mut all = KeyRange::default();
        for spec in &self.key_specs {
            // Only neighbours without gaps can be told as one range.
            let range = range_of(spec).filter(|range| {
                range.step == 1 && (all.last == 0 || i64::from(all.last) + 1 == range.first as i64)
            });
            let Some(range) = range else {
                all.movable = true;
                continue;
            };
            all.movable |= range.movable;
            all.first = if all.first == 0 { range.first } else { all.first.min(range.first) };
            // A last argument counted from the end is behind any counted from the front.
            all.last = if all.last < 0 || range.last < 0 {
                all.last.min(range.last)
            } else {
                range.last.max(all.last)
            };
            all.step = 1;
        }
        all
    }

    /// The names of its flags, as users see them.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> {
        let movable = self.key_range().movable.then_some("movablekeys");
        self.flags.names().chain(movable)
    }
}

/// A range of arguments that are keys. All 0 when there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first one.
    pub first: usize,
    /// The last one; negative from the end.
    pub last: i32,
    /// Distance between them.
    pub step: usize,
    /// There may be other keys: only the key specs tell all.
    pub movable: bool,
}

/// Places of the name table; several times the number of commands.
const PLACES: usize = 2048;
/// The index of an empty place.
const NOBODY: u16 = u16::MAX;
const EMPTY: Place =
    Place { folded: Folded { first: 0, last: 0, len: 0 }, index: NOBODY, exact: false, dot: NO_DOT };
/// No place for a dot in a name of which two words tell all.
const NO_DOT: u8 = u8::MAX;

/// A name in lower case, as two words and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Folded {
    first: u64,
    last: u64,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    folded: Folded,
    index: u16,
    /// The name has letters only and at most sixteen of them: whatever folds to the same is the same but for case.
    /// Folding confuses some control characters with punctuation, and does not see the middle of longer names.
    exact: bool,
    /// Where the only byte stands that is no letter, if that is a dot and the name is no longer than that: when there is a
    /// dot as well, it is the same but for case.
    dot: u8,
}

impl Place {
    /// The same name but for case, which folds to the same.
    #[inline]
    fn is_dotted(&self, name: &[u8]) -> bool {
        name.get(usize::from(self.dot)) == Some(&b'.')
    }
}

impl Folded {
    /// The first and the last eight bytes, overlapping in names below sixteen, with the bit that makes letters lower
    /// case set everywhere.
    #[inline]
    fn of(name: &[u8]) -> Self {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let len = name.len();
        let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
                }
                // At most three bytes: the first, the middle and the last are all of them.
                _ => match (name.first(), name.get(len / 2), name.last()) {
                    (Some(first), Some(middle), Some(last)) => {
                        let word = u32::from_le_bytes([*first, *middle, *last, 0]);
                        (u64::from(word), 0)
                    }
                    _ => (0, 0),
                },
            },
        };
        Folded { first: first | LOWER, last: last | LOWER, len: len as u32 }
    }

    #[inline]
    fn place(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(32)).wrapping_add(u64::from(self.len));
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % PLACES
    }
}

/// All commands.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<Entry>,
    /// An open-addressed table with the folded names inline: a look-up touches one cache line before its entry.
    places: Box<[Place]>,
    ids: usize,
    /// What only whoever loads the journal may call.
    effects: Vec<Entry>,
    /// `native-enabled no`: the commands that Redis does not have are not found.
    hides_native: AtomicBool,
}

/// What each of `entries` is called when they are `renamed` one after the other, `None` for one that is removed; and what of
/// that is wrong.
fn renames(
    entries: &[Entry],
    renamed: &[(String, String)],
) -> (Vec<Option<String>>, Vec<(usize, &'static str)>) {
    let mut holders: HashMap<String, usize> =
        entries.iter().enumerate().map(|(index, entry)| (entry.name.clone(), index)).collect();
    let mut wrong = Vec::new();
    for (line, (from, to)) in renamed.iter().enumerate() {
        let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        let Some(index) = holders.remove(&from) else {
            wrong.push((line, "No such command in rename-command"));
            continue;
        };
        if to.is_empty() {
            continue;
        }
        if holders.contains_key(&to) {
            wrong.push((line, "Target command name already exists"));
            holders.insert(from, index);
        } else {
            holders.insert(to, index);
        }
    }
    let mut names = vec![None; entries.len()];
    for (name, index) in holders {
        names[index] = Some(name);
    }
    (names, wrong)
}

impl Registry {
    /// Every command, `renamed` from one name to another (`rename-command`; an empty new name removes it).
    pub fn new(renamed: &[(String, String)]) -> Result<Self, String> {
        let mut builder = Builder::default();
        for family in families::ALL {
            builder.add(family, Body::Data);
        }
        for family in families::NATIVE {
            builder.add(family, Body::Data);
        }
        for family in control::ALL {
            builder.add(family, Body::Control);
        }
        let callable = builder.entries.len();
        for family in families::EFFECTS {
            builder.add(family, Body::Data);
        }
        let effects = builder.entries.split_off(callable);
        let (names, wrong) = renames(&builder.entries, renamed);
        if let Some((_, reason)) = wrong.first() {
            return Err((*reason).into());
        }
        let mut registry = Registry {
            entries: builder.entries,
            places: vec![EMPTY; PLACES].into(),
            ids: builder.ids,
            effects,
            hides_native: AtomicBool::new(false),
        };
        for (index, name) in names.iter().enumerate() {
            if let Some(name) = name {
                registry.name(index, name);
            }
        }
        Ok(registry)
    }

    /// What is wrong with renaming commands like this: which of them, counted from 0, and why. Those are passed over by the others.
    pub fn wrong_renames(renamed: &[(String, String)]) -> Vec<(usize, &'static str)> {
        let registry = Registry::new(&[]).expect("nothing is renamed");
        renames(&registry.entries, renamed).1
    }

    fn name(&mut self, index: usize, name: &str) {
        self.entries[index].called = name.into();
        let folded = Folded::of(name.as_bytes());
        let mut at = folded.place();
        while self.places[at].index != NOBODY {
            at = (at + 1) % PLACES;
        }
        let mut others = name.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_alphabetic());
        let (other, more) = (others.next(), others.next());
        let is_seen = name.len() <= 16;
        let dot = match other {
            Some((at, b'.')) if is_seen && more.is_none() => at as u8,
            _ => NO_DOT,
        };
        self.places[at] = Place { folded, index: index as u16, exact: is_seen && other.is_none(), dot };
    }

    /// The command with this name, in any case. Containers are found by their own name.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn lookup(&self, name: &[u8]) -> Option<&Entry> {
        let folded = Folded::of(name);
        let mut at = folded.place();
        loop {
            let place = &self.places[at];
            if place.folded == folded && place.exact {
                return self.entries.get(place.index as usize);
            }
            if place.folded == folded && place.is_dotted(name) && !self.hides_native.load(Relaxed) {
                return self.entries.get(place.index as usize);
            }
            if place.folded == folded || place.index == NOBODY {
                return self.search(name, folded, at);
            }
            at = (at + 1) % PLACES;
        }
    }

    /// Goes on at a place where the two words do not tell.
    #[inline(never)]
    fn search(&self, name: &[u8], folded: Folded, mut at: usize) -> Option<&Entry> {
        loop {
            let place = &self.places[at];
            if place.index == NOBODY {
                return None;
            }
            if place.folded == folded {
                let entry = &self.entries[place.index as usize];
                if place.exact || entry.called.as_bytes().eq_ignore_ascii_case(name) {
                    let is_hidden = self.hides_native.load(Relaxed) && entry.is_native();
                    return (!is_hidden).then_some(entry);
                }
            }
            at = (at + 1) % PLACES;
        }
    }

    /// The commands that can be called: all but those which `rename-command` took away.
    pub fn callable(&self) -> impl Iterator<Item = &Entry> {
        let hides = self.hides_native.load(Relaxed);
        self.entries.iter().filter(move |entry| !(entry.called.is_empty() || hides && entry.is_native()))
    }

    /// `native-enabled`: whether the commands that Redis does not have are found.
    pub fn enable_native(&self, enabled: bool) {
        self.hides_native.store(!enabled, Relaxed);
    }

    /// An effect of a command of our own, for whoever loads the journal.
    #[cold]
    pub fn effect(&self, name: &[u8]) -> Option<&Entry> {
        self.effects.iter().find(|entry| entry.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// All commands, not their subcommands.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Number of ids given out.
    pub fn ids(&self) -> usize {
        self.ids
    }

    /// The command or subcommand with this id. O(N).
    pub fn by_id(&self, id: usize) -> Option<&Entry> {
        self.entries
            .iter()
            .chain(&self.effects)
            .flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands))
            .find(|e| e.id == id)
    }
}

#[derive(Default)]
struct Builder {
    entries: Vec<Entry>,
    ids: usize,
}

impl Builder {
    fn add<H: Copy>(&mut self, family: &'static Family<H>, body: fn(H) -> Body) {
        for command in family.commands {
            let mut entry = self.entry(family, command, None, body);
            entry.subcommands = command
                .subcommands
                .iter()
                .map(|sub| self.entry(family, sub, Some(&command.name.to_ascii_lowercase()), body))
                .collect();
            self.entries.push(entry);
        }
    }

    fn entry<H: Copy>(
        &mut self,
        family: &Family<H>,
        command: &'static Command<H>,
        parent: Option<&str>,
        body: fn(H) -> Body,
    ) -> Entry {
        let id = self.ids;
        self.ids += 1;
        let own = command.name.to_ascii_lowercase();
        let key_specs: Vec<KeySpec> = command.specs().copied().collect();
        let is_incomplete = key_specs.iter().any(KeySpec::is_incomplete);
        let single_key = match key_specs[..] {
            _ if is_incomplete => None,
            [KeySpec { begin: BeginSearch::Index(at), find: FindKeys::Range { last: 0, .. }, .. }] => {
                Some(at)
            }
            _ => None,
        };
        let body = command.handler.map_or(Body::Container, body);
        let is_script = matches!(own.trim_end_matches("_ro"), "eval" | "evalsha" | "fcall");
        let short = Short::of(body, command.arity, command.complexity).and_then(|short| {
            match (command.flags.has(Flag::Blocking), command.name.contains('.')) {
                (false, _) => Some(short),
                // Those of our own wait only if an option says so.
                (true, true) => Some(Short { argc_more: 0, ..short }),
                (true, false) => None,
            }
        });
        Entry {
            id,
            is_script,
            is_guard: own == "guard",
            name: parent.map_or_else(|| own.clone(), |parent| format!("{parent}|{own}")),
            called: String::new(),
            body,
            flags: command.flags,
            acl: command.categories(family.acl),
            arity: command.arity,
            key_specs,
            key_finder: command.key_finder,
            router_finder: command.finder(),
            single_key,
            short,
            scope: command.scope,
            whole_if: command.whole_if,
            words: 1 + usize::from(parent.is_some()),
            subcommands: Vec::new(),
            channels: Channels::of(&own).filter(|_| parent.is_none()),
            secret_from: command.secret_from,
            usage: command.usage,
            docs: Docs {
                summary: command.summary,
                since: command.since,
                group: family.group,
                complexity: command.complexity,
                syntax: command.syntax,
                tips: command.tips,
                history: command.history,
                deprecated: command.deprecated,
            },
        }
    }
}

impl Entry {
    /// True when it may change the keyspace.
    #[inline]
    pub fn writes(&self) -> bool {
        self.flags.has(Flag::Write)
    }

    /// True for commands that Redis does not have.
    pub fn is_native(&self) -> bool {
        self.name.contains('.')
    }

    /// True when it may change the libraries of functions.
    pub fn changes_libraries(&self) -> bool {
        self.writes() && self.name.starts_with("function|")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_short(registry: &Registry, name: &str, argc: u32) -> bool {
        let entry = registry.lookup(name.as_bytes()).expect("a command");
        entry.short.is_some_and(|short| short.accepts(argc))
    }

    #[test]
    fn commands_are_renamed_one_after_the_other() {
        let lines = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
            lines.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
        };
        let renamed = lines(&[("GET", "a"), ("set", "get"), ("a", "Set"), ("zadd", ""), ("geoadd", "zadd")]);
        let registry = Registry::new(&renamed).expect("each name is free by then");
        for (called, name) in [("get", "set"), ("SET", "get"), ("zadd", "geoadd")] {
            assert_eq!(registry.lookup(called.as_bytes()).map(|entry| &*entry.name), Some(name));
        }
        for gone in ["a", "geoadd"] {
            assert!(registry.lookup(gone.as_bytes()).is_none(), "{gone}");
        }
        // Whichever of the two comes first in the table.
        for (from, to) in [("get", "zadd"), ("zadd", "get"), ("get", "get.no"), ("nosuch", "x")] {
            let refused = Registry::new(&lines(&[(from, to)])).err();
            let expected = match (from, to) {
                ("nosuch", _) => Some("No such command in rename-command"),
                (_, "get.no") => None,
                _ => Some("Target command name already exists"),
            };
            assert_eq!(refused.as_deref(), expected, "{from} {to}");
        }
        let wrong =
            Registry::wrong_renames(&lines(&[("nosuch", "x"), ("get", "set"), ("get", "set"), ("set", "y")]));
        assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn every_name_is_found_in_any_case() {
        let registry = Registry::new(&[]).expect("nothing is renamed");
        for entry in registry.entries() {
            let upper = entry.name.to_ascii_uppercase();
            for name in [&entry.name, &upper] {
                assert_eq!(registry.lookup(name.as_bytes()).map(|found| found.id), Some(entry.id), "{name}");
            }
            for other in [&upper[1..], &upper[..upper.len() - 1], &format!("{upper}x"), &format!("x{upper}")]
            {
                let found = registry.lookup(other.as_bytes());
                assert!(found.is_none_or(|found| found.name == other.to_ascii_lowercase()), "{other}");
            }
        }
        assert!(registry.lookup(b"").is_none() && registry.lookup(b"G").is_none());
    }

    #[test]
    fn short_calls_take_constant_time_for_few_arguments() {
        let registry = Registry::new(&[]).expect("nothing is renamed");
        let short =
            [("GET", 2), ("SET", 3), ("SET", 8), ("SPOP", 2), ("LPOP", 2), ("LPUSH", 8), ("ZPOPMIN", 2)];
        for (name, argc) in short {
            assert!(is_short(&registry, name, argc), "{name} with {argc}");
        }
        // Wrong numbers of arguments are for the gate to refuse, which knows the errors and their order.
        let long = [
            ("GET", 1),
            ("GET", 3),
            ("SET", 2),
            ("SET", 9),
            ("SPOP", 3),
            ("SPOP", 1),
            ("KEYS", 2),
            ("BLPOP", 3),
        ];
        for (name, argc) in long.into_iter().chain([("SMEMBERS", 2), ("LRANGE", 4), ("PING", 1), ("EXEC", 1)])
        {
            assert!(!is_short(&registry, name, argc), "{name} with {argc}");
        }
    }
}
