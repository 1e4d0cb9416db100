//! `check-aof`: what `redis-check-aof` of Redis 7.0.15 says about a file or a manifest, in its words, and the repairs it makes.
//!
//! Beyond that, checksum lines are compared, which that program passes over: what they show is reported as one more error,
//! at the place up to which the file can be used.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tidegate_data::Encodings;

use super::read::{Next, Reader};
use super::{File, Manifest};
use crate::disk::{Disk, directory_of, os_text};
use crate::rdb::Loader;

/// Bytes of a line that are looked at together, as Redis' buffers have it, with the end.
const NUMBER_MAX: usize = 127;
const COMMENT_MAX: usize = 1023;
const MANIFEST_LINE_MAX: usize = 1024;

/// The program ends at once, with this exit code.
struct Exit(u8);

impl From<io::Error> for Exit {
    /// What it says cannot be written.
    fn from(_: io::Error) -> Self {
        Exit(1)
    }
}

/// What became of a file.
enum Verdict {
    Fine,
    Empty,
    Truncated,
    TruncatedToTime,
}

struct Check<'c> {
    disk: &'c dyn Disk,
    input: &'c mut dyn BufRead,
    out: &'c mut dyn Write,
    fixes: bool,
    until_s: Option<i64>,
    /// The last error, which stays until the end.
    error: Option<String>,
    /// Lines so far, over all files.
    line: u64,
}

