//! `cmsgpack`: MessagePack as lua-cmsgpack 0.4.0 writes and reads it.

use super::arguments::{integer, integer_or, text, to_i32, to_i64};
use super::output::Output;
use super::{Library, SLOTS_MAX};
use tidegate_lua::{Fault, Frame, Function, Kind};

/// The library.
pub(super) static LIBRARY: Library =
    Library { name: "cmsgpack", functions: FUNCTIONS, finish: Some(add_constants) };

static FUNCTIONS: &[(&str, Function)] = &[
    ("pack", pack),
    ("unpack", |frame| unpack(frame, 0, 0)),
    ("unpack_one", |frame| {
        let offset = integer_or(frame, 2, 0)?;
        unpack(frame, 1, offset)
    }),
    ("unpack_limit", |frame| {
        let (limit, offset) = (integer(frame, 2)?, integer_or(frame, 3, 0)?);
        unpack(frame, limit, offset)
    }),
];

fn add_constants(frame: &mut Frame<'_>) -> Result<(), Fault> {
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        frame.push(text)?;
        frame.raw_set_field(-2, name)?;
    }
    Ok(())
}

/// A table this deep in others is packed as nil, which also ends tables that contain themselves.
const NESTING_MAX: usize = 16;

fn pack(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    if frame.is_empty() {
        return Err(Fault::argument(0, "MessagePack pack needs input."));
    }
    let mut out = Output::new(frame);
    for index in 1..=frame.len() as i32 {
        frame.push_copy(index)?;
        pack_value(&mut out, frame, 0)?;
    }
    out.finish(frame)
}

/// Packs the value on top and takes it away. Recurses, but no deeper than [`NESTING_MAX`].
fn pack_value(out: &mut Output, frame: &mut Frame<'_>, level: usize) -> Result<(), Fault> {
    match frame.kind(-1) {
        Kind::String => {
            let text = frame.bytes(-1).unwrap_or_default();
            pack_string_header(out, text.len())?;
            out.push(text)?;
        }
        Kind::Boolean => out.push(&[if frame.is_true(-1) { 0xc3 } else { 0xc2 }])?,
        Kind::Number => pack_number(out, frame.number(-1).unwrap_or_default())?,
        Kind::Table if level < NESTING_MAX => pack_table(out, frame, level)?,
        _ => out.push(&[0xc0])?,
    }
    frame.pop(1);
    Ok(())
}

/// Packs the table on top.
fn pack_table(out: &mut Output, frame: &mut Frame<'_>, level: usize) -> Result<(), Fault> {
    let (mut count, mut max, mut is_array) = (0_usize, 0_usize, true);
    frame.push_nil()?;
    while frame.next(-2)? {
        frame.pop(1);
        count += 1;
        match frame.number(-1).map(|key| (key, to_i32(key))) {
            Some((key, index)) if index > 0 && f64::from(index) == key => max = max.max(index as usize),
            _ => is_array = false,
        }
    }
    if is_array && max == count {
        pack_header(out, count, 0x90, 0xdc)?;
        for index in 1..=count {
            frame.raw_element(-1, index)?;
            pack_value(out, frame, level + 1)?;
        }
        return Ok(());
    }
    pack_header(out, count, 0x80, 0xde)?;
    frame.push_nil()?;
    while frame.next(-2)? {
        frame.push_copy(-2)?;
        pack_value(out, frame, level + 1)?;
        pack_value(out, frame, level + 1)?;
    }
    Ok(())
}

/// The count of an array or a map: up to 15 within the first byte, or two bytes, or four after the next code.
fn pack_header(out: &mut Output, count: usize, short: u8, code: u8) -> Result<(), Fault> {
    match count {
        0..=15 => out.push(&[short | count as u8]),
        16..=0xffff => pack_code(out, code, &(count as u16).to_be_bytes()),
        _ => pack_code(out, code + 1, &(count as u32).to_be_bytes()),
    }
}

