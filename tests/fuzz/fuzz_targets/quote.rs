//! Quoting: what was quoted is read back byte for byte, and no line breaks the reader or grows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_persistence::quote::{quoted, split_args};

fuzz_target!(|data: &[u8]| {
    if let Some(args) = split_args(data) {
        assert!(args.iter().map(Vec::len).sum::<usize>() <= data.len(), "un-escaping never lengthens");
        assert_eq!(split_args(&line_of(&args)), Some(args), "what was read can be written and read again");
    }
    let args: Vec<Vec<u8>> = data.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
    assert_eq!(split_args(&line_of(&args)), Some(args), "any bytes can be written and read again");
});

fn line_of(args: &[Vec<u8>]) -> Vec<u8> {
    args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ").into_bytes()
}
