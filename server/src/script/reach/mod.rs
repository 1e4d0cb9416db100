//! Which scripts are known to touch declared keys only, whatever they are called with: they need no right to take
//! further shards, so that they run beside each other.
//!
//! What is judged is not the text but what it was compiled to: names, scopes and the order of things are then settled.
//! For every function of the script, [`flow`] follows what its registers can hold: the table `KEYS`, one of its
//! elements, the table `redis`, its functions that call commands, functions of the script, constants, or anything else.
//! Every call of a command must name the command by a constant, and have elements of `KEYS` wherever that command has a
//! key ([`calls`]). `KEYS`, `redis` and what calls commands may be kept in local variables and given to functions of
//! the script, but nowhere else: not into tables, not to library functions, not out of a function. So nothing can
//! change `KEYS` or call a command behind this module's back. What it does not understand may touch anything, which
//! costs speed and nothing else.
//!
//! It relies on globals being read-only (`api.rs`), and on there being no way to them but by name: `_G`, `getfenv` and
//! code made at run time (`loadstring`) are among what it does not understand.

mod calls;
mod cells;
mod flow;

use crate::registry::Registry;
use flow::Program;
use tidegate_lua::bytecode::Prototype;

/// True when every key that a script compiled to this can touch is declared.
pub(super) fn is_confined(registry: &Registry, script: &Prototype) -> bool {
    Program::new(registry, script).is_some_and(Program::passes)
}

/// It cannot be told what the script touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unclear;

/// What a register can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// `nil` or a boolean: a command refuses it as an argument.
    Nothing,
    /// None of what follows but a constant, a key or a library function.
    Plain,
    /// This constant of the program.
    Constant(u16),
    /// An element of `KEYS`, or `nil`.
    Key,
    /// `KEYS`
    Keys,
    /// `redis`
    Redis,
    /// `redis.call` or `redis.pcall`
    Call,
    /// `pcall`
    Protect,
    /// `ipairs` or `pairs`
    Walk,
    /// `next`, or the like.
    Next,
    /// `unpack`
    Unpack,
    /// `type`
    Type,
    /// This function of the program.
    Function(u16),
    /// Any of these.
    Unknown,
}

impl Value {
    /// It is one of those that must stay in sight.
    fn is_guarded(self) -> bool {
        matches!(self, Value::Keys | Value::Redis | Value::Call | Value::Unknown)
    }

    /// What is either of both. The functions of the program that get lost on the way are told to `lost`.
    fn or(self, other: Self, mut lost: impl FnMut(u16)) -> Self {
        if self == other {
            return self;
        }
        for value in [self, other] {
            if let Value::Function(function) = value {
                lost(function);
            }
        }
        match (self, other) {
            (Value::Nothing, Value::Key) | (Value::Key, Value::Nothing) => Value::Key,
            _ if self.is_guarded() || other.is_guarded() => Value::Unknown,
            _ => Value::Plain,
        }
    }
}

#[cfg(test)]
mod tests;
