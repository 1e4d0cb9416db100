//! The first line of a library: its engine, and its name.

use tidegate_commands::model::Error;

/// What the first line says.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    /// The library's name.
    pub(super) name: Vec<u8>,
    /// What is compiled: everything from the end of the first line on, so that lines keep their numbers.
    pub(super) source: &'a [u8],
}

/// Reads the first line of a library.
pub(super) fn parse(code: &[u8]) -> Result<Metadata<'_>, Error> {
    let invalid = || Error::new("ERR Invalid library metadata");
    if !code.starts_with(b"#!") {
        return Err(Error::new("ERR Missing library metadata"));
    }
    let end = code.iter().position(|&byte| byte == b'\n' || byte == 0);
    let len = end.filter(|&end| code[end] == b'\n').ok_or_else(invalid)?;
    let words = words(&code[..len]).ok_or_else(invalid)?;
    let (engine, options) = words.split_first().ok_or_else(invalid)?;
    let mut name: Option<Vec<u8>> = None;
    for option in options {
        let value = option.split_at_checked(5).filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
        let Some((_, value)) = value else {
            return Err(Error::text([b"ERR Invalid metadata value given: ", &option[..]].concat()));
        };
        if name.replace(value.to_vec()).is_some() {
            return Err(Error::new("ERR Invalid metadata value, name argument was given multiple times"));
        }
    }
    let name = name.ok_or(Error::new("ERR Library name was not given"))?;
    if !is_name(&name) {
        return Err(Error::new(NAMES));
    }
    let engine = engine.get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Error::text([b"ERR Engine '", engine, b"' not found"].concat()));
    }
    Ok(Metadata { name, source: &code[len..] })
}

/// What a wrong name is refused with, be it of a library or a function.
pub(super) const NAMES: &str = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
                                least one character long";

/// True for the name of a library or a function.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The words of a line, as `redis-cli` splits them: in double quotes there are escapes, in single ones only `\'`. `None`
/// for quotes that are not closed, or with something right behind them.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_space(byte)).count()..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            match byte {
                byte if is_space(&byte) => break,
                b'"' | b'\'' => {
                    rest = quoted(byte, after, &mut word)?;
                    if rest.first().is_some_and(|byte| !is_space(byte)) {
                        return None;
                    }
                    break;
                }
                byte => {
                    word.push(byte);
                    rest = after;
                }
            }
        }
        words.push(word);
    }
}

/// Reads what is in quotes; the rest behind them.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    loop {
        rest = match rest {
            [byte, rest @ ..] if *byte == quote => return Some(rest),
            [b'\\', b'\'', rest @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest
            }
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && hex(*high).is_some() && hex(*low).is_some() =>
            {
                word.push((hex(*high)? << 4 | hex(*low)?) as u8);
                after
            }
            [b'\\', escaped, rest @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
            [] => return None,
        };
    }
}
