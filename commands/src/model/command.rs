//! The declaration of a command: one block holds its name, syntax, arity, keys, flags, documentation and handler.

use super::args::Args;
use super::ctx::Ctx;
use super::error::Error;
use super::keyspec::{KeyPosition, KeySpec};
use super::outcome::Outcome;
use super::reply::Reply;

/// What runs a command of the keyspace: a plain function, no I/O, no clock but `cx.env`'s.
pub type Handler = fn(&mut Ctx<'_>, &mut Args<'_>, &mut Reply<'_>) -> Result<Outcome, Error>;

/// A property of a command, in the vocabulary of `COMMAND INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Flag {
    /// May change the keyspace.
    Write,
    /// Only reads the keyspace.
    Readonly,
    /// Refused when memory is full.
    DenyOom,
    /// For operators.
    Admin,
    /// About channels.
    Pubsub,
    /// Not allowed in scripts.
    Noscript,
    /// May block the client.
    Blocking,
    /// Allowed while the data set is loading.
    Loading,
    /// Allowed on a replica with stale data.
    Stale,
    /// Not shown by `MONITOR`.
    SkipMonitor,
    /// Not in the slow log.
    SkipSlowlog,
    /// Needs `ASKING` handling in cluster mode.
    Asking,
    /// O(1) or O(log n).
    Fast,
    /// Allowed before authentication.
    NoAuth,
    /// May replicate although it is no write command.
    MayReplicate,
    /// Accepts a request without keys although it has key specs.
    NoMandatoryKeys,
    /// Not allowed inside `MULTI`.
    NoMulti,
    /// Only the replication link and the loader may send it.
    Protected,
    /// Allowed while a script is over its time.
    AllowBusy,
    /// Refused while loading in the background.
    NoAsyncLoading,
    /// May touch keys that are not among its arguments.
    TouchesArbitraryKeys,
    /// Runs at once inside `MULTI` instead of being queued. Not shown to users.
    Unqueued,
    /// Sent by servers or tests, not by users: `COMMAND DOCS` calls it a `syscmd`.
    System,
}

/// A set of [`Flag`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Names that `COMMAND INFO` prints, in its order. The others are nobody's business outside.
    const NAMES: [(Flag, &'static str); 18] = [
        (Flag::Write, "write"),
        (Flag::Readonly, "readonly"),
        (Flag::DenyOom, "denyoom"),
        (Flag::Admin, "admin"),
        (Flag::Pubsub, "pubsub"),
        (Flag::Noscript, "noscript"),
        (Flag::Blocking, "blocking"),
        (Flag::Loading, "loading"),
        (Flag::Stale, "stale"),
        (Flag::SkipMonitor, "skip_monitor"),
        (Flag::SkipSlowlog, "skip_slowlog"),
        (Flag::Asking, "asking"),
        (Flag::Fast, "fast"),
        (Flag::NoAuth, "no_auth"),
        (Flag::NoMandatoryKeys, "no_mandatory_keys"),
        (Flag::NoAsyncLoading, "no_async_loading"),
        (Flag::NoMulti, "no_multi"),
        (Flag::AllowBusy, "allow_busy"),
    ];

    /// True when the flag is set.
    #[inline]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// The names users see.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// A set of ACL categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acl(u64);

macro_rules! acl_categories {
    ($($name:ident = $bit:literal, $text:literal;)*) => {
        impl Acl {
            $(#[doc = concat!("`@", $text, "`")] pub const $name: Acl = Acl(1 << $bit);)*
            /// Every category with its name, in the order `ACL CAT` lists them.
            pub const ALL: &'static [(Acl, &'static str)] = &[$((Acl::$name, $text),)*];
        }
    };
}

acl_categories! {
    KEYSPACE = 0, "keyspace";
    READ = 1, "read";
    WRITE = 2, "write";
    SET = 3, "set";
    SORTEDSET = 4, "sortedset";
    LIST = 5, "list";
    HASH = 6, "hash";
    STRING = 7, "string";
    BITMAP = 8, "bitmap";
    HYPERLOGLOG = 9, "hyperloglog";
    GEO = 10, "geo";
    STREAM = 11, "stream";
    PUBSUB = 12, "pubsub";
    ADMIN = 13, "admin";
    FAST = 14, "fast";
    SLOW = 15, "slow";
    BLOCKING = 16, "blocking";
    DANGEROUS = 17, "dangerous";
    CONNECTION = 18, "connection";
    TRANSACTION = 19, "transaction";
    SCRIPTING = 20, "scripting";
    // Tidegate's own, behind those of Redis.
    RATELIMIT = 21, "ratelimit";
    QUEUE = 22, "queue";
    COUNTER = 23, "counter";
    SCHEDULE = 24, "schedule";
    WEBHOOK = 25, "webhook";
    RESILIENCE = 26, "resilience";
    BLOOM = 27, "bloom";
    CUCKOO = 28, "cuckoo";
    CMS = 29, "cms";
    TOPK = 30, "topk";
    TDIGEST = 31, "tdigest";
}

