//! The last file of an append-only file, with any bytes in it: loading ends, in an error or not, what it hands out lies
//! where it says, and after a repair the file is right and says the same. Checking it ends, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tidegate_persistence::aof::Place;
use tidegate_persistence::aof::check::check;
use tidegate_persistence::aof::load::{Loading, Step};
use tidegate_persistence::sim::SimDisk;

fn load(disk: &SimDisk, place: &Place, may_truncate: bool) -> Option<Vec<u8>> {
    let mut loading = Loading::begin(Arc::new(disk.clone()), place.clone(), may_truncate).ok()??;
    let mut commands = Vec::new();
    loop {
        match loading.next_step().ok()? {
            Step::File { .. } => {}
            Step::Snapshot { .. } => unreachable!("there is no base"),
            Step::Units(piece) => piece.runs.iter().for_each(|run| {
                assert_eq!(piece.bytes[run.start], b'*');
                commands.extend_from_slice(&piece.bytes[run.clone()]);
            }),
            Step::Done(loaded) => {
                assert!(loaded.sealed_to <= loaded.last_size);
                return Some(commands);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let place = Place { dir: "/d/a".into(), stem: "s".into() };
    let disk = SimDisk::new(0, &["/d", "/d/a"]);
    let end = ["", " batches yes", " size 40"][usize::from(first) % 3];
    disk.put(&place.manifest(), format!("file i seq 1 type i{end}\n").as_bytes());
    disk.put(&place.file("i"), data);
    let mut said = Vec::new();
    check(&disk, "x", &[place.file("i").into()], &mut &b""[..], &mut said);
    check(&disk, "x", &[place.manifest().into()], &mut &b""[..], &mut said);
    if let Some(commands) = load(&disk, &place, true) {
        assert_eq!(load(&disk, &place, false).as_deref(), Some(&commands[..]));
    }
});
