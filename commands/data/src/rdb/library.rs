//! Libraries of functions in the form of the release candidates of Redis 7.0, which had the name beside the code.

use super::{Error, Reader, Source};

/// Reads such a library, and gives the text it has today: with a first line that names it. Its description is left out,
/// as Redis does it.
pub fn library_of_candidate<S: Source>(reader: &mut Reader<S>) -> Result<Vec<u8>, Error> {
    let name = reader.bytes()?.to_vec();
    let mut text = [b"#!", reader.bytes()?, b" name=", &name[..], b"\n"].concat();
    if reader.number()? != 0 {
        reader.bytes()?;
    }
    text.extend_from_slice(reader.bytes()?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_becomes_the_first_line() {
        let text = |bytes: &[u8]| library_of_candidate(&mut Reader::new(bytes));
        let code = b"#!LUA name=mine\nreturn 1";
        assert_eq!(text(b"\x04mine\x03LUA\x00\x08return 1").as_deref(), Ok(&code[..]));
        let described = b"\x04mine\x03LUA\x01\x04what\x08return 1";
        assert_eq!(text(described).as_deref(), Ok(&code[..]));
        for len in 0..described.len() {
            assert!(text(&described[..len]).is_err(), "{len}");
        }
    }
}
