//! `bit`: operations on 32 bits, of Lua BitOp 1.0.2.

use super::Library;
use super::arguments::number;
use tidegate_lua::{Fault, Frame, Function};

/// The library.
pub(super) static LIBRARY: Library = Library { name: "bit", functions: FUNCTIONS, finish: None };

static FUNCTIONS: &[(&str, Function)] = &[
    ("tobit", |frame| unary(frame, |bits| bits)),
    ("bnot", |frame| unary(frame, |bits| !bits)),
    ("bswap", |frame| unary(frame, u32::swap_bytes)),
    ("band", |frame| fold(frame, |sum, next| sum & next)),
    ("bor", |frame| fold(frame, |sum, next| sum | next)),
    ("bxor", |frame| fold(frame, |sum, next| sum ^ next)),
    ("lshift", |frame| shift(frame, |bits, by| bits << by)),
    ("rshift", |frame| shift(frame, |bits, by| bits >> by)),
    ("arshift", |frame| shift(frame, |bits, by| (bits as i32 >> by) as u32)),
    ("rol", |frame| shift(frame, u32::rotate_left)),
    ("ror", |frame| shift(frame, u32::rotate_right)),
    ("tohex", tohex),
];

/// The low 32 bits of a number rounded to an integer, whatever its size: adding this leaves them as the last bits of
/// the double. What is no number is refused.
fn argument(frame: &Frame<'_>, index: usize) -> Result<u32, Fault> {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    Ok((number(frame, index)? + SHIFT).to_bits() as u32)
}

fn answer(frame: &mut Frame<'_>, bits: u32) -> Result<usize, Fault> {
    frame.push_number(f64::from(bits as i32))?;
    Ok(1)
}

fn unary(frame: &mut Frame<'_>, of: fn(u32) -> u32) -> Result<usize, Fault> {
    let bits = of(argument(frame, 1)?);
    answer(frame, bits)
}

fn fold(frame: &mut Frame<'_>, of: fn(u32, u32) -> u32) -> Result<usize, Fault> {
    let mut sum = argument(frame, 1)?;
    // From the last, which is then also the one that is complained about.
    for index in (2..=frame.len()).rev() {
        sum = of(sum, argument(frame, index)?);
    }
    answer(frame, sum)
}

fn shift(frame: &mut Frame<'_>, of: fn(u32, u32) -> u32) -> Result<usize, Fault> {
    let bits = of(argument(frame, 1)?, argument(frame, 2)? & 31);
    answer(frame, bits)
}

/// The last digits, as many as the second argument says; a negative count asks for capital letters.
fn tohex(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    let bits = argument(frame, 1)?;
    let count = if frame.len() < 2 { 8 } else { argument(frame, 2)? as i32 };
    let text = if count < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    // The least integer has no absolute value of its type (CVE-2024-31449).
    let kept = count.unsigned_abs().min(8) as usize;
    frame.push(&text[8 - kept..])?;
    Ok(1)
}
