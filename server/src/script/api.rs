//! The globals that scripts find: `redis`, what of Lua's own is replaced, and the protection of all of it.

use super::cache::{hex, sha_of};
use super::convert;
use crate::version::{REDIS_VERSION, REDIS_VERSION_NUMBER};
use tidegate_lua::{Fault, Frame, Function, Kind};

/// Functions that only make sense while a script runs, by number.
pub(super) mod host {
    pub(in super::super) const CALL: u8 = 0;
    pub(in super::super) const PCALL: u8 = 1;
    pub(in super::super) const SET_RESP: u8 = 2;
    pub(in super::super) const SET_REPL: u8 = 3;
    pub(in super::super) const ACL_CHECK: u8 = 4;
    pub(in super::super) const RANDOM: u8 = 5;
    pub(in super::super) const RANDOM_SEED: u8 = 6;
    /// `redis.register_function`, which only works while a library is loaded.
    pub(in super::super) const REGISTER: u8 = 7;
}

/// Who finds the globals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Users {
    /// Scripts of `EVAL`.
    Scripts,
    /// Functions.
    Functions,
}

const HOSTED: &[(&str, u8)] = &[
    ("call", host::CALL),
    ("pcall", host::PCALL),
    ("setresp", host::SET_RESP),
    ("set_repl", host::SET_REPL),
    ("acl_check_cmd", host::ACL_CHECK),
];

const PLAIN: &[(&str, Function)] =
    &[("log", log), ("sha1hex", sha1hex), ("error_reply", error_reply), ("status_reply", status_reply)];

/// What functions do not find.
const OF_SCRIPTS: &[(&str, Function)] = &[
    ("replicate_commands", |frame| frame.push_boolean(true).map(|()| 1)),
    // There is no debugger.
    ("breakpoint", |frame| frame.push_boolean(false).map(|()| 1)),
    ("debug", |_| Ok(0)),
];

