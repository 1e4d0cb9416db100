//! What writers do, so that everything can be checked: unit number `n` of a writer is the same whenever it is asked for,
//! each unit leaves its number in the keyspace, and the keyspace after the first `n` units is known.

use crate::random::Random;
use crate::resp::{Reply, encode_command};

/// One unit: a command, a transaction or a script. Each kind has keys of its own, per writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `SET` of a short value.
    Set,
    /// `SET` of a value of up to 300 KB.
    Big,
    /// `INCR`.
    Count,
    /// `INCRBYFLOAT`, which the journal has in another form.
    Float,
    /// `RPUSH` of its number.
    List,
    /// Two `SET`s in a transaction, of keys that are mostly not in one shard.
    Pair,
    /// Twenty `SET`s in a transaction.
    Many,
    /// A script that changes three keys.
    Script,
    /// `HSET` of two fields.
    Hash,
    /// `XADD` with `MAXLEN`.
    Stream,
    /// `DEL` and `SADD` in a transaction.
    Replace,
    /// `SET` and `RENAME` in a transaction.
    Rename,
    /// `INCR` of a counter of all writers, and `SET`, in a transaction.
    Global,
}

impl Kind {
    /// All of them, and how often each is drawn.
    pub const ALL: [(Kind, u32); 13] = [
        (Kind::Set, 20),
        (Kind::Big, 1),
        (Kind::Count, 12),
        (Kind::Float, 5),
        (Kind::List, 12),
        (Kind::Pair, 14),
        (Kind::Many, 6),
        (Kind::Script, 8),
        (Kind::Hash, 6),
        (Kind::Stream, 6),
        (Kind::Replace, 6),
        (Kind::Rename, 6),
        (Kind::Global, 6),
    ];

    fn index(self) -> usize {
        Self::ALL.iter().position(|(kind, _)| *kind == self).expect("every kind is in the list")
    }

    /// The letter its keys begin with.
    pub fn letter(self) -> char {
        match self {
            Kind::Set => 'S',
            Kind::Big => 'B',
            Kind::Count => 'C',
            Kind::Float => 'F',
            Kind::List => 'L',
            Kind::Pair => 'P',
            Kind::Many => 'M',
            Kind::Script => 'X',
            Kind::Hash => 'H',
            Kind::Stream => 'T',
            Kind::Replace => 'Z',
            Kind::Rename => 'R',
            Kind::Global => 'G',
        }
    }
}

/// The counter of all writers.
pub const COUNTER: &str = "G";
/// Keys of one [`Kind::Many`].
const MANY: usize = 20;
/// Entries a stream keeps, and elements the list of a script.
const KEPT: usize = 40;
/// Fields that take turns.
const FIELDS: u64 = 8;

const SCRIPT: &str = "redis.call('SET', KEYS[1], ARGV[1]) local count = redis.call('INCR', KEYS[2]) \
    redis.call('RPUSH', KEYS[3], ARGV[1]) redis.call('LTRIM', KEYS[3], -40, -1) return count";

/// One answer about the keyspace: strings in order, `None` where there is nothing.
pub type Answer = Vec<Option<Vec<u8>>>;

/// What one writer does.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    /// Number of the writer, part of its keys.
    pub writer: usize,
    /// Per kind, the numbers of its units so far, ascending.
    units: Vec<Vec<u64>>,
    kinds: Vec<Kind>,
}