/// Checks what `arguments`, the words after the program's name, ask for: `[--fix | --truncate-to-timestamp <Unix seconds>]
/// <file or manifest>`. `program` is for the usage line. Answers to questions come from `input`. Returns the exit code: 0 when
/// all is well or was repaired, else 1.
pub fn check(
    disk: &dyn Disk,
    program: &str,
    arguments: &[OsString],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> u8 {
    let mut check = Check { disk, input, out, fixes: false, until_s: None, error: None, line: 1 };
    match check.run(program, arguments) {
        Ok(()) => 0,
        Err(Exit(code)) => code,
    }
}

macro_rules! say {
    ($check:expr, $($text:tt)*) => { writeln!($check.out, $($text)*)? };
}

impl Check<'_> {
    fn run(&mut self, program: &str, arguments: &[OsString]) -> Result<(), Exit> {
        let words: Vec<&[u8]> = arguments.iter().map(|word| word.as_bytes()).collect();
        match words[..] {
            [_] => {}
            [b"--fix", _] => self.fixes = true,
            [b"--truncate-to-timestamp", date, _] => {
                let date = std::str::from_utf8(date).ok().and_then(|date| date.parse().ok());
                let Some(date) = date else {
                    say!(self, "Invalid timestamp, aborting...");
                    return Err(Exit(1));
                };
                // As there: 0 is no date.
                self.until_s = Some(date).filter(|date| *date != 0);
            }
            _ => {
                say!(
                    self,
                    "Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"
                );
                return Err(Exit(1));
            }
        }
        let Some(path) = arguments.last().map(PathBuf::from) else { return Err(Exit(1)) };
        if self.is_manifest(&path)? { self.check_parts(&path) } else { self.check_single(&path) }
    }

    fn open(&mut self, path: &Path, end: &str) -> Result<(Box<dyn Read + Send>, u64), Exit> {
        self.disk.open(path).or_else(|error| {
            say!(self, "Cannot open file {}: {}{end}", path.display(), os_text(&error));
            Err(Exit(1))
        })
    }

    /// Some line begins with `file`.
    fn is_manifest(&mut self, path: &Path) -> Result<bool, Exit> {
        let mut lines = Lines::new(self.open(path, "")?.0);
        loop {
            match lines.take_line(MANIFEST_LINE_MAX) {
                Ok(Some(line)) if line.starts_with(b"file") => return Ok(true),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(_) => {
                    say!(self, "Cannot read file: {}", path.display());
                    return Err(Exit(1));
                }
            }
        }
    }

    fn is_rdb(&mut self, path: &Path) -> Result<bool, Exit> {
        let (file, size) = self.open(path, "")?;
        let mut magic = Vec::new();
        file.take(6).read_to_end(&mut magic)?;
        Ok(size >= 8 && (magic.starts_with(b"REDIS") || magic.starts_with(b"VALKEY")))
    }

    fn check_single(&mut self, path: &Path) -> Result<(), Exit> {
        let is_rdb = self.is_rdb(path)?;
        say!(self, "Start checking Old-Style AOF");
        let name = path.display().to_string();
        let file = File::whole(name.clone(), 1);
        let verdict = self.check_file(&file, path, true, is_rdb)?;
        self.conclude("AOF", &name, &verdict)
    }

    fn conclude(&mut self, kind: &str, name: &str, verdict: &Verdict) -> Result<(), Exit> {
        match verdict {
            Verdict::Fine => say!(self, "{kind} {name} is valid"),
            Verdict::Empty => say!(self, "{kind} {name} is empty"),
            Verdict::Truncated => say!(self, "Successfully truncated AOF {name}"),
            Verdict::TruncatedToTime => {
                let until_s = self.until_s.unwrap_or(0);
                say!(self, "Successfully truncated AOF {name} to timestamp {until_s}");
            }
        }
        Ok(())
    }

    fn check_parts(&mut self, path: &Path) -> Result<(), Exit> {
        say!(self, "Start checking Multi Part AOF");
        let mut bytes = Vec::new();
        self.open(path, "")?.0.read_to_end(&mut bytes)?;
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                say!(self, "\n*** FATAL AOF MANIFEST FILE ERROR ***\n\n{error}\n");
                return Err(Exit(1));
            }
        };
        let dir = directory_of(path);
        let count = manifest.incr.len();
        if let Some(base) = &manifest.base {
            let path = dir.join(&base.name);
            let is_rdb = self.is_rdb(&path)?;
            say!(self, "Start to check BASE AOF ({} format).", if is_rdb { "RDB" } else { "RESP" });
            let verdict = self.check_file(base, &path, count == 0, is_rdb)?;
            self.conclude("BASE AOF", &base.name, &verdict)?;
        }
        if count > 0 {
            say!(self, "Start to check INCR files.");
        }
        for (index, file) in manifest.incr.iter().enumerate() {
            let verdict = self.check_file(file, &dir.join(&file.name), index + 1 == count, false)?;
            self.conclude("INCR AOF", &file.name, &verdict)?;
        }
        say!(self, "All AOF files and manifest are valid");
        Ok(())
    }

    fn check_file(&mut self, file: &File, path: &Path, is_last: bool, is_rdb: bool) -> Result<Verdict, Exit> {
        let name = &file.name;
        let limit = file.size.unwrap_or(u64::MAX);
        let (opened, size) = self.open(path, ", aborting...")?;
        let size = size.min(limit);
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut start = 0;
        if is_rdb {
            let sane = check_rdb(self.disk, path, self.out)?;
            let Some(end) = sane else {
                say!(self, "RDB preamble of AOF file is not sane, aborting.");
                return Err(Exit(1));
            };
            say!(self, "RDB preamble is OK, proceeding with AOF tail...");
            start = end;
        }
        let mut lines = Lines::new(Box::new(opened.take(limit)));
        lines.skip(start)?;
        let mut good = match self.scan(&mut lines, name, path, is_last)? {
            Scanned::UpTo(good) => good,
            Scanned::TruncatedToTime => return Ok(Verdict::TruncatedToTime),
        };
        let (opened, _) = self.open(path, ", aborting...")?;
        let mut opened = opened.take(limit);
        io::copy(&mut opened.by_ref().take(start), &mut io::sink())?;
        let mut reader = Reader::new(Box::new(opened), start).begun_by_us(file.has_batches);
        let end = loop {
            if let Next::End(end) = reader.next_piece()? {
                break end;
            }
        };
        if end.fault.is_some() && end.good < good && (end.sealed_to > 0 || end.is_ours) {
            good = end.good;
            self.note(end.at, "The checksum of what is before this place, or its line, is wrong");
        }
        if let Some(error) = &self.error {
            say!(self, "{error}");
        }
        let excess = size - good;
        if let Some(until_s) = self.until_s.filter(|_| excess == 0) {
            say!(self, "Truncate nothing in AOF {name} to timestamp {until_s}");
            return Ok(Verdict::Fine);
        }
        let line = self.line;
        say!(
            self,
            "AOF analyzed: filename={name}, size={size}, ok_up_to={good}, ok_up_to_line={line}, diff={excess}"
        );
        if excess == 0 {
            return Ok(Verdict::Fine);
        }
        if !self.fixes {
            say!(self, "AOF {name} is not valid. Use the --fix option to try fixing it.");
            return Err(Exit(1));
        }
        if !is_last {
            say!(self, "Failed to truncate AOF {name} because it is not the last file");
            return Err(Exit(1));
        }
        say!(self, "This will shrink the AOF {name} from {size} bytes, with {excess} bytes, to {good} bytes");
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        if !answer.starts_with(['y', 'Y']) {
            say!(self, "Aborting...");
            return Err(Exit(1));
        }
        if self.truncate(path, good).is_err() {
            say!(self, "Failed to truncate AOF {name}");
            return Err(Exit(1));
        }
        Ok(Verdict::Truncated)
    }

    fn truncate(&self, path: &Path, size: u64) -> io::Result<()> {
        let file = self.disk.open_log(path)?;
        file.truncate(size)?;
        file.sync()
    }

    fn note(&mut self, at: u64, text: &str) {
        self.error = Some(format!("0x{at:16x}: {text}"));
    }

    /// Goes through the commands as Redis does.
    fn scan(&mut self, lines: &mut Lines, name: &str, path: &Path, is_last: bool) -> Result<Scanned, Exit> {
        let mut in_multi = 0i32;
        let mut good = lines.offset;
        loop {
            if in_multi == 0 {
                good = lines.offset;
            }
            match lines.peek()? {
                None => break,
                Some(b'#') => {
                    let at = lines.offset;
                    let line = lines.take_line(COMMENT_MAX)?.unwrap_or_default();
                    if self.is_too_late(&line, at, path, is_last)? {
                        return Ok(Scanned::TruncatedToTime);
                    }
                }
                Some(b'*') => match scan_command(lines, path, &mut in_multi, &mut self.line)? {
                    Ok(()) => {}
                    Err(Some((at, text))) => {
                        self.note(at, &text);
                        break;
                    }
                    Err(None) => break,
                },
                Some(_) => {
                    say!(self, "AOF {name} format error");
                    break;
                }
            }
        }
        if lines.is_over && in_multi != 0 && self.error.is_none() {
            let at = lines.last_read;
            self.note(at, "Reached EOF before reading EXEC for MULTI");
        }
        Ok(Scanned::UpTo(good))
    }

    /// The line is a date behind the one that was asked for: the file was cut off there.
    fn is_too_late(&mut self, line: &[u8], at: u64, path: &Path, is_last: bool) -> Result<bool, Exit> {
        let (Some(until_s), Some(date)) = (self.until_s, line.strip_prefix(b"#TS:")) else {
            return Ok(false);
        };
        let path_shown = path.display();
        let date =
            date.strip_suffix(b"\r\n").and_then(|date| std::str::from_utf8(date).ok()?.parse::<i64>().ok());
        let Some(date_s) = date else {
            say!(self, "Invalid timestamp annotation");
            return Err(Exit(1));
        };
        if date_s <= until_s {
            return Ok(false);
        }
        if at == 0 {
            say!(self, "AOF {path_shown} has nothing before timestamp {until_s}, aborting...");
            return Err(Exit(1));
        }
        if !is_last {
            say!(
                self,
                "Failed to truncate AOF {path_shown} to timestamp {until_s} to offset {at} because it is not the last file."
            );
            say!(
                self,
                "If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run redis-check-aof."
            );
            return Err(Exit(1));
        }
        if self.truncate(path, at).is_err() {
            say!(self, "Failed to truncate AOF {path_shown} to timestamp {until_s}");
            return Err(Exit(1));
        }
        Ok(true)
    }
}

