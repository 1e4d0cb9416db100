//! `struct`: packs values into bytes, and back, by a format of one letter per value.

use super::arguments::{integer_or, number, text, to_u64};
use super::output::Output;
use super::{Library, SLOTS_MAX};
use tidegate_lua::{Fault, Frame, Function};

/// The library.
pub(super) static LIBRARY: Library = Library { name: "struct", functions: FUNCTIONS, finish: None };

static FUNCTIONS: &[(&str, Function)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// The most bytes an integer may be asked to have.
const INTEGER_SIZE_MAX: usize = 32;

/// What a format says, read from its front to its end or its first zero byte.
struct Format<'a> {
    rest: &'a [u8],
    is_big: bool,
    align: usize,
}

/// One letter with its size: 0 where the letter has none, and for `s` and `c0`.
struct Letter {
    letter: u8,
    size: usize,
}

impl<'a> Format<'a> {
    fn new(format: &'a [u8]) -> Self {
        let end = format.iter().position(|&byte| byte == 0).unwrap_or(format.len());
        Format { rest: &format[..end], is_big: false, align: 1 }
    }

    fn letter(&mut self) -> Result<Option<Letter>, Fault> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.count(1)?,
            b'i' | b'I' => {
                let size = self.count(4)?;
                if size > INTEGER_SIZE_MAX {
                    return Err(Fault::text(format!(
                        "integral size {size} is larger than limit of {INTEGER_SIZE_MAX}"
                    )));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Letter { letter, size }))
    }

    /// The number that follows a letter.
    fn count(&mut self, default: i32) -> Result<usize, Fault> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default as usize);
        }
        let mut count = 0_i32;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let more = count.checked_mul(10).and_then(|tens| tens.checked_add(i32::from(digit - b'0')));
            count = more.ok_or_else(|| Fault::new("integral size overflow"))?;
            self.rest = rest;
        }
        Ok(count as usize)
    }

    /// How many bytes bring position `at` to where a value of this letter may begin.
    fn padding(&self, at: usize, of: &Letter) -> usize {
        if of.size == 0 || of.letter == b'c' {
            return 0;
        }
        let size = of.size.min(self.align);
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// A letter that packs nothing: it says how to go on.
    fn control(&mut self, letter: u8) -> Result<(), Fault> {
        match letter {
            b' ' => {}
            b'>' => self.is_big = true,
            b'<' => self.is_big = false,
            b'!' => {
                let align = self.count(8)?;
                if !align.is_power_of_two() {
                    return Err(Fault::text(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            letter => {
                return Err(Fault::argument(1, [b"invalid format option '", &[letter][..], b"'"].concat()));
            }
        }
        Ok(())
    }

    /// Turns bytes of little end first into what the format asks for, or back.
    fn order<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.is_big {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    let format = text(frame, 1)?;
    let mut format = Format::new(&format);
    // The C library keeps a nil behind the arguments, and so complains of that where one is missing.
    frame.push_nil()?;
    let mut out = Output::new(frame);
    let mut index = 1;
    while let Some(of) = format.letter()? {
        out.zeros(format.padding(out.len(), &of))?;
        match of.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                index += 1;
                let mut bytes = [0; INTEGER_SIZE_MAX];
                bytes[..8].copy_from_slice(&to_u64(number(frame, index)?).to_le_bytes());
                let bytes = &mut bytes[..of.size];
                if format.is_big {
                    bytes.reverse();
                }
                out.push(bytes)?;
            }
            b'x' => out.zeros(1)?,
            b'f' => {
                index += 1;
                out.push(&format.order((number(frame, index)? as f32).to_le_bytes()))?;
            }
            b'd' => {
                index += 1;
                out.push(&format.order(number(frame, index)?.to_le_bytes()))?;
            }
            b'c' | b's' => {
                index += 1;
                let text = frame.text(index as i32).ok_or(Fault::Type(index, "string"))?;
                let size = if of.size == 0 { text.len() } else { of.size };
                let text = text.get(..size);
                out.push(text.ok_or_else(|| Fault::argument(index + 1, "string too short"))?)?;
                if of.letter == b's' {
                    out.zeros(1)?;
                }
            }
            letter => format.control(letter)?,
        }
    }
    out.finish(frame)
}

fn unpack(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    let format = text(frame, 1)?;
    let mut format = Format::new(&format);
    let data = text(frame, 2)?;
    // A negative position is one far behind the end, as it is where there are no signs.
    let at = integer_or(frame, 3, 1)? as usize;
    if at == 0 {
        return Err(Fault::argument(3, "offset must be 1 or greater"));
    }
    let mut at = at - 1;
    let check = |at: usize, size: usize| {
        let is_there = data.len().checked_sub(size).is_some_and(|last| at <= last);
        if is_there { Ok(()) } else { Err(Fault::argument(2, "data string too short")) }
    };
    let first = frame.len();
    while let Some(mut of) = format.letter()? {
        at = at.wrapping_add(format.padding(at, &of));
        check(at, of.size)?;
        if frame.len() + 2 > SLOTS_MAX {
            return Err(Fault::new("stack overflow (too many results)"));
        }
        let bytes = &data[at..];
        match of.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                frame.push_number(integer(&bytes[..of.size], &of, format.is_big))?;
            }
            b'x' => {}
            b'f' => {
                let number = bytes.first_chunk().map(|bytes| f32::from_le_bytes(format.order(*bytes)));
                frame.push_number(f64::from(number.unwrap_or_default()))?;
            }
            b'd' => {
                let number = bytes.first_chunk().map(|bytes| f64::from_le_bytes(format.order(*bytes)));
                frame.push_number(number.unwrap_or_default())?;
            }
            b'c' => {
                if of.size == 0 {
                    let size = if frame.len() > first { frame.to_number(-1) } else { None };
                    let size = size.ok_or(Fault::new("format 'c0' needs a previous size"))?;
                    frame.pop(1);
                    of.size = to_u64(size) as usize;
                    check(at, of.size)?;
                }
                frame.push(&bytes[..of.size])?;
            }
            b's' => {
                let end = bytes.iter().position(|&byte| byte == 0);
                let end = end.ok_or(Fault::new("unfinished string in data"))?;
                frame.push(&bytes[..end])?;
                of.size = end + 1;
            }
            letter => format.control(letter)?,
        }
        frame.check_memory()?;
        at += of.size;
    }
    frame.push_number(at.wrapping_add(1) as i64 as f64)?;
    Ok(frame.len() - first)
}

/// The number in these bytes. Of more than eight the lowest count.
fn integer(bytes: &[u8], of: &Letter, is_big: bool) -> f64 {
    let push = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    let sum = if is_big { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) };
    if !of.letter.is_ascii_lowercase() {
        return sum as f64;
    }
    // Sizes above eight bytes ask for a shift beyond 64 bits, of which processors take the low six bits.
    let mask = u64::MAX.wrapping_shl((of.size as u32 * 8).wrapping_sub(1));
    (if sum & mask == 0 { sum } else { sum | mask }) as i64 as f64
}

fn size(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    let format = text(frame, 1)?;
    let mut format = Format::new(&format);
    let mut at = 0_usize;
    while let Some(of) = format.letter()? {
        at += format.padding(at, &of);
        match of.letter {
            b's' => return Err(Fault::argument(1, "option 's' has no fixed size")),
            b'c' if of.size == 0 => return Err(Fault::argument(1, "option 'c0' has no fixed size")),
            letter if !letter.is_ascii_alphanumeric() => format.control(letter)?,
            _ => {}
        }
        at += of.size;
    }
    frame.push_number(at as f64)?;
    Ok(1)
}
