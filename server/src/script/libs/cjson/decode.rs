//! `cjson.decode`. Arrays and objects within others are kept on a list, not on the stack of the thread.

use super::super::SLOTS_MAX;
use super::super::arguments;
use super::{ON, Setting, only, text};
use tidegate_lua::{Fault, Frame};

pub(super) fn decode(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    only(frame)?;
    let json = arguments::text(frame, 1)?;
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err(Fault::new("JSON parser does not support UTF-16 or UTF-32"));
    }
    let reads_invalid = Setting::DecodeInvalid.get(frame)? == ON;
    let depth_max = Setting::DecodeMaxDepth.get(frame)? as usize;
    let mut tokens = Tokens { frame, json: &json, at: 0, began: 0, reads_invalid };
    value(&mut tokens, depth_max)?;
    match tokens.next()? {
        Token::End => Ok(1),
        token => Err(tokens.unexpected("the end", token)),
    }
}

/// An array that is being read, with the index of its next element, or an object. They lie on the frame, objects with
/// the key of their next field.
#[derive(Clone, Copy)]
enum Open {
    Array(usize),
    Object,
}

/// Reads a value, and leaves it on top.
fn value(tokens: &mut Tokens<'_, '_, '_>, depth_max: usize) -> Result<(), Fault> {
    let mut open: Vec<Open> = Vec::new();
    let mut token = tokens.next()?;
    loop {
        match token {
            Token::Text => {}
            Token::Number(number) => tokens.frame.push_number(number)?,
            Token::Boolean(value) => tokens.frame.push_boolean(value)?,
            // A field that is nil would not be there.
            Token::Null => tokens.frame.push_null()?,
            Token::Object => {
                tokens.begin(open.len() + 1, depth_max, 3)?;
                token = tokens.next()?;
                if !matches!(token, Token::ObjectEnd) {
                    tokens.key(token)?;
                    open.push(Open::Object);
                    token = tokens.next()?;
                    continue;
                }
            }
            Token::Array => {
                tokens.begin(open.len() + 1, depth_max, 2)?;
                token = tokens.next()?;
                if !matches!(token, Token::ArrayEnd) {
                    open.push(Open::Array(1));
                    continue;
                }
            }
            token => return Err(tokens.unexpected("value", token)),
        }
        // The value on top has a place now. It may be the last one of what it is in, and that the last one, too.
        loop {
            let Some(last) = open.last_mut() else { return Ok(()) };
            tokens.frame.check_memory()?;
            match last {
                Open::Array(index) => {
                    tokens.frame.raw_set_element(-2, *index)?;
                    *index += 1;
                    match tokens.next()? {
                        Token::Comma => break,
                        Token::ArrayEnd => {}
                        token => return Err(tokens.unexpected("comma or array end", token)),
                    }
                }
                Open::Object => {
                    tokens.frame.raw_set(-3)?;
                    match tokens.next()? {
                        Token::Comma => {
                            let key = tokens.next()?;
                            tokens.key(key)?;
                            break;
                        }
                        Token::ObjectEnd => {}
                        token => return Err(tokens.unexpected("comma or object end", token)),
                    }
                }
            }
            open.pop();
        }
        token = tokens.next()?;
    }
}

#[derive(Debug, Clone, Copy)]
enum Token {
    Object,
    ObjectEnd,
    Array,
    ArrayEnd,
    Colon,
    Comma,
    /// A string, which lies on the frame.
    Text,
    Number(f64),
    Boolean(bool),
    Null,
    End,
    /// Why there is none.
    Bad(&'static str),
}

struct Tokens<'a, 'f, 'l> {
    frame: &'f mut Frame<'l>,
    json: &'a [u8],
    at: usize,
    /// Where the token began, or where it turned out to be none.
    began: usize,
    reads_invalid: bool,
}

