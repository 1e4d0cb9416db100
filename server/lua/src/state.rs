//! One interpreter.

use crate::bytecode::{self, Prototype};
use crate::call::{self, c_name};
use crate::fault::Fault;
use crate::ffi::{self, LuaState};
use crate::frame::{Frame, Kind};
use crate::heap::{Heap, allocate};
use crate::host::{Host, Stop};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Instructions between two looks at the clock: about half a millisecond.
const INTERVAL: i32 = 50_000;
/// The collector rests until so many bytes are in use: it would walk through all libraries for a few dozen strings.
const GC_REST: usize = 64 << 10;
/// A state that occupies more than this after a script, in bytes, and twice what was left of it the last time, is
/// collected at once.
const KEPT: usize = 8 << 20;

/// A script that was compiled by one state, and belongs to it.
#[derive(Debug)]
pub struct Compiled(c_int);

/// Why a script failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It raised an error that nobody caught.
    Error {
        /// Its text, code included: `ERR ...`.
        text: Vec<u8>,
        /// Where: the chunk's name and the line.
        place: Option<(Vec<u8>, Vec<u8>)>,
        /// The error was counted where it came from.
        is_counted: bool,
    },
    /// It used up its memory, or the error had no text.
    Broken(Vec<u8>),
    /// It was ended.
    Stopped(Stop),
}

/// An interpreter with the libraries that do nothing but compute: `string`, `table`, `math`, `coroutine` and the basic
/// functions. Not one of them reaches a file, a process or the machine.
pub struct State {
    l: NonNull<LuaState>,
    heap: *mut Heap,
    /// The reference to the handler of errors.
    handler: c_int,
    /// Bytes from which it is collected at once.
    kept: usize,
    /// A state stays on its thread.
    _local: PhantomData<*mut ()>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("used", &self.used()).finish_non_exhaustive()
    }
}