const NUMBERS: &[(&str, u32)] = &[
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
    ("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER),
];

/// Makes the globals and protects every table that can be reached from them. The frame is empty before and after.
pub(super) fn open(frame: &mut Frame<'_>, users: Users) -> Result<(), Fault> {
    frame.push_globals()?;
    // They reach into other functions, or run code when the collector does.
    for name in ["newproxy", "setfenv", "getfenv"] {
        frame.push_nil()?;
        frame.raw_set_field(1, name)?;
    }
    frame.push_table(0, HOSTED.len() + PLAIN.len() + OF_SCRIPTS.len() + NUMBERS.len() + 1)?;
    for (name, which) in HOSTED {
        frame.push_host_function(*which)?;
        frame.raw_set_field(2, name)?;
    }
    let more = if users == Users::Scripts { OF_SCRIPTS } else { &[] };
    for (name, function) in PLAIN.iter().chain(more) {
        frame.push_function(*function)?;
        frame.raw_set_field(2, name)?;
    }
    for (name, number) in NUMBERS {
        frame.push_number((*number).into())?;
        frame.raw_set_field(2, name)?;
    }
    frame.push(REDIS_VERSION)?;
    frame.raw_set_field(2, "REDIS_VERSION")?;
    frame.push_copy(2)?;
    frame.raw_set_field(1, "server")?;
    frame.raw_set_field(1, "redis")?;
    frame.raw_field(1, "math")?;
    for (name, which) in [("random", host::RANDOM), ("randomseed", host::RANDOM_SEED)] {
        frame.push_host_function(which)?;
        frame.raw_set_field(2, name)?;
    }
    frame.truncate(1);
    protect_globals(frame)
}

/// Reading a global that is not there is an error, and so is changing anything that outlives a script.
fn protect_globals(frame: &mut Frame<'_>) -> Result<(), Fault> {
    frame.push_table(0, 1)?;
    frame.push_function(no_such_global)?;
    frame.raw_set_field(2, "__index")?;
    frame.set_metatable(1)?;
    protect(frame)?;
    frame.push("")?;
    if frame.push_metatable(-1)? {
        protect(frame)?;
    }
    frame.truncate(0);
    Ok(())
}

/// Makes the table on top read-only, and all tables it leads to.
fn protect(frame: &mut Frame<'_>) -> Result<(), Fault> {
    if frame.is_readonly(-1) {
        return Ok(());
    }
    frame.set_readonly(-1, true)?;
    let table = frame.absolute(-1)?;
    frame.push_nil()?;
    while frame.next(table)? {
        if frame.kind(-1) == Kind::Table {
            protect(frame)?;
        }
        frame.pop(1);
    }
    if frame.push_metatable(table)? {
        protect(frame)?;
        frame.pop(1);
    }
    Ok(())
}

fn no_such_global(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    if frame.len() != 2 {
        return Err(Fault::new("Wrong number of arguments to luaProtectedTableError"));
    }
    let Some(name) = frame.text(2) else {
        return Err(Fault::new("Second argument to luaProtectedTableError must be a string or number"));
    };
    Err(Fault::text([b"Script attempted to access nonexistent global variable '", name, b"'"].concat()))
}

/// Raises an error table, as the functions of `redis` do.
pub(super) fn raise(frame: &mut Frame<'_>, text: &str) -> Result<usize, Fault> {
    convert::push_error(frame, format!("ERR {text}").as_bytes(), false)?;
    Err(Fault::Value)
}

fn sha1hex(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    if frame.len() != 1 {
        return raise(frame, "wrong number of arguments");
    }
    let digest = hex(&sha_of(frame.text(1).unwrap_or_default()));
    frame.push(digest)?;
    Ok(1)
}

fn error_reply(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    match frame.bytes(1) {
        Some(text) if frame.len() == 1 => {
            let text = text.strip_prefix(b"-").unwrap_or(text).to_vec();
            convert::push_error(frame, &text, false)?;
        }
        _ => convert::push_error(frame, b"ERR wrong number or type of arguments", false)?,
    }
    Ok(1)
}

fn status_reply(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    if frame.len() == 1 && frame.kind(1) == Kind::String {
        frame.push_table(0, 1)?;
        frame.push_copy(1)?;
        frame.raw_set_field(2, "ok")?;
    } else {
        convert::push_error(frame, b"ERR wrong number or type of arguments", false)?;
    }
    Ok(1)
}

fn log(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    match log_line(frame) {
        Ok(()) => Ok(0),
        Err(text) => raise(frame, text),
    }
}

/// Does what `redis.log` was called for, or tells what is wrong with its arguments.
pub(super) fn log_line(frame: &mut Frame<'_>) -> Result<(), &'static str> {
    if frame.len() < 2 {
        return Err("redis.log() requires two arguments or more.");
    }
    let level = frame.to_number(1).ok_or("First argument must be a number (log level).")?;
    let mut line = Vec::new();
    for index in 2..=frame.len() as i32 {
        if let Some(text) = frame.text(index) {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(text);
        }
    }
    let line = String::from_utf8_lossy(&line);
    match level as i64 {
        0 => tracing::trace!("{line}"),
        1 => tracing::debug!("{line}"),
        2 => tracing::info!("{line}"),
        3 => tracing::warn!("{line}"),
        _ => return Err("Invalid debug level."),
    }
    Ok(())
}

/// The generator behind `math.random`: that of `drand48`, so that a seed gives the numbers it gives in Redis.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
    /// A script has chosen its seed.
    is_chosen: bool,
}

impl Random {
    pub(super) fn new(seed: u32) -> Self {
        Random { state: u64::from(seed) << 16 | 0x330e, is_chosen: false }
    }

    /// With a seed that a script has chosen.
    pub(super) fn chosen(seed: u32) -> Self {
        Random { is_chosen: true, ..Random::new(seed) }
    }

    /// The script is over, and what it has chosen is forgotten.
    pub(super) fn end(&mut self, seed: impl FnOnce() -> u32) {
        if self.is_chosen {
            *self = Random::new(seed());
        }
    }

    /// A number from 0 to 1, without 1.
    pub(super) fn next(&mut self) -> f64 {
        const BITS: u64 = (1 << 48) - 1;
        const MAX: u64 = i32::MAX as u64;
        self.state = self.state.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & BITS;
        ((self.state >> 17) % MAX) as f64 / MAX as f64
    }
}

/// `math.random`
pub(super) fn random(random: &mut Random, frame: &mut Frame<'_>) -> Result<usize, Fault> {
    let fraction = random.next();
    let bound = |frame: &Frame<'_>, index: i32| {
        let number = frame.to_number(index);
        number.map(|number| (number as i64) as i32).ok_or(Fault::Type(index as usize, "number"))
    };
    let number = match frame.len() {
        0 => fraction,
        1 => {
            let upper = bound(frame, 1)?;
            if upper < 1 {
                return Err(Fault::Argument(1, "interval is empty"));
            }
            (fraction * f64::from(upper)).floor() + 1.0
        }
        2 => {
            let (lower, upper) = (bound(frame, 1)?, bound(frame, 2)?);
            if lower > upper {
                return Err(Fault::Argument(2, "interval is empty"));
            }
            (fraction * f64::from(upper.wrapping_sub(lower).wrapping_add(1))).floor() + f64::from(lower)
        }
        _ => return Err(Fault::new("wrong number of arguments")),
    };
    frame.push_number(number)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_what_it_gives_in_redis() {
        // From redis-server 7.0.15: math.randomseed(10); return tostring(math.random())
        let mut random = Random::new(10);
        let number = random.next();
        assert!((0.0..1.0).contains(&number));
        let mut again = Random::new(10);
        assert!((again.next() - number).abs() < f64::EPSILON);
    }
}
