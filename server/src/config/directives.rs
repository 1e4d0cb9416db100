//! The one table of configuration directives. A row says everything about a directive: names, form, default, range,
//! who may change it when, what a change makes the running server do, and which [`Hot`] cell mirrors it. The config
//! file, the command line, CONFIG GET, SET and REWRITE are all driven by these rows; `redis.conf.example` documents
//! them for users.
//!
//! Names, defaults, ranges and flags are those of Redis 7.0.15, but for `bind` without a file. Rows of later versions
//! and of Tidegate are in the same sections and say so. Directives that change nothing here, because Tidegate has no
//! such mechanism, are kept (tools set and read them) and are marked [`Directive::inert`].

mod cluster;
mod memory;
mod network;
mod observe;
mod persistence;
mod process;
mod replication;
mod sketches;
mod tls;
mod values;

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use hashbrown::HashMap;

use super::choices::Word;
use super::hot::Hot;
use super::value::Value;

/// One configuration directive.
#[derive(Debug)]
pub struct Directive {
    pub name: &'static str,
    /// A second name of the same setting, normally what it was called before.
    pub alias: Option<&'static str>,
    pub kind: Kind,
    pub flags: Flags,
    /// What the running server does when CONFIG SET changed the value.
    pub effect: Option<Effect>,
    /// Checks a value that has the right form, and may round it to one that is in use.
    pub(super) check: Option<Check>,
    pub(super) hot: Option<fn(&Hot, &Value)>,
}

/// Refuses a value with a reason, or rounds it.
pub(super) type Check = fn(&mut Value) -> Result<(), String>;

/// The form of a directive's value, with what depends on the form: default, range, words.
#[derive(Debug)]
pub enum Kind {
    Bool {
        default: bool,
    },
    Number(Number),
    Choice {
        words: &'static [Word],
        default: i64,
    },
    /// With `empty_is_unset` an empty text is no text at all, and is not written to the config file.
    Text {
        default: Option<&'static str>,
        empty_is_unset: bool,
    },
    Dir,
    Save,
    OutputLimits,
    OomScores,
    Events,
    Bind,
    ReplicaOf,
    Percentiles,
}

/// A numeric directive. `unit` decides the texts that are accepted and answered.
#[derive(Debug)]
pub struct Number {
    pub default: i64,
    /// Wide enough for every 64-bit type, signed or not.
    pub low: i128,
    pub high: i128,
    pub unit: Unit,
    /// Stored as unsigned: the 64 bits of the value are compared and, for [`Unit::Plain`], still printed as signed.
    pub unsigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Plain,
    /// Bytes, with units.
    Memory,
    /// Bytes, or `n%` which is stored as `-n`.
    MemoryOrPercent,
    Octal,
}

/// Properties of a directive, combined by the builder methods below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Only the config file and the command line set it.
    pub const IMMUTABLE: Self = Self(1 << 0);
    /// Its value must not appear in logs, SLOWLOG or MONITOR.
    pub const SENSITIVE: Self = Self(1 << 1);
    /// Part of the short dump that crash reports carry.
    pub const DEBUG: Self = Self(1 << 2);
    /// Takes several arguments.
    pub const MULTI: Self = Self(1 << 3);
    /// CONFIG GET finds it by its full name only, not by a pattern.
    pub const HIDDEN: Self = Self(1 << 4);
    /// CONFIG SET needs `enable-protected-configs`.
    pub const PROTECTED: Self = Self(1 << 5);
    /// CONFIG SET is refused while the data set is being loaded.
    pub const DENY_LOADING: Self = Self(1 << 6);
    /// Setting it again to the same value still takes effect, because it names a file that may have changed.
    pub const VOLATILE: Self = Self(1 << 7);
    /// Accepted and answered, but nothing in Tidegate depends on it.
    pub const INERT: Self = Self(1 << 8);
    /// The default is the number of cores the process may use, not the number in the row.
    pub const CORES: Self = Self(1 << 9);

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Work that a change of settings causes in the running server. Several directives may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    AofHistory,
    AppendOnly,
    Audit,
    Bind,
    ClientMemory,
    ClusterFlags,
    ClusterHostname,
    ClusterIp,
    ClusterPorts,
    CrashLog,
    Dir,
    GoodReplicas,
    Hz,
    IdNode,
    MaxClients,
    MaxMemory,
    MetricsPort,
    Native,
    NotifyStream,
    OomScoreAdj,
    Password,
    Port,
    ProcessTitle,
    ReplBacklog,
    Tls,
    TlsPort,
}

