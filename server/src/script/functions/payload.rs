//! `FUNCTION DUMP` and `FUNCTION RESTORE`: all libraries as they stand in an RDB file, with the footer of a payload.

use super::{Libraries, Library, Set};
use std::borrow::Cow;
use tidegate_commands::model::Error;
use tidegate_data::rdb::{Checksum, Reader, VERSION_OWN, Writer, is_known_version, library_of_candidate};

/// The code in front of a library.
const FUNCTION: u8 = 245;
/// The code release candidates of Redis 7.0 used.
const FUNCTION_OF_CANDIDATES: u8 = 246;
/// The version that is written: that of Redis 7.0, since when there are functions.
const VERSION: u16 = 10;

/// What becomes of the libraries that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They go.
    Flush,
    /// They stay, and may not have the names of new ones.
    Append,
    /// They stay, but for those whose names new ones have.
    Replace,
}

/// All libraries as a payload; long texts are compressed if `compress`.
pub fn dump(set: &Set, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), compress);
    for library in set.libraries() {
        writer.byte(FUNCTION);
        writer.string(&library.code);
    }
    let mut payload = writer.into_output();
    payload.extend_from_slice(&VERSION.to_le_bytes());
    payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
    payload
}

impl Libraries {
    /// `FUNCTION RESTORE`. The checksum counts only if `verify`; the code of each library may run for `timeout_ms`.
    pub fn restore(
        &self,
        payload: &[u8],
        policy: Policy,
        verify: bool,
        timeout_ms: i64,
    ) -> Result<(), Error> {
        let wrong = || Error::new("ERR DUMP payload version or checksum are wrong");
        let (summed, sum) = payload.split_last_chunk::<8>().ok_or_else(wrong)?;
        let (body, version) = summed.split_last_chunk::<2>().ok_or_else(wrong)?;
        let is_sound = !verify || Checksum::of(summed) == u64::from_le_bytes(*sum);
        if !is_known_version(u32::from(u16::from_le_bytes(*version))) || !is_sound {
            return Err(wrong());
        }
        let mut set = Set::default();
        let mut reader = Reader::new(body);
        while !reader.source().is_empty() {
            let code = reader.byte().map_err(|_| Error::new("ERR can not read data type"))?;
            let text: Result<Cow<'_, [u8]>, _> = match code {
                FUNCTION => reader.bytes().map(Cow::from),
                FUNCTION_OF_CANDIDATES => library_of_candidate(&mut reader).map(Cow::from),
                _ => return Err(Error::new("ERR given type is not a function")),
            };
            let text = text.map_err(|_| Error::new("ERR Failed loading library payload"))?;
            let library = Library::new(&text, timeout_ms)?;
            set.add(library, false)?;
        }
        match policy {
            Policy::Flush => self.replace(set),
            Policy::Append => self.change(|present| present.join(&set, false))?,
            Policy::Replace => self.change(|present| present.join(&set, true))?,
        }
        Ok(())
    }
}

const _: () = assert!(VERSION as u32 <= VERSION_OWN);
