//! The manifest: which files make up the append-only file, as Redis 7 keeps it.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b
//! file appendonly.aof.1.incr.aof seq 1 type i
//! ```
//!
//! At most one base, what it replaced (history, to be removed), and then the files that were appended to, in order. Lines
//! that begin with `#` are comments, pairs with unknown names are passed over: Redis 8 writes `startoffset`. Ours are
//! `size`: only so many bytes of the file count, because the others were written again to the next one, and `batches yes`:
//! the file was begun with a checksum line in mind.

use std::fmt::{self, Write as _};

use crate::quote::{quoted, split_args};

/// A longer line is no manifest, in bytes with its end.
const LINE_MAX: usize = 1024;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name within the directory.
    pub name: String,
    /// Its number among those of its kind.
    pub seq: u64,
    /// Only so many bytes of it count: what follows was written again, to the next file.
    pub size: Option<u64>,
    /// It begins with a batch of ours: if there are zeros instead, that never reached the disk.
    pub has_batches: bool,
}

impl File {
    /// A file that counts as a whole.
    pub fn whole(name: String, seq: u64) -> Self {
        File { name, seq, size: None, has_batches: false }
    }
}

/// Which files there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The state that the others start from.
    pub base: Option<File>,
    /// Replaced files with what they were.
    pub history: Vec<File>,
    /// What was appended since, in order.
    pub incr: Vec<File>,
    /// The highest numbers ever given.
    base_seq: u64,
    incr_seq: u64,
}

/// Why a manifest cannot be used: the text Redis has for it, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// What is wrong.
    pub what: &'static str,
    /// In which line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// That line.
    pub text: String,
}

impl fmt::Display for ManifestError {
    /// As Redis logs it, after `*** FATAL AOF MANIFEST FILE ERROR ***`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            writeln!(f, "Reading the manifest file, at line {}\n>>> '{}'", self.line, self.text)?;
        }
        f.write_str(self.what)
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// In the first line that makes no sense, with Redis' text.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let fail = |what, line, text: &[u8]| {
            Err(ManifestError { what, line, text: String::from_utf8_lossy(text).into_owned() })
        };
        if bytes.is_empty() {
            return fail("Found an empty AOF manifest", 0, b"");
        }
        let mut manifest = Manifest::default();
        let mut last_incr = 0;
        for (index, raw) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            if raw.first() == Some(&b'#') {
                continue;
            }
            let Some(line) = raw.strip_suffix(b"\n").filter(|_| raw.len() <= LINE_MAX) else {
                let cut = &raw[..raw.len().min(LINE_MAX)];
                return fail("The AOF manifest file contains too long line", number, cut);
            };
            let line = line.trim_ascii();
            let Some(Entry { file, kind }) = parse_line(line) else {
                return fail("Invalid AOF manifest file format", number, line);
            };
            if file.name.contains(['/', '\\']) {
                return fail("File can't be a path, just a filename", number, line);
            }
            let seq = file.seq;
            match kind {
                b'b' if manifest.base.is_some() => {
                    return fail("Found duplicate base file information", number, line);
                }
                b'b' => {
                    manifest.base_seq = seq;
                    manifest.base = Some(file);
                }
                b'h' => manifest.history.push(file),
                b'i' if seq <= last_incr => {
                    return fail("Found a non-monotonic sequence number", number, line);
                }
                b'i' => {
                    last_incr = seq;
                    manifest.incr_seq = seq;
                    manifest.incr.push(file);
                }
                _ => return fail("Unknown AOF file type", number, line),
            }
        }
        Ok(manifest)
    }

    /// As it is written, without the end of a comment or two that may have been there.
    pub fn format(&self) -> String {
        let mut text = String::new();
        let of_kind = |files: &[File], kind: char, text: &mut String| {
            for File { name, seq, size, has_batches } in files {
                let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
                let quoted = (!name.bytes().all(is_plain)).then(|| quoted(name.as_bytes()));
                let name = quoted.as_deref().unwrap_or(name);
                // Writing to a String cannot fail.
                let _ = write!(text, "file {name} seq {seq} type {kind}");
                if let Some(size) = size {
                    let _ = write!(text, " size {size}");
                }
                text.push_str(if *has_batches { " batches yes\n" } else { "\n" });
            }
        };
        of_kind(self.base.as_slice(), 'b', &mut text);
        of_kind(&self.history, 'h', &mut text);
        of_kind(&self.incr, 'i', &mut text);
        text
    }

    /// True when it names no file.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// Takes an old append-only file, which is in its place in the directory already, as the base.
    pub fn upgraded(name: &str) -> Self {
        let base = File::whole(name.to_owned(), 1);
        Manifest { base: Some(base), base_seq: 1, ..Manifest::default() }
    }

    /// The name of the next file that will be appended to, behind number `last` if there is such a one already; nothing
    /// changes.
    pub fn next_incr(&self, stem: &str, last: Option<u64>) -> File {
        let seq = self.incr_seq.max(last.unwrap_or(0)) + 1;
        File::whole(format!("{stem}.{seq}.incr.aof"), seq)
    }

    /// The name of the next base; nothing changes.
    pub fn next_base(&self, stem: &str, is_rdb: bool) -> File {
        let seq = self.base_seq + 1;
        let end = if is_rdb { "rdb" } else { "aof" };
        File::whole(format!("{stem}.{seq}.base.{end}"), seq)
    }

    /// Goes on in this file.
    pub fn add_incr(&mut self, file: File) {
        self.incr_seq = self.incr_seq.max(file.seq);
        self.incr.push(file);
    }

    /// All files that it names.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.base.iter().chain(&self.history).chain(&self.incr)
    }

    /// Never gives a number that `other` has given: its files may still be there, and named.
    pub fn skip(&mut self, other: &Manifest) {
        self.base_seq = self.base_seq.max(other.base_seq);
        self.incr_seq = self.incr_seq.max(other.incr_seq);
    }

    /// Replaces the base, and all files before number `from`: they are history now.
    pub fn set_base(&mut self, base: File, from: u64) {
        self.base_seq = self.base_seq.max(base.seq);
        let later = self.incr.iter().position(|file| file.seq >= from).unwrap_or(self.incr.len());
        // What was replaced last comes first, as Redis writes it.
        let mut history: Vec<File> = self.incr.drain(..later).collect();
        history.extend(self.base.replace(base));
        history.append(&mut self.history);
        self.history = history;
    }
}

