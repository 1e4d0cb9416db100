//! The sharded keyspace: locks, holds, execution and settling.

pub mod block;
pub mod exec;
pub mod hold;
mod lock;
pub mod news;
pub mod track;
mod watch;

pub use hold::{Hold, HoldOne, Roam, ShardData, Shards};
pub use lock::{ShardLock, set_meanwhile, set_send};
pub use watch::WatchTable;