impl State {
    /// A fresh interpreter whose scripts may use `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let heap = Box::into_raw(Box::new(Heap::new(limit, INTERVAL)));
        // SAFETY: the allocator gets the heap it expects; the libraries are opened by functions of the core, with room on
        // a fresh stack. Nothing can fail: while `in_rust` is not 0, memory does not run out.
        unsafe {
            let l = ffi::lua_newstate(allocate, heap.cast());
            let l = NonNull::new(l).expect("memory does not run out while Rust code runs");
            for (name, open) in [
                ("", ffi::luaopen_base as ffi::CFunction),
                ("table", ffi::luaopen_table),
                ("string", ffi::luaopen_string),
                ("math", ffi::luaopen_math),
            ] {
                ffi::lua_pushcclosure(l.as_ptr(), open, 0);
                ffi::lua_pushlstring(l.as_ptr(), name.as_ptr().cast(), name.len());
                let status = ffi::lua_pcall(l.as_ptr(), 1, 0, 0);
                assert!(status == 0, "the core's libraries open");
            }
            ffi::lua_sethook(l.as_ptr(), Some(call::hook), ffi::MASK_COUNT, (*heap).interval);
            ffi::lua_pushcclosure(l.as_ptr(), call::error_handler, 0);
            let handler = ffi::luaL_ref(l.as_ptr(), ffi::REGISTRY);
            State { l, heap, handler, kept: KEPT, _local: PhantomData }
        }
    }

    /// Bytes it occupies.
    pub fn used(&self) -> usize {
        // SAFETY: the heap lives as long as the state.
        unsafe { (*self.heap).used }
    }

    /// Scripts may use so many bytes from now on.
    pub fn set_limit(&mut self, limit: usize) {
        // SAFETY: as above.
        unsafe { (*self.heap).limit = limit };
    }

    /// Looks at or changes the state outside of scripts; what is left on the frame is dropped.
    pub fn with<R>(&mut self, act: impl FnOnce(&mut Frame<'_>) -> Result<R, Fault>) -> Result<R, Fault> {
        // SAFETY: no script runs (`&mut self`), and `in_rust` is not 0 outside of scripts.
        unsafe {
            let top = ffi::lua_gettop(self.l.as_ptr());
            debug_assert_eq!(top, 0, "everything cleans up behind itself");
            let mut frame = Frame::new(self.l.as_ptr(), self.heap);
            let result = act(&mut frame);
            ffi::lua_settop(self.l.as_ptr(), 0);
            result
        }
    }

    /// Compiles a script. `name` is what errors call it, after an `@`. The error is a text of the compiler.
    pub fn compile(&mut self, text: &[u8], name: &str) -> Result<Compiled, Vec<u8>> {
        let name = c_name(name);
        // SAFETY: compiling is protected by the core; the one value it leaves is taken off again. What it allocates counts.
        unsafe {
            let l = self.l.as_ptr();
            (*self.heap).in_rust -= 1;
            let status = ffi::luaL_loadbuffer(l, text.as_ptr().cast(), text.len(), name.as_ptr());
            (*self.heap).in_rust += 1;
            if status != 0 {
                let frame = Frame::new(l, self.heap);
                let message = frame.bytes(-1).unwrap_or(b"not enough memory").to_vec();
                ffi::lua_settop(l, 0);
                self.collect();
                return Err(message);
            }
            Ok(Compiled(ffi::luaL_ref(l, ffi::REGISTRY)))
        }
    }

    /// What a script was compiled to.
    pub fn prototype(&self, script: &Compiled) -> Option<Prototype> {
        let mut dumped = Vec::new();
        // SAFETY: no script runs, a fresh stack has room for the function, and `append` gets the vector it expects.
        let status = unsafe {
            ffi::lua_rawgeti(self.l.as_ptr(), ffi::REGISTRY, script.0);
            let status = ffi::lua_dump(self.l.as_ptr(), append, (&raw mut dumped).cast());
            ffi::lua_settop(self.l.as_ptr(), 0);
            status
        };
        (status == 0).then(|| bytecode::read(&dumped)).flatten()
    }

    /// Takes the function on top of `frame` to be called later.
    pub fn keep(frame: &mut Frame<'_>) -> Result<Compiled, Fault> {
        if frame.kind(-1) != Kind::Function {
            return Err(Fault::new("a function was expected"));
        }
        // SAFETY: there is a value to take, and the registry is a table that can be written.
        Ok(Compiled(unsafe { ffi::luaL_ref(frame.raw(), ffi::REGISTRY) }))
    }

    /// Forgets a script.
    #[expect(clippy::needless_pass_by_value, reason = "it is of no use afterwards")]
    pub fn forget(&mut self, script: Compiled) {
        // SAFETY: the reference was made by this state, and is given back once.
        unsafe { ffi::luaL_unref(self.l.as_ptr(), ffi::REGISTRY, script.0) };
    }

    /// Runs a script. `arguments` pushes what it is called with and returns how many these are; `results` looks at the one
    /// value it returns. Both may use what they find of the state; the script alone is bound by limits.
    pub fn call<H: Host, R>(
        &mut self,
        host: &mut H,
        script: &Compiled,
        arguments: impl FnOnce(&mut Frame<'_>) -> Result<usize, Fault>,
        results: impl FnOnce(&mut H, &mut Frame<'_>) -> R,
    ) -> Result<R, Failure> {
        let l = self.l.as_ptr();
        // The handler, the script, its arguments.
        // SAFETY: no script runs, and a fresh stack has room for this.
        let mut frame = unsafe {
            ffi::lua_rawgeti(l, ffi::REGISTRY, self.handler);
            ffi::lua_rawgeti(l, ffi::REGISTRY, script.0);
            Frame::new(l, self.heap)
        };
        let args = match arguments(&mut frame) {
            Ok(args) if args + 2 == frame.len() => args,
            _ => {
                frame.truncate(0);
                return Err(Failure::Broken(b"stack overflow".to_vec()));
            }
        };
        let erased: NonNull<dyn Host + '_> = NonNull::from(&mut *host);
        // SAFETY: the pointer is taken out of the heap again below, before `host` can be used in another way. The call is
        // protected by the core: whatever is raised ends there.
        let status = unsafe {
            let erased = std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host>>(erased);
            (*self.heap).host = Some(erased);
            (*self.heap).stop = None;
            (*self.heap).in_rust -= 1;
            let status = ffi::lua_pcall(l, args as c_int, 1, 1);
            (*self.heap).in_rust = 1;
            (*self.heap).host = None;
            status
        };
        // SAFETY: as above.
        let stop = unsafe { (*self.heap).stop.take() };
        if stop.is_some() {
            // SAFETY: every instruction was asked about since the script was stopped.
            unsafe { ffi::lua_sethook(l, Some(call::hook), ffi::MASK_COUNT, (*self.heap).interval) };
        }
        // SAFETY: no script runs any more; the result or the error lies on the handler.
        let mut frame = unsafe { Frame::new(l, self.heap) };
        let outcome = match (status, stop) {
            (0, _) => Ok(results(host, &mut frame)),
            (_, Some(stop)) => Err(Failure::Stopped(stop)),
            _ => Err(failure(&mut frame)),
        };
        // SAFETY: everything above the bottom of the stack is dropped.
        unsafe { ffi::lua_settop(l, 0) };
        self.tidy();
        outcome
    }

    /// Collects everything that is not used.
    pub fn collect(&mut self) {
        // SAFETY: no script runs, and no value has a finalizer.
        unsafe { ffi::lua_gc(self.l.as_ptr(), ffi::GC_COLLECT, 0) };
    }

    /// The collector works on while scripts run, but not for little; what a script leaves behind in large it takes at once.
    fn tidy(&mut self) {
        // SAFETY: the heap lives as long as the state.
        unsafe { (*self.heap).runs = (*self.heap).runs.wrapping_add(1) };
        if self.used() > self.kept {
            self.collect();
            self.kept = KEPT.max(2 * self.used());
        } else {
            // SAFETY: no script runs.
            unsafe { ffi::lua_gcrest(self.l.as_ptr(), GC_REST) };
        }
    }
}

/// Appends what is dumped to a vector.
///
/// # Safety
/// `data` is a `Vec<u8>` that nobody else uses, and there are `len` bytes at `bytes`.
unsafe extern "C-unwind" fn append(
    _: *mut LuaState,
    bytes: *const c_void,
    len: usize,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the caller vouches for it; where there are no bytes, there may be no pointer.
    unsafe {
        if len > 0 {
            (*data.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), len));
        }
    }
    0
}

/// What the error on top says.
fn failure(frame: &mut Frame<'_>) -> Failure {
    let at = frame.len() as i32;
    if frame.kind(at) != Kind::Table {
        return Failure::Broken(frame.text(at).unwrap_or(b"execution failure").to_vec());
    }
    let mut field = |name: &str| {
        let text = frame.raw_field(at, name).ok().and_then(|()| frame.text(-1).map(<[u8]>::to_vec));
        frame.truncate(at as usize);
        text
    };
    let (text, source, line) = (field("err"), field("source"), field("line"));
    let is_counted = frame.raw_field(at, "ignore_error_stats_update").is_ok() && frame.is_true(-1);
    Failure::Error {
        text: text.unwrap_or_else(|| b"ERR unknown error".to_vec()),
        place: source.zip(line),
        is_counted,
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: the state is closed once, and nothing of it is used afterwards; its memory is the heap's.
        unsafe {
            ffi::lua_close(self.l.as_ptr());
            drop(Box::from_raw(self.heap));
        }
    }
}

#[cfg(test)]
mod tests;
