//! Which cores the worker threads run on.

use core_affinity::CoreId;

/// The cores to pin `threads` workers to: those of `server_cpulist` if it is set, else those this process may use.
/// `None` when there are fewer cores than threads (the kernel places them better then) or the list cannot be used.
pub fn for_workers(threads: usize, list: Option<&[u8]>) -> Option<Vec<CoreId>> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let cores = match list {
        None => allowed,
        Some(list) => {
            let Some(wanted) = parse(list) else {
                tracing::warn!("Invalid server_cpulist '{}', threads are not pinned", list.escape_ascii());
                return None;
            };
            wanted.into_iter().map(|id| CoreId { id }).collect()
        }
    };
    (threads <= cores.len()).then_some(cores)
}

/// Reads `0,2,4-7,8-14:2`: single cores, ranges, ranges with a step.
fn parse(list: &[u8]) -> Option<Vec<usize>> {
    const HIGHEST: usize = 4095;
    let mut cores = Vec::new();
    for part in std::str::from_utf8(list).ok()?.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n <= HIGHEST);
        let (first, last, step) = (number(first)?, number(last)?, number(step).filter(|n| *n > 0)?);
        cores.extend((first..=last).step_by(step));
    }
    cores.sort_unstable();
    cores.dedup();
    (!cores.is_empty()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores() {
        assert_eq!(parse(b"0"), Some(vec![0]));
        assert_eq!(parse(b"2,0"), Some(vec![0, 2]));
        assert_eq!(parse(b"1-3,8-14:3"), Some(vec![1, 2, 3, 8, 11, 14]));
        for bad in [&b""[..], b"a", b"1-", b"3-1", b"0:0", b"1,,2", b"99999999999"] {
            assert_eq!(parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn more_threads_than_cores_are_not_pinned() {
        assert_eq!(for_workers(3, Some(b"0,1")), None);
        assert_eq!(for_workers(2, Some(b"0,1")).map(|cores| cores.len()), Some(2));
        assert_eq!(for_workers(1, Some(b"x")), None);
    }
}
