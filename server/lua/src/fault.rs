//! Errors that functions raise in a script.

use std::borrow::Cow;

/// An error raised in the calling script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A text; the place in the script is put in front of it.
    Text(Cow<'static, [u8]>),
    /// A text as it is.
    Bare(Cow<'static, [u8]>),
    /// `bad argument #N to 'function' (text)`; arguments count from 1.
    Argument(usize, &'static str),
    /// The same with a text made at run time, which ends at its first zero byte.
    Refused(usize, Vec<u8>),
    /// `bad argument #N to 'function' (expected expected, got what it is)`.
    Type(usize, &'static str),
    /// The value on top of the frame.
    Value,
    /// The script has used up its memory.
    Memory,
    /// Too many values at once.
    Stack,
}

impl Fault {
    /// A fixed text; the place in the script is put in front of it.
    pub const fn new(text: &'static str) -> Self {
        Fault::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// What is wrong with an argument, counted from 1. The text ends at its first zero byte.
    pub fn argument(index: usize, text: impl Into<Vec<u8>>) -> Self {
        Fault::Refused(index, text.into())
    }

    /// A text made at run time; the place in the script is put in front of it.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Fault::Text(Cow::Owned(text.into()))
    }
}