fn pack_string_header(out: &mut Output, len: usize) -> Result<(), Fault> {
    match len {
        0..=31 => out.push(&[0xa0 | len as u8]),
        32..=0xff => out.push(&[0xd9, len as u8]),
        0x100..=0xffff => pack_code(out, 0xda, &(len as u16).to_be_bytes()),
        _ => pack_code(out, 0xdb, &(len as u32).to_be_bytes()),
    }
}

fn pack_code(out: &mut Output, code: u8, bytes: &[u8]) -> Result<(), Fault> {
    out.push(&[code])?;
    out.push(bytes)
}

/// The shortest form, without a sign where there is none.
fn pack_integer(out: &mut Output, number: i64) -> Result<(), Fault> {
    match number {
        -32..=0x7f => out.push(&[number as u8]),
        0x80..=0xff => out.push(&[0xcc, number as u8]),
        0x100..=0xffff => pack_code(out, 0xcd, &(number as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => pack_code(out, 0xce, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => pack_code(out, 0xcf, &number.to_be_bytes()),
        -0x80..=-33 => out.push(&[0xd0, number as u8]),
        -0x8000..=-0x81 => pack_code(out, 0xd1, &(number as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => pack_code(out, 0xd2, &(number as i32).to_be_bytes()),
        _ => pack_code(out, 0xd3, &number.to_be_bytes()),
    }
}

/// An integer if it is one, a float if that loses nothing, else a double.
fn pack_number(out: &mut Output, number: f64) -> Result<(), Fault> {
    let (integer, float) = (to_i64(number), number as f32);
    if number.is_finite() && integer as f64 == number {
        return pack_integer(out, integer);
    }
    if f64::from(float) == number {
        return pack_code(out, 0xca, &float.to_be_bytes());
    }
    pack_code(out, 0xcb, &number.to_be_bytes())
}

/// The values in the first argument from `offset` on, at most `limit`; and in front of them where it ended, unless both
/// are zero, which asks for all.
fn unpack(frame: &mut Frame<'_>, limit: i64, offset: i64) -> Result<usize, Fault> {
    let data = text(frame, 1)?;
    frame.truncate(1);
    if offset < 0 || limit < 0 {
        let (offset, len) = (offset as i32, data.len() as i32);
        return Err(Fault::text(format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    }
    if offset as usize > data.len() {
        let (offset, len) = (offset as i32, data.len() as i32);
        return Err(Fault::text(format!("Start offset {offset} greater than input length {len}.")));
    }
    let is_all = limit == 0 && offset == 0;
    let limit = if is_all { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader { frame, rest: &data[offset as usize..], open: Vec::new() };
    let mut count = 0;
    while !reader.rest.is_empty() && (count as i64) < limit {
        reader.value()?;
        count += 1;
    }
    if is_all {
        return Ok(count);
    }
    let at = if reader.rest.is_empty() { -1 } else { (data.len() - reader.rest.len()) as i64 };
    frame.push_number(at as f64)?;
    frame.insert(2);
    Ok(count + 1)
}

struct Reader<'a, 'f, 'l> {
    frame: &'f mut Frame<'l>,
    rest: &'a [u8],
    /// The tables that are being read, the innermost last. They lie on the frame, each with the key of its next entry on
    /// it once that is known.
    open: Vec<Open>,
}

/// A table that is being read, and how many entries it still gets.
enum Open {
    Array { index: u32, left: u32 },
    Map { has_key: bool, left: u32 },
}

impl Reader<'_, '_, '_> {
    /// Reads one value, and leaves it on top. How deep values may be nested follows from how many fit on the frame.
    fn value(&mut self) -> Result<(), Fault> {
        loop {
            match self.item()? {
                Some(Open::Array { index, left }) if left > 0 => {
                    self.open.push(Open::Array { index, left });
                    self.frame.push_number(f64::from(index))?;
                    continue;
                }
                Some(Open::Map { has_key, left }) if left > 0 => {
                    self.open.push(Open::Map { has_key, left });
                    continue;
                }
                _ => self.frame.check_memory()?,
            }
            // The value on top has a place now. It may be the last one of its table, and that one the last of its own.
            loop {
                let Some(last) = self.open.last_mut() else { return Ok(()) };
                match last {
                    Open::Array { index, left } => {
                        self.frame.raw_set(-3)?;
                        *left -= 1;
                        if *left > 0 {
                            *index += 1;
                            self.frame.push_number(f64::from(*index))?;
                            break;
                        }
                    }
                    Open::Map { has_key: has_key @ false, .. } => {
                        *has_key = true;
                        break;
                    }
                    Open::Map { has_key, left } => {
                        set(self.frame)?;
                        *has_key = false;
                        *left -= 1;
                        if *left > 0 {
                            break;
                        }
                    }
                }
                self.open.pop();
            }
        }
    }

    /// Pushes a scalar, or a new table, of which it returns what is to be read into it.
    fn item(&mut self) -> Result<Option<Open>, Fault> {
        const TOO_MANY: &str =
            "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
        let (&code, rest) = self.rest.split_first().ok_or(MISSING)?;
        if self.frame.len() + 1 > SLOTS_MAX {
            return Err(Fault::new(TOO_MANY));
        }
        self.rest = rest;
        let number = match code {
            0x00..=0x7f => f64::from(code),
            0xe0..=0xff => f64::from(code as i8),
            0xca => f64::from(f32::from_be_bytes(self.bytes()?)),
            0xcb => f64::from_be_bytes(self.bytes()?),
            0xcc => f64::from(u8::from_be_bytes(self.bytes()?)),
            0xcd => f64::from(u16::from_be_bytes(self.bytes()?)),
            0xce => f64::from(u32::from_be_bytes(self.bytes()?)),
            // One without a sign that is too large becomes negative, as in C.
            0xcf | 0xd3 => i64::from_be_bytes(self.bytes()?) as f64,
            0xd0 => f64::from(i8::from_be_bytes(self.bytes()?)),
            0xd1 => f64::from(i16::from_be_bytes(self.bytes()?)),
            0xd2 => f64::from(i32::from_be_bytes(self.bytes()?)),
            code => return self.other(code),
        };
        self.frame.push_number(number)?;
        Ok(None)
    }

    /// What is no number.
    fn other(&mut self, code: u8) -> Result<Option<Open>, Fault> {
        let count = match code {
            0x80..=0x9f => u32::from(code & 0xf),
            0xa0..=0xbf => u32::from(code & 0x1f),
            0xd9 => u32::from(u8::from_be_bytes(self.bytes()?)),
            0xda | 0xdc | 0xde => u32::from(u16::from_be_bytes(self.bytes()?)),
            0xdb | 0xdd | 0xdf => u32::from_be_bytes(self.bytes()?),
            _ => 0,
        };
        match code {
            0xc0 => self.frame.push_nil()?,
            0xc2 | 0xc3 => self.frame.push_boolean(code == 0xc3)?,
            0xa0..=0xbf | 0xd9..=0xdb => {
                let (text, rest) = self.rest.split_at_checked(count as usize).ok_or(MISSING)?;
                self.rest = rest;
                self.frame.push(text)?;
            }
            0x90..=0x9f | 0xdc | 0xdd => {
                self.frame.push_table(0, 0)?;
                if self.frame.len() + 1 > SLOTS_MAX {
                    return Err(Fault::new("stack overflow (in function mp_decode_to_lua_array)"));
                }
                return Ok(Some(Open::Array { index: 1, left: count }));
            }
            0x80..=0x8f | 0xde | 0xdf => {
                self.frame.push_table(0, 0)?;
                return Ok(Some(Open::Map { has_key: false, left: count }));
            }
            _ => return Err(Fault::new("Bad data format in input.")),
        }
        Ok(None)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(MISSING)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

const MISSING: Fault = Fault::new("Missing bytes in input.");

/// Takes a key and a value on a table. A map may come with keys that no table can have.
fn set(frame: &mut Frame<'_>) -> Result<(), Fault> {
    if frame.kind(-2) == Kind::Nil {
        return Err(Fault::Bare(b"table index is nil".into()));
    }
    if frame.number(-2).is_some_and(f64::is_nan) {
        return Err(Fault::Bare(b"table index is NaN".into()));
    }
    frame.raw_set(-3)
}
