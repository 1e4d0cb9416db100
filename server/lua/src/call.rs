//! The way from Lua into Rust functions: where faults become errors.

use crate::fault::Fault;
use crate::ffi::{self, Debug, LuaState};
use crate::frame::{Frame, Function};
use crate::heap::{Heap, allocate};
use crate::values::type_name;
use std::ffi::{CString, c_int, c_void};
use std::ptr;

unsafe extern "C-unwind" {
    fn lua_getallocf(l: *mut LuaState, data: *mut *mut c_void) -> Option<ffi::Alloc>;
}

/// The heap of a thread's state.
///
/// # Safety
/// `l` is a live thread of a state made by [`crate::State`].
unsafe fn heap_of(l: *mut LuaState) -> *mut Heap {
    let mut data = ptr::null_mut();
    // SAFETY: the thread is alive, and every state was made with a heap.
    unsafe {
        let function = lua_getallocf(l, &raw mut data);
        debug_assert!(function.is_some_and(|function| ptr::fn_addr_eq(function, allocate as ffi::Alloc)));
    }
    data.cast()
}

/// What is left to do once nothing with a destructor is alive.
#[derive(Clone, Copy)]
enum Raise {
    /// Return so many results.
    Return(c_int),
    /// Raise the value on top.
    Top,
    /// `luaL_argerror` with the text on top.
    Argument(c_int),
}

