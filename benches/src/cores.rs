//! Which cores servers and generator use: the process's allowed cores, cut into two halves that do not overlap.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A division of the allowed cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    pub servers: Vec<usize>,
    pub generator: Vec<usize>,
}

/// Gives servers at most `server_threads` cores and never more than half; the generator gets the rest. With a single
/// core both share it, which measures little and is said in the report.
pub fn divide(allowed: &[usize], server_threads: usize) -> Division {
    if let [only] = allowed {
        return Division { servers: vec![*only], generator: vec![*only] };
    }
    let (servers, generator) = allowed.split_at((allowed.len() / 2).min(server_threads.max(1)));
    Division { servers: servers.to_vec(), generator: generator.to_vec() }
}

/// The cores this process may run on, ascending.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Keeps the calling thread, and every process it starts from now on, on `cores`.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Cores as `0-1` or `0,2`, as taskset(1) writes them.
pub fn list(cores: &[usize]) -> String {
    match cores {
        [first, .., last] if last - first + 1 == cores.len() => format!("{first}-{last}"),
        _ => cores.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_cores_are_halved_and_two_cores_too() {
        let halves = divide(&[0, 1, 2, 3], 2);
        assert_eq!((halves.servers, halves.generator), (vec![0, 1], vec![2, 3]));
        let halves = divide(&[4, 6], 2);
        assert_eq!((halves.servers, halves.generator), (vec![4], vec![6]));
    }

    #[test]
    fn spare_cores_go_to_the_generator_and_one_core_is_shared() {
        assert_eq!(divide(&[0, 1, 2, 3, 4, 5, 6, 7], 2).generator.len(), 6);
        assert_eq!(divide(&[3], 2), Division { servers: vec![3], generator: vec![3] });
    }

    #[test]
    fn runs_print_as_ranges() {
        assert_eq!(list(&[0, 1]), "0-1");
        assert_eq!(list(&[0, 2]), "0,2");
        assert_eq!(list(&[3]), "3");
    }

    #[test]
    fn pinning_a_thread_shows_in_its_allowed_set() {
        let core = allowed().expect("an affinity")[0];
        let seen = std::thread::spawn(move || {
            pin(&[core]).expect("an allowed core");
            allowed().expect("an affinity")
        });
        assert_eq!(seen.join().expect("no panic"), [core]);
    }
}
