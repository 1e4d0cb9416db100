//! Values of directives and the texts they are written in: numbers with memory units, save points, output buffer
//! limits, keyspace event classes and the like. Nothing here knows which directive a value belongs to.

use tidegate_data::{EventClass, EventClasses};

/// A directive's current value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// A whole number. Values of unsigned directives above `i64::MAX` are stored as the same 64 bits; a percentage
    /// (`maxmemory-clients`) is stored negative.
    Number(i64),
    /// The number of a word, or the bits of several.
    Choice(i64),
    /// A string of bytes; `None` when the directive is unset.
    Text(Option<Vec<u8>>),
    Save(Vec<SavePoint>),
    OutputLimits([OutputLimit; 3]),
    /// Adjustments of the out-of-memory score: as primary, as replica, in a child process.
    OomScores([i32; 3]),
    /// Keyspace event classes, see [`Events`].
    Events(Events),
    /// Addresses to listen on, in the order given; empty means every address.
    Bind(Vec<Vec<u8>>),
    /// Host and port of the primary.
    ReplicaOf(Option<(Vec<u8>, u16)>),
    Percentiles(Vec<f64>),
}

impl Value {
    /// The value as one machine word: the number, 0 or 1, the choice, or whether the text or the primary is set.
    pub fn bits(&self) -> i64 {
        match self {
            Self::Bool(yes) => i64::from(*yes),
            Self::Number(number) | Self::Choice(number) => *number,
            Self::Text(text) => i64::from(text.as_ref().is_some_and(|text| !text.is_empty())),
            Self::Events(events) => i64::from(events.0),
            Self::ReplicaOf(primary) => i64::from(primary.is_some()),
            Self::Save(points) => points.len() as i64,
            Self::Bind(addresses) => addresses.len() as i64,
            Self::Percentiles(list) => list.len() as i64,
            Self::OutputLimits(_) | Self::OomScores(_) => 0,
        }
    }
}

/// Snapshot when at least `changes` writes happened and `seconds` passed since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    pub seconds: i64,
    pub changes: i64,
}

/// How much unsent output a client of one class may have before it is closed. 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once.
    pub hard: u64,
    /// Bytes which it may exceed for at most `soft_seconds` on end.
    pub soft: u64,
    pub soft_seconds: i64,
}

impl OutputLimit {
    /// Bytes at which the client is closed at once, without one: never.
    pub fn hard_or_never(&self) -> u64 {
        if self.hard == 0 { u64::MAX } else { self.hard }
    }
}

/// The classes of clients that have their own output limit, in the order of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    Normal,
    Replica,
    Pubsub,
}

/// A set of keyspace event classes. The bits are Redis' own, because they also appear in its module interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Events(pub u32);

impl Events {
    pub const KEYSPACE: Self = Self(1 << 0);
    pub const KEYEVENT: Self = Self(1 << 1);
    pub const GENERIC: Self = Self(1 << 2);
    pub const STRING: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const SET: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const ZSET: Self = Self(1 << 7);
    pub const EXPIRED: Self = Self(1 << 8);
    pub const EVICTED: Self = Self(1 << 9);
    pub const STREAM: Self = Self(1 << 10);
    /// Reads of absent keys; not part of `A`, because a cache would drown in them.
    pub const KEY_MISS: Self = Self(1 << 11);
    pub const MODULE: Self = Self(1 << 13);
    /// Creation of keys; not part of `A` either.
    pub const NEW: Self = Self(1 << 14);
    /// Which fields of a key: to channels of the key, of the event, of key and field, of event and key. Of Redis 8.8.
    pub const SUBKEYSPACE: Self = Self(1 << 17);
    pub const SUBKEYEVENT: Self = Self(1 << 18);
    pub const SUBKEYSPACE_ITEM: Self = Self(1 << 19);
    pub const SUBKEYSPACE_EVENT: Self = Self(1 << 20);
    /// All of these.
    const SUBKEYS: Self = Self(0b1111 << 17);
    /// What the letter `A` stands for.
    pub const ALL: Self = Self(0b10_0111_1111_1100);

    /// The classes `A` expands to, in the order CONFIG GET writes them.
    const LETTERS: [(u8, Self); 11] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
    ];
    /// The classes written after the others, whether or not those were folded into `A`.
    const LETTERS_LAST: [(u8, Self); 7] = [
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
        (b'S', Self::SUBKEYSPACE),
        (b'T', Self::SUBKEYEVENT),
        (b'I', Self::SUBKEYSPACE_ITEM),
        (b'V', Self::SUBKEYSPACE_EVENT),
    ];

    /// Whether all classes of `other` are in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Events are told on channels: there is `K`, `E` or one of the letters for subkeys.
    pub fn is_published(self) -> bool {
        self.0 & (Self::KEYSPACE.0 | Self::KEYEVENT.0 | Self::SUBKEYS.0) != 0
    }

    /// Somebody may get to see which fields of a key an event is about.
    pub fn tells_subkeys(self) -> bool {
        self.0 & Self::SUBKEYS.0 != 0
    }

    /// The classes of events, wherever they are told.
    pub fn classes(self) -> EventClasses {
        const CLASSES: [(Events, EventClass); 12] = [
            (Events::GENERIC, EventClass::Generic),
            (Events::STRING, EventClass::String),
            (Events::LIST, EventClass::List),
            (Events::SET, EventClass::Set),
            (Events::HASH, EventClass::Hash),
            (Events::ZSET, EventClass::Zset),
            (Events::EXPIRED, EventClass::Expired),
            (Events::EVICTED, EventClass::Evicted),
            (Events::STREAM, EventClass::Stream),
            (Events::KEY_MISS, EventClass::KeyMiss),
            (Events::MODULE, EventClass::Module),
            (Events::NEW, EventClass::New),
        ];
        let wanted = CLASSES.iter().filter(|(letter, _)| self.contains(*letter));
        wanted.fold(EventClasses::default(), |all, (_, class)| all.with(*class))
    }

    /// Reads the letters of `notify-keyspace-events`; `None` when one of them is unknown.
    pub fn parse(letters: &[u8]) -> Option<Self> {
        letters.iter().try_fold(Self(0), |events, letter| {
            if *letter == b'A' {
                return Some(Self(events.0 | Self::ALL.0));
            }
            let mut known = Self::LETTERS.iter().chain(&Self::LETTERS_LAST);
            known.find(|(known, _)| known == letter).map(|(_, class)| Self(events.0 | class.0))
        })
    }

    /// The letters in Redis' order. When the classes of `A` are all there, `A` replaces the letters of this group,
    /// `n` included: CONFIG SET `AKEn` reads back as `AKE`.
    pub fn letters(self) -> String {
        let group: &[(u8, Self)] =
            if self.contains(Self::ALL) { &[(b'A', Self::ALL)] } else { &Self::LETTERS };
        let all = group.iter().chain(&Self::LETTERS_LAST);
        all.filter(|(_, class)| self.contains(*class)).map(|(letter, _)| char::from(*letter)).collect()
    }
}

