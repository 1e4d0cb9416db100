//! What the log says when the process crashes: the signal, the version, and the stack of the thread it hit.
//!
//! A handler of signals may do next to nothing: what it interrupted may hold any lock, that of the allocator too. So ours
//! only notes what happened and where, wakes a thread that was made for this, and waits until that has written the report, or
//! for [`PATIENCE_MS`] at most. Then the process ends as it would have without: by the same signal, with its core.
#![expect(unsafe_code, reason = "signal handlers and the stack of another thread are C's business")]

use std::ffi::c_void;
use std::fmt::Write as _;
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd as _;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use crate::registry::Entry;
use crate::running;
use crate::version::{COMMIT, REDIS_VERSION, TIDEGATE_VERSION};

/// Signals that end a process that does not handle them, because something is wrong with it.
const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Frames of the stack that are told.
const FRAMES_MAX: usize = 100;
/// How long the crashed thread waits for its report, in milliseconds.
const PATIENCE_MS: i64 = 10_000;

/// What is known of a crash. Written by the handler, which is why all of it is static and atomic.
struct Crash {
    /// Somebody has crashed; who comes second only waits.
    has_begun: AtomicBool,
    is_told: AtomicBool,
    signal: AtomicI32,
    code: AtomicI32,
    /// What could not be accessed.
    address: AtomicUsize,
    /// Who sent the signal, if somebody did.
    sender: AtomicI32,
    thread: AtomicI32,
    /// What it executed, what that called, and for whom.
    command: AtomicPtr<Entry>,
    inner: AtomicPtr<Entry>,
    client: AtomicU64,
    frames: [AtomicPtr<c_void>; FRAMES_MAX],
    frames_len: AtomicUsize,
    /// Where a byte wakes whoever writes the report.
    bell: AtomicI32,
    is_enabled: AtomicBool,
    /// `hide-user-data-from-log`
    hides_values: AtomicBool,
}

static CRASH: Crash = Crash {
    has_begun: AtomicBool::new(false),
    is_told: AtomicBool::new(false),
    signal: AtomicI32::new(0),
    code: AtomicI32::new(0),
    address: AtomicUsize::new(0),
    sender: AtomicI32::new(0),
    thread: AtomicI32::new(0),
    command: AtomicPtr::new(ptr::null_mut()),
    inner: AtomicPtr::new(ptr::null_mut()),
    client: AtomicU64::new(0),
    frames: [const { AtomicPtr::new(ptr::null_mut()) }; FRAMES_MAX],
    frames_len: AtomicUsize::new(0),
    bell: AtomicI32::new(-1),
    is_enabled: AtomicBool::new(false),
    hides_values: AtomicBool::new(false),
};

/// What the signals did before, in the order of [`SIGNALS`].
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// Whether crashes are reported: `crash-log-enabled`. The first time, everything is made ready. With `hides_values`
/// (`hide-user-data-from-log`), an assertion that failed is told of by where it stands alone: its text may show what it is about.
pub fn enable(is_enabled: bool, hides_values: bool) {
    CRASH.hides_values.store(hides_values, Relaxed);
    CRASH.is_enabled.store(is_enabled, Relaxed);
    if is_enabled
        && BEFORE.get().is_none()
        && let Err(error) = install()
    {
        tracing::warn!("Crashes will not be reported in the log: {error}");
    }
}

fn install() -> std::io::Result<()> {
    let (mut bell, ring) = std::io::pipe()?;
    std::thread::Builder::new().name("crash-report".to_owned()).spawn(move || {
        // An error means that there is nothing to wait for.
        if bell.read_exact(&mut [0]).is_ok() {
            tell();
            CRASH.is_told.store(true, SeqCst);
        }
    })?;
    // Kept for ever: a crash may come at any time.
    CRASH.bell.store(ring.into_raw_fd(), Relaxed);
    // What the first call makes ready is not to be made ready by a handler.
    note_frames();
    std::panic::set_hook(Box::new(|panic| {
        let text = match panic.location() {
            Some(place) if CRASH.hides_values.load(Relaxed) => format!("panicked at {place}: (redacted)"),
            _ => panic.to_string(),
        };
        eprintln!("thread '{}' {text}", std::thread::current().name().unwrap_or("?"));
        tracing::error!("=== ASSERTION FAILED ===");
        tracing::error!("==> {text}");
    }));
    BEFORE.get_or_init(|| SIGNALS.map(handle));
    Ok(())
}

/// Has a signal handled here; returns what was to happen before.
fn handle(signal: i32) -> libc::sigaction {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) = handler;
    // SAFETY: all-zero is a valid sigaction, both pointers are to live local variables, and the handler has the form that
    // SA_SIGINFO asks for. It does only what a handler may do.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        if signal == libc::SIGSEGV || signal == libc::SIGBUS {
            // The stack may be what has overflowed. Threads of Rust have another one for that.
            action.sa_flags |= libc::SA_ONSTACK;
        }
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, before.as_mut_ptr());
        before.assume_init()
    }
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo_t to handlers with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // Codes above 0 are of the kernel: the same instruction will do the same again.
    let is_fault = code > 0 && signal != libc::SIGABRT;
    if CRASH.is_enabled.load(Relaxed) {
        if CRASH.has_begun.swap(true, SeqCst) {
            wait();
        } else {
            CRASH.signal.store(signal, Relaxed);
            CRASH.code.store(code, Relaxed);
            // SAFETY: as above; the fields are those that the code says are there.
            unsafe {
                if is_fault {
                    CRASH.address.store((*info).si_addr() as usize, Relaxed);
                } else {
                    CRASH.sender.store((*info).si_pid(), Relaxed);
                }
                CRASH.thread.store(libc::gettid(), Relaxed);
            }
            note_command();
            note_frames();
            ring();
            wait();
        }
    }
    end(signal, is_fault);
}

