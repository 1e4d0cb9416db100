//! What a command *is*: its declaration, its arguments, its reply, its outcome.
//!
//! Nothing here knows a socket, a shard, a thread or a file. The server builds a [`Ctx`], an [`Args`] and a
//! [`Reply`] around a request, calls the handler, and settles the [`Outcome`].

mod args;
pub mod check;
mod command;
mod ctx;
mod error;
mod keyspec;
mod long_double;
mod native;
mod number;
mod outcome;
mod reply;
mod sketches;
mod syntax;
mod wait;

pub use args::{Args, RoutedKey, Span, StoredRequest};
pub use command::{
    Acl, Command, Family, Flag, Flags, Group, Handler, Judge, KeyFinder, Scope, Tip, command, container,
    family,
};
pub use ctx::{Ctx, Env, Limits, Rng};
pub use error::Error;
pub use keyspec::{BeginSearch, FindKeys, KeyFlags, KeyPosition, KeySpec};
pub use long_double::LongDouble;
pub use native::{Books, Clocks, NativeTurn};
pub use number::{NumberText, format_double, format_double_17, parse_bound, parse_double, parse_i64};
pub(crate) use outcome::Words;
pub use outcome::{Effects, Outcome};
pub(crate) use reply::Backwards;
pub use reply::{Opening, Protocol, Reply};
pub use sketches::SketchSettings;
pub use syntax::{Argument, ArgumentKind, SyntaxError, arguments};
pub use tidegate_data::Encodings;
pub use wait::{Awaited, Line, Null, Wait, deadline_of_block, deadline_of_millis, deadline_of_seconds};