impl Tokens<'_, '_, '_> {
    /// Pushes a table, unless it would be too deep in others. `room` values must fit on the frame for it.
    fn begin(&mut self, depth: usize, depth_max: usize, room: usize) -> Result<(), Fault> {
        if depth > depth_max || self.frame.len() + room > SLOTS_MAX {
            let at = self.at;
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(Fault::text(text));
        }
        self.frame.push_table(0, 0)
    }

    /// The byte that is `ahead` of here; a zero byte ends the text, as its end does.
    fn peek(&self, ahead: usize) -> u8 {
        self.json.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Result<Token, Fault> {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.began = self.at;
        let single = match self.peek(0) {
            0 => return Ok(Token::End),
            b'{' => Token::Object,
            b'}' => Token::ObjectEnd,
            b'[' => Token::Array,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                let is_refused = !self.reads_invalid && self.is_invalid_number();
                return Ok(if is_refused { self.bad("invalid number") } else { self.number() });
            }
            b'+' | b'f' | b'i' | b'I' | b'n' | b'N' | b't' => return Ok(self.word()),
            _ => return Ok(self.bad("invalid token")),
        };
        self.at += 1;
        Ok(single)
    }

    fn word(&mut self) -> Token {
        let rest = &self.json[self.at..];
        let words =
            [(&b"true"[..], Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)];
        for (word, token) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.reads_invalid && self.is_invalid_number() { self.number() } else { self.bad("invalid token") }
    }

    /// True for what `strtod` reads, but JSON does not have.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let from = usize::from(self.peek(0) == b'-');
        match self.peek(from) {
            b'0' => matches!(self.peek(from + 1), b'x' | b'X' | b'0'..=b'9'),
            // As a signed character, which bytes above 127 are less than a digit as.
            first if first <= b'9' || first >= 0x80 => false,
            _ => {
                let name = [0, 1, 2].map(|ahead| self.peek(from + ahead).to_ascii_lowercase());
                matches!(&name, b"inf" | b"nan")
            }
        }
    }

    fn number(&mut self) -> Token {
        match text::read_number(&self.json[self.at..]) {
            Some((number, len)) => {
                self.at += len;
                Token::Number(number)
            }
            None => self.bad("invalid number"),
        }
    }

    /// Pushes the string that begins here.
    fn string(&mut self) -> Result<Token, Fault> {
        self.at += 1;
        // Most strings have nothing to replace.
        let plain = self.json[self.at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0)).count();
        let front = &self.json[self.at..self.at + plain];
        self.at += plain;
        if self.peek(0) == b'"' {
            self.at += 1;
            self.frame.push(front)?;
            return Ok(Token::Text);
        }
        let mut text = front.to_vec();
        loop {
            match self.peek(0) {
                b'"' => break,
                0 => return Ok(self.bad("unexpected end of string")),
                b'\\' => {
                    let byte = match self.peek(1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0c,
                        b'r' => b'\r',
                        b'u' => {
                            let Some((character, len)) = self.unicode() else {
                                return Ok(self.bad("invalid unicode escape code"));
                            };
                            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                            self.at += len;
                            continue;
                        }
                        _ => return Ok(self.bad("invalid escape code")),
                    };
                    text.push(byte);
                    self.at += 2;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.frame.push(text)?;
        Ok(Token::Text)
    }

    /// The character that is escaped here, in one unit of UTF-16 or two, and the length of the escape.
    fn unicode(&self) -> Option<(char, usize)> {
        let high = self.hex4(2)?;
        if high & 0xf800 != 0xd800 {
            return Some((char::from_u32(high)?, 6));
        }
        if high & 0x400 != 0 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let low = self.hex4(8)?;
        if low & 0xfc00 != 0xdc00 {
            return None;
        }
        Some((char::from_u32(0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff))?, 12))
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        let digit = |ahead| char::from(self.peek(ahead)).to_digit(16);
        (ahead..ahead + 4).try_fold(0, |sum, ahead| Some(sum << 4 | digit(ahead)?))
    }

    fn bad(&mut self, why: &'static str) -> Token {
        self.began = self.at;
        Token::Bad(why)
    }

    /// Makes sure that this is the key of an object, with a colon behind it.
    fn key(&mut self, token: Token) -> Result<(), Fault> {
        let Token::Text = token else { return Err(self.unexpected("object key string", token)) };
        match self.next()? {
            Token::Colon => Ok(()),
            token => Err(self.unexpected("colon", token)),
        }
    }

    fn unexpected(&self, expected: &str, found: Token) -> Fault {
        let found = match found {
            Token::Object => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::Array => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::Text => "T_STRING",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Number(_) => "T_NUMBER",
            Token::Null => "T_NULL",
            Token::End => "T_END",
            Token::Bad(why) => why,
        };
        Fault::text(format!("Expected {expected} but found {found} at character {}", self.began + 1))
    }
}
