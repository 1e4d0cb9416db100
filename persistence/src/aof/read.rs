//! Reading what was appended: whole units only, and only what its checksum line vouches for where there is one.
//!
//! A file of ours is a sequence of batches, each ended by a checksum line ([`super::line`]); a batch is handed out when its
//! line was found to be right. Redis writes no such lines: then units are handed out as they are found. Either way a file
//! that ends too early ends behind the last whole unit, never within a `MULTI` block: what would be appended there
//! later would be taken for a part of it, and thrown away.
//!
//! Where something is wrong, it is either an end that never reached the disk, or damage. It is damage if there is a right
//! checksum line further on that says that the place had been synced, or if nothing there looks like a sector that was
//! never written: an end that was torn off is made of such sectors.

use std::io::{self, Read};
use std::ops::Range;

use tidegate_data::rdb::Checksum;

use super::line::{BATCH, CHECKSUM, Seal, timestamp};
use crate::journal::Lsn;

/// Bytes read at once.
const READ_SIZE: usize = 1 << 20;
/// So much of what others appended is gathered before it is handed out.
const PIECE_MAX: usize = 1 << 20;
/// A longer comment is none, in bytes.
const COMMENT_MAX: usize = 1024;
/// A longer count is none, in bytes.
const COUNT_MAX: usize = 32;
/// Bytes of a file that is damaged that are searched for a place where it is right again.
const SEARCHED_MAX: usize = 64 << 20;
/// The disk writes so many bytes at once. Those it never wrote are zeros.
const SECTOR: u64 = 512;

/// Whole units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the file.
    pub bytes: Vec<u8>,
    /// Where in them there are commands, back to back; between those there are comments.
    pub runs: Vec<Range<usize>>,
    /// Where in the file they begin.
    pub offset: u64,
}

/// What is wrong with the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends within a command or a transaction.
    Short,
    /// What follows is no command.
    Format,
    /// A checksum is wrong.
    Sum,
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Where what can be used ends: behind a whole unit.
    pub good: u64,
    /// What is wrong there; `None` when that is where the file ends.
    pub fault: Option<Fault>,
    /// Where exactly reading ended.
    pub at: u64,
    /// Behind the fault the file is right again: this is no end that was torn off.
    pub is_rotten: bool,
    /// It is in a batch of ours, so what is missing was never promised to anybody.
    pub is_ours: bool,
    /// Where the last checksum line ends; 0 if there is none.
    pub sealed_to: u64,
    /// So many bytes had been synced when that was written.
    pub synced_to: u64,
    /// Position in the journal that this line names.
    pub lsn: Lsn,
    /// It stopped at a date that was asked for.
    pub is_stopped: bool,
}

impl End {
    /// A tail that was torn off, or never reached the disk: without it the file is right.
    pub fn is_torn(&self) -> bool {
        match self.fault {
            None => false,
            Some(Fault::Short) => !self.is_rotten,
            // Redis takes it for damage, and where Redis wrote it, nobody knows better.
            Some(Fault::Format | Fault::Sum) => !self.is_rotten && self.is_ours,
        }
    }
}

/// The next thing in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Units to be replayed.
    Units(Piece),
    /// There are no more.
    End(End),
}

/// What is at a place.
enum Item {
    Command {
        end: usize,
        is: Is,
    },
    Comment {
        end: usize,
    },
    /// More bytes are needed to tell.
    More,
    Nonsense,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Multi,
    Exec,
    Other,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about one file, which are independent of each other"
)]
/// Reads one file.
pub struct Reader {
    file: Box<dyn Read + Send>,
    is_over: bool,
    buf: Vec<u8>,
    /// Where in the file the buffer begins.
    offset: u64,
    /// Up to here it was looked at.
    pos: usize,
    /// Up to here there are whole units.
    units_end: usize,
    /// What is vouched for ends here.
    batch: usize,
    /// The transaction that is not ended yet begins here.
    open: Option<usize>,
    /// Commands and transactions so far.
    runs: Vec<Range<usize>>,
    sealed_to: u64,
    synced_to: u64,
    lsn: Lsn,
    /// Bytes behind the last checksum line were handed out already.
    is_unsealed: bool,
    /// A batch of ours has begun, and not ended.
    is_ours: bool,
    /// The file was begun by us.
    has_batches: bool,
    /// Stop before what is later than this, Unix seconds.
    until_s: Option<i64>,
    end: Option<End>,
    /// Memory for buffers to come.
    spare: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("at", &self.at(self.pos)).finish_non_exhaustive()
    }
}

