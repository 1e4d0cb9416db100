//! From the arguments of a directive to its value, and back to the text CONFIG GET answers. The refusal texts are
//! Redis' own; clients and its test suite match them.

use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::choices::{OWN, Word};
use super::directives::{Directive, Flags, Kind, Number, Unit};
use tidegate_persistence::disk::os_text;

use super::value::{
    Events, OutputLimit, SavePoint, Value, format_percentile, parse_lenient, parse_memory, parse_strict,
};

const DEFAULT_SAVE: [(i64, i64); 3] = [(3600, 1), (300, 100), (60, 10_000)];
const DEFAULT_OUTPUT_LIMITS: [OutputLimit; 3] = [
    OutputLimit { hard: 0, soft: 0, soft_seconds: 0 },
    OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
    OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
];
const BIND_MAX: usize = 16;
const OUTPUT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

impl Directive {
    /// The value before anything is configured.
    pub(super) fn default_value(&self, cores: usize, dir: &Path) -> Value {
        match &self.kind {
            Kind::Bool { default } => Value::Bool(*default),
            Kind::Number(number) if self.has(Flags::CORES) => {
                Value::Number((cores as i64).clamp(number.low as i64, number.high as i64))
            }
            Kind::Number(number) => Value::Number(number.default),
            Kind::Choice { default, .. } => Value::Choice(*default),
            Kind::Text { default, .. } => Value::Text(default.map(|text| text.as_bytes().to_vec())),
            Kind::Dir => Value::Text(Some(dir.as_os_str().as_bytes().to_vec())),
            Kind::Save => {
                Value::Save(DEFAULT_SAVE.map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec())
            }
            Kind::OutputLimits => Value::OutputLimits(DEFAULT_OUTPUT_LIMITS),
            Kind::OomScores => Value::OomScores([0, 200, 800]),
            Kind::Events => Value::Events(Events::default()),
            Kind::Bind => Value::Bind(vec![b"127.0.0.1".to_vec(), b"-::1".to_vec()]),
            Kind::ReplicaOf => Value::ReplicaOf(None),
            Kind::Percentiles => Value::Percentiles(vec![50.0, 99.0, 99.9]),
        }
    }

    /// Reads the value out of the directive's arguments. `current` is what the value is now: output limits of
    /// classes that are not named stay, and a relative `dir` starts there.
    pub(super) fn parse(&self, args: &[Vec<u8>], current: &Value) -> Result<Value, String> {
        let mut value = match &self.kind {
            Kind::Bool { .. } => parse_bool(args)?,
            Kind::Number(number) => Value::Number(number.parse(single(args)?)?),
            Kind::Choice { words, .. } => Value::Choice(parse_choice(words, args, self.has(Flags::MULTI))?),
            Kind::Text { empty_is_unset, .. } => {
                let text = single(args)?;
                Value::Text((!(*empty_is_unset && text.is_empty())).then(|| text.to_vec()))
            }
            Kind::Dir => parse_dir(single(args)?, current)?,
            Kind::Save => parse_save(args)?,
            Kind::OutputLimits => parse_output_limits(args, current)?,
            Kind::OomScores => parse_oom_scores(args)?,
            Kind::Events => {
                let events = Events::parse(single(args)?);
                Value::Events(events.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?)
            }
            Kind::Bind => parse_bind(args)?,
            Kind::ReplicaOf => parse_replicaof(args)?,
            Kind::Percentiles => parse_percentiles(args)?,
        };
        if let Some(check) = self.check {
            check(&mut value)?;
        }
        Ok(value)
    }

