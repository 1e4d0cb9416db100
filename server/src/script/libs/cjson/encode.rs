//! `cjson.encode`. Tables within tables are kept on a list, not on the stack of the thread.

use super::super::SLOTS_MAX;
use super::super::arguments::to_i32;
use super::super::output::Output;
use super::{OFF, ON, Setting, only, text};
use tidegate_lua::{Fault, Frame, Kind};

pub(super) fn encode(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    only(frame)?;
    let settings = Settings {
        sparse_convert: Setting::SparseConvert.get(frame)?,
        sparse_ratio: Setting::SparseRatio.get(frame)?,
        sparse_safe: Setting::SparseSafe.get(frame)?,
        depth_max: Setting::EncodeMaxDepth.get(frame)? as usize,
        invalid: Setting::EncodeInvalid.get(frame)?,
        precision: Setting::NumberPrecision.get(frame)?,
    };
    let mut encoder = Encoder { settings, out: Output::new(frame), open: Vec::new() };
    encoder.value(frame)?;
    encoder.out.finish(frame)
}

struct Settings {
    sparse_convert: i32,
    sparse_ratio: i32,
    sparse_safe: i32,
    depth_max: usize,
    invalid: i32,
    precision: i32,
}

struct Encoder {
    settings: Settings,
    out: Output,
    /// The tables that are being written, the innermost last. They lie on the frame, objects with their last key.
    open: Vec<Open>,
}

/// A table that is being written.
enum Open {
    Array { index: usize, len: usize },
    Object { is_first: bool },
}

impl Encoder {
    /// Writes the value on top, and takes it away.
    fn value(&mut self, frame: &mut Frame<'_>) -> Result<(), Fault> {
        loop {
            if frame.kind(-1) == Kind::Table {
                self.begin(frame)?;
            } else {
                self.scalar(frame)?;
                frame.pop(1);
            }
            if !self.next(frame)? {
                return Ok(());
            }
        }
    }

    /// Pushes the next value within the innermost table that has one. Those that have none are closed.
    fn next(&mut self, frame: &mut Frame<'_>) -> Result<bool, Fault> {
        while let Some(last) = self.open.last_mut() {
            match last {
                Open::Array { index, len } => {
                    if *index < *len {
                        if *index > 0 {
                            self.out.push(b",")?;
                        }
                        *index += 1;
                        frame.raw_element(-1, *index)?;
                        return Ok(true);
                    }
                    self.out.push(b"]")?;
                }
                Open::Object { is_first } => {
                    if frame.next(-2)? {
                        if !std::mem::take(is_first) {
                            self.out.push(b",")?;
                        }
                        self.key(frame)?;
                        return Ok(true);
                    }
                    self.out.push(b"}")?;
                }
            }
            frame.pop(1);
            self.open.pop();
        }
        Ok(false)
    }

    fn begin(&mut self, frame: &mut Frame<'_>) -> Result<(), Fault> {
        let depth = self.open.len() + 1;
        if depth > self.settings.depth_max || frame.len() + 3 > SLOTS_MAX {
            return Err(Fault::text(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let len = self.array_len(frame)?;
        if len > 0 {
            self.open.push(Open::Array { index: 0, len });
            return self.out.push(b"[");
        }
        self.open.push(Open::Object { is_first: true });
        frame.push_nil()?;
        self.out.push(b"{")
    }

    /// The length of the table on top as an array, if it is one that is not empty: it has only integers from 1 as keys,
    /// and not too many holes.
    fn array_len(&self, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        let (mut max, mut items) = (0_i32, 0_i32);
        frame.push_nil()?;
        while frame.next(-2)? {
            match frame.number(-2) {
                Some(index) if index >= 1.0 && index.floor() == index => {
                    if index > f64::from(max) {
                        max = to_i32(index);
                    }
                    items = items.saturating_add(1);
                    frame.pop(1);
                }
                _ => {
                    frame.pop(2);
                    return Ok(0);
                }
            }
        }
        let ratio = self.settings.sparse_ratio;
        if ratio > 0 && max > items.wrapping_mul(ratio) && max > self.settings.sparse_safe {
            if self.settings.sparse_convert == OFF {
                return Err(Fault::new("Cannot serialise table: excessively sparse array"));
            }
            return Ok(0);
        }
        Ok(usize::try_from(max).unwrap_or(0))
    }

    /// Writes the key below the value on top.
    fn key(&mut self, frame: &mut Frame<'_>) -> Result<(), Fault> {
        if let Some(key) = frame.bytes(-2) {
            text::push_string(&mut self.out, key)?;
        } else if let Some(key) = frame.number(-2) {
            self.out.push(b"\"")?;
            self.number(key)?;
            self.out.push(b"\"")?;
        } else {
            return refuse(frame, -2, "table key must be a number or string");
        }
        self.out.push(b":")
    }

    /// Writes the value on top.
    fn scalar(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        match frame.kind(-1) {
            Kind::String => text::push_string(&mut self.out, frame.bytes(-1).unwrap_or_default()),
            Kind::Number => self.number(frame.number(-1).unwrap_or_default()),
            Kind::Boolean => self.out.push(if frame.is_true(-1) { b"true" } else { b"false" }),
            Kind::Nil => self.out.push(b"null"),
            _ if frame.is_null(-1) => self.out.push(b"null"),
            _ => refuse(frame, -1, "type not supported"),
        }
    }

    fn number(&mut self, number: f64) -> Result<(), Fault> {
        if !number.is_finite() {
            match self.settings.invalid {
                OFF => return Err(Fault::new("Cannot serialise number: must not be NaN or Inf")),
                ON if number.is_nan() => return self.out.push(b"nan"),
                ON => {}
                _ => return self.out.push(b"null"),
            }
        }
        text::push_number(&mut self.out, number, self.settings.precision)
    }
}

fn refuse(frame: &Frame<'_>, index: i32, why: &str) -> Result<(), Fault> {
    Err(Fault::text(format!("Cannot serialise {}: {why}", frame.type_name(index))))
}
