//! Manifests with any bytes in them: what can be read is written so that it reads the same, and names for what comes next
//! can be found.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_persistence::aof::Manifest;

fuzz_target!(|data: &[u8]| {
    let Ok(mut manifest) = Manifest::parse(data) else { return };
    let text = manifest.format();
    if !text.is_empty() && text.lines().all(|line| line.len() < 1024) {
        let again = Manifest::parse(text.as_bytes()).expect("what was written can be read");
        assert_eq!(again.format(), text);
    }
    let next = manifest.next_incr("x", None);
    let from = next.seq;
    manifest.add_incr(next);
    let base = manifest.next_base("x", true);
    manifest.set_base(base, from);
    assert_eq!(manifest.incr.len(), 1);
});