    /// The text CONFIG GET answers.
    pub fn format(&self, value: &Value) -> Vec<u8> {
        match (value, &self.kind) {
            (Value::Bool(yes), _) => yes_or_no(*yes).into(),
            (Value::Number(number), Kind::Number(row)) => row.format(*number).into_bytes(),
            (Value::Number(number), _) => number.to_string().into_bytes(),
            (Value::Choice(choice), Kind::Choice { words, .. }) => {
                format_choice(words, *choice, self.has(Flags::MULTI)).into_bytes()
            }
            (Value::Choice(choice), _) => choice.to_string().into_bytes(),
            (Value::Text(text), _) => text.clone().unwrap_or_default(),
            (Value::Save(points), _) => {
                let points = points.iter().map(|point| format!("{} {}", point.seconds, point.changes));
                points.collect::<Vec<_>>().join(" ").into_bytes()
            }
            (Value::OutputLimits(limits), _) => {
                let limits = OUTPUT_CLASSES.iter().zip(limits).map(|(class, limit)| {
                    format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
                });
                limits.collect::<Vec<_>>().join(" ").into_bytes()
            }
            (Value::OomScores([primary, replica, child]), _) => {
                format!("{primary} {replica} {child}").into_bytes()
            }
            (Value::Events(events), _) => events.letters().into_bytes(),
            (Value::Bind(addresses), _) => addresses.join(&b' '),
            (Value::ReplicaOf(None), _) => Vec::new(),
            (Value::ReplicaOf(Some((host, port))), _) => {
                [host.as_slice(), port.to_string().as_bytes()].join(&b' ')
            }
            (Value::Percentiles(list), _) => list
                .iter()
                .map(|percentile| format_percentile(*percentile))
                .collect::<Vec<_>>()
                .join(" ")
                .into_bytes(),
        }
    }
}

impl Number {
    fn parse(&self, text: &[u8]) -> Result<i64, String> {
        let number = match self.unit {
            Unit::Plain => parse_strict(text).ok_or("argument couldn't be parsed into an integer")?,
            Unit::Memory => parse_memory(text).ok_or("argument must be a memory value")? as i64,
            Unit::MemoryOrPercent => parse_memory(text)
                .map(|bytes| bytes as i64)
                .or_else(|| parse_percent(text))
                .ok_or("argument must be a memory or percent value")?,
            Unit::Octal => parse_lenient(text, 8).ok_or("argument couldn't be parsed as an octal number")?,
        };
        let comparable = if self.unsigned { i128::from(number as u64) } else { i128::from(number) };
        if self.unit == Unit::MemoryOrPercent && number < 0 {
            if comparable < self.low {
                return Err(format!("percentage argument must be less or equal to {}", -self.low));
            }
        } else if comparable < self.low || comparable > self.high {
            return Err(match self.unit {
                Unit::Octal => {
                    format!("argument must be between {:o} and {:o} inclusive", self.low, self.high)
                }
                _ => format!("argument must be between {} and {} inclusive", self.low, self.high),
            });
        }
        Ok(number)
    }

    fn format(&self, number: i64) -> String {
        match self.unit {
            Unit::MemoryOrPercent if number < 0 => format!("{}%", -i128::from(number)),
            Unit::Memory | Unit::MemoryOrPercent => (number as u64).to_string(),
            Unit::Octal => format!("{number:o}"),
            Unit::Plain => number.to_string(),
        }
    }
}

pub(super) const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// The words of a choice. A number that several words share is written as the first of them; the bits of a
/// combination come out in the order of the list.
pub(super) fn format_choice(words: &[Word], choice: i64, combine: bool) -> String {
    if let Some((word, _)) = words.iter().find(|(_, number)| *number == choice) {
        return (*word).to_owned();
    }
    let set = |number: i64| combine && number != 0 && choice & number == number;
    words.iter().filter(|(_, number)| set(*number)).map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

fn single(args: &[Vec<u8>]) -> Result<&[u8], &'static str> {
    match args {
        [arg] => Ok(arg),
        _ => Err("wrong number of arguments"),
    }
}

