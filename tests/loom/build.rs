//! Copies the server's lock, hold and waiting as they are, and with one mistake each: a model that passes with the mistake proves
//! nothing. A mistake whose place is gone from the source fails the build.

use std::env;
use std::fs;
use std::path::Path;

/// Name, file, text of the source, and the mistake.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("faithful", "", "", ""),
    ("relaxed_lock", "lock.rs", "swap(true, Ordering::Acquire)", "swap(true, Ordering::Relaxed)"),
    ("relaxed_unlock", "lock.rs", "store(false, Ordering::Release)", "store(false, Ordering::Relaxed)"),
    (
        "checked_then_taken",
        "lock.rs",
        "!self.locked.load(Ordering::Relaxed) && !self.locked.swap(true, Ordering::Acquire)",
        "{ let free = !self.locked.load(Ordering::Acquire); if free { self.locked.store(true, Ordering::Relaxed); } free }",
    ),
    (
        "guard_before_attempt",
        "hold.rs",
        "inner.lock.try_lock().then(|| HoldOne { shard: inner, index: shard })",
        "inner.lock.try_lock().then_some(HoldOne { shard: inner, index: shard })",
    ),
    ("unordered", "hold.rs", "wanted.sort_unstable();", ""),
    (
        "released_early",
        "hold.rs",
        "        true\n    }\n\n    /// Waits for the right",
        "        for &held in wanted { self.shards[held as usize].lock.unlock(); }\n        true\n    }\n\n    /// Waits for the right",
    ),
    ("no_right", "hold.rs", "self.roaming.0.lock();", ""),
    ("no_way_asked", "hold.rs", "self.shards.roamer_waits.0.store(true, Ordering::Relaxed);", ""),
    ("no_way_given", "hold.rs", "self.shards[held as usize].lock.unlock();", "let _ = held;"),
    (
        "relaxed_end",
        "waiting.rs",
        "self.waiting.word.store(self.number << STATE_BITS | how as u64, Release)",
        "self.waiting.word.store(self.number << STATE_BITS | how as u64, Relaxed)",
    ),
    (
        "relaxed_look",
        "waiting.rs",
        "match self.word.load(Acquire) & STATE",
        "match self.word.load(Relaxed) & STATE",
    ),
    (
        "busy_is_over",
        "waiting.rs",
        "Err(word) if word == claimed => pause(&mut tries)",
        "Err(_) if tries > 1 => pause(&mut tries)",
    ),
    ("unfenced_begin", "waiting.rs", "fence(SeqCst);\n        number", "number"),
    (
        "unnumbered",
        "waiting.rs",
        "(self.word.load(Relaxed) >> STATE_BITS) + 1",
        "(self.word.load(Relaxed) >> STATE_BITS)",
    ),
];

fn main() {
    let source = Path::new("../../server/src");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    for (folder, file) in [("shard", "lock.rs"), ("shard", "hold.rs"), ("session", "waiting.rs")] {
        let path = source.join(folder).join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).expect("the server has this file");
        for (name, wrong_file, right, wrong) in MISTAKES {
            let mut text = text.clone();
            if *wrong_file == file {
                assert!(text.contains(right), "{name}: {file} no longer holds `{right}`");
                text = text.replace(right, wrong);
            }
            // An included file has no attributes or documentation of its own.
            let lines = text.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
            let text: String = lines.flat_map(|line| [line, "\n"]).collect();
            // See `modelled` in lib.rs.
            let text = text.replace(
                "loom::sync::atomic::{AtomicBool, Ordering}",
                "crate::modelled::{AtomicBool, Ordering}",
            );
            let dir = Path::new(&out).join(name);
            fs::create_dir_all(&dir).expect("the output directory is writable");
            fs::write(dir.join(file), text).expect("the output directory is writable");
        }
    }
}
