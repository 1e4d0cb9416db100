//! Values as bytes: the first byte names the encoding, the second who wrote it, the rest is what `RESTORE` would be given.
//! What is taken for a value is used, saved, and must be the same value when it is loaded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_data::rdb::{self, Dialect, Reader, Rules, Writer};
use tidegate_data::{Encodings, Record};

fn load(code: u8, dialect: Dialect, bytes: &[u8]) -> Result<Record, rdb::Error> {
    // Small limits, so that short inputs reach all forms.
    let encodings = Encodings {
        hash_max_listpack_entries: 4,
        set_max_intset_entries: 4,
        set_max_listpack_entries: 3,
        zset_max_listpack_entries: 4,
        list_max_listpack_size: 3,
        ..Encodings::default()
    };
    rdb::load(code, &mut Reader::new(bytes), b"key", None, &Rules { dialect, encodings })
}

fuzz_target!(|data: &[u8]| {
    let [code, dialect, bytes @ ..] = data else { return };
    let dialect = if dialect & 1 == 0 { Dialect::Redis } else { Dialect::Valkey };
    let Ok(record) = load(*code, dialect, bytes) else { return };
    assert!(record.heap_size() > 0);
    let code = rdb::encoding_of(record.value());
    let mut writer = Writer::new(Vec::new(), true);
    rdb::save(record.value(), &mut writer);
    let saved = writer.into_output();
    let again = load(code, Dialect::Redis, &saved).expect("what was saved is loaded");
    assert_eq!(again.value(), record.value());
});