struct Entry {
    file: File,
    kind: u8,
}

fn parse_line(line: &[u8]) -> Option<Entry> {
    let words = split_args(line)?;
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return None;
    }
    let (mut name, mut seq, mut kind, mut size, mut has_batches) = (None, 0, 0, None, false);
    for pair in words.chunks_exact(2) {
        if pair[0].eq_ignore_ascii_case(b"file") {
            name = Some(String::from_utf8(pair[1].clone()).ok()?);
        } else if pair[0].eq_ignore_ascii_case(b"seq") {
            seq = number(&pair[1])?;
        } else if pair[0].eq_ignore_ascii_case(b"size") {
            size = Some(number(&pair[1])?);
        } else if pair[0].eq_ignore_ascii_case(b"batches") {
            has_batches = pair[1].eq_ignore_ascii_case(b"yes");
        } else if pair[0].eq_ignore_ascii_case(b"type") {
            kind = pair[1].first().copied().unwrap_or(0);
        }
    }
    let name = name.filter(|name| !name.is_empty())?;
    (seq > 0 && kind != 0).then_some(Entry { file: File { name, seq, size, has_batches }, kind })
}

/// A number that Redis could read, too.
fn number(digits: &[u8]) -> Option<u64> {
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // The next one must be a number, too.
    u64::try_from(number).ok().filter(|number| *number < i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, seq: u64) -> File {
        File::whole(name.to_owned(), seq)
    }

    fn error(text: &str) -> &'static str {
        Manifest::parse(text.as_bytes()).unwrap_err().what
    }

    #[test]
    fn what_is_written_is_read() {
        let mut manifest = Manifest::default();
        let first = manifest.next_incr("appendonly.aof", None);
        manifest.add_incr(first);
        let second = manifest.next_incr("appendonly.aof", None);
        manifest.add_incr(second);
        let base = manifest.next_base("appendonly.aof", true);
        manifest.set_base(base, 2);
        manifest.add_incr(File { size: Some(4096), has_batches: true, ..file("a\nname\u{e9}", 7) });
        let expected = "file appendonly.aof.1.base.rdb seq 1 type b\n\
                        file appendonly.aof.1.incr.aof seq 1 type h\n\
                        file appendonly.aof.2.incr.aof seq 2 type i\n\
                        file \"a\\nname\\xc3\\xa9\" seq 7 type i size 4096 batches yes\n";
        assert_eq!(manifest.format(), expected);
        assert_eq!(Manifest::parse(expected.as_bytes()), Ok(manifest));
    }

    #[test]
    fn bases_follow_each_other() {
        let mut manifest = Manifest::upgraded("appendonly.aof");
        manifest.add_incr(file("i1", 1));
        let base = manifest.next_base("x", false);
        assert_eq!(base, file("x.2.base.aof", 2));
        manifest.add_incr(file("i2", 2));
        manifest.set_base(base, 2);
        assert_eq!(manifest.history, [file("i1", 1), file("appendonly.aof", 1)]);
        assert_eq!(manifest.incr, [file("i2", 2)]);
    }

    #[test]
    fn comments_and_unknown_pairs_are_passed_over() {
        let text = "# what\nFile a.rdb startoffset 7 SEQ 3 TYPE base\nfile b seq 4 type i endoffset 9\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.base, Some(file("a.rdb", 3)));
        assert_eq!(manifest.next_incr("x", None).seq, 5);
        assert_eq!(manifest.next_base("x", true).seq, 4);
    }

    #[test]
    fn what_is_wrong_is_said_in_redis_words() {
        assert_eq!(error(""), "Found an empty AOF manifest");
        assert_eq!(
            error(&format!("file {} seq 1 type b\n", "a".repeat(1024))),
            "The AOF manifest file contains too long line"
        );
        assert_eq!(error("file a seq 1 type b"), "The AOF manifest file contains too long line");
        for text in [
            "file a seq 1\n",
            "\n",
            "file a seq 1 type\n",
            "file a seq 0 type b\n",
            "file a seq x type b\n",
            "file a seq -1 type b\n",
            "file a seq 9223372036854775807 type b\n",
            "file a seq 18446744073709551615 type b\n",
            "file \"a seq 1 type b\n",
            "file \"\" seq 1 type b\n",
            "file a seq 1 typo b\n",
        ] {
            assert_eq!(error(text), "Invalid AOF manifest file format", "{text}");
        }
        assert_eq!(error("file ../a seq 1 type b\n"), "File can't be a path, just a filename");
        assert_eq!(
            error("file a seq 1 type b\nfile b seq 2 type b\n"),
            "Found duplicate base file information"
        );
        assert_eq!(
            error("file a seq 2 type i\nfile b seq 2 type i\n"),
            "Found a non-monotonic sequence number"
        );
        assert_eq!(error("file a seq 2 type z\n"), "Unknown AOF file type");
    }
}
