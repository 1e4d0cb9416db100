//! The sharded keyspace: locks, holds, execution and settling.

pub mod block;
pub mod exec;
pub mod hold;
mod lock;
pub mod news;
pub mod track;
mod watch;

pub use hold::{Hold, HoldOne, ShardData, Shards};
pub use lock::ShardLock;
pub use watch::WatchTable;
