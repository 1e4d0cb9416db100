use proptest::prelude::*;

use super::*;

const MAX: usize = 3000;

const HASHES: &[(&str, u64)] = &[
    ("", 0xd8df_ea65_85bc_9732),
    ("a", 0x53d2_470a_9b43_b1a7),
    ("hello", 0x0f65_6f01_eecf_e400),
    ("12345678", 0x95eb_b863_8913_2953),
    ("the quick brown fox", 0xa9b9_ed93_197d_7db3),
];

/// What redis-server 7.0.15 counts after PFADD of 0, 1, 2, ... in decimal.
const COUNTS: &[(u64, u64)] = &[
    (1, 1),
    (10, 10),
    (100, 100),
    (1000, 1001),
    (5000, 4985),
    (20_000, 19_891),
    (100_000, 99_565),
    (1_000_000, 1_009_972),
];

fn registers(bytes: &[u8]) -> [u8; REGISTERS] {
    let mut union = Union::default();
    union.add(bytes).unwrap();
    *union.registers()
}

#[test]
fn the_hash_is_redis_own() {
    // Computed with Austin Appleby's reference code.
    for (text, expected) in HASHES {
        assert_eq!(hash(text.as_bytes()), *expected, "{text}");
    }
}

#[test]
fn an_empty_sketch_counts_nothing() {
    let sketch = Sketch::default();
    assert_eq!(sketch.bytes(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(noted_count(sketch.bytes()), Some(0));
    assert_eq!(count(sketch.bytes()), Ok(0));
    assert_eq!(Union::default().count(), 0);
}

#[test]
fn a_noted_count_is_out_of_date_after_a_change() {
    let mut sketch = Sketch::default();
    assert_eq!(sketch.add(Mark::of(b"a"), MAX), Ok(true));
    assert_eq!(noted_count(sketch.bytes()), None);
    let mut bytes = sketch.bytes().to_vec();
    note_count(&mut bytes, 1);
    assert_eq!(noted_count(&bytes), Some(1));
    let mut sketch = Sketch::new(&bytes).unwrap();
    assert_eq!(sketch.add(Mark::of(b"a"), MAX), Ok(false));
    assert_eq!(noted_count(sketch.bytes()), Some(1));
}

#[test]
fn what_is_no_sketch_is_told() {
    assert_eq!(Encoding::of(b""), None);
    assert_eq!(Encoding::of(b"HYLL"), None);
    assert_eq!(Encoding::of(&[b'x'; 16]), None);
    let mut bytes = Sketch::default().bytes().to_vec();
    assert_eq!(Encoding::of(&bytes), Some(Encoding::Sparse));
    bytes[ENCODING] = 2;
    assert_eq!(Encoding::of(&bytes), None);
    bytes[ENCODING] = 0;
    assert_eq!(Encoding::of(&bytes), None, "a dense one has one size only");
}

#[test]
fn corrupted_runs_are_told() {
    let empty = Sketch::default().bytes().to_vec();
    for runs in
        [&b""[..], b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xff\x80", b"\x7f\xff\x40", b"\x00\x83\x40"]
    {
        let bytes = [&empty[..HEADER], runs].concat();
        assert_eq!(count(&bytes), Err(Corrupted), "{runs:?}");
        assert_eq!(Union::default().add(&bytes), Err(Corrupted));
        assert_eq!(Sketch::new(&bytes).unwrap().make_dense(), Err(Corrupted));
    }
    let mut truncated = Sketch::new(&[&empty[..HEADER], b"\x7f"].concat()).unwrap();
    assert_eq!(truncated.add(Mark { index: 3, value: 1 }, MAX), Err(Corrupted));
}

#[test]
fn the_self_test_passes() {
    if !cfg!(miri) {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state.rotate_right(29)
        };
        assert_eq!(self_test(&mut random, MAX), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 64 }, failure_persistence: None, ..Default::default() })]

    /// Whatever the encoding, the registers are those of a plain array.
    #[test]
    fn registers_are_the_greatest_marks(
        marks in prop::collection::vec((0_usize..REGISTERS, 1_u8..=51), 0..400),
        near in prop::collection::vec((0_usize..40, 1_u8..=3), 0..200),
        max in prop_oneof![Just(3000_usize), 0_usize..600],
    ) {
        let mut naive = [0; REGISTERS];
        let (mut sketch, mut dense) = (Sketch::default(), Sketch::default());
        dense.make_dense().unwrap();
        for (index, value) in marks.into_iter().chain(near) {
            let raises = naive[index] < value;
            naive[index] = naive[index].max(value);
            let mark = Mark { index, value };
            prop_assert_eq!(sketch.add(mark, max), Ok(raises));
            prop_assert_eq!(add_dense(&mut dense.bytes, mark), raises);
            if sketch.encoding() == Encoding::Sparse {
                prop_assert!(sketch.bytes().len() <= max.max(18) + 3);
            }
        }
        prop_assert_eq!(registers(sketch.bytes()), naive);
        prop_assert_eq!(registers(dense.bytes()), naive);
        prop_assert_eq!(count(sketch.bytes()), count(dense.bytes()));
        let mut union = Union::default();
        union.add(sketch.bytes()).unwrap();
        prop_assert_eq!(Ok(union.count()), count(dense.bytes()));
        let mut copy = Sketch::default();
        for mark in union.marks() {
            copy.add(mark, max).unwrap();
        }
        prop_assert_eq!(registers(copy.bytes()), naive);
        sketch.make_dense().unwrap();
        prop_assert_eq!(&sketch.bytes()[HEADER..], &dense.bytes()[HEADER..]);
    }

    #[test]
    fn hostile_bytes_do_no_harm(tail in prop::collection::vec(any::<u8>(), 0..60), encoding in 0_u8..3, elements in prop::collection::vec(any::<u64>(), 0..20)) {
        let mut bytes = Sketch::default().bytes()[..HEADER].to_vec();
        bytes[ENCODING] = encoding;
        bytes.extend(tail);
        let _ = count(&bytes);
        let _ = Union::default().add(&bytes);
        let _ = runs(&bytes).count();
        if let Some(mut sketch) = Sketch::new(&bytes) {
            for element in elements {
                let _ = sketch.add(Mark::of(&element.to_le_bytes()), 200);
            }
            let _ = sketch.make_dense();
        }
    }

    #[test]
    fn hostile_registers_do_no_harm(registers in prop::collection::vec(any::<u8>(), DENSE_LEN - HEADER)) {
        let mut bytes = Sketch::default().bytes()[..HEADER].to_vec();
        bytes[ENCODING] = 0;
        bytes.extend(registers);
        prop_assert!(count(&bytes).is_ok());
        bytes[HEADER..].fill(0xff);
        prop_assert!(count(&bytes).is_ok());
    }
}

#[test]
fn counts_are_redis_own() {
    let mut sketch = Sketch::default();
    let mut next = 0;
    for (elements, expected) in COUNTS.iter().filter(|(elements, _)| !cfg!(miri) || *elements <= 100) {
        for n in next..*elements {
            sketch.add(Mark::of(n.to_string().as_bytes()), MAX).unwrap();
        }
        next = *elements;
        assert_eq!(count(sketch.bytes()), Ok(*expected), "{elements}");
    }
}
