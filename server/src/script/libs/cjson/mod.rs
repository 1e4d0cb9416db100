//! `cjson`: JSON as Lua CJSON 2.1.0 writes and reads it.

mod decode;
mod encode;
mod text;

use super::Library;
use super::arguments::{integer, is_nil, text};
use tidegate_lua::{Fault, Frame, Function, Kind};

/// The library. Its functions are added with what they remember.
pub(super) static LIBRARY: Library =
    Library { name: "cjson", functions: &[], finish: Some(|frame| fill(frame, Some(NEVER))) };

static FUNCTIONS: &[(&str, Function)] = &[
    ("encode", encode::encode),
    ("decode", decode::decode),
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", |frame| set_integer(frame, Setting::EncodeMaxDepth, 1, i32::MAX)),
    ("decode_max_depth", |frame| set_integer(frame, Setting::DecodeMaxDepth, 1, i32::MAX)),
    ("encode_number_precision", |frame| set_integer(frame, Setting::NumberPrecision, 1, 14)),
    ("encode_keep_buffer", |frame| set_choice(frame, Setting::KeepBuffer, &SWITCH)),
    ("encode_invalid_numbers", |frame| set_choice(frame, Setting::EncodeInvalid, &["off", "on", "null"])),
    ("decode_invalid_numbers", |frame| set_choice(frame, Setting::DecodeInvalid, &SWITCH)),
    ("new", |frame| {
        frame.push_table(0, FUNCTIONS.len() + 3)?;
        fill(frame, None)?;
        Ok(1)
    }),
];

/// Where the settings of the functions that all scripts share have the number of the run that made them: for the next
/// run they do not count. Redis lets them stay, so that a script depends on those that ran before it.
const MADE_IN: usize = 10;
/// The number of no run.
const NEVER: f64 = -1.0;

/// What a script may set for one table of functions: every `cjson.new()` has its own. They remember a table with these
/// as its elements; what is not set there is as usual.
#[derive(Debug, Clone, Copy)]
enum Setting {
    /// Arrays with more holes than allowed become objects. Otherwise they are refused.
    SparseConvert,
    /// An array may be this many times as long as it has elements; 0 allows everything.
    SparseRatio,
    /// Up to this length holes do not matter.
    SparseSafe,
    EncodeMaxDepth,
    DecodeMaxDepth,
    /// Whether what is not finite can be written: [`OFF`], [`ON`], or as null.
    EncodeInvalid,
    /// Whether numbers that are not JSON's are read.
    DecodeInvalid,
    /// Remembered, but without a meaning: no buffer is kept.
    KeepBuffer,
    /// Digits of a number.
    NumberPrecision,
}

const OFF: i32 = 0;
const ON: i32 = 1;

impl Setting {
    fn usual(self) -> i32 {
        match self {
            Setting::SparseConvert | Setting::EncodeInvalid => OFF,
            Setting::KeepBuffer | Setting::DecodeInvalid => ON,
            Setting::SparseRatio => 2,
            Setting::SparseSafe => 10,
            Setting::EncodeMaxDepth | Setting::DecodeMaxDepth => 1000,
            Setting::NumberPrecision => 14,
        }
    }

    /// What it is for the running function.
    fn get(self, frame: &mut Frame<'_>) -> Result<i32, Fault> {
        frame.push_remembered()?;
        frame.raw_element(-1, self as usize + 1)?;
        let value = frame.number(-1).map(|value| value as i32);
        frame.pop(1);
        let counts = value.is_some() && !is_of_another_run(frame)?;
        frame.pop(1);
        Ok(value.filter(|_| counts).unwrap_or(self.usual()))
    }

    fn set(self, frame: &mut Frame<'_>, value: i32) -> Result<(), Fault> {
        frame.push_remembered()?;
        if is_of_another_run(frame)? {
            for element in 1..MADE_IN {
                frame.push_nil()?;
                frame.raw_set_element(-2, element)?;
            }
            frame.push_number(f64::from(frame.run()))?;
            frame.raw_set_element(-2, MADE_IN)?;
        }
        frame.push_number(f64::from(value))?;
        frame.raw_set_element(-2, self as usize + 1)?;
        frame.pop(1);
        Ok(())
    }
}