impl Acl {
    /// No category beyond the implied ones.
    pub const NONE: Acl = Acl(0);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Acl) -> Acl {
        Acl(self.0 | other.0)
    }

    /// True when all of `other` are in.
    pub const fn has(self, other: Acl) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the categories in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(category, _)| self.has(*category)).map(|(_, name)| *name)
    }
}

/// The documentation group of a family, as `COMMAND DOCS` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(pub &'static str);

/// What of the keyspace a command needs while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The shards of its keys.
    #[default]
    Keys,
    /// All of it: `FLUSHALL`, `SCAN`, `INFO`.
    Keyspace,
}

/// Finds the keys of a request where its key specs alone do not: they are unknown or incomplete (`SORT`), or what
/// happens to a key depends on the other arguments (`SET ... GET`). It must find every key, the specs' included.
/// It is asked only about requests with an acceptable number of arguments.
pub type KeyFinder = fn(args: &[&[u8]], found: &mut dyn FnMut(KeyPosition));

/// Judges a request by its arguments. It is asked only about requests with an acceptable number of them.
pub type Judge = fn(args: &[&[u8]]) -> bool;

/// A tip for clients and proxies, as `COMMAND INFO` prints it.
pub type Tip = &'static str;

/// A command, or a subcommand of a container.
///
/// `H` is the kind of handler: [`Handler`] for commands of the keyspace, the server's own kind for commands about
/// the connection or the process.
#[derive(Debug)]
pub struct Command<H: 'static = Handler> {
    /// Upper-case name; of a subcommand only its own word.
    pub name: &'static str,
    /// Arguments in the notation of the documentation; the argument tree of `COMMAND DOCS` is parsed from it.
    pub syntax: &'static str,
    /// What runs it; `None` for a container that is never called itself.
    pub handler: Option<H>,
    /// Version that introduced it.
    pub since: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Exact number of arguments with the name, or minus the least number.
    pub arity: i32,
    /// Where its keys are.
    pub key_specs: [Option<KeySpec>; 4],
    /// What finds them where the specs alone do not.
    pub key_finder: Option<KeyFinder>,
    /// The finder is asked even where the specs look complete.
    pub finder_first: bool,
    /// Its properties.
    pub flags: Flags,
    /// Categories beyond those of the family and those its flags imply.
    pub acl: Acl,
    /// Tips for clients.
    pub tips: &'static [Tip],
    /// Version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Version that deprecated it and what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Subcommands of a container.
    pub subcommands: &'static [&'static Command<H>],
    /// Arguments from this index on are secrets: hidden from `MONITOR`, the slow log and crash logs.
    pub secret_from: Option<usize>,
    /// What a wrong number of arguments is answered with, where that is another error than usual.
    pub usage: Option<&'static str>,
    /// What of the keyspace it needs.
    pub scope: Scope,
    /// Tells which requests need all of it.
    pub whole_if: Option<Judge>,
}

/// Begins the declaration of a command of the keyspace: its name, the syntax of its arguments, and the function
/// that runs it.
pub const fn command(name: &'static str, syntax: &'static str, handler: Handler) -> Command {
    Command::new(name, syntax, handler)
}

/// Begins the declaration of a container: a name and its subcommands.
pub const fn container<H: Copy>(
    name: &'static str,
    subcommands: &'static [&'static Command<H>],
) -> Command<H> {
    Command {
        name,
        syntax: "",
        handler: None,
        since: "1.0.0",
        complexity: "",
        summary: "",
        arity: -2,
        key_specs: [None; 4],
        key_finder: None,
        finder_first: false,
        flags: Flags(0),
        acl: Acl::NONE,
        tips: &[],
        history: &[],
        deprecated: None,
        subcommands,
        secret_from: None,
        usage: None,
        scope: Scope::Keys,
        whole_if: None,
    }
}

impl<H: Copy> Command<H> {
    /// A command with any kind of handler; see [`command`].
    pub const fn new(name: &'static str, syntax: &'static str, handler: H) -> Self {
        let mut command = container(name, &[]);
        command.syntax = syntax;
        command.handler = Some(handler);
        command
    }