fn note_command() {
    let running = running::now();
    let place = |entry: Option<&'static Entry>| {
        entry.map_or(ptr::null_mut(), |entry| ptr::from_ref(entry).cast_mut())
    };
    CRASH.command.store(place(running.command), Relaxed);
    CRASH.inner.store(place(running.inner), Relaxed);
    CRASH.client.store(running.client, Relaxed);
}

fn note_frames() {
    let mut len = 0;
    let note = |frame: &backtrace::Frame| {
        CRASH.frames[len].store(frame.ip(), Relaxed);
        len += 1;
        len < FRAMES_MAX
    };
    // SAFETY: nobody else walks a stack by this crate at the same time: it is called once before there are other threads, and
    // by the first handler only.
    unsafe { backtrace::trace_unsynchronized(note) };
    CRASH.frames_len.store(len, SeqCst);
}

fn ring() {
    let bell = CRASH.bell.load(Relaxed);
    // SAFETY: the pointer and the length describe a live array; the descriptor is never closed.
    unsafe { libc::write(bell, [1u8].as_ptr().cast(), 1) };
}

/// Waits for the report.
fn wait() {
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    for _ in 0..PATIENCE_MS / 10 {
        if CRASH.is_told.load(SeqCst) {
            return;
        }
        // SAFETY: the pointer is to a live local variable, and no answer is asked for.
        unsafe { libc::nanosleep(&raw const nap, ptr::null_mut()) };
    }
}

/// Lets the signal do what it did before there was a handler.
fn end(signal: i32, is_fault: bool) {
    let before = SIGNALS.iter().position(|known| *known == signal).zip(BEFORE.get());
    // SAFETY: the actions are ones that the system has given, or the default; sigaction and raise may be called in a handler.
    unsafe {
        match before {
            // Back at the instruction, what was there before sees the fault: Rust's own handler says that a stack overflowed.
            Some((index, before)) if is_fault => {
                libc::sigaction(signal, &raw const before[index], ptr::null_mut());
            }
            _ => {
                libc::signal(signal, libc::SIG_DFL);
                // Delivered when the handler returns.
                libc::raise(signal);
            }
        }
    }
}

/// Writes the report, in a thread of its own.
fn tell() {
    let Crash { signal, code, address, sender, thread, .. } = &CRASH;
    let [signal, code, thread] = [signal, code, thread].map(|number| number.load(SeqCst));
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    tracing::error!("=== TIDEGATE BUG REPORT START: Cut & paste starting from here ===");
    tracing::error!(
        "Tidegate {TIDEGATE_VERSION} (Redis {REDIS_VERSION}, commit {COMMIT}) crashed by signal: {signal}, si_code: {code}"
    );
    match sender.load(Relaxed) {
        0 if address.load(Relaxed) == 0 && signal == libc::SIGABRT => {}
        0 => tracing::error!("Accessing address: {:#x}", address.load(Relaxed)),
        sender if sender == std::process::id() as i32 => {}
        sender => tracing::error!("Sent by the process {sender}"),
    }
    tracing::error!("Thread: {} ({thread})", name.trim_end());
    if let Some(command) = command() {
        tracing::error!("Command: {command}");
    }
    tracing::error!(target: super::logging::RAW, "\n------ STACK TRACE ------\n{}", stack());
    tracing::error!("=== TIDEGATE BUG REPORT END. Make sure to include from START to END. ===");
}

/// The command that ran, for whom, and never what with.
fn command() -> Option<String> {
    let name = |entry: &AtomicPtr<Entry>| {
        // SAFETY: it is null, or was made from a reference to an entry that lives as long as the process and never changes.
        unsafe { entry.load(Relaxed).as_ref() }.map(|entry| entry.name.as_str())
    };
    let inner = name(&CRASH.inner).map(|inner| format!(" (in it: {inner})"));
    let client = CRASH.client.load(Relaxed);
    let inner = inner.unwrap_or_default();
    name(&CRASH.command).map(|command| format!("{command}{inner}, of the client with id={client}"))
}

/// The stack with the names of its functions, one frame per line.
fn stack() -> String {
    let frames = &CRASH.frames[..CRASH.frames_len.load(SeqCst)];
    let mut text = String::new();
    for frame in frames {
        let frame = frame.load(Relaxed);
        let mut is_known = false;
        backtrace::resolve(frame, |symbol| {
            is_known = true;
            let name = symbol.name().map_or_else(|| "?".to_owned(), |name| format!("{name:#}"));
            let _ = write!(text, "{frame:p} {name}");
            if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
                let _ = write!(text, " at {}:{line}", file.display());
            }
            text.push('\n');
        });
        if !is_known {
            let _ = writeln!(text, "{frame:p} ?");
        }
    }
    text
}

/// Crashes: `DEBUG SEGFAULT`.
pub fn segfault() {
    // SAFETY: neither has preconditions.
    unsafe {
        if BEFORE.get().is_none() {
            // Rust's own handler takes a signal that is no fault for none, and goes on.
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        }
        libc::raise(libc::SIGSEGV);
    }
}