/// Runs `function` and puts the value of an error on the stack.
///
/// # Safety
/// As for [`Frame::new`].
unsafe fn run(
    l: *mut LuaState,
    heap: *mut Heap,
    function: impl FnOnce(&mut Frame<'_>) -> Result<usize, Fault>,
) -> Raise {
    // SAFETY: the caller vouches for it; `in_rust` is raised for as long as the frame is used.
    unsafe {
        (*heap).in_rust += 1;
        let mut frame = Frame::new(l, heap);
        let outcome = function(&mut frame).and_then(|results| {
            debug_assert!(results <= frame.len(), "results are on the stack");
            frame.check_memory().map(|()| Raise::Return(results.min(frame.len()) as c_int))
        });
        let raise = match outcome {
            Ok(raise) => raise,
            Err(fault) => prepare(l, fault),
        };
        (*heap).in_rust -= 1;
        raise
    }
}

/// Puts what is raised on the stack.
///
/// # Safety
/// As for [`Frame::new`].
unsafe fn prepare(l: *mut LuaState, fault: Fault) -> Raise {
    // SAFETY: a function of the core has room for at least twenty values of its own, which its arguments do not take; one
    // that has filled all of it fails with `Fault::Stack`, and gives its values up first.
    unsafe {
        // What the wrong argument is can only be said as long as it is there.
        let fault = match fault {
            Fault::Type(argument, expected) => {
                let found = type_name(l, argument as c_int);
                Fault::argument(argument, format!("{expected} expected, got {found}"))
            }
            fault => fault,
        };
        if fault != Fault::Value {
            ffi::lua_settop(l, 0);
        }
        let push = |text: &[u8]| ffi::lua_pushlstring(l, text.as_ptr().cast(), text.len());
        let located = |text: &[u8]| {
            ffi::luaL_where(l, 1);
            push(text);
            ffi::lua_concat(l, 2);
            Raise::Top
        };
        match fault {
            Fault::Text(text) => located(&text),
            Fault::Bare(text) => {
                push(&text);
                Raise::Top
            }
            // A wrong type is an argument's fault by now.
            Fault::Value | Fault::Type(..) => Raise::Top,
            Fault::Memory => {
                push(b"not enough memory");
                Raise::Top
            }
            Fault::Stack => located(b"stack overflow"),
            Fault::Argument(argument, text) => {
                push(text.as_bytes());
                Raise::Argument(argument as c_int)
            }
            Fault::Refused(argument, text) => {
                push(&text);
                Raise::Argument(argument as c_int)
            }
        }
    }
}

/// Returns to Lua, or jumps out.
///
/// # Safety
/// Nothing with a destructor is alive in the caller; the stack is as `raise` says.
unsafe fn finish(l: *mut LuaState, raise: Raise) -> c_int {
    // SAFETY: the caller vouches for it; the text of an argument's error is a string on the stack.
    unsafe {
        match raise {
            Raise::Return(results) => results,
            Raise::Top => ffi::lua_error(l),
            Raise::Argument(argument) => {
                ffi::luaL_argerror(l, argument, ffi::lua_tolstring(l, -1, ptr::null_mut()))
            }
        }
    }
}

/// Calls the [`Function`] in its first upvalue.
///
/// # Safety
/// Only the core calls this, as the function of a closure made by [`Frame::push_function`].
pub(crate) unsafe extern "C-unwind" fn plain(l: *mut LuaState) -> c_int {
    // SAFETY: the closure was made with such a pointer, and scripts cannot reach upvalues of closures.
    unsafe {
        let pointer = ffi::lua_touserdata(l, ffi::upvalue(1));
        let function = std::mem::transmute::<*mut c_void, Function>(pointer);
        let raise = run(l, heap_of(l), function);
        finish(l, raise)
    }
}

/// Calls the host with the number in the first upvalue.
///
/// # Safety
/// Only the core calls this, as the function of a closure made by [`Frame::push_host_function`].
pub(crate) unsafe extern "C-unwind" fn hosted(l: *mut LuaState) -> c_int {
    // SAFETY: the closure was made with such a number; the host outlives the script (see `State::call`), and taking it
    // out of the heap makes this the only way to it.
    unsafe {
        let which = ffi::lua_tonumber(l, ffi::upvalue(1)) as u8;
        let heap = heap_of(l);
        let raise = run(l, heap, |frame| {
            let Some(mut host) = (*heap).host.take() else {
                return Err(Fault::new("this function can only be called inside a script invocation"));
            };
            let outcome = host.as_mut().call(which, frame);
            (*heap).host = Some(host);
            outcome
        });
        finish(l, raise)
    }
}

/// Asks the host whether the script may go on.
///
/// # Safety
/// Only the core calls this.
pub(crate) unsafe extern "C-unwind" fn hook(l: *mut LuaState, _: *mut Debug) {
    // SAFETY: as in `hosted`. When the script is to end, every instruction asks again, so that it cannot go on by catching
    // the error.
    unsafe {
        let heap = heap_of(l);
        if (*heap).stop.is_none()
            && let Some(mut host) = (*heap).host.take()
        {
            (*heap).in_rust += 1;
            let stop = host.as_mut().interrupt();
            (*heap).in_rust -= 1;
            (*heap).host = Some(host);
            (*heap).stop = stop;
        }
        if let Some(text) = (*heap).stop.as_ref().map(|stop| stop.0) {
            ffi::lua_sethook(l, Some(hook), ffi::MASK_COUNT, 1);
            (*heap).in_rust += 1;
            ffi::lua_createtable(l, 0, 3);
            for part in [&b"err"[..], text.as_bytes()] {
                ffi::lua_pushlstring(l, part.as_ptr().cast(), part.len());
            }
            ffi::lua_rawset(l, -3);
            (*heap).in_rust -= 1;
            ffi::lua_error(l);
        }
    }
}

/// The handler of errors in scripts: makes a table of every error, with its text as `err`, and where it happened as
/// `source` and `line`.
///
/// # Safety
/// Only the core calls this.
pub(crate) unsafe extern "C-unwind" fn error_handler(l: *mut LuaState) -> c_int {
    // SAFETY: as in `plain`.
    unsafe {
        let raise = run(l, heap_of(l), describe);
        match raise {
            Raise::Return(results) => results,
            // An error within the handler would be another error: the first one is what counts.
            _ => 1,
        }
    }
}

fn describe(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    use crate::frame::Kind;
    frame.truncate(1);
    if frame.kind(1) != Kind::Table || frame.is_readonly(1) {
        let mut text = b"ERR ".to_vec();
        match frame.text(1) {
            Some(message) => text.extend_from_slice(message),
            None => text.extend_from_slice(match frame.kind(1) {
                Kind::Nil | Kind::None => b"nil",
                Kind::Boolean if frame.is_true(1) => b"true",
                Kind::Boolean => b"false",
                Kind::Table => b"table",
                _ => b"function",
            }),
        }
        frame.push_table(0, 3)?;
        frame.push(&text)?;
        frame.raw_set_field(2, "err")?;
        frame.remove(1);
    }
    let place = match frame.place(1) {
        Some(Ok(place)) => Some(place),
        // A library function: what matters is who called it.
        Some(Err(())) => frame.place(2).and_then(Result::ok),
        None => None,
    };
    if let Some(place) = place {
        frame.push(&place.source)?;
        frame.raw_set_field(1, "source")?;
        frame.push_number(place.line.into())?;
        frame.raw_set_field(1, "line")?;
    }
    Ok(1)
}

/// A name for the core, which wants it to end with a zero.
pub(crate) fn c_name(name: &str) -> CString {
    CString::new(name.replace('\0', "")).unwrap_or_default()
}