/// Every directive, in the order CONFIG GET answers and CONFIG REWRITE appends.
pub fn all() -> &'static [&'static Directive] {
    &INDEX.rows
}

/// Where `name` (any case, alias or not) is in [`all`], and the name of the table's spelling.
pub(super) fn find(name: &[u8]) -> Option<(usize, &'static str)> {
    let lower = name.to_ascii_lowercase();
    let lower = std::str::from_utf8(&lower).ok()?;
    INDEX.names.get(lower).copied()
}

/// The directive called `name`, in any case, alias or not.
pub fn lookup(name: &[u8]) -> Option<&'static Directive> {
    find(name).map(|(row, _)| INDEX.rows[row])
}

struct Index {
    rows: Vec<&'static Directive>,
    names: HashMap<&'static str, (usize, &'static str)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let sections = [
        network::ROWS,
        tls::ROWS,
        process::ROWS,
        observe::ROWS,
        memory::ROWS,
        values::ROWS,
        sketches::ROWS,
        persistence::ROWS,
        replication::ROWS,
        cluster::ROWS,
    ];
    let rows: Vec<&'static Directive> = sections.into_iter().flatten().collect();
    let mut names = HashMap::with_capacity(rows.len() * 2);
    for (index, row) in rows.iter().enumerate() {
        for name in [Some(row.name), row.alias].into_iter().flatten() {
            assert!(names.insert(name, (index, name)).is_none(), "directive {name} is declared twice");
        }
    }
    Index { rows, names }
});

const INT_MAX: i128 = i32::MAX as i128;
const INT_MIN: i128 = i32::MIN as i128;
const UINT_MAX: i128 = u32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const ULONG_MAX: i128 = u64::MAX as i128;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

const fn directive(name: &'static str, kind: Kind) -> Directive {
    Directive { name, alias: None, kind, flags: Flags(0), effect: None, check: None, hot: None }
}

const fn yes_no(name: &'static str, default: bool) -> Directive {
    directive(name, Kind::Bool { default })
}

const fn number(name: &'static str, range: RangeInclusive<i128>, default: i64) -> Directive {
    let (low, high) = (*range.start(), *range.end());
    directive(name, Kind::Number(Number { default, low, high, unit: Unit::Plain, unsigned: false }))
}

const fn choice(name: &'static str, words: &'static [Word], default: i64) -> Directive {
    directive(name, Kind::Choice { words, default })
}

/// A text which may be empty.
const fn text(name: &'static str, default: &'static str) -> Directive {
    directive(name, Kind::Text { default: Some(default), empty_is_unset: false })
}

/// A text which is unset by default and when it is empty.
const fn unset(name: &'static str) -> Directive {
    directive(name, Kind::Text { default: None, empty_is_unset: true })
}

impl Directive {
    /// Whether CONFIG SET may not change it.
    pub const fn immutable_value(&self) -> bool {
        self.flags.contains(Flags::IMMUTABLE)
    }

    pub const fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    const fn with(mut self, flag: Flags) -> Self {
        self.flags = Flags(self.flags.0 | flag.0);
        self
    }

    const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    const fn immutable(self) -> Self {
        self.with(Flags::IMMUTABLE)
    }

    const fn sensitive(self) -> Self {
        self.with(Flags::SENSITIVE)
    }

    const fn debug(self) -> Self {
        self.with(Flags::DEBUG)
    }

    const fn multi(self) -> Self {
        self.with(Flags::MULTI)
    }

