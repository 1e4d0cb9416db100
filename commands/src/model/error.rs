//! The client is wrong: every error a handler can answer, with Redis' exact texts.

use std::borrow::Cow;
use tidegate_data::WrongType;

/// An error reply. The text's first word is the error code that clients dispatch on and `INFO errorstats` counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// `WRONGTYPE Operation against a key holding the wrong kind of value`
    WrongType,
    /// `ERR syntax error`
    Syntax,
    /// `ERR value is not an integer or out of range`
    NotInteger,
    /// `ERR value is not a valid float`
    NotFloat,
    /// `ERR no such key`
    NoSuchKey,
    /// `ERR index out of range`
    IndexOutOfRange,
    /// `ERR wrong number of arguments for '<name>' command`
    Arity(Cow<'static, str>),
    /// `ERR Bad data format`: what `RESTORE` was given is no value. The reason is for the log.
    BadPayload(Box<tidegate_data::rdb::Error>),
    /// Any other text, including its code: `ERR string exceeds maximum allowed size ...`.
    Text(Cow<'static, [u8]>),
}

impl Error {
    /// A fixed text, code included.
    pub const fn new(text: &'static str) -> Self {
        Error::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// A text made at run time, code included. Line breaks are replaced when it is written (response injection).
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Error::Text(Cow::Owned(text.into()))
    }

    /// The whole text without the leading `-` and the line end.
    pub fn message(&self) -> Cow<'_, [u8]> {
        let fixed: &'static str = match self {
            Error::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Error::Syntax => "ERR syntax error",
            Error::NotInteger => "ERR value is not an integer or out of range",
            Error::NotFloat => "ERR value is not a valid float",
            Error::NoSuchKey => "ERR no such key",
            Error::IndexOutOfRange => "ERR index out of range",
            Error::Arity(name) => {
                return Cow::Owned(
                    format!("ERR wrong number of arguments for '{name}' command").into_bytes(),
                );
            }
            Error::BadPayload(_) => "ERR Bad data format",
            Error::Text(text) => return Cow::Borrowed(text),
        };
        Cow::Borrowed(fixed.as_bytes())
    }
}

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Self {
        Error::WrongType
    }
}
