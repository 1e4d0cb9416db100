//! The config file: any text is either accepted or refused with a line that exists. What was accepted can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use tidegate::config::{Config, LoadError, Sources};

fuzz_target!(|data: &[u8]| {
    // Reading other files is the file system's part, and `dir` would lead this process elsewhere.
    let lower = data.to_ascii_lowercase();
    let mentions = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    // A name may be quoted, and its letters written as escapes.
    if mentions(b"include") || mentions(b"dir") || mentions(b"\\x") {
        return;
    }
    let mut config = Config::new(4, Path::new("/"));
    let sources = Sources { input: Some(data.to_vec()), ..Sources::default() };
    match config.load(&sources) {
        Ok(()) => {
            let shown = config.debug_text();
            assert!(!shown.is_empty());
            for command in config.commands() {
                let error = command.refuse("no");
                assert!(error.to_string().contains("at line"));
            }
        }
        Err(error @ LoadError::Line { number, .. }) => {
            let lines = data.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&number), "line {number} of {lines}: {error}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