/// True when the settings on top were made by a script that is over.
fn is_of_another_run(frame: &mut Frame<'_>) -> Result<bool, Fault> {
    frame.raw_element(-1, MADE_IN)?;
    let made_in = frame.number(-1);
    frame.pop(1);
    Ok(made_in.is_some_and(|run| run != f64::from(frame.run())))
}

/// Adds functions that share their settings, and the constants, to the table on top. `made_in` where the settings last no
/// longer than a run.
fn fill(frame: &mut Frame<'_>, made_in: Option<f64>) -> Result<(), Fault> {
    frame.push_table(0, 0)?;
    if let Some(run) = made_in {
        frame.push_number(run)?;
        frame.raw_set_element(-2, MADE_IN)?;
    }
    for (name, function) in FUNCTIONS {
        frame.push_copy(-1)?;
        frame.push_closure(*function)?;
        frame.raw_set_field(-3, name)?;
    }
    frame.pop(1);
    frame.push_null()?;
    frame.raw_set_field(-2, "null")?;
    frame.push("cjson")?;
    frame.raw_set_field(-2, "_NAME")?;
    frame.push("2.1.0")?;
    frame.raw_set_field(-2, "_VERSION")
}

/// Refuses more than `count` arguments.
fn at_most(frame: &Frame<'_>, count: usize) -> Result<(), Fault> {
    if frame.len() > count { Err(Fault::argument(count + 1, "found too many arguments")) } else { Ok(()) }
}

/// Refuses any but one argument.
fn only(frame: &Frame<'_>) -> Result<(), Fault> {
    if frame.len() == 1 { Ok(()) } else { Err(Fault::argument(1, "expected 1 argument")) }
}

fn encode_sparse_array(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    at_most(frame, 3)?;
    // Answers are pushed behind the arguments, and are not to be taken for those that were left out.
    while frame.len() < 3 {
        frame.push_nil()?;
    }
    choice(frame, Setting::SparseConvert, &SWITCH)?;
    number(frame, 2, Setting::SparseRatio, 0, i32::MAX)?;
    number(frame, 3, Setting::SparseSafe, 0, i32::MAX)?;
    Ok(3)
}

fn set_integer(frame: &mut Frame<'_>, setting: Setting, min: i32, max: i32) -> Result<usize, Fault> {
    at_most(frame, 1)?;
    number(frame, 1, setting, min, max)?;
    Ok(1)
}

/// Sets an integer, if argument `index` is one, and pushes what it is now.
fn number(frame: &mut Frame<'_>, index: usize, setting: Setting, min: i32, max: i32) -> Result<(), Fault> {
    if !is_nil(frame, index) {
        let value = integer(frame, index)? as i32;
        if !(min..=max).contains(&value) {
            // Whichever argument it was, as in the C library.
            return Err(Fault::argument(1, format!("expected integer between {min} and {max}")));
        }
        setting.set(frame, value)?;
    }
    let value = setting.get(frame)?;
    frame.push_number(f64::from(value))
}

const SWITCH: [&str; 2] = ["off", "on"];

fn set_choice(frame: &mut Frame<'_>, setting: Setting, choices: &[&str]) -> Result<usize, Fault> {
    at_most(frame, 1)?;
    choice(frame, setting, choices)?;
    Ok(1)
}

/// Sets one of `choices`, if the first argument says one, by name or as a boolean, and pushes what it is now.
fn choice(frame: &mut Frame<'_>, setting: Setting, choices: &[&str]) -> Result<(), Fault> {
    match frame.kind(1) {
        Kind::Nil | Kind::None => {}
        Kind::Boolean => {
            let on = i32::from(frame.is_true(1));
            setting.set(frame, on)?;
        }
        _ => {
            let name = text(frame, 1)?;
            let chosen = choices.iter().position(|choice| choice.as_bytes() == name);
            let unknown = || Fault::argument(1, [b"invalid option '", &name[..], b"'"].concat());
            setting.set(frame, chosen.ok_or_else(unknown)? as i32)?;
        }
    }
    match setting.get(frame)? {
        OFF => frame.push_boolean(false),
        ON => frame.push_boolean(true),
        other => frame.push(choices.get(other as usize).copied().unwrap_or_default()),
    }
}
