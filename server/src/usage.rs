//! What the process uses of the machine besides memory: processor time, and what the machine is.
#![expect(unsafe_code, reason = "getrusage and uname are C functions")]

/// Whose processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This process.
    Process,
    /// Its finished children.
    Children,
    /// The calling thread.
    Thread,
}

/// Processor time in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the kernel.
    pub system_us: u64,
    /// Outside of it.
    pub user_us: u64,
}

/// The processor time used so far.
pub fn cpu_time(whose: Whose) -> CpuTime {
    let whose = match whose {
        Whose::Process => libc::RUSAGE_SELF,
        Whose::Children => libc::RUSAGE_CHILDREN,
        Whose::Thread => libc::RUSAGE_THREAD,
    };
    // SAFETY: all-zero is a valid rusage, and the pointer is to a live local variable.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(whose, &raw mut usage) != 0 {
            return CpuTime::default();
        }
        usage
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    CpuTime { system_us: micros(usage.ru_stime), user_us: micros(usage.ru_utime) }
}

/// Kernel name, release and machine, as `uname` prints them.
pub fn system_name() -> String {
    // SAFETY: all-zero is a valid utsname, and the pointer is to a live local variable.
    let name = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        if libc::uname(&raw mut name) != 0 {
            return "unknown".into();
        }
        name
    };
    let text = |field: &[libc::c_char]| -> String {
        field.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte as u8)).collect()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_passes() {
        let before = cpu_time(Whose::Thread);
        let mut sum = 0u64;
        while cpu_time(Whose::Thread) == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time(Whose::Process).user_us + cpu_time(Whose::Process).system_us > 0);
    }

    #[test]
    fn the_kernel_has_a_name() {
        assert!(system_name().starts_with("Linux "));
    }
}