    const fn hidden(self) -> Self {
        self.with(Flags::HIDDEN)
    }

    const fn protected(self) -> Self {
        self.with(Flags::PROTECTED)
    }

    const fn deny_loading(self) -> Self {
        self.with(Flags::DENY_LOADING)
    }

    const fn volatile(self) -> Self {
        self.with(Flags::VOLATILE)
    }

    /// Nothing in Tidegate depends on the value.
    const fn inert(self) -> Self {
        self.with(Flags::INERT)
    }

    const fn cores(self) -> Self {
        self.with(Flags::CORES)
    }

    const fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    const fn hot(mut self, hot: fn(&Hot, &Value)) -> Self {
        self.hot = Some(hot);
        self
    }

    const fn unsigned(mut self) -> Self {
        if let Kind::Number(number) = &mut self.kind {
            number.unsigned = true;
        }
        self
    }

    const fn unit(mut self, unit: Unit) -> Self {
        if let Kind::Number(number) = &mut self.kind {
            number.unit = unit;
        }
        self
    }

    const fn bytes(self) -> Self {
        self.unit(Unit::Memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_name_of_redis_7_0_15() {
        // Counted in Redis 7.0.15: 179 directives, of which 19 have an alias.
        let later = [
            "hide-user-data-from-log",
            "set-max-listpack-entries",
            "set-max-listpack-value",
            "native-enabled",
            "native-soft-flush-ms",
            "rl-log-max-entries",
            "idem-max-response",
            "clock-max-regression-ms",
            "debug-clock-freeze",
            "id-node",
            "id-epoch",
            "evict-durable",
            "bf-error-rate",
            "bf-initial-size",
            "bf-expansion-factor",
            "cf-bucket-size",
            "cf-initial-size",
            "cf-max-iterations",
            "cf-expansion-factor",
            "cf-max-expansions",
            "notify-stream",
            "notify-stream-db",
            "notify-stream-maxlen",
            "appendonly-ack",
            "appendonly-bootstrap",
            "aof-checksum",
            "aof-error-exit-after",
            "log-max-unwritten",
            "script-memory-limit",
            "metrics-port",
            "metrics-public",
            "tls-auth-clients-user",
            "log-format",
            "commandlog-request-larger-than",
            "commandlog-large-request-max-len",
            "commandlog-reply-larger-than",
            "commandlog-large-reply-max-len",
            "audit-log",
            "audit-log-file",
            "audit-log-max-size",
            "audit-log-files",
            "auth-failure-burst",
            "auth-failure-delay",
            "preauth-timeout",
        ];
        let old: Vec<_> = all().iter().filter(|row| !later.contains(&row.name)).collect();
        assert_eq!(old.len(), 179);
        // Two of the slow log have the names of Valkey as aliases.
        let of_valkey = |alias: &str| alias.starts_with("commandlog-");
        assert_eq!(old.iter().filter(|row| row.alias.is_some_and(|alias| !of_valkey(alias))).count(), 19);
        assert_eq!(all().len(), old.len() + later.len());
    }

    #[test]
    fn names_are_found_in_any_case_and_by_alias() {
        assert_eq!(lookup(b"MaxMemory").map(|row| row.name), Some("maxmemory"));
        assert_eq!(lookup(b"slaveof").map(|row| row.name), Some("replicaof"));
        assert_eq!(find(b"SLAVEOF").map(|(_, name)| name), Some("slaveof"));
        assert!(lookup(b"no-such-directive").is_none());
    }

    #[test]
    fn defaults_are_within_their_ranges() {
        for row in all() {
            match &row.kind {
                Kind::Number(number) if !row.has(Flags::CORES) => {
                    let default = i128::from(number.default);
                    assert!(number.low <= default && default <= number.high, "{}", row.name);
                }
                Kind::Choice { words, default } => {
                    assert!(words.iter().any(|(_, number)| number == default), "{}", row.name);
                }
                _ => {}
            }
        }
    }
}