impl Reader {
    /// Begins with a file that has commands from `offset` on; `file` is there already.
    pub fn new(file: Box<dyn Read + Send>, offset: u64) -> Self {
        Reader {
            file,
            is_over: false,
            buf: Vec::new(),
            offset,
            pos: 0,
            units_end: 0,
            batch: 0,
            open: None,
            runs: Vec::new(),
            sealed_to: 0,
            synced_to: 0,
            lsn: 0,
            is_unsealed: offset > 0,
            is_ours: false,
            has_batches: false,
            until_s: None,
            end: None,
            spare: Vec::new(),
        }
    }

    /// Stops before the first date that is later than `until_s`, Unix seconds.
    #[must_use]
    pub fn until(mut self, until_s: i64) -> Self {
        self.until_s = Some(until_s);
        self
    }

    /// It is known to begin with a batch of ours, if `has_batches`: [`File::has_batches`](super::File::has_batches).
    #[must_use]
    pub fn begun_by_us(mut self, has_batches: bool) -> Self {
        self.has_batches = has_batches;
        self
    }

    /// Takes the memory of a piece back.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.spare.push(buffer);
    }

    fn at(&self, index: usize) -> u64 {
        self.offset + index as u64
    }

    /// The next units, or how the file ends.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_piece(&mut self) -> io::Result<Next> {
        if let Some(end) = self.end {
            return Ok(Next::End(end));
        }
        loop {
            match item(&self.buf[self.pos..]) {
                Item::More if !self.is_over => self.fill()?,
                Item::More => {
                    let is_whole = self.pos == self.buf.len() && self.open.is_none();
                    let fault = (!is_whole).then_some(Fault::Short);
                    return self.finish(fault);
                }
                Item::Nonsense => return self.finish(Some(Fault::Format)),
                Item::Command { end, is } => {
                    self.note_command(self.pos + end, is);
                    if !self.is_ours && self.units_end.saturating_sub(self.batch) > PIECE_MAX {
                        self.is_unsealed = true;
                        let piece = self.take(self.units_end);
                        self.batch = 0;
                        return Ok(Next::Units(piece));
                    }
                }
                Item::Comment { end } => {
                    let line = self.buf[self.pos..self.pos + end].trim_ascii_end();
                    let is_seal = line.starts_with(CHECKSUM);
                    if let (Some(until_s), Some(date_s)) = (self.until_s, timestamp(line))
                        && date_s > until_s
                    {
                        return self.stop();
                    }
                    let end = self.pos + end;
                    if !is_seal {
                        // One that follows others' commands is none of ours: those would be in a gap.
                        self.is_ours |= line == BATCH && self.pos == self.batch && !self.is_unsealed;
                        self.pos = end;
                        if self.open.is_none() {
                            self.units_end = end;
                        }
                        continue;
                    }
                    let seal = Seal::parse(line);
                    let Some(seal) = seal.filter(|seal| self.is_right(seal)) else {
                        return self.finish(Some(Fault::Sum));
                    };
                    self.pos = end;
                    self.units_end = end;
                    self.sealed_to = self.at(end);
                    (self.lsn, self.synced_to) = (seal.lsn, seal.synced);
                    (self.is_unsealed, self.is_ours) = (false, false);
                    self.batch = end;
                    // Batches may be small: not each is worth moving what is behind it.
                    if end >= READ_SIZE {
                        let piece = self.take(end);
                        if !piece.runs.is_empty() {
                            return Ok(Next::Units(piece));
                        }
                    }
                }
            }
        }
    }

    fn note_command(&mut self, end: usize, is: Is) {
        let start = self.pos;
        match self.runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => self.runs.push(start..end),
        }
        self.pos = end;
        match (is, self.open) {
            (Is::Multi, None) => self.open = Some(start),
            (Is::Exec, Some(_)) => {
                self.open = None;
                self.units_end = end;
            }
            (_, Some(_)) => {}
            (_, None) => self.units_end = end,
        }
    }

    /// A checksum line at the present place says what is so.
    fn is_right(&self, seal: &Seal) -> bool {
        let is_here = seal.end == self.at(self.pos) && seal.start == self.sealed_to && self.open.is_none();
        if seal.is_gap {
            return is_here;
        }
        is_here && !self.is_unsealed && Checksum::of(&self.buf[self.batch..self.pos]) == seal.sum
    }

    /// Takes the first `end` bytes of the buffer.
    fn take(&mut self, end: usize) -> Piece {
        let mut rest = self.spare.pop().unwrap_or_default();
        rest.clear();
        rest.extend_from_slice(&self.buf[end..]);
        let mut bytes = std::mem::replace(&mut self.buf, rest);
        bytes.truncate(end);
        let offset = self.offset;
        let mut runs = std::mem::take(&mut self.runs);
        // A transaction may have begun behind it, right after other commands.
        let later =
            runs.iter().filter(|run| run.end > end).map(|run| run.start.max(end) - end..run.end - end);
        self.runs = later.collect();
        runs.retain(|run| run.start < end);
        if let Some(last) = runs.last_mut() {
            last.end = last.end.min(end);
        }
        self.offset += end as u64;
        self.pos = self.pos.saturating_sub(end);
        self.units_end = self.units_end.saturating_sub(end);
        self.batch = self.batch.saturating_sub(end);
        self.open = self.open.map(|open| open.saturating_sub(end));
        Piece { bytes, runs, offset }
    }

    fn fill(&mut self) -> io::Result<()> {
        let len = self.buf.len();
        // As much again as there is, so that a large command is not copied over and over.
        let wanted = len.clamp(READ_SIZE, 64 << 20);
        let read = self.file.by_ref().take(wanted as u64).read_to_end(&mut self.buf)?;
        self.is_over = read < wanted;
        Ok(())
    }

    /// Stops at a date, which is behind a whole unit.
    fn stop(&mut self) -> io::Result<Next> {
        self.end = Some(End { is_stopped: true, ..self.end_at(self.units_end, None) });
        self.last_units()
    }

    fn end_at(&self, units_end: usize, fault: Option<Fault>) -> End {
        let Reader { sealed_to, synced_to, lsn, is_ours, .. } = *self;
        let (good, at) = (self.at(units_end), self.at(self.pos));
        End { good, fault, at, is_rotten: false, is_ours, sealed_to, synced_to, lsn, is_stopped: false }
    }

    /// The file ends, or makes no sense any more.
    fn finish(&mut self, mut fault: Option<Fault>) -> io::Result<Next> {
        let is_in_batch = self.is_ours && !self.is_unsealed;
        // Where at the earliest something is wrong.
        let mut suspect = self.batch;
        if fault == Some(Fault::Sum) || fault == Some(Fault::Format) && is_in_batch && !self.is_unwritten() {
            // Nobody vouches for it. What follows makes no sense, so maybe what is before it does not, either.
            self.units_end = self.units_end.min(self.batch);
        } else if is_in_batch {
            // Its checksum line is missing. What there is can be used as far as it is sure to have been written.
            let good = self.before_hole();
            suspect = self.hole(self.batch, self.buf.len()).unwrap_or(self.pos).min(self.pos);
            if good < self.units_end {
                self.units_end = good;
                fault = fault.or(Some(Fault::Sum));
            }
        }
        let mut end = self.end_at(self.units_end, fault);
        if fault.is_some() {
            let (is_ours, is_rotten) = self.judge(self.at(suspect))?;
            (end.is_ours, end.is_rotten) = (is_ours, is_rotten);
        }
        self.end = Some(end);
        self.last_units()
    }

    /// What is whole and was not handed out yet.
    fn last_units(&mut self) -> io::Result<Next> {
        if self.units_end > 0 {
            let piece = self.take(self.units_end);
            if !piece.runs.is_empty() {
                return Ok(Next::Units(piece));
            }
        }
        self.next_piece()
    }

    /// The first sector that may never have been written, between these places of the buffer: it ends with a zero.
    fn hole(&self, first: usize, last: usize) -> Option<usize> {
        let begin = self.at(first);
        let to_sector = ((begin + 1).next_multiple_of(SECTOR) - begin) as usize;
        let ends = (first + to_sector..last).step_by(SECTOR as usize).chain(std::iter::once(last));
        let is_hole = |end: &usize| *end > first && self.buf.get(*end - 1) == Some(&0);
        ends.into_iter().find(is_hole).map(|end| {
            let begin = end.saturating_sub(SECTOR as usize).max(first);
            let zeros = self.buf[begin..end].iter().rev().take_while(|byte| **byte == 0).count();
            end - zeros
        })
    }

    /// What is at the present place was never written, as far as one can see: nothing that a bit could make of a command.
    fn is_unwritten(&self) -> bool {
        let rest = &self.buf[self.pos..];
        match rest.first() {
            Some(0) => true,
            // A line of ours, of which only a part is there.
            Some(b'#') => rest[..rest.len().min(SECTOR as usize)].contains(&0),
            _ => false,
        }
    }

    /// A sector is missing that has the first line of a batch of ours: all of the line, or its end.
    fn begins_with_hole(&self) -> bool {
        let rest = &self.buf[self.pos..];
        let Some(begun) = rest.iter().take(SECTOR as usize).position(|byte| *byte == 0) else { return false };
        let is_at_sector = (self.at(self.pos) + begun as u64).is_multiple_of(SECTOR);
        begun == 0 || is_at_sector && rest[0] == b'#' && !rest[..begun].contains(&b'\n')
    }

    /// Where units of the present batch end before what may never have been written: after a power failure a file may be
    /// as long as it was and lack some of what was in it.
    fn before_hole(&self) -> usize {
        let Some(hole) = self.hole(self.batch, self.buf.len()) else { return self.units_end };
        let (mut pos, mut good, mut is_open) = (self.batch, self.batch, false);
        while pos < hole {
            match item(&self.buf[pos..]) {
                Item::Command { end, is } => {
                    is_open = is == Is::Multi || is_open && is != Is::Exec;
                    pos += end;
                }
                Item::Comment { end } => pos += end,
                Item::More | Item::Nonsense => break,
            }
            if pos <= hole && !is_open {
                good = pos;
            }
        }
        good.min(self.units_end)
    }

    /// What the rest says about the fault, which is at `suspect` at the earliest: whether it is in a batch of ours, and
    /// whether it is damage, and no end.
    fn judge(&mut self, suspect: u64) -> io::Result<(bool, bool)> {
        while !self.is_over && self.buf.len() - self.pos < SEARCHED_MAX {
            self.fill()?;
        }
        let begin = self.at(self.batch);
        let is_missing = self.pos == self.batch && self.begins_with_hole();
        // Nothing but zeros is nothing at all, whoever wrote what is before it.
        let is_nothing = self.is_over && self.buf[self.pos..].iter().all(|byte| *byte == 0);
        let mut is_ours = self.is_ours
            || is_missing && (self.has_batches && begin == 0 || self.sealed_to > 0)
            || is_nothing;
        let mut is_synced = false;
        // Where the first batch begins that is right again.
        let mut right_from = None;
        let mut summed = 0;
        let mark = [b"\n", CHECKSUM].concat();
        let from = self.pos.saturating_sub(1);
        for index in memchr::memmem::find_iter(&self.buf[from..], &mark) {
            let start = from + index + 1;
            let line = self.buf[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
            let Some(seal) = Seal::parse(line.trim_ascii_end()) else { continue };
            if seal.is_gap || seal.end != self.at(start) || seal.start <= begin {
                // The line of the batch in question itself, or of others' making.
                is_ours |= seal.end == self.at(start) && seal.start == self.sealed_to;
                continue;
            }
            let first = (seal.start - self.offset) as usize;
            summed += start - first;
            if first > start || summed > 4 * SEARCHED_MAX {
                break;
            }
            if Checksum::of(&self.buf[first..start]) == seal.sum {
                is_ours = true;
                is_synced |= seal.synced > suspect;
                right_from = right_from.or(Some(first));
            }
        }
        let is_rotten = is_synced || right_from.is_some_and(|first| self.hole(self.batch, first).is_none());
        Ok((is_ours, is_rotten))
    }
}

