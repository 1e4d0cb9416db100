//! Values that libraries need besides the usual ones: a null, and functions that remember something.

use crate::fault::Fault;
use crate::ffi::{self, Debug, LuaState};
use crate::frame::{Frame, Function};
use std::ffi::{CStr, c_int};
use std::ptr;

/// What the core calls the type of the value at `index`, which need not be there.
///
/// # Safety
/// `l` is a live thread, `index` positive.
pub(crate) unsafe fn type_name(l: *mut LuaState, index: c_int) -> &'static str {
    // SAFETY: the caller vouches for it; the names are constants of the core.
    unsafe { CStr::from_ptr(ffi::lua_typename(l, ffi::lua_type(l, index))).to_str().unwrap_or_default() }
}

impl Frame<'_> {
    /// What errors call the type of the value at `index`: `no value` where there is none.
    pub fn type_name(&self, index: i32) -> &'static str {
        match self.at(index) {
            // SAFETY: the thread is alive, and the index valid.
            Some(index) => unsafe { type_name(self.raw(), index) },
            None => "no value",
        }
    }

    /// Pushes a value that is not `nil`, but stands for nothing, where a table cannot hold a `nil`.
    pub fn push_null(&mut self) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.raw(), ptr::null_mut()) };
        Ok(())
    }

    /// True for what [`Frame::push_null`] pushes.
    pub fn is_null(&self, index: i32) -> bool {
        self.at(index).is_some_and(|index| {
            // SAFETY: the index is valid.
            unsafe {
                ffi::lua_type(self.raw(), index) == ffi::TYPE_LIGHT_USERDATA
                    && ffi::lua_touserdata(self.raw(), index).is_null()
            }
        })
    }

    /// Takes the value on top and pushes a function that remembers it: see [`Frame::push_remembered`].
    pub fn push_closure(&mut self, function: Function) -> Result<(), Fault> {
        self.at(-1).ok_or(Fault::Stack)?;
        self.room(2)?;
        // SAFETY: there are a value and room; the trampoline takes exactly such a pointer from its first upvalue.
        unsafe {
            ffi::lua_pushlightuserdata(self.raw(), function as *mut std::ffi::c_void);
            ffi::lua_insert(self.raw(), -2);
            ffi::lua_pushcclosure(self.raw(), crate::call::plain, 2);
        }
        Ok(())
    }

    /// Pushes what the running function remembers, or `nil`.
    pub fn push_remembered(&mut self) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: a structure of numbers and pointers, all of which may be zero.
        let mut debug: Debug = unsafe { std::mem::zeroed() };
        // SAFETY: there is room. Outside of any function there are no upvalues to look for; a function that has none is
        // known to the core as such.
        unsafe {
            if ffi::lua_getstack(self.raw(), 0, &raw mut debug) == 0 {
                ffi::lua_pushnil(self.raw());
            } else {
                ffi::lua_pushvalue(self.raw(), ffi::upvalue(2));
            }
        }
        Ok(())
    }
}
