//! What the process asks of the operating system that the standard library has no safe form for: going to the
//! background, the limit of open files, huge pages, the local time, the title `ps` shows.
#![expect(
    unsafe_code,
    reason = "fork, setsid, dup2, rlimits, prctl, localtime_r and raise have no safe form in std"
)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

/// Leaves the terminal and the parent: the parent process exits, the child goes on in a session of its own, with
/// standard input, output and error closed to the outside.
///
/// # Errors
/// When the system refuses a new process or session.
pub fn detach() -> io::Result<()> {
    debug_assert_eq!(threads(), Some(1), "a forked child has one thread, so the parent must have no other");
    // SAFETY: the process has a single thread (asserted above, and `prepare` runs before any is started), so the
    // child inherits no lock held by a thread that does not exist in it.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        // Without running destructors: what they would flush or remove belongs to the child now.
        // SAFETY: _exit takes no pointers and does not return.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: setsid takes no arguments.
    if unsafe { libc::setsid() } == -1 {
        return Err(io::Error::last_os_error());
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: both are descriptors, no memory is involved. Closing what 0 to 2 were is the purpose.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn threads() -> Option<usize> {
    Some(fs::read_dir("/proc/self/task").ok()?.count())
}

/// Stops the process until someone continues it: how upstart is told that the service is ready.
pub fn stop_self() {
    // SAFETY: raise takes a signal number; SIGSTOP runs no handler.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// How many files the process may have open.
///
/// # Errors
/// When the system does not tell.
pub fn file_limit() -> io::Result<u64> {
    Ok(file_limits()?.rlim_cur)
}

/// How far the limit of open files may be raised without privileges.
///
/// # Errors
/// When the system does not tell.
pub fn hard_file_limit() -> io::Result<u64> {
    Ok(file_limits()?.rlim_max)
}

fn file_limits() -> io::Result<libc::rlimit> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` is a valid rlimit to write to.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) } {
        0 => Ok(limits),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Raises the limit of open files to `wanted`; the hard limit too, when that is lower and the process may.
///
/// # Errors
/// When the system refuses.
pub fn raise_file_limit(wanted: u64) -> io::Result<()> {
    let mut limits = file_limits()?;
    limits.rlim_cur = wanted;
    limits.rlim_max = limits.rlim_max.max(wanted);
    // SAFETY: `limits` is a valid rlimit to read from.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks for no huge pages in this process, whatever the system's setting is.
///
/// # Errors
/// When the system cannot.
pub fn disable_huge_pages() -> io::Result<()> {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option of prctl takes numbers only.
    match unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A moment in the local time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    pub year: i32,
    /// 0 is January.
    pub month: usize,
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
}

/// The local time, `seconds` after the beginning of 1970 UTC.
pub fn local_time(seconds: u64) -> LocalTime {
    let seconds = seconds as libc::time_t;
    // SAFETY: all fields of tm are numbers or pointers for which zero is valid.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid objects of their types; the reentrant form writes nothing else.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    LocalTime {
        year: time.tm_year + 1900,
        month: usize::try_from(time.tm_mon).unwrap_or(0).min(11),
        day: time.tm_mday,
        hour: time.tm_hour,
        minute: time.tm_min,
        second: time.tm_sec,
    }
}

/// Replaces the command line that `ps` shows. Only the bytes of the original one are used: a longer title is cut.
/// From then on the process cannot read its own arguments any more.
///
/// # Errors
/// When the process may not write to itself.
pub fn set_title(title: &[u8]) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field, the name, is the only one with spaces; these are fields 48 and 49.
    let (_, fields) = stat.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
    let mut fields = fields.split(' ').skip(45).map(str::parse::<u64>);
    let (Some(Ok(start)), Some(Ok(end))) = (fields.next(), fields.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let size = usize::try_from(end.saturating_sub(start)).map_err(|_| io::ErrorKind::InvalidData)?;
    // The last byte stays NUL, so every argument still ends within the area.
    let mut area = vec![0; size];
    let length = title.len().min(size.saturating_sub(1));
    area[..length].copy_from_slice(&title[..length]);
    File::options().write(true).open("/proc/self/mem")?.write_all_at(&area, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_can_be_lowered_and_is_answered() {
        let limit = file_limit().unwrap();
        raise_file_limit(limit).unwrap();
        assert_eq!(file_limit().unwrap(), limit);
    }

    #[test]
    fn local_time_is_a_calendar_date() {
        let time = local_time(1_700_000_000);
        assert_eq!((time.year, time.month, time.second), (2023, 10, 20));
    }
}