/// Looks at what begins here.
fn item(bytes: &[u8]) -> Item {
    match bytes.first() {
        None => Item::More,
        Some(b'#') => match memchr::memchr(b'\n', &bytes[..bytes.len().min(COMMENT_MAX)]) {
            Some(end) => Item::Comment { end: end + 1 },
            None if bytes.len() < COMMENT_MAX => Item::More,
            None => Item::Nonsense,
        },
        Some(b'*') => command(bytes),
        Some(_) => Item::Nonsense,
    }
}

fn command(bytes: &[u8]) -> Item {
    let (count, mut pos) = match count(bytes) {
        Count::Is(count, end) if count > 0 => (count, end),
        Count::More => return Item::More,
        _ => return Item::Nonsense,
    };
    let mut is = Is::Other;
    for _ in 0..count {
        let rest = &bytes[pos..];
        let (length, end) = match (rest.first(), self::count(rest)) {
            (None, _) | (Some(b'$'), Count::More) => return Item::More,
            (Some(b'$'), Count::Is(length, end)) => (length, end),
            _ => return Item::Nonsense,
        };
        let Some(word) = rest.get(end..).and_then(|rest| rest.get(..length)) else { return Item::More };
        match rest.get(end + length..end + length + 2) {
            None => return Item::More,
            Some(b"\r\n") => {}
            Some(_) => return Item::Nonsense,
        }
        if count == 1 {
            is = match word {
                word if word.eq_ignore_ascii_case(b"MULTI") => Is::Multi,
                word if word.eq_ignore_ascii_case(b"EXEC") => Is::Exec,
                _ => Is::Other,
            };
        }
        pos += end + length + 2;
    }
    Item::Command { end: pos, is }
}

enum Count {
    /// The number, and where its line ends.
    Is(usize, usize),
    More,
    None,
}

/// The number after the first byte, up to the end of the line.
fn count(bytes: &[u8]) -> Count {
    let line = &bytes[..bytes.len().min(COUNT_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if bytes.len() < COUNT_MAX { Count::More } else { Count::None };
    };
    let digits = line.get(1..end.saturating_sub(1)).unwrap_or_default();
    if digits.is_empty() || line[end - 1] != b'\r' {
        return Count::None;
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
    match number.filter(|number| *number < 1 << 40) {
        Some(number) => Count::Is(number as usize, end + 1),
        None => Count::None,
    }
}