fn parse_bool(args: &[Vec<u8>]) -> Result<Value, String> {
    match single(args)?.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(Value::Bool(true)),
        b"no" => Ok(Value::Bool(false)),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

fn parse_percent(text: &[u8]) -> Option<i64> {
    let percent = parse_strict(text.strip_suffix(b"%")?)?;
    (percent >= 0).then_some(-percent)
}

fn parse_choice(words: &[Word], args: &[Vec<u8>], combine: bool) -> Result<i64, String> {
    let number = |arg: &Vec<u8>| words.iter().find(|(word, _)| arg.eq_ignore_ascii_case(word.as_bytes()));
    let numbers: Option<Vec<i64>> = args.iter().map(|arg| number(arg).map(|(_, number)| *number)).collect();
    match numbers.as_deref() {
        Some([choice]) => Ok(*choice),
        Some(bits @ [_, ..]) if combine => Ok(bits.iter().fold(0, |all, bit| all | bit)),
        _ => {
            let words: Vec<_> =
                words.iter().filter(|(_, number)| *number < OWN).map(|(word, _)| *word).collect();
            Err(format!("argument(s) must be one of the following: {}", words.join(", ")))
        }
    }
}

/// Resolves a directory the way `chdir` followed by `getcwd` would, without changing the process: the result is
/// absolute and has no symbolic links, and a directory that may not be entered is refused.
fn parse_dir(text: &[u8], current: &Value) -> Result<Value, String> {
    let Value::Text(Some(from)) = current else { unreachable!("dir always has a value") };
    let path = Path::new(std::ffi::OsStr::from_bytes(from)).join(std::ffi::OsStr::from_bytes(text));
    let resolve = || {
        if text.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let path = path.canonicalize()?;
        path.join(".").metadata()?;
        Ok(path)
    };
    match resolve() {
        Ok(path) => Ok(Value::Text(Some(path.into_os_string().into_vec()))),
        Err(error) => Err(os_text(&error)),
    }
}

fn parse_save(args: &[Vec<u8>]) -> Result<Value, String> {
    let args = if matches!(args, [arg] if arg.is_empty()) { &[] } else { args };
    let number = |arg: &Vec<u8>, least| parse_lenient(arg, 10).filter(|number| *number >= least);
    let (pairs, odd) = args.as_chunks::<2>();
    let points = pairs.iter().map(|[seconds, changes]| {
        Some(SavePoint { seconds: number(seconds, 1)?, changes: i64::from(number(changes, 0)? as i32) })
    });
    match points.collect::<Option<Vec<_>>>() {
        Some(points) if odd.is_empty() => Ok(Value::Save(points)),
        _ => Err("Invalid save parameters".to_owned()),
    }
}

fn parse_output_limits(args: &[Vec<u8>], current: &Value) -> Result<Value, String> {
    let Value::OutputLimits(mut limits) = *current else {
        unreachable!("the current value has the row's form")
    };
    let (rules, rest) = args.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for [class, hard, soft, seconds] in rules {
        let class = match class.to_ascii_lowercase().as_slice() {
            b"normal" => 0,
            b"slave" | b"replica" => 1,
            b"pubsub" => 2,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_owned()),
        };
        let limit = || {
            // Redis keeps the seconds in a C int: what does not fit is cut to it, and negative then maybe.
            let soft_seconds = parse_lenient(seconds, 10).map(|seconds| i64::from(seconds as i32));
            let soft_seconds = soft_seconds.filter(|seconds| *seconds >= 0)?;
            Some(OutputLimit { hard: parse_memory(hard)?, soft: parse_memory(soft)?, soft_seconds })
        };
        limits[class] =
            limit().ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(Value::OutputLimits(limits))
}

fn parse_oom_scores(args: &[Vec<u8>]) -> Result<Value, String> {
    let [primary, replica, child] = args else { return Err("wrong number of arguments".to_owned()) };
    let score = |arg: &Vec<u8>| match parse_lenient(arg, 10) {
        Some(score @ -2000..=2000) => Ok(score as i32),
        _ => Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
    };
    let scores = [score(primary)?, score(replica)?, score(child)?];
    if !scores.is_sorted() {
        tracing::warn!(
            "The oom-score-adj-values configuration may not work for non-privileged processes! \
             Please consult the documentation."
        );
    }
    Ok(Value::OomScores(scores))
}

fn parse_bind(args: &[Vec<u8>]) -> Result<Value, String> {
    if args.len() > BIND_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    let args = if matches!(args, [arg] if arg.is_empty()) { &[] } else { args };
    Ok(Value::Bind(args.to_vec()))
}

fn parse_replicaof(args: &[Vec<u8>]) -> Result<Value, String> {
    let [host, port] = args else { return Err("wrong number of arguments".to_owned()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::ReplicaOf(None));
    }
    match parse_lenient(port, 10).map(u16::try_from) {
        Some(Ok(port)) => Ok(Value::ReplicaOf(Some((host.clone(), port)))),
        _ => Err("Invalid master port".to_owned()),
    }
}

fn parse_percentiles(args: &[Vec<u8>]) -> Result<Value, String> {
    let args = if matches!(args, [arg] if arg.is_empty()) { &[] } else { args };
    let percentile = |arg: &Vec<u8>| {
        let number = std::str::from_utf8(arg).ok().and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| !number.is_nan()) {
            None => Err("Invalid latency-tracking-info-percentiles parameters"),
            Some(number) if (0.0..=100.0).contains(&number) => Ok(number),
            Some(_) => Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
        }
    };
    Ok(Value::Percentiles(args.iter().map(percentile).collect::<Result<_, _>>()?))
}
