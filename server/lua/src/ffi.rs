//! The functions of the Lua core that are used, as `core/lua.h` and `core/lauxlib.h` declare them.
//!
//! Functions marked (e) may raise a Lua error, that is, jump out over the caller's frames: they are called only where no
//! value with a destructor is alive. The others can only run out of memory, which [`crate::heap`] rules out while Rust
//! code runs.

use std::ffi::{c_char, c_int, c_void};

/// A Lua thread; its contents are the core's business.
#[repr(C)]
pub(crate) struct LuaState {
    _private: [u8; 0],
}

pub(crate) type CFunction = unsafe extern "C-unwind" fn(*mut LuaState) -> c_int;
pub(crate) type Alloc = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;
pub(crate) type Writer =
    unsafe extern "C-unwind" fn(*mut LuaState, *const c_void, usize, *mut c_void) -> c_int;
pub(crate) type Hook = unsafe extern "C-unwind" fn(*mut LuaState, *mut Debug);

pub(crate) const REGISTRY: c_int = -10000;
pub(crate) const GLOBALS: c_int = -10002;

pub(crate) const fn upvalue(index: c_int) -> c_int {
    GLOBALS - index
}

pub(crate) const MASK_COUNT: c_int = 1 << 3;

pub(crate) const GC_COLLECT: c_int = 2;

pub(crate) const TYPE_NONE: c_int = -1;
pub(crate) const TYPE_NIL: c_int = 0;
pub(crate) const TYPE_BOOLEAN: c_int = 1;
pub(crate) const TYPE_LIGHT_USERDATA: c_int = 2;
pub(crate) const TYPE_NUMBER: c_int = 3;
pub(crate) const TYPE_STRING: c_int = 4;
pub(crate) const TYPE_TABLE: c_int = 5;
pub(crate) const TYPE_FUNCTION: c_int = 6;

/// What `lua_getinfo` tells.
#[repr(C)]
pub(crate) struct Debug {
    pub event: c_int,
    pub name: *const c_char,
    pub name_what: *const c_char,
    pub what: *const c_char,
    pub source: *const c_char,
    pub current_line: c_int,
    pub upvalues: c_int,
    pub line_defined: c_int,
    pub last_line_defined: c_int,
    pub short_source: [c_char; 60],
    pub private: c_int,
}

unsafe extern "C-unwind" {
    pub(crate) fn lua_newstate(alloc: Alloc, data: *mut c_void) -> *mut LuaState;
    pub(crate) fn lua_close(l: *mut LuaState);
    pub(crate) fn lua_gettop(l: *mut LuaState) -> c_int;
    pub(crate) fn lua_settop(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_pushvalue(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_remove(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_insert(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_checkstack(l: *mut LuaState, size: c_int) -> c_int;
    pub(crate) fn lua_type(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_typename(l: *mut LuaState, kind: c_int) -> *const c_char;
    pub(crate) fn lua_tonumber(l: *mut LuaState, index: c_int) -> f64;
    pub(crate) fn lua_isnumber(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_toboolean(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_tolstring(l: *mut LuaState, index: c_int, len: *mut usize) -> *const c_char;
    pub(crate) fn lua_objlen(l: *mut LuaState, index: c_int) -> usize;
    pub(crate) fn lua_touserdata(l: *mut LuaState, index: c_int) -> *mut c_void;
    pub(crate) fn lua_topointer(l: *mut LuaState, index: c_int) -> *const c_void;
    pub(crate) fn lua_pushnil(l: *mut LuaState);
    pub(crate) fn lua_pushnumber(l: *mut LuaState, n: f64);
    pub(crate) fn lua_pushlstring(l: *mut LuaState, bytes: *const c_char, len: usize);
    pub(crate) fn lua_pushcclosure(l: *mut LuaState, function: CFunction, upvalues: c_int);
    pub(crate) fn lua_pushboolean(l: *mut LuaState, b: c_int);
    pub(crate) fn lua_pushlightuserdata(l: *mut LuaState, pointer: *mut c_void);
    pub(crate) fn lua_createtable(l: *mut LuaState, array: c_int, fields: c_int);
    pub(crate) fn lua_rawget(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_rawgeti(l: *mut LuaState, index: c_int, n: c_int);
    /// (e) where the table is read-only.
    pub(crate) fn lua_rawset(l: *mut LuaState, index: c_int);
    /// (e) where the table is read-only.
    pub(crate) fn lua_rawseti(l: *mut LuaState, index: c_int, n: c_int);
    pub(crate) fn lua_getmetatable(l: *mut LuaState, index: c_int) -> c_int;
    /// (e) where the table is read-only.
    pub(crate) fn lua_setmetatable(l: *mut LuaState, index: c_int) -> c_int;
    /// (e) where the key is none of the table.
    pub(crate) fn lua_next(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_concat(l: *mut LuaState, n: c_int);
    pub(crate) fn lua_setreadonly(l: *mut LuaState, index: c_int, readonly: c_int);
    pub(crate) fn lua_getreadonly(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_pcall(l: *mut LuaState, args: c_int, results: c_int, handler: c_int) -> c_int;
    pub(crate) fn lua_dump(l: *mut LuaState, writer: Writer, data: *mut c_void) -> c_int;
    pub(crate) fn lua_rawsetglobal(l: *mut LuaState, name: *const c_char, len: usize);
    pub(crate) fn lua_argument(
        l: *mut LuaState,
        index: c_int,
        bytes: *mut *const c_char,
        len: *mut usize,
        number: *mut f64,
    ) -> c_int;
    pub(crate) fn lua_addlstring(l: *mut LuaState, n: c_int, bytes: *const c_char, len: usize);
    pub(crate) fn lua_elements(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_hasfields(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_wanted(l: *mut LuaState) -> c_int;
    pub(crate) fn lua_gcrest(l: *mut LuaState, until: usize);
    pub(crate) fn lua_charge(l: *mut LuaState, instructions: usize);
    pub(crate) fn lua_gc(l: *mut LuaState, what: c_int, data: c_int) -> c_int;
    /// (e) always.
    pub(crate) fn lua_error(l: *mut LuaState) -> c_int;
    pub(crate) fn lua_sethook(l: *mut LuaState, hook: Option<Hook>, mask: c_int, count: c_int) -> c_int;
    pub(crate) fn lua_getstack(l: *mut LuaState, level: c_int, debug: *mut Debug) -> c_int;
    pub(crate) fn lua_getinfo(l: *mut LuaState, what: *const c_char, debug: *mut Debug) -> c_int;
    pub(crate) fn luaL_loadbuffer(
        l: *mut LuaState,
        text: *const c_char,
        len: usize,
        name: *const c_char,
    ) -> c_int;
    pub(crate) fn luaL_ref(l: *mut LuaState, table: c_int) -> c_int;
    pub(crate) fn luaL_unref(l: *mut LuaState, table: c_int, reference: c_int);
    pub(crate) fn luaL_where(l: *mut LuaState, level: c_int);
    /// (e) always.
    pub(crate) fn luaL_argerror(l: *mut LuaState, argument: c_int, text: *const c_char) -> c_int;
    pub(crate) fn luaopen_base(l: *mut LuaState) -> c_int;
    pub(crate) fn luaopen_table(l: *mut LuaState) -> c_int;
    pub(crate) fn luaopen_string(l: *mut LuaState) -> c_int;
    pub(crate) fn luaopen_math(l: *mut LuaState) -> c_int;
}
