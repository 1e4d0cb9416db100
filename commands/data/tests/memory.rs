//! What a table or a value says about its memory is what the allocator gave it, and dropping gives everything back.

#![expect(unsafe_code, reason = "a counting global allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tidegate_data::types::stream::{Group, NodeLimits, Stream, StreamId};
use tidegate_data::{
    Collection, Entry, KeyHasher, LongString, Record, StringEncoding, Table, Value, Zset,
    keyspace::size_class, types::zset,
};

struct Counting;

thread_local! {
    /// Bytes that this thread allocated and did not free; the test harness has threads of its own.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get().wrapping_add(size_class(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(size_class(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn counted_bytes_are_allocated_bytes() {
    let keys = if cfg!(miri) { 300 } else { 100_000u32 };
    let hasher = KeyHasher::new(1);
    let before = LIVE.get();
    let mut table = Table::new(hasher.clone());
    let compare = |table: &Table| {
        let (live, counted) = (LIVE.get() - before, table.bytes());
        // Outgrown directories are estimated.
        assert!(live.abs_diff(counted) <= counted / 500 + 1024, "allocated {live}, counted {counted}");
    };
    let mut entry = |number: u32, change: &dyn Fn(Entry<'_>, &[u8])| {
        let key = number.to_le_bytes();
        change(table.entry(hasher.hash(&key), &key), &key);
        if number.is_multiple_of(keys / 7) {
            compare(&table);
        }
    };

    for number in 0..keys {
        entry(number, &|entry, key| {
            let Entry::Vacant(entry) = entry else { panic!("a new key") };
            let expiry_ms = number.is_multiple_of(5).then_some(1);
            let mut entry = match number % 3 {
                0 => entry.insert(Record::new_int(key, 1, expiry_ms)),
                1 => entry.insert(Record::new_bytes(key, &[1; 100], StringEncoding::Raw, expiry_ms)),
                _ => entry.insert(Record::new_bytes(
                    key,
                    &vec![1; 1000 + number as usize % 100],
                    StringEncoding::Raw,
                    None,
                )),
            };
            if let Some(mut value) = entry.boxed_mut() {
                let Value::String(string) = &mut *value else { panic!("a string was put there") };
                string.append(b"a tail that takes more room");
            }
        });
    }
    for number in (0..keys).step_by(2) {
        entry(number, &|entry, _| {
            let Entry::Occupied(mut entry) = entry else { panic!("a known key") };
            match number % 8 {
                0 => entry.set_string_bytes(&[2; 3000], StringEncoding::Raw, Some(2)),
                2 => entry.set_boxed(Box::new(Value::String(LongString::new(b"short"))), None),
                4 => entry.update(|record| record.append_bytes(&[3; 1000])),
                _ => drop(entry.remove()),
            }
        });
    }
    table.expire_due(2, usize::MAX, &mut |due| drop(due));
    compare(&table);

    let contents = table.take();
    assert_eq!(table.len(), 0);
    drop(contents);
    compare(&table);
    drop(table);
    assert_eq!(LIVE.get(), before, "everything was given back");
}

#[test]
fn a_sorted_set_counts_its_bytes_and_takes_few() {
    let members = if cfg!(miri) { 300 } else { 100_000u32 };
    let limits = zset::Limits { len: 128, name_len: 64 };
    let name = |number: u32| format!("member:{number:09}").into_bytes();
    // The seed of all tables of members stays.
    KeyHasher::members();
    let before = LIVE.get();
    let mut zset = Zset::default();
    let compare = |zset: &Zset| {
        let (live, counted) = (LIVE.get().wrapping_sub(before), zset.heap_size());
        assert!(live.abs_diff(counted) <= counted / 500 + 1024, "allocated {live}, counted {counted}");
    };
    for number in 0..members {
        let name = name(number.wrapping_mul(0x9e37_79b1) % members);
        zset.put(&name, f64::from(number % 1000), limits);
        if number.is_multiple_of(members / 7) {
            compare(&zset);
        }
    }
    if !cfg!(miri) {
        let per_member = zset.heap_size() as f64 / zset.view().len() as f64;
        assert!(per_member < 66.0, "{per_member} bytes per member of 16 bytes");
    }
    for number in (0..members).step_by(3) {
        zset.set_deadline(&name(number), Some(i64::from(number)));
    }
    compare(&zset);
    zset.remove_due(i64::from(members / 2), usize::MAX, &mut |_| {});
    let len = zset.view().len();
    zset.remove_range(len / 10..len / 2);
    compare(&zset);
    for number in (0..members).step_by(2) {
        zset.remove(&name(number));
    }
    compare(&zset);
    let copy = zset.clone();
    drop(zset);
    compare(&copy);
    drop(copy);
    assert_eq!(LIVE.get(), before, "everything was given back");
}

#[test]
fn a_stream_is_small_and_knows_its_size() {
    let entries = if cfg!(miri) { 500 } else { 1_000_000u64 };
    let limits = NodeLimits { bytes_max: 4096, entries_max: 100 };
    let before = LIVE.get();
    let live = || LIVE.get().wrapping_sub(before);
    let mut stream = Stream::default();
    for number in 0..entries {
        // 50 in each millisecond, a field, and a value of 16 bytes.
        let id = StreamId::new(1_700_000_000_000 + number / 50, number % 50);
        let value = format!("value-{number:010}");
        stream.parts_mut().entries.add(id, limits, 1, |_| (b"field", value.as_bytes()));
    }
    let (in_entries, counted) = (live(), stream.heap_size());
    assert!(
        in_entries.abs_diff(counted) <= counted / 100 + 1024,
        "allocated {in_entries}, counted {counted}"
    );
    let per_entry = in_entries as f64 / entries as f64;
    assert!(per_entry <= 34.0, "{per_entry} bytes per entry");

    // What is pending in a group is kept in trees, whose size is estimated.
    let pending = entries / 10;
    stream.parts_mut().groups.add(b"group", Group::new(StreamId::MIN, None));
    stream.parts_mut().groups.change(b"group", |group| {
        for number in 0..pending {
            let name = format!("consumer-{}", number % 5);
            let (consumer, _) = group.consumer_named(name.as_bytes(), 0);
            let id = StreamId::new(1_700_000_000_000 + number / 50, number % 50);
            group.deliver(id, consumer, 0, 1);
        }
    });
    let (in_group, counted) = (live() - in_entries, stream.heap_size() - counted);
    assert!(in_group.abs_diff(counted) <= in_group / 5 + 4096, "allocated {in_group}, counted {counted}");
    drop(stream);
    assert_eq!(live(), 0, "everything was given back");
    let per_pending = in_group as f64 / pending as f64;
    println!("{per_entry:.1} bytes per entry, {per_pending:.1} per pending entry");
}