enum Scanned {
    UpTo(u64),
    TruncatedToTime,
}

/// One command. The error is where and what, or nothing where Redis says nothing: at the end of the file.
fn scan_command(
    lines: &mut Lines,
    path: &Path,
    in_multi: &mut i32,
    line: &mut u64,
) -> io::Result<Result<(), Option<(u64, String)>>> {
    let count = match scan_number(lines, b'*', line)? {
        Ok(count) => count,
        Err(error) => return Ok(Err(error)),
    };
    for index in 0..count {
        let length = match scan_number(lines, b'$', line)? {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let at = lines.offset;
        if !(0..=i64::MAX - 2).contains(&length) {
            let text =
                format!("Expected to read string of {length} bytes, which is not in the suitable range");
            return Ok(Err(Some((lines.last_read, text))));
        }
        let length = length as u64;
        let (word, read) = lines.take_bytes(length + 2)?;
        if read < length + 2 {
            return Ok(Err(Some((at, format!("Expected to read {} bytes, got {read} bytes", length + 2)))));
        }
        let end = &word.last;
        if end != b"\r\n" {
            return Ok(Err(Some((at, expected_newline(end)))));
        }
        *line += 1;
        if index > 0 {
            continue;
        }
        let name = word.first.get(..length as usize).unwrap_or_default();
        if name.eq_ignore_ascii_case(b"multi") {
            *in_multi += 1;
            if *in_multi != 1 {
                return Ok(Err(Some((at, format!("Unexpected MULTI in AOF {}", path.display())))));
            }
        } else if name.eq_ignore_ascii_case(b"exec") {
            *in_multi -= 1;
            if *in_multi != 0 {
                return Ok(Err(Some((at, format!("Unexpected EXEC in AOF {}", path.display())))));
            }
        }
    }
    Ok(Ok(()))
}

fn scan_number(
    lines: &mut Lines,
    prefix: u8,
    line: &mut u64,
) -> io::Result<Result<i64, Option<(u64, String)>>> {
    let at = lines.offset;
    let Some(text) = lines.take_line(NUMBER_MAX)? else { return Ok(Err(None)) };
    if text[0] != prefix {
        let (prefix, found) = (prefix as char, text[0] as char);
        return Ok(Err(Some((at, format!("Expected prefix '{prefix}', got: '{found}'")))));
    }
    let digits = text[1..].iter().enumerate();
    let is_digit =
        |(index, byte): &(usize, &u8)| byte.is_ascii_digit() || *index == 0 && matches!(byte, b'-' | b'+');
    let end = 1 + digits.take_while(is_digit).count();
    let number = std::str::from_utf8(&text[1..end]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let rest = &text[end..];
    if !rest.starts_with(b"\r\n") {
        return Ok(Err(Some((at, expected_newline(rest)))));
    }
    *line += 1;
    Ok(Ok(number))
}

fn expected_newline(found: &[u8]) -> String {
    // Bytes are signed there.
    let shown = |index: usize| format!("{:02x}", i32::from(found.get(index).map_or(0, |byte| *byte as i8)));
    format!("Expected \\r\\n, got: {}{}", shown(0), shown(1))
}

/// The ends of a string that need not be kept as a whole.
struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
}

/// A file, line by line.
struct Lines {
    file: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    /// Where reading began last.
    last_read: u64,
    /// Somebody wanted more than there is.
    is_over: bool,
}

impl Lines {
    fn new(file: Box<dyn Read + Send>) -> Self {
        Lines { file: BufReader::with_capacity(1 << 16, file), offset: 0, last_read: 0, is_over: false }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        io::copy(&mut self.file.by_ref().take(bytes), &mut io::sink())?;
        self.offset = bytes;
        Ok(())
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        let next = self.file.fill_buf()?.first().copied();
        self.is_over |= next.is_none();
        Ok(next)
    }

    /// A line with its end, or as much of it as that. `None` at the end of the file.
    fn take_line(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        self.last_read = self.offset;
        let mut line = Vec::new();
        let read = self.file.by_ref().take(most as u64).read_until(b'\n', &mut line)?;
        self.offset += read as u64;
        self.is_over |= read < most && !line.ends_with(b"\n");
        Ok((read > 0).then_some(line))
    }

    /// The first and the last of so many bytes, and how many there are.
    fn take_bytes(&mut self, count: u64) -> io::Result<(Ends, u64)> {
        self.last_read = self.offset;
        let mut ends = Ends { first: Vec::new(), last: Vec::new() };
        let mut read = 0;
        while read < count {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                self.is_over = true;
                break;
            }
            let taken = buffer.len().min(usize::try_from(count - read).unwrap_or(usize::MAX));
            let bytes = &buffer[..taken];
            ends.first.extend(&bytes[..taken.min(8usize.saturating_sub(ends.first.len()))]);
            ends.last.extend(&bytes[taken.saturating_sub(2)..]);
            let surplus = ends.last.len().saturating_sub(2);
            ends.last.drain(..surplus);
            self.file.consume(taken);
            read += taken as u64;
        }
        self.offset += read;
        Ok((ends, read))
    }
}