    /// The version that introduced it, its complexity, one sentence about it.
    #[must_use]
    pub const fn about(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    /// Exact number of arguments with the name, or minus the least number.
    #[must_use]
    pub const fn arity(mut self, arity: i32) -> Self {
        self.arity = arity;
        self
    }

    /// Adds a key spec (at most four).
    #[must_use]
    pub const fn keys(mut self, spec: KeySpec) -> Self {
        let mut at = 0;
        while self.key_specs[at].is_some() {
            at += 1;
        }
        self.key_specs[at] = Some(spec);
        self
    }

    /// Finds the keys where the specs alone do not.
    #[must_use]
    pub const fn key_finder(mut self, finder: KeyFinder) -> Self {
        self.key_finder = Some(finder);
        self
    }

    /// Finds the keys of every request: of an option given twice the specs would find the wrong one.
    #[must_use]
    pub const fn key_finder_first(mut self, finder: KeyFinder) -> Self {
        self.finder_first = true;
        self.key_finder(finder)
    }

    /// Subcommands of a command that can also be called without one.
    #[must_use]
    pub const fn subcommands(mut self, subcommands: &'static [&'static Command<H>]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Its properties.
    #[must_use]
    pub const fn flags(mut self, flags: &[Flag]) -> Self {
        let mut at = 0;
        while at < flags.len() {
            self.flags.0 |= 1 << flags[at] as u32;
            at += 1;
        }
        self
    }

    /// ACL categories beyond those of the family and the implied ones.
    #[must_use]
    pub const fn acl(mut self, acl: Acl) -> Self {
        self.acl = self.acl.with(acl);
        self
    }

    /// Tips for clients.
    #[must_use]
    pub const fn tips(mut self, tips: &'static [Tip]) -> Self {
        self.tips = tips;
        self
    }

    /// Versions and what changed in them.
    #[must_use]
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }

    /// The version that deprecated it and what replaces it.
    #[must_use]
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some((since, replaced_by));
        self
    }

    /// Needs all of the keyspace.
    #[must_use]
    pub const fn whole_keyspace(mut self) -> Self {
        self.scope = Scope::Keyspace;
        self
    }

    /// Needs all of the keyspace for some requests: they read keys that no argument names.
    #[must_use]
    pub const fn whole_keyspace_if(mut self, is_whole: Judge) -> Self {
        self.whole_if = Some(is_whole);
        self
    }

    /// Arguments from `index` on are secrets.
    #[must_use]
    pub const fn secret_from(mut self, index: usize) -> Self {
        self.secret_from = Some(index);
        self
    }

    /// A wrong number of arguments is answered with this text, code included.
    #[must_use]
    pub const fn usage(mut self, text: &'static str) -> Self {
        self.usage = Some(text);
        self
    }
}

impl<H> Command<H> {
    /// The key specs that are set.
    pub fn specs(&self) -> impl Iterator<Item = &KeySpec> {
        self.key_specs.iter().flatten()
    }

    /// The finder that finds the keys of requests, if it is not the specs that do.
    pub fn finder(&self) -> Option<KeyFinder> {
        let asked = self.finder_first || self.specs().any(KeySpec::is_incomplete);
        self.key_finder.filter(|_| asked)
    }

    /// What of the keyspace a request needs.
    pub fn scope_of(&self, args: &[&[u8]]) -> Scope {
        if self.whole_if.is_some_and(|is_whole| is_whole(args)) { Scope::Keyspace } else { self.scope }
    }

    /// True when a request with `argc` arguments (name included) is acceptable.
    #[inline]
    pub const fn accepts(&self, argc: usize) -> bool {
        if self.arity >= 0 { argc == self.arity as usize } else { argc >= self.arity.unsigned_abs() as usize }
    }

    /// All ACL categories, given those of the family.
    pub fn categories(&self, family: Acl) -> Acl {
        let mut all = self.acl.with(family);
        let implied = [
            (Flag::Write, Acl::WRITE),
            (Flag::Readonly, Acl::READ),
            (Flag::Admin, Acl::ADMIN.with(Acl::DANGEROUS)),
            (Flag::Pubsub, Acl::PUBSUB),
            (Flag::Blocking, Acl::BLOCKING),
        ];
        for (flag, category) in implied {
            // Scripts read and write whatever they like, so the flag alone makes no reader of EVAL_RO.
            let is_script = category == Acl::READ && all.has(Acl::SCRIPTING);
            if self.flags.has(flag) && !is_script {
                all = all.with(category);
            }
        }
        all.with(if self.flags.has(Flag::Fast) { Acl::FAST } else { Acl::SLOW })
    }
}

/// A family: commands that belong together, with the group and the ACL categories they share.
#[derive(Debug)]
pub struct Family<H: 'static = Handler> {
    /// Group in the documentation.
    pub group: Group,
    /// Categories of every command in it.
    pub acl: Acl,
    /// The commands: a file's table of contents.
    pub commands: &'static [&'static Command<H>],
}

/// Declares a family.
pub const fn family<H>(group: &'static str, acl: Acl, commands: &'static [&'static Command<H>]) -> Family<H> {
    Family { group: Group(group), acl, commands }
}