/// A whole number of bytes with an optional unit: `k`, `m`, `g` count in powers of 1000, `kb`, `mb`, `gb` in powers
/// of 1024, `b` is no factor; case does not matter. As in Redis a product beyond 64 bits wraps and digits beyond 64
/// bits saturate; `None` when the text is not of this form.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let factor: u64 = match text[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits >= 128 {
        return None;
    }
    let number = text[..digits]
        .iter()
        .fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(number.wrapping_mul(factor))
}

/// The shortest form CONFIG REWRITE uses: the largest unit that divides the number.
pub fn format_memory(bytes: i64) -> String {
    for (factor, unit) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes % factor == 0 {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// A decimal number in the one form Redis writes it: no sign but `-`, no leading zeros, no spaces, fits 64 bits.
pub fn parse_strict(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [] => false,
        [b'0'] => text.len() == 1,
        [first, ..] => *first != b'0' && digits.iter().all(u8::is_ascii_digit),
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number in the given base as C's `strtoll` reads it when nothing may follow: leading white space, a sign and
/// leading zeros are fine, an empty text is 0, and what does not fit is cut to the nearest 64-bit number.
/// Save points, output limits and ports are read this way.
pub fn parse_lenient(text: &[u8], base: u32) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let trimmed = text.trim_ascii_start();
    let (negative, digits) = match trimmed {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: i128 = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(base)?;
        number = (number * i128::from(base) + i128::from(digit)).min(1 << 64);
    }
    let number = if negative { -number } else { number };
    Some(number.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// A percentile with at most six decimals and no trailing zeros: 99.9, 50.
pub fn format_percentile(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units_count_in_thousands_or_in_powers_of_two() {
        let cases: [(&str, Option<u64>); 12] = [
            ("0", Some(0)),
            ("100", Some(100)),
            ("7b", Some(7)),
            ("1k", Some(1000)),
            ("1kb", Some(1024)),
            ("2M", Some(2_000_000)),
            ("2Mb", Some(2 << 20)),
            ("1g", Some(1_000_000_000)),
            ("1GB", Some(1 << 30)),
            ("-1", None),
            ("1.5gb", None),
            ("10%", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_memory(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(format_memory(0), "0");
        assert_eq!(format_memory(3 << 30), "3gb");
        assert_eq!(format_memory(1536 << 20), "1536mb");
        assert_eq!(format_memory(2048), "2kb");
        assert_eq!(format_memory(1000), "1000");
    }

    #[test]
    fn event_letters_read_back_in_redis_order() {
        let cases =
            [("", ""), ("AKE", "AKE"), ("KEA", "AKE"), ("EKx", "xKE"), ("Knm", "nKm"), ("AKEn", "AKE")];
        for (written, read) in cases {
            assert_eq!(
                Events::parse(written.as_bytes()).map(Events::letters).as_deref(),
                Some(read),
                "{written}"
            );
        }
        assert_eq!(Events::parse(b"g$lshzxetdKE"), Events::parse(b"AKE"));
        assert_eq!(Events::parse(b"q"), None);
    }

    #[test]
    fn strict_and_lenient_numbers_differ_as_in_redis() {
        assert_eq!(parse_strict(b"12"), Some(12));
        assert_eq!(parse_strict(b"-9223372036854775808"), Some(i64::MIN));
        for refused in ["", "+1", "01", " 1", "1 ", "-0", "9223372036854775808", "-"] {
            assert_eq!(parse_strict(refused.as_bytes()), None, "{refused}");
        }
        assert_eq!(parse_lenient(b"", 10), Some(0));
        assert_eq!(parse_lenient(b" +012", 10), Some(12));
        assert_eq!(parse_lenient(b"770", 8), Some(0o770));
        assert_eq!(parse_lenient(b"99999999999999999999", 10), Some(i64::MAX));
        assert_eq!(parse_lenient(b"12x", 10), None);
        assert_eq!(parse_lenient(b"-", 10), None);
    }

    #[test]
    fn percentiles_have_no_trailing_zeros() {
        assert_eq!([50.0, 99.9, 0.0, 100.0, 99.999].map(format_percentile).join(" "), "50 99.9 0 100 99.999");
    }
}