/// `check-rdb`: loads an RDB file and forgets it. Says what `redis-check-rdb` says where nothing is wrong, and where it is
/// where something is. Returns how many bytes it takes, or `None` when it cannot be loaded.
///
/// # Errors
/// What it says cannot be written.
pub fn check_rdb(disk: &dyn Disk, path: &Path, out: &mut dyn Write) -> io::Result<Option<u64>> {
    let (file, size) = match disk.open(path) {
        Ok(opened) => opened,
        Err(error) => {
            writeln!(out, "Cannot open file {}: {}", path.display(), os_text(&error))?;
            return Ok(None);
        }
    };
    writeln!(out, "[offset 0] Checking RDB file {}", path.display())?;
    let (mut keys, mut deadlines) = (0u64, 0u64);
    let mut note = |_| {};
    let loader = Loader::new(file, size, usize::MAX, Encodings::default(), true, &mut note);
    let (result, offset) = match loader {
        Err(error) => (Err(error), 0),
        Ok(mut loader) => loop {
            match loader.next_entry() {
                Ok(Some(entry)) => {
                    keys += 1;
                    deadlines += u64::from(entry.record.expiry_ms().is_some());
                }
                Ok(None) => break (Ok(()), loader.offset()),
                Err(error) => break (Err(error), loader.offset()),
            }
        },
    };
    match &result {
        Ok(()) => {
            writeln!(out, "[offset {offset}] Checksum OK\n[offset {offset}] \\o/ RDB looks OK! \\o/")?;
        }
        Err(error) => writeln!(out, "--- RDB ERROR DETECTED ---\n[offset {offset}] {error}")?,
    }
    writeln!(out, "[info] {keys} keys read\n[info] {deadlines} expires")?;
    Ok(result.is_ok().then_some(offset))
}
