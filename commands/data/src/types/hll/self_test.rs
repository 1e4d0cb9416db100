//! The test that `PFSELFTEST` runs in the field: registers keep what is put into them, and counts are near the truth.

use super::{Encoding, HEADER, Mark, REGISTER_MAX, REGISTERS, Sketch, count, dense};

/// Times that all registers are written and read.
const CYCLES: usize = 10;
/// Elements that are added in the end. All of it takes a few milliseconds, as other clients wait meanwhile.
const ELEMENTS: u64 = 100_000;
/// Counts are within so many standard errors.
const ERRORS_MAX: f64 = 6.0;

/// Tests registers and counts with random elements; says what is wrong. `sparse_max_bytes` as in
/// [`Sketch::add`](super::Sketch::add).
pub fn self_test(random: &mut dyn FnMut() -> u64, sparse_max_bytes: usize) -> Result<(), String> {
    let mut dense = Sketch::default();
    dense.make_dense().map_err(|_| "an empty sketch is corrupted".to_owned())?;
    registers_keep_values(&mut dense.bytes.clone()[HEADER..], random)?;
    let mut sparse = Sketch::default();
    let salt = random();
    let mut checkpoint = 1;
    for element in 1..=ELEMENTS {
        let mark = Mark::of(&(element ^ salt).to_le_bytes());
        for sketch in [&mut dense, &mut sparse] {
            sketch.add(mark, sparse_max_bytes).map_err(|_| "a sketch is corrupted".to_owned())?;
        }
        if element == checkpoint {
            check(&dense, &sparse, checkpoint, sparse_max_bytes)?;
            checkpoint *= 10;
        }
    }
    Ok(())
}

fn registers_keep_values(registers: &mut [u8], random: &mut dyn FnMut() -> u64) -> Result<(), String> {
    let mut expected = vec![0; REGISTERS];
    for _ in 0..CYCLES {
        for (index, value) in expected.iter_mut().enumerate() {
            *value = random() as u8 & REGISTER_MAX;
            dense::set(registers, index, *value);
        }
        for (index, value) in expected.iter().enumerate() {
            let found = dense::get(registers, index);
            if found != *value {
                return Err(format!("Register {index} should be {value} but is {found}"));
            }
        }
    }
    Ok(())
}

fn check(dense: &Sketch, sparse: &Sketch, elements: u64, sparse_max_bytes: usize) -> Result<(), String> {
    if elements < sparse_max_bytes as u64 / 2 && sparse.encoding() != Encoding::Sparse {
        return Err("sparse encoding not used".to_owned());
    }
    let counts = [dense, sparse].map(|sketch| count(sketch.bytes()));
    let [Ok(counted), Ok(other)] = counts else { return Err("a sketch is corrupted".to_owned()) };
    if counted != other {
        return Err("dense/sparse disagree".to_owned());
    }
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    // Two of ten elements may well fall to one register.
    let allowed = if elements == 10 { 1.0 } else { (standard_error * ERRORS_MAX * elements as f64).ceil() };
    let error = elements.abs_diff(counted);
    if error as f64 > allowed {
        return Err(format!("Too big error. card:{elements} abserr:{error}"));
    }
    Ok(())
}
