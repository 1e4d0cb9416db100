//! The versions this server answers with.

/// The Redis version whose behaviour is matched; what INFO, HELLO and `--version` claim.
pub const REDIS_VERSION: &str = "7.0.15";

/// Tidegate's own version.
pub const TIDEGATE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The allocator, the way Redis names its own.
pub const ALLOCATOR: &str = if cfg!(feature = "jemalloc") {
    "jemalloc-5.3.0"
} else if cfg!(feature = "mimalloc") {
    "mimalloc-2"
} else {
    "libc"
};
