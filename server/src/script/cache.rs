//! The scripts that were loaded, by the SHA1 of their text: one set for all threads.

use super::busy::Busy;
use super::shebang::{self, Shebang};
use dashmap::DashMap;
use sha1::{Digest as _, Sha1};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tidegate_commands::model::Error;

/// The SHA1 of a script's text.
pub type Sha = [u8; 20];

/// Hashes a [`Sha`], which is a hash already, with a seed of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShaHash(u64);

impl Default for ShaHash {
    fn default() -> Self {
        ShaHash(foldhash::fast::RandomState::default().hash_one(0))
    }
}

impl BuildHasher for ShaHash {
    type Hasher = ShaHasher;

    #[inline]
    fn build_hasher(&self) -> ShaHasher {
        ShaHasher(self.0)
    }
}

/// See [`ShaHash`].
#[derive(Debug)]
pub(super) struct ShaHasher(u64);

impl Hasher for ShaHasher {
    #[inline]
    fn write(&mut self, sha: &[u8]) {
        if let Some(first) = sha.first_chunk() {
            self.0 = (self.0 ^ u64::from_le_bytes(*first)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    /// The length of a [`Sha`] is always the same.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// A loaded script.
#[derive(Debug)]
pub struct Script {
    /// The SHA1 of its text.
    pub sha: Sha,
    /// Its text.
    pub text: Box<[u8]>,
    /// What its first line declares.
    pub shebang: Shebang,
    /// Whether it is known to touch declared keys only, once it was compiled.
    is_confined: OnceLock<bool>,
    /// It stays until all are forgotten: `SCRIPT LOAD` was asked to keep it.
    is_kept: AtomicBool,
}

impl Script {
    /// Reads a script's first line.
    pub fn new(text: &[u8]) -> Result<Self, Error> {
        Ok(Script {
            sha: sha_of(text),
            text: text.into(),
            shebang: shebang::parse(text)?,
            is_confined: OnceLock::new(),
            is_kept: AtomicBool::new(false),
        })
    }

    /// True when it is known to touch declared keys only. `judge` tells when it is asked for the first time.
    pub(super) fn is_confined(&self, judge: impl FnOnce() -> bool) -> bool {
        *self.is_confined.get_or_init(judge)
    }

    /// The SHA1 in hexadecimal digits.
    pub fn name(&self) -> String {
        hex(&self.sha)
    }

    /// Bytes it occupies.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }

    /// What is compiled: the text without the first line's words, but with its line end, so that lines keep their numbers.
    pub fn source(&self) -> &[u8] {
        &self.text[self.shebang.len..]
    }
}

/// The SHA1 of a text.
pub fn sha_of(text: &[u8]) -> Sha {
    Sha1::digest(text).into()
}

/// Hexadecimal digits, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What a byte that is no hexadecimal digit is worth.
const NO_DIGIT: u8 = 0x80;
/// What each byte is worth as a hexadecimal digit.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        nibbles[digit as usize] = value as u8;
        nibbles[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// Reads a SHA1 from 40 hexadecimal digits of any case.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    let digits: &[u8; 40] = text.try_into().ok()?;
    let (mut sha, mut wrong) = (Sha::default(), 0);
    for (byte, pair) in sha.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        wrong |= (high | low) & NO_DIGIT;
        *byte = high << 4 | low & 15;
    }
    (wrong == 0).then_some(sha)
}

/// All loaded scripts.
#[derive(Debug)]
pub struct Scripts {
    /// Those that run now.
    pub busy: Busy,
    by_sha: DashMap<Sha, Arc<Script>, foldhash::fast::RandomState>,
    /// Those that `EVAL` brought, in that order.
    brought: Mutex<VecDeque<Sha>>,
    /// How many of them had to go.
    evicted: AtomicU64,
    /// Counts the times that all were forgotten: a thread whose interpreter is older throws it away.
    epoch: AtomicU64,
    bytes: AtomicUsize,
    /// Bytes of each thread's interpreters: of scripts, and of functions.
    states: Box<[[AtomicUsize; 2]]>,
}

impl Scripts {
    /// No scripts, in a process with so many threads.
    pub fn new(threads: usize) -> Self {
        Scripts {
            busy: Busy::new(threads),
            by_sha: DashMap::default(),
            brought: Mutex::default(),
            evicted: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            states: (0..threads).map(|_| Default::default()).collect(),
        }
    }

    /// The script with this SHA1.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.by_sha.get(sha).map(|script| Arc::clone(&script))
    }

    /// Remembers a script until all are forgotten.
    pub fn keep(&self, script: &Arc<Script>) {
        script.is_kept.store(true, Relaxed);
        self.add(script);
    }

    /// Remembers a script that `EVAL` brought. Where the texts take more than `limit` bytes, those that were brought first
    /// are forgotten: programs that put values into the texts of their scripts would fill the memory with them.
    pub fn bring(&self, script: &Arc<Script>, limit: usize) {
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        if self.add(script) {
            brought.push_back(script.sha);
        }
        while self.bytes() > limit
            && let Some(sha) = brought.pop_front()
        {
            if let Some((_, gone)) = self.by_sha.remove_if(&sha, |_, script| !script.is_kept.load(Relaxed)) {
                self.bytes.fetch_sub(gone.size(), Relaxed);
                self.evicted.fetch_add(1, Relaxed);
            }
        }
    }

    fn add(&self, script: &Arc<Script>) -> bool {
        let is_new = self.by_sha.insert(script.sha, Arc::clone(script)).is_none();
        if is_new {
            self.bytes.fetch_add(script.size(), Relaxed);
        }
        is_new
    }

    /// How many scripts were forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.clear();
        self.by_sha.clear();
        self.bytes.store(0, Relaxed);
        self.epoch.fetch_add(1, Relaxed);
    }

    /// How often all were forgotten.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    /// Bytes of the scripts' texts and what goes with them.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// A thread's interpreters, of scripts and of functions, occupy so many bytes now.
    pub fn note_states(&self, thread: usize, bytes: [usize; 2]) {
        for (state, bytes) in self.states[thread].iter().zip(bytes) {
            state.store(bytes, Relaxed);
        }
    }

    /// Bytes of all interpreters of scripts, and of all interpreters of functions.
    pub fn state_bytes(&self) -> [usize; 2] {
        let sum = |which: usize| self.states.iter().map(|states| states[which].load(Relaxed)).sum();
        [sum(0), sum(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shas_are_read_in_any_case() {
        let sha = sha_of(b"return 1");
        assert_eq!(hex(&sha), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(parse_sha(b"E0E1F9fabfc9d4800c877a703b823ac0578ff8db"), Some(sha));
        assert_eq!(parse_sha(b"e0e1"), None);
        assert_eq!(parse_sha(&[b'g'; 40]), None);
    }

    #[test]
    fn scripts_are_counted_once() {
        let scripts = Scripts::new(1);
        let script = Arc::new(Script::new(b"return 1").unwrap());
        scripts.bring(&script, usize::MAX);
        scripts.keep(&script);
        assert_eq!((scripts.len(), scripts.bytes()), (1, script.size()));
        scripts.flush();
        assert_eq!((scripts.len(), scripts.bytes(), scripts.epoch()), (0, 0, 1));
    }

    #[test]
    fn what_eval_brings_is_bounded() {
        let scripts = Scripts::new(1);
        let kept = Arc::new(Script::new(b"return 'kept'").unwrap());
        scripts.bring(&kept, usize::MAX);
        scripts.keep(&kept);
        for n in 0..1000 {
            scripts.bring(&Arc::new(Script::new(format!("return {n}").as_bytes()).unwrap()), 10_000);
        }
        assert!(scripts.bytes() <= 10_000 && scripts.len() > 10, "{} bytes", scripts.bytes());
        assert_eq!(scripts.len() + scripts.evicted() as usize, 1001);
        assert!(scripts.get(&kept.sha).is_some());
        assert!(scripts.get(&sha_of(b"return 999")).is_some(), "the last one is there");
    }
}
