//! The lines that Tidegate writes between the commands of an append-only file. To Redis they are comments.
//!
//! `#CK:1;s=<start>;e=<end>;c=<CRC-64, hexadecimal>;r=<replication id>:<offset>` vouches for the bytes from `start` up to
//! `end` of its file, where this line begins. `start` is where the line before it ended. With `g=1` it vouches for nothing:
//! another program has appended meanwhile. `;y=<bytes>` says how much of the file had been synced when the line was written:
//! what is wrong before that is damage, and not something that a power failure kept from the disk.
//!
//! `#BATCH` begins what such a line will vouch for. Where it does not follow, the batch was never written whole, and nobody
//! was told of it. What comes without `#BATCH` was appended by others.
//!
//! `#TS:<Unix seconds>`, as of Redis 7, dates what follows.

use std::io::Write as _;

/// What a checksum line begins with.
pub(super) const CHECKSUM: &[u8] = b"#CK:1;";
/// A line that begins a batch.
pub(super) const BATCH: &[u8] = b"#BATCH";
/// What a line with a date begins with.
pub(super) const TIMESTAMP: &[u8] = b"#TS:";

/// Positions in the journal are smaller than this: one that is not was never written by us, and could not be counted on from.
const LSN_MAX: u64 = 1 << 62;

/// A checksum line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    /// Where the bytes begin that it vouches for, in its file.
    pub(super) start: u64,
    /// Where they end.
    pub(super) end: u64,
    /// Their CRC-64.
    pub(super) sum: u64,
    /// It only says where something begins that it does not vouch for.
    pub(super) is_gap: bool,
    /// Position in the journal at that point.
    pub(super) lsn: u64,
    /// Bytes of the file that were synced before it was written.
    pub(super) synced: u64,
}

impl Seal {
    /// Appends the line to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, replication_id: &str) {
        let Seal { start, end, sum, is_gap, lsn, synced } = self;
        let gap = if *is_gap { ";g=1" } else { "" };
        // Writing to a Vec cannot fail.
        let _ =
            write!(out, "#CK:1;s={start};e={end};c={sum:016x};r={replication_id}:{lsn};y={synced}{gap}\r\n");
    }

    /// Reads a line, without its end. `None` when it is no checksum line, or a damaged one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line.strip_prefix(CHECKSUM)?).ok()?;
        let mut seal = Seal { start: 0, end: 0, sum: 0, is_gap: false, lsn: 0, synced: 0 };
        let mut found = 0;
        for field in text.split(';') {
            let (name, value) = field.split_once('=')?;
            match name {
                "s" => seal.start = value.parse().ok()?,
                "e" => seal.end = value.parse().ok()?,
                "c" => seal.sum = u64::from_str_radix(value, 16).ok()?,
                "r" => seal.lsn = value.rsplit_once(':')?.1.parse().ok()?,
                "g" => {
                    seal.is_gap = value == "1";
                    continue;
                }
                "y" => {
                    seal.synced = value.parse().ok()?;
                    continue;
                }
                // Of a later version.
                _ => continue,
            }
            found += 1;
        }
        let is_possible = seal.start <= seal.end && seal.synced <= seal.end && seal.lsn < LSN_MAX;
        (found >= 4 && is_possible).then_some(seal)
    }
}

/// Appends a line that begins a batch.
pub(super) fn write_batch(out: &mut Vec<u8>) {
    out.extend_from_slice(BATCH);
    out.extend_from_slice(b"\r\n");
}

/// The date in a line that has one, Unix seconds.
pub(super) fn timestamp(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line.strip_prefix(TIMESTAMP)?).ok()?.parse().ok()
}

/// Appends a line with a date.
pub(super) fn write_timestamp(out: &mut Vec<u8>, unix_s: i64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "#TS:{unix_s}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        for is_gap in [false, true] {
            let seal = Seal {
                start: 17,
                end: 4_000_000_000_000,
                sum: 0x00ab,
                is_gap,
                lsn: LSN_MAX - 1,
                synced: 4096,
            };
            let mut line = Vec::new();
            seal.write(&mut line, id);
            assert!(line.ends_with(b"\r\n") && line.len() < 200);
            assert_eq!(Seal::parse(&line[..line.len() - 2]), Some(seal));
        }
        let mut line = Vec::new();
        write_timestamp(&mut line, 1_700_000_000);
        assert_eq!(line, b"#TS:1700000000\r\n");
        assert_eq!(timestamp(b"#TS:1700000000"), Some(1_700_000_000));
        assert_eq!(timestamp(b"#TS:x"), None);
    }

    #[test]
    fn a_damaged_line_is_none() {
        for line in [
            "",
            "#CK:1;",
            "#CK:2;s=0;e=1;c=1;r=x:1",
            "#CK:1;s=0;e=1;c=zz;r=x:1",
            "#CK:1;s=2;e=1;c=0;r=x:1",
            "#CK:1;s=0;e=1;c=0",
            "#CK:1;s=0;e=1;c=0;r=x:18446744073709551615",
            "#CK:1;s=0;e=1;c=0;r=x:1;y=2",
        ] {
            assert_eq!(Seal::parse(line.as_bytes()), None, "{line}");
        }
        assert!(Seal::parse(b"#CK:1;s=0;e=1;c=0;r=x:1;new=thing").is_some());
    }
}