impl Plan {
    /// All of its future is decided by `seed`.
    pub fn new(seed: u64, writer: usize) -> Self {
        let seed = seed ^ (writer as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
        Plan { seed, writer, units: vec![Vec::new(); Kind::ALL.len()], kinds: Vec::new() }
    }

    /// Gets to know the units up to `n`.
    pub fn extend_to(&mut self, n: u64) {
        while (self.kinds.len() as u64) < n {
            let number = self.kinds.len() as u64 + 1;
            let mut random = self.random(number);
            let kind = Kind::ALL[random.weighted(Kind::ALL.iter().map(|(_, weight)| *weight))].0;
            self.kinds.push(kind);
            self.units[kind.index()].push(number);
        }
    }

    fn random(&self, n: u64) -> Random {
        Random::new(self.seed ^ n.wrapping_mul(0x9e6c_63d0_676a_9a99))
    }

    /// The kind of unit `n`, which must be known, and from 1.
    pub fn kind(&self, n: u64) -> Kind {
        self.kinds[n as usize - 1]
    }

    /// Numbers of the units of a kind up to `n`.
    pub fn units(&self, kind: Kind, n: u64) -> &[u64] {
        let units = &self.units[kind.index()];
        &units[..units.partition_point(|unit| *unit <= n)]
    }

    fn key(&self, kind: Kind, part: &str) -> String {
        format!("{}:{}{part}", kind.letter(), self.writer)
    }

    fn many_keys(&self) -> Vec<String> {
        (0..MANY).map(|at| self.key(Kind::Many, &format!(":{at}"))).collect()
    }

    /// The value of unit `n`: its number and a filling that no other has.
    pub fn value(&self, n: u64) -> Vec<u8> {
        let mut random = self.random(!n);
        let size = match self.kind(n) {
            Kind::Big => 30_000 + random.below(270_000),
            _ => random.below(120),
        };
        let mut value = format!("{n}:").into_bytes();
        value.extend((0..size).map(|at| b'a' + ((n + at as u64 * 7) % 26) as u8));
        value
    }

    /// Appends the commands of unit `n`. Returns how many replies they get; the last one tells of the unit.
    pub fn request(&self, n: u64, output: &mut Vec<u8>) -> usize {
        let kind = self.kind(n);
        let number = n.to_string();
        let key = |part: &str| self.key(kind, part).into_bytes();
        let word = |text: &str| text.as_bytes().to_vec();
        let (value, id) = (|| self.value(n), || word(&number));
        let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
        match kind {
            Kind::Set | Kind::Big => commands.push(vec![word("SET"), key(""), value()]),
            Kind::Count => commands.push(vec![word("INCR"), key("")]),
            Kind::Float => commands.push(vec![word("INCRBYFLOAT"), key(""), word("0.5")]),
            Kind::List => commands.push(vec![word("RPUSH"), key(""), id()]),
            Kind::Pair => {
                commands.push(vec![word("SET"), key(":a"), value()]);
                commands.push(vec![word("SET"), key(":b"), value()]);
            }
            Kind::Many => {
                commands.extend(
                    self.many_keys().into_iter().map(|key| vec![word("SET"), key.into_bytes(), id()]),
                );
            }
            Kind::Script => commands.push(vec![
                word("EVAL"),
                word(SCRIPT),
                word("3"),
                key(":a"),
                key(":count"),
                key(":list"),
                id(),
            ]),
            Kind::Hash => commands.push(vec![
                word("HSET"),
                key(""),
                word("last"),
                id(),
                format!("field{}", n % FIELDS).into_bytes(),
                id(),
            ]),
            Kind::Stream => commands.push(vec![
                word("XADD"),
                key(""),
                word("MAXLEN"),
                KEPT.to_string().into_bytes(),
                format!("{n}-0").into_bytes(),
                word("n"),
                id(),
            ]),
            Kind::Replace => {
                commands.push(vec![word("DEL"), key("")]);
                commands.push(vec![word("SADD"), key(""), id(), format!("{n}!").into_bytes()]);
            }
            Kind::Rename => {
                commands.push(vec![word("SET"), key(":new"), id()]);
                commands.push(vec![word("RENAME"), key(":new"), key("")]);
            }
            Kind::Global => {
                commands.push(vec![word("INCR"), word(COUNTER)]);
                commands.push(vec![word("SET"), key(""), id()]);
            }
        }
        if let [command] = &commands[..] {
            encode_command(command, output);
            return 1;
        }
        encode_command(&["MULTI"], output);
        for command in &commands {
            encode_command(command, output);
        }
        encode_command(&["EXEC"], output);
        commands.len() + 2
    }

    /// Whether this is the reply that unit `n` gets when all before it were done once.
    pub fn is_reply(&self, n: u64, reply: &Reply) -> bool {
        let kind = self.kind(n);
        let count = self.units(kind, n).len() as i64;
        match kind {
            Kind::Set | Kind::Big => reply.text() == "OK",
            Kind::Count | Kind::List | Kind::Script => reply.int() == Some(count),
            Kind::Float => reply.text() == halves(count as usize),
            Kind::Hash => reply.int().is_some(),
            Kind::Stream => reply.text() == format!("{n}-0"),
            Kind::Pair | Kind::Rename | Kind::Global | Kind::Replace => {
                reply.items().is_some_and(|items| items.len() == 2)
            }
            Kind::Many => reply.items().is_some_and(|items| items.len() == MANY),
        }
    }

    /// The commands that ask for everything a kind leaves in the keyspace.
    pub fn questions(&self, kind: Kind) -> Vec<Vec<String>> {
        let ask = |command: &str, rest: &[&str]| {
            let mut words = vec![command.to_owned(), self.key(kind, "")];
            words.extend(rest.iter().map(ToString::to_string));
            words
        };
        let mget = |keys: Vec<String>| [vec!["MGET".to_owned()], keys].concat();
        let parts = |parts: &[&str]| parts.iter().map(|part| self.key(kind, part)).collect();
        match kind {
            Kind::Set | Kind::Big | Kind::Count | Kind::Float | Kind::Global => vec![ask("GET", &[])],
            Kind::List => vec![ask("LRANGE", &["0", "-1"])],
            Kind::Pair => vec![mget(parts(&[":a", ":b"]))],
            Kind::Many => vec![mget(self.many_keys())],
            Kind::Script => {
                let list =
                    vec!["LRANGE".to_owned(), self.key(kind, ":list"), "0".to_owned(), "-1".to_owned()];
                vec![mget(parts(&[":a", ":count"])), list]
            }
            Kind::Hash => vec![ask("HGETALL", &[])],
            Kind::Stream => vec![ask("XRANGE", &["-", "+"])],
            Kind::Replace => vec![ask("SMEMBERS", &[])],
            Kind::Rename => vec![mget(parts(&["", ":new"]))],
        }
    }

    /// What the questions are answered with after all units of the kind up to `n`.
    pub fn answers(&self, kind: Kind, n: u64) -> Vec<Answer> {
        let units = self.units(kind, n);
        let Some(&last) = units.last() else {
            let none = |count| vec![None; count];
            return match kind {
                Kind::Pair | Kind::Rename => vec![none(2)],
                Kind::Many => vec![none(MANY)],
                Kind::Script => vec![none(2), none(0)],
                Kind::Hash | Kind::Stream | Kind::Replace | Kind::List => vec![none(0)],
                Kind::Set | Kind::Big | Kind::Count | Kind::Float | Kind::Global => vec![none(1)],
            };
        };
        let text = |value: String| Some(value.into_bytes());
        let id = || text(last.to_string());
        let newest = &units[units.len().saturating_sub(KEPT)..];
        match kind {
            Kind::Set | Kind::Big => vec![vec![Some(self.value(last))]],
            Kind::Count => vec![vec![text(units.len().to_string())]],
            Kind::Float => vec![vec![text(halves(units.len()))]],
            Kind::Global => vec![vec![id()]],
            Kind::List => vec![units.iter().map(|unit| text(unit.to_string())).collect()],
            Kind::Pair => vec![vec![Some(self.value(last)); 2]],
            Kind::Many => vec![vec![id(); MANY]],
            Kind::Script => vec![
                vec![id(), text(units.len().to_string())],
                newest.iter().map(|unit| text(unit.to_string())).collect(),
            ],
            Kind::Hash => {
                let mut fields: Vec<String> = (0..FIELDS)
                    .filter_map(|field| {
                        let unit = units.iter().rev().find(|unit| **unit % FIELDS == field)?;
                        Some(format!("field{field}={unit}"))
                    })
                    .collect();
                fields.push(format!("last={last}"));
                vec![fields.into_iter().map(text).collect()]
            }
            Kind::Stream => vec![newest.iter().map(|unit| text(format!("{unit}-0 {unit}"))).collect()],
            Kind::Replace => vec![vec![id(), text(format!("{last}!"))]],
            Kind::Rename => vec![vec![id(), None]],
        }
    }

    /// A reply to a question in the form of [`Self::answers`].
    pub fn answer(kind: Kind, reply: &Reply) -> Answer {
        let string = |reply: &Reply| reply.bytes().map(<[u8]>::to_vec);
        let Some(items) = reply.items() else { return vec![string(reply)] };
        match kind {
            Kind::Hash => {
                let mut fields: Vec<_> = items
                    .chunks(2)
                    .map(|pair| Some(pair.iter().map(Reply::text).collect::<Vec<_>>().join("=").into_bytes()))
                    .collect();
                fields.sort();
                fields
            }
            Kind::Stream => {
                let entry = |entry: &Reply| {
                    let [id, fields] = entry.items()? else { return None };
                    let [_, value] = fields.items()? else { return None };
                    Some(format!("{} {}", id.text(), value.text()).into_bytes())
                };
                items.iter().map(entry).collect()
            }
            Kind::Replace => {
                let mut members: Vec<_> = items.iter().map(string).collect();
                members.sort();
                members
            }
            _ => items.iter().map(string).collect(),
        }
    }

    /// The highest number of a unit of this kind that these answers show signs of; 0 for none. `None` when no unit up to
    /// `sent` leaves such answers.
    pub fn last_shown(&self, kind: Kind, answers: &[Answer], sent: u64) -> Option<u64> {
        let units = self.units(kind, sent);
        let mut last = 0;
        for (at, value) in answers.iter().flatten().enumerate() {
            let Some(value) = value else { continue };
            let text = String::from_utf8_lossy(value);
            let n = match kind {
                Kind::Count => *units.get(text.parse::<usize>().ok()?.checked_sub(1)?)?,
                Kind::Float => {
                    let count = (text.parse::<f64>().ok()? * 2.0) as usize;
                    *units.get(count.checked_sub(1)?)?
                }
                // A count, which is compared later.
                Kind::Script if at == 1 => continue,
                Kind::Hash => text.split_once('=')?.1.parse().ok()?,
                _ => text.split([':', '!', '-', ' ']).next()?.parse().ok()?,
            };
            units.binary_search(&n).ok()?;
            if matches!(kind, Kind::Set | Kind::Big | Kind::Pair) && self.value(n) != *value {
                return None;
            }
            last = last.max(n);
        }
        Some(last)
    }
}

/// So many times a half, as `INCRBYFLOAT` writes it.
fn halves(count: usize) -> String {
    if count.is_multiple_of(2) { (count / 2).to_string() } else { format!("{}.5", count / 2) }
}
