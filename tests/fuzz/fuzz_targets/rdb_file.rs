//! Whole RDB files, with any bytes in them: loading them ends, in an error or not, and it is the same whether keys are
//! decoded one by one or in parts. The checksum is not looked at, for it would hide everything else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use tidegate_data::Encodings;
use tidegate_persistence::rdb::{Entry, Found, LoadError, Loader, Note};

fuzz_target!(|data: &[u8]| {
    let whole = count(data, |loader, add| {
        while let Some(entry) = loader.next_entry()? {
            add(entry);
        }
        Ok(())
    });
    let parts = count(data, |loader, add| {
        while let Some(found) = loader.next_found()? {
            match found {
                Found::Entry(entry) => add(entry),
                Found::Part(part) => {
                    let mut each = |entry| {
                        add(entry);
                        true
                    };
                    part.decode(&mut each, &mut |_| {})?;
                    loader.give_back(part.into_buffer());
                }
            }
        }
        Ok(())
    });
    assert_eq!(whole, parts);
});

/// Loads everything; how many keys there were, and whether it was all right.
fn count(
    data: &[u8],
    load: impl FnOnce(&mut Loader<'_>, &mut dyn FnMut(Entry)) -> Result<(), LoadError>,
) -> Option<(usize, bool)> {
    let mut note = |_: Note| {};
    let file = Box::new(Cursor::new(data.to_vec()));
    let loader = Loader::new(file, data.len() as u64, 16, Encodings::default(), false, &mut note);
    let Ok(mut loader) = loader else { return None };
    let mut keys = 0;
    let mut add = |entry: Entry| {
        assert!(entry.db < 16);
        keys += 1;
    };
    let result = load(&mut loader, &mut add);
    assert!(keys <= data.len());
    assert!(loader.offset() <= data.len() as u64);
    Some((keys, result.is_ok()))
}
