//! The values of a running function.
//!
//! Values lie on a stack. Positive indices count from the first argument, which is 1; negative ones from the top, which
//! is -1. An operation that needs a table raises an error where there is none, so that no misuse can break the core.

use crate::fault::Fault;
use crate::ffi::{self, LuaState};
use crate::heap::Heap;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

/// A Rust function that scripts can call: it takes its arguments from the frame, pushes its results and returns how many
/// these are.
pub type Function = fn(&mut Frame<'_>) -> Result<usize, Fault>;

/// An argument of a function, where only texts and numbers are of interest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument<'f> {
    /// The bytes of a string.
    Text(&'f [u8]),
    /// A number.
    Number(f64),
    /// Anything else, or no argument.
    Other,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such argument.
    None,
    /// `nil`
    Nil,
    /// `true` or `false`
    Boolean,
    /// A number, always a double.
    Number,
    /// Bytes.
    String,
    /// A table.
    Table,
    /// A function.
    Function,
    /// A coroutine, or something that is not Lua's.
    Other,
}

/// Where in a script something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the chunk, as it was compiled.
    pub source: Vec<u8>,
    /// The line, from 1; -1 where there is none.
    pub line: i32,
}

/// The values of a running function.
#[derive(Debug)]
pub struct Frame<'l> {
    l: *mut LuaState,
    heap: *mut Heap,
    _life: PhantomData<&'l mut ()>,
}

