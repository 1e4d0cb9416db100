//! Whole RDB files, with any bytes in them: loading them ends, in an error or not. The checksum is not looked at, for it
//! would hide everything else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use tidegate_data::Encodings;
use tidegate_persistence::rdb::{Loader, Note};

fuzz_target!(|data: &[u8]| {
    let mut note = |_: Note| {};
    let file = Box::new(Cursor::new(data.to_vec()));
    let loader = Loader::new(file, data.len() as u64, 16, Encodings::default(), false, &mut note);
    let Ok(mut loader) = loader else { return };
    let mut keys = 0;
    while let Ok(Some(entry)) = loader.next_entry() {
        assert!(entry.db < 16);
        keys += 1;
    }
    assert!(keys <= data.len());
    assert!(loader.offset() <= data.len() as u64);
});
