//! From the syntax line of a command to the argument tree that `COMMAND DOCS` shows.
//!
//! The notation is that of the Redis documentation, made exact:
//!
//! | Written | Means |
//! |---|---|
//! | `count` | an argument; its type follows from its name ([`ArgumentKind::of_name`]) |
//! | `end(string)` | an argument of another type than its name suggests |
//! | `NX`, `=`, `$`, `'yes'` | a word to be sent as it is |
//! | `EX seconds`, `LIMIT offset count` | a word and what follows it: one argument, or a block |
//! | `[...]` | may be left out |
//! | `<...>` | belongs together |
//! | `A\|B` | one of them |
//! | `key [key ...]`, `field value [field value ...]` | what comes before may be repeated |
//! | `[GET pattern [GET pattern ...]]` | repeated with its word |
//! | `<...>...` | a group that may be repeated |
//! | `[name: ...]`, `name:WORD` | names a group or a word; else names are made of what is inside |
//! | `[TYPE name: A\|B]` | the same as `[TYPE <name: A\|B>]` |
//! | `...@6.2.0`, `...@-2.8.12` | since that version, or deprecated since then |
//!
//! A syntax line is declared next to its handler and parsed when somebody asks. O(length).

mod fold;
mod read;

use super::keyspec::{BeginSearch, KeySpec};

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any bytes.
    String,
    /// A decimal integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// A point in time.
    UnixTime,
    /// A fixed word.
    PureToken,
    /// One of several.
    OneOf,
    /// Several, in this order.
    Block,
}

impl ArgumentKind {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::String, "string"),
        (Self::Integer, "integer"),
        (Self::Double, "double"),
        (Self::Key, "key"),
        (Self::Pattern, "pattern"),
        (Self::UnixTime, "unix-time"),
        (Self::PureToken, "pure-token"),
        (Self::OneOf, "oneof"),
        (Self::Block, "block"),
    ];

    /// The word `COMMAND DOCS` prints.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// The kind with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == word).map(|(kind, _)| *kind)
    }

    /// The kind an argument of this name usually has.
    pub fn of_name(name: &str) -> Self {
        match name {
            "key" | "key1" | "key2" | "newkey" | "destination" | "destkey" | "dst" | "source"
            | "sourcekey" | "src" => Self::Key,
            "pattern" => Self::Pattern,
            "unix-time-seconds" | "unix-time-milliseconds" => Self::UnixTime,
            "height" | "latitude" | "longitude" | "max" | "min" | "radius" | "score" | "timeout"
            | "width" => Self::Double,
            "bit" | "bits" | "client-id" | "cluster_bus_port" | "config-epoch" | "count" | "cursor"
            | "db" | "decrement" | "destination-db" | "end" | "end-slot" | "entries_added"
            | "entries_read" | "frequency" | "increment" | "index" | "index1" | "index2" | "len"
            | "limit" | "milliseconds" | "ms" | "num-matches" | "numkeys" | "numreplicas" | "offset"
            | "port" | "protover" | "rank" | "seconds" | "slot" | "start" | "start-slot" | "stop" | "ttl"
            | "version" | "weight" => Self::Integer,
            _ => Self::String,
        }
    }
}

/// One argument of a command, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// Index of the key spec that finds it.
    pub key_spec: Option<usize>,
    /// The fixed word before it, or that it is.
    pub token: Option<String>,
    /// The version that introduced it, when the command is older.
    pub since: Option<String>,
    /// The version that deprecated it.
    pub deprecated_since: Option<String>,
    /// It may be left out.
    pub optional: bool,
    /// It may be given several times.
    pub multiple: bool,
    /// Its token is repeated as well.
    pub multiple_token: bool,
    /// The members of a block or the choices of a one-of.
    pub arguments: Vec<Argument>,
}

impl Argument {
    fn new(name: impl Into<String>, kind: ArgumentKind) -> Self {
        Argument {
            name: name.into(),
            kind,
            key_spec: None,
            token: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        }
    }

    /// The least number of words of a request it takes.
    pub fn words_min(&self) -> usize {
        if self.optional { 0 } else { self.words_once(Argument::words_min) }
    }

    /// The greatest number of words it takes; `None` without a bound.
    pub fn words_max(&self) -> Option<usize> {
        if self.multiple {
            return None;
        }
        let members: Option<Vec<usize>> = self.arguments.iter().map(Argument::words_max).collect();
        let members = members?;
        Some(match self.kind {
            ArgumentKind::PureToken => 1,
            ArgumentKind::OneOf => self.token_words() + members.into_iter().max().unwrap_or(0),
            ArgumentKind::Block => self.token_words() + members.into_iter().sum::<usize>(),
            _ => self.token_words() + 1,
        })
    }

    fn words_once(&self, of_member: fn(&Argument) -> usize) -> usize {
        let members = self.arguments.iter().map(of_member);
        match self.kind {
            ArgumentKind::PureToken => 1,
            ArgumentKind::OneOf => self.token_words() + members.min().unwrap_or(0),
            ArgumentKind::Block => self.token_words() + members.sum::<usize>(),
            _ => self.token_words() + 1,
        }
    }

    fn token_words(&self) -> usize {
        usize::from(self.token.is_some())
    }
}

/// What is wrong with a syntax line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError(String);

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SyntaxError {}

/// The argument tree of a command with these key specs.
///
/// # Errors
///
/// A line that does not follow the notation. Every declared line is parsed by a test.
pub fn arguments(syntax: &str, specs: &[KeySpec]) -> Result<Vec<Argument>, SyntaxError> {
    let mut arguments = fold::sequence(&read::read(syntax)?);
    let mut numbering = Numbering { specs, next: 0, pattern: None };
    for argument in &mut arguments {
        numbering.visit(argument);
    }
    Ok(arguments)
}

/// Tells which key spec finds which argument: in the order of both. What is left over belongs to the last spec.
struct Numbering<'a> {
    specs: &'a [KeySpec],
    next: usize,
    pattern: Option<usize>,
}

impl Numbering<'_> {
    fn visit(&mut self, argument: &mut Argument) {
        match argument.kind {
            // Without key specs it is a name like any other: `CLUSTER KEYSLOT key`.
            ArgumentKind::Key if self.specs.is_empty() => argument.kind = ArgumentKind::String,
            ArgumentKind::Key => {
                argument.key_spec = Some(self.next.min(self.specs.len() - 1));
                self.next += 1;
            }
            // The patterns of SORT make names of keys that no argument holds.
            ArgumentKind::Pattern => {
                let is_unknown = |spec: &KeySpec| spec.begin == BeginSearch::Unknown;
                if self.pattern.is_none() && self.specs.get(self.next).is_some_and(is_unknown) {
                    self.pattern = Some(self.next);
                    self.next += 1;
                }
                argument.key_spec = self.pattern;
            }
            _ => {}
        }
        for member in &mut argument.arguments {
            self.visit(member);
        }
    }
}

#[cfg(test)]
mod tests;