impl Frame<'_> {
    /// # Safety
    /// `l` is a live thread whose running function is the caller's, `heap` its state's; Lua does not run while the frame
    /// is used, and `heap.in_rust` is not 0.
    pub(crate) unsafe fn new(l: *mut LuaState, heap: *mut Heap) -> Self {
        Frame { l, heap, _life: PhantomData }
    }

    pub(crate) fn raw(&self) -> *mut LuaState {
        self.l
    }

    /// Number of values: at the start, of arguments.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: the thread is alive; this holds for every call of the core in this file.
        unsafe { ffi::lua_gettop(self.l) as usize }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the state occupies.
    pub fn used(&self) -> usize {
        // SAFETY: the heap lives as long as the state.
        unsafe { (*self.heap).used }
    }

    /// Which run of a script this is: a number that the next one does not have.
    pub fn run(&self) -> u32 {
        // SAFETY: the heap lives as long as the state.
        unsafe { (*self.heap).runs }
    }

    /// Bytes the script may still use.
    pub fn memory_left(&self) -> usize {
        // SAFETY: the heap lives as long as the state.
        unsafe { (*self.heap).limit.saturating_sub((*self.heap).used) }
    }

    /// What was done took as long as so many instructions: the host is asked that much earlier whether the script may go on.
    pub fn charge(&mut self, instructions: usize) {
        // SAFETY: the thread is alive; this changes a number and calls nothing.
        unsafe { ffi::lua_charge(self.l, instructions) }
    }

    /// Raises the error of a script that has used up its memory, if it has: for functions that build much.
    pub fn check_memory(&self) -> Result<(), Fault> {
        // SAFETY: the heap lives as long as the state.
        if unsafe { (*self.heap).is_over() } { Err(Fault::Memory) } else { Ok(()) }
    }

    /// A valid index of the core, or `None`: there is no such value.
    #[inline]
    pub(crate) fn at(&self, index: i32) -> Option<c_int> {
        let len = self.len() as i32;
        let is_there = if index > 0 { index <= len } else { index < 0 && -index <= len };
        is_there.then_some(index)
    }

    /// The type of the value at `index`.
    #[inline]
    pub fn kind(&self, index: i32) -> Kind {
        let Some(index) = self.at(index) else { return Kind::None };
        // SAFETY: the index is valid.
        match unsafe { ffi::lua_type(self.l, index) } {
            ffi::TYPE_NONE => Kind::None,
            ffi::TYPE_NIL => Kind::Nil,
            ffi::TYPE_BOOLEAN => Kind::Boolean,
            ffi::TYPE_NUMBER => Kind::Number,
            ffi::TYPE_STRING => Kind::String,
            ffi::TYPE_TABLE => Kind::Table,
            ffi::TYPE_FUNCTION => Kind::Function,
            _ => Kind::Other,
        }
    }

    /// The bytes of the string at `index`; `None` for anything else, numbers included.
    #[inline]
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        (self.kind(index) == Kind::String).then(|| self.string_at(index))
    }

    /// Argument `index`, from 1: [`Frame::bytes`] and [`Frame::number`] at once.
    #[inline]
    pub fn argument(&self, index: i32) -> Argument<'_> {
        let (mut bytes, mut len, mut number) = (ptr::null(), 0, 0.0);
        // SAFETY: the core takes any positive index for that of a value, or of none. A string's bytes stay where they are as
        // long as the frame is borrowed: see `string_at`.
        unsafe {
            let kind = ffi::lua_argument(self.l, index.max(1), &raw mut bytes, &raw mut len, &raw mut number);
            match kind {
                ffi::TYPE_STRING => Argument::Text(std::slice::from_raw_parts(bytes.cast(), len)),
                ffi::TYPE_NUMBER => Argument::Number(number),
                _ => Argument::Other,
            }
        }
    }

    /// Nobody takes the results of the running function: it is called as a statement.
    #[inline]
    pub fn is_statement(&self) -> bool {
        // SAFETY: the thread is alive, and a function of the core is running: a state's outermost one where no other is.
        unsafe { ffi::lua_wanted(self.l) == 0 }
    }

    /// The bytes of the string at `index`, or of the text of the number there, which becomes a string. Not for the keys of
    /// a table that is being walked.
    pub fn text(&mut self, index: i32) -> Option<&[u8]> {
        matches!(self.kind(index), Kind::String | Kind::Number).then(|| self.string_at(index))
    }

    fn string_at(&self, index: i32) -> &[u8] {
        let mut len = 0;
        // SAFETY: the value is a string or a number, so there is a pointer to `len` bytes. They do not move or go away
        // while the value is on the stack, and it stays there as long as the frame is borrowed.
        unsafe {
            let start = ffi::lua_tolstring(self.l, index, &raw mut len);
            std::slice::from_raw_parts(start.cast(), len)
        }
    }

    /// The number at `index`; `None` for anything else, strings included.
    #[inline]
    pub fn number(&self, index: i32) -> Option<f64> {
        // SAFETY: the index is valid, or the kind would be another.
        (self.kind(index) == Kind::Number).then(|| unsafe { ffi::lua_tonumber(self.l, index) })
    }

    /// The number at `index`, or the one that the string there spells.
    pub fn to_number(&self, index: i32) -> Option<f64> {
        let index = self.at(index)?;
        // SAFETY: the index is valid.
        unsafe { (ffi::lua_isnumber(self.l, index) != 0).then(|| ffi::lua_tonumber(self.l, index)) }
    }

    /// False for `nil`, `false` and what is not there.
    pub fn is_true(&self, index: i32) -> bool {
        // SAFETY: the index is valid.
        self.at(index).is_some_and(|index| unsafe { ffi::lua_toboolean(self.l, index) != 0 })
    }

    /// The length of a string or table at `index`, as the `#` operator gives it; 0 for anything else.
    pub fn length(&self, index: i32) -> usize {
        match self.kind(index) {
            // SAFETY: the index is valid.
            Kind::String | Kind::Table => unsafe { ffi::lua_objlen(self.l, index) },
            _ => 0,
        }
    }

    /// An identity of the table or function at `index`, for finding cycles. 0 for anything else.
    pub fn identity(&self, index: i32) -> usize {
        // SAFETY: the index is valid; it is only looked at as a number.
        self.at(index).map_or(0, |index| unsafe { ffi::lua_topointer(self.l, index) as usize })
    }

    /// Makes sure that `count` more values can be pushed.
    #[inline]
    pub(crate) fn room(&self, count: c_int) -> Result<(), Fault> {
        // SAFETY: the thread is alive.
        if unsafe { ffi::lua_checkstack(self.l, count) } == 0 { Err(Fault::Stack) } else { Ok(()) }
    }

    /// Pushes `nil`.
    pub fn push_nil(&mut self) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.l) };
        Ok(())
    }

    /// Pushes a boolean.
    pub fn push_boolean(&mut self, value: bool) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.l, c_int::from(value)) };
        Ok(())
    }

    /// Pushes a number.
    #[inline]
    pub fn push_number(&mut self, value: f64) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.l, value) };
        Ok(())
    }

    /// Pushes a string.
    #[inline]
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Fault> {
        let bytes = bytes.as_ref();
        self.room(1)?;
        // SAFETY: there is room; the core copies the bytes.
        unsafe { ffi::lua_pushlstring(self.l, bytes.as_ptr().cast(), bytes.len()) };
        Ok(())
    }

    /// Pushes a copy of the value at `index`.
    pub fn push_copy(&mut self, index: i32) -> Result<(), Fault> {
        let index = self.at(index).ok_or(Fault::Stack)?;
        self.room(1)?;
        // SAFETY: there is room, and the index is valid.
        unsafe { ffi::lua_pushvalue(self.l, index) };
        Ok(())
    }

    /// Pushes a new table with room for so many elements and fields. Room is only a hint: sizes that come from outside
    /// should be bounded by what is really there.
    pub fn push_table(&mut self, elements: usize, fields: usize) -> Result<(), Fault> {
        self.room(1)?;
        let most = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX).min(1 << 20);
        // SAFETY: there is room.
        unsafe { ffi::lua_createtable(self.l, most(elements), most(fields)) };
        Ok(())
    }

    /// Pushes a new array of strings.
    pub fn push_array<'v>(&mut self, values: impl ExactSizeIterator<Item = &'v [u8]>) -> Result<(), Fault> {
        self.push_table(values.len(), 0)?;
        self.room(1)?;
        for (n, value) in (1..).zip(values) {
            // SAFETY: there is room for a value, and the new table is on top.
            unsafe { ffi::lua_addlstring(self.l, n, value.as_ptr().cast(), value.len()) };
        }
        Ok(())
    }

    /// Sets element `n` of the table on top to a string.
    #[inline]
    pub fn add_text(&mut self, n: usize, text: &[u8]) -> Result<(), Fault> {
        self.writable(-1)?;
        self.room(1)?;
        let n = c_int::try_from(n).map_err(|_| Fault::Stack)?;
        // SAFETY: there is room for a value, and a table that can be written is on top.
        unsafe { ffi::lua_addlstring(self.l, n, text.as_ptr().cast(), text.len()) };
        Ok(())
    }

    /// Number of elements of the table at `index` up to the first hole. O(elements).
    pub fn elements(&self, index: i32) -> Result<usize, Fault> {
        let index = self.table(index)?;
        // SAFETY: there is a table.
        Ok(unsafe { ffi::lua_elements(self.l, index) } as usize)
    }

    /// False if the table at `index` surely has elements of an array only, and no field.
    pub fn has_fields(&self, index: i32) -> Result<bool, Fault> {
        let index = self.table(index)?;
        // SAFETY: there is a table.
        Ok(unsafe { ffi::lua_hasfields(self.l, index) } != 0)
    }

    /// Takes the value on top and makes it a global variable, though globals are read-only.
    pub fn set_global(&mut self, name: &str) -> Result<(), Fault> {
        self.at(-1).ok_or(Fault::Stack)?;
        self.room(1)?;
        // SAFETY: there are a value, and room for the name beside it.
        unsafe { ffi::lua_rawsetglobal(self.l, name.as_ptr().cast(), name.len()) };
        Ok(())
    }

    /// Pushes a function.
    pub fn push_function(&mut self, function: Function) -> Result<(), Fault> {
        self.room(2)?;
        // SAFETY: there is room; the trampoline takes exactly such a pointer from its upvalue.
        unsafe {
            ffi::lua_pushlightuserdata(self.l, function as *mut std::ffi::c_void);
            ffi::lua_pushcclosure(self.l, crate::call::plain, 1);
        }
        Ok(())
    }

    /// Pushes the function of the host with this number: see [`crate::Host::call`].
    pub fn push_host_function(&mut self, which: u8) -> Result<(), Fault> {
        self.room(2)?;
        // SAFETY: there is room; the trampoline takes exactly such a number from its upvalue.
        unsafe {
            ffi::lua_pushnumber(self.l, f64::from(which));
            ffi::lua_pushcclosure(self.l, crate::call::hosted, 1);
        }
        Ok(())
    }

    /// Pushes the table of global variables.
    pub fn push_globals(&mut self) -> Result<(), Fault> {
        self.room(1)?;
        // SAFETY: there is room, and the index is one of the core's own.
        unsafe { ffi::lua_pushvalue(self.l, ffi::GLOBALS) };
        Ok(())
    }

    /// Drops the `count` topmost values.
    pub fn pop(&mut self, count: usize) {
        let count = count.min(self.len()) as c_int;
        // SAFETY: so many values are there.
        unsafe { ffi::lua_settop(self.l, -count - 1) };
    }

    /// Drops all values but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            // SAFETY: fewer than there are.
            unsafe { ffi::lua_settop(self.l, len as c_int) };
        }
    }

    /// Drops the value at `index`; those above move down.
    pub fn remove(&mut self, index: i32) {
        if let Some(index) = self.at(index) {
            // SAFETY: the index is valid.
            unsafe { ffi::lua_remove(self.l, index) };
        }
    }

    /// Moves the topmost value to `index`; those from there on move up.
    pub fn insert(&mut self, index: i32) {
        if let Some(index) = self.at(index) {
            // SAFETY: the index is valid.
            unsafe { ffi::lua_insert(self.l, index) };
        }
    }

    #[inline]
    fn table(&self, index: i32) -> Result<c_int, Fault> {
        if self.kind(index) == Kind::Table { Ok(index) } else { Err(Fault::new("a table was expected")) }
    }

    fn writable(&self, index: i32) -> Result<c_int, Fault> {
        let index = self.table(index)?;
        // SAFETY: there is a table.
        if unsafe { ffi::lua_getreadonly(self.l, index) } != 0 {
            return Err(Fault::new("Attempt to modify a readonly table"));
        }
        Ok(index)
    }

    /// Replaces the key on top by its value in the table at `index`, without metamethods.
    pub fn raw_get(&mut self, index: i32) -> Result<(), Fault> {
        let index = self.table(index)?;
        // SAFETY: there is a table, and a table has no methods here, so nothing of Lua runs.
        unsafe { ffi::lua_rawget(self.l, index) };
        Ok(())
    }

    /// Pushes field `name` of the table at `index`, without metamethods.
    pub fn raw_field(&mut self, index: i32, name: &str) -> Result<(), Fault> {
        let index = self.absolute(index)?;
        self.push(name)?;
        self.raw_get(index)
    }

    /// Pushes element `n` of the table at `index`, without metamethods.
    pub fn raw_element(&mut self, index: i32, n: usize) -> Result<(), Fault> {
        let index = self.table(index)?;
        self.room(1)?;
        let n = c_int::try_from(n).map_err(|_| Fault::Stack)?;
        // SAFETY: there is a table, and room.
        unsafe { ffi::lua_rawgeti(self.l, index, n) };
        Ok(())
    }

    /// Takes a key and the value on top of it, and sets them in the table at `index`, without metamethods.
    pub fn raw_set(&mut self, index: i32) -> Result<(), Fault> {
        let index = self.writable(index)?;
        let is_key = match self.kind(-2) {
            Kind::Nil | Kind::None => false,
            Kind::Number => self.number(-2).is_some_and(|key| !key.is_nan()),
            _ => true,
        };
        if !is_key {
            return Err(Fault::new("table index is nil or NaN"));
        }
        // SAFETY: there is a table that can be written, and the key is one.
        unsafe { ffi::lua_rawset(self.l, index) };
        Ok(())
    }

    /// Takes the value on top and sets it as field `name` of the table at `index`, without metamethods.
    pub fn raw_set_field(&mut self, index: i32, name: &str) -> Result<(), Fault> {
        let index = self.absolute(index)?;
        self.push(name)?;
        self.insert(-2);
        self.raw_set(index)
    }

    /// Takes the value on top and sets it as element `n` of the table at `index`, without metamethods.
    #[inline]
    pub fn raw_set_element(&mut self, index: i32, n: usize) -> Result<(), Fault> {
        let index = self.writable(index)?;
        let n = c_int::try_from(n).map_err(|_| Fault::Stack)?;
        if self.len() < 2 {
            return Err(Fault::Stack);
        }
        // SAFETY: there is a table that can be written, and a value.
        unsafe { ffi::lua_rawseti(self.l, index, n) };
        Ok(())
    }

    /// Walks the table at `index`: replaces the key on top (at first `nil`) by the next key and its value. False at the
    /// end, when the key is gone. The key must be what the last step gave, and the table may not get new keys meanwhile.
    pub fn next(&mut self, index: i32) -> Result<bool, Fault> {
        let index = self.absolute(index)?;
        self.table(index)?;
        self.room(2)?;
        // A key that is not in the table makes the core jump.
        if !self.is_key_of(index) {
            return Err(Fault::new("invalid key to 'next'"));
        }
        // SAFETY: there is a table, room, and a key of it.
        Ok(unsafe { ffi::lua_next(self.l, index) } != 0)
    }

    /// The value on top is `nil` or a key of the table at `index`.
    fn is_key_of(&mut self, index: c_int) -> bool {
        if self.kind(-1) == Kind::Nil {
            return true;
        }
        // SAFETY: there is a table, room for two values was made, and no Lua code runs.
        unsafe {
            ffi::lua_pushvalue(self.l, -1);
            ffi::lua_rawget(self.l, index);
            let is_there = ffi::lua_type(self.l, -1) != ffi::TYPE_NIL;
            ffi::lua_settop(self.l, -2);
            is_there
        }
    }

    /// `index`, counted from the first value.
    pub fn absolute(&self, index: i32) -> Result<i32, Fault> {
        let index = self.at(index).ok_or(Fault::Stack)?;
        Ok(if index > 0 { index } else { self.len() as i32 + index + 1 })
    }

    /// Pushes the metatable of the value at `index`; false, and nothing is pushed, where there is none.
    pub fn push_metatable(&mut self, index: i32) -> Result<bool, Fault> {
        let Some(index) = self.at(index) else { return Ok(false) };
        self.room(1)?;
        // SAFETY: the index is valid, and there is room.
        Ok(unsafe { ffi::lua_getmetatable(self.l, index) } != 0)
    }

    /// Takes a table from the top and makes it the metatable of the table at `index`.
    pub fn set_metatable(&mut self, index: i32) -> Result<(), Fault> {
        let index = self.absolute(self.writable(index)?)?;
        self.table(-1)?;
        // SAFETY: there are two tables.
        unsafe { ffi::lua_setmetatable(self.l, index) };
        Ok(())
    }

    /// Whether assignments to the table at `index` fail from now on.
    pub fn set_readonly(&mut self, index: i32, readonly: bool) -> Result<(), Fault> {
        let index = self.table(index)?;
        // SAFETY: there is a table.
        unsafe { ffi::lua_setreadonly(self.l, index, c_int::from(readonly)) };
        Ok(())
    }

    /// True when assignments to the table at `index` fail.
    pub fn is_readonly(&self, index: i32) -> bool {
        // SAFETY: there is a table.
        self.table(index).is_ok_and(|index| unsafe { ffi::lua_getreadonly(self.l, index) != 0 })
    }

    /// Where the function `level` calls up is; 1 is who called the running one. `None` beyond the outermost; `Err` for a
    /// function that is not written in Lua.
    pub fn place(&self, level: i32) -> Option<Result<Place, ()>> {
        // SAFETY: a structure of numbers and pointers, all of which may be zero.
        let mut debug: ffi::Debug = unsafe { std::mem::zeroed() };
        // SAFETY: the core fills the structure in; the texts it points to belong to the function that is running.
        unsafe {
            if ffi::lua_getstack(self.l, level, &raw mut debug) == 0 {
                return None;
            }
            if ffi::lua_getinfo(self.l, c"Sl".as_ptr(), &raw mut debug) == 0 {
                return None;
            }
            if CStr::from_ptr(debug.what) == c"C" {
                return Some(Err(()));
            }
            let source = CStr::from_ptr(debug.source).to_bytes().to_vec();
            Some(Ok(Place { source, line: debug.current_line }))
        }
    }
}
