//! The arguments of a function of a library, checked as C's auxiliary library does it: numbers stand for strings, strings
//! that read as a number stand for it.

use tidegate_lua::{Fault, Frame};

/// The text that an argument is or reads as. It is copied, as the frame changes while it is read.
pub(super) fn text(frame: &mut Frame<'_>, index: usize) -> Result<Vec<u8>, Fault> {
    let (left, len) = (frame.memory_left(), frame.length(index as i32));
    // Whatever is read of it takes its time.
    frame.charge(len / 8);
    match frame.text(index as i32) {
        Some(_) if len > left => Err(Fault::Memory),
        Some(text) => Ok(text.to_vec()),
        None => Err(Fault::Type(index, "string")),
    }
}

/// The number that an argument is or reads as.
pub(super) fn number(frame: &Frame<'_>, index: usize) -> Result<f64, Fault> {
    frame.to_number(index as i32).ok_or(Fault::Type(index, "number"))
}

/// The integer that an argument is or reads as.
pub(super) fn integer(frame: &Frame<'_>, index: usize) -> Result<i64, Fault> {
    number(frame, index).map(to_i64)
}

/// The same of an argument that may be left out.
pub(super) fn integer_or(frame: &Frame<'_>, index: usize, default: i64) -> Result<i64, Fault> {
    if is_nil(frame, index) { Ok(default) } else { integer(frame, index) }
}

/// True for an argument that is nil or was not given.
pub(super) fn is_nil(frame: &Frame<'_>, index: usize) -> bool {
    use tidegate_lua::Kind::{Nil, None};
    matches!(frame.kind(index as i32), Nil | None)
}

/// A double as an integer the way x86-64 does it, which what scripts stored relies on: towards zero, and the least
/// integer for all that has no place.
pub(super) fn to_i64(number: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

/// The same for 32 bits.
pub(super) fn to_i32(number: f64) -> i32 {
    if number > -2_147_483_649.0 && number < 2_147_483_648.0 { number as i32 } else { i32::MIN }
}

/// The same for 64 bits without a sign, where negative numbers wrap around.
pub(super) fn to_u64(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF { to_i64(number - HALF) as u64 ^ 1 << 63 } else { to_i64(number) as u64 }
}
