//! The versions this server answers with.

/// The Redis version whose behaviour is matched; what INFO, HELLO and `--version` claim.
pub const REDIS_VERSION: &str = "7.0.15";

/// The same as a number, as scripts see it: a byte for each part.
pub const REDIS_VERSION_NUMBER: u32 = 0x0007_000f;

/// Tidegate's own version.
pub const TIDEGATE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the server was built from, as `TIDEGATE_COMMIT` named it during the build.
pub const COMMIT: &str = match option_env!("TIDEGATE_COMMIT") {
    Some(commit) => commit,
    None => "00000000",
};

/// The allocator, the way Redis names its own.
pub const ALLOCATOR: &str = if cfg!(feature = "jemalloc") {
    "jemalloc-5.3.0"
} else if cfg!(feature = "mimalloc") {
    "mimalloc-2"
} else {
    "libc"
};

/// Differs between builds of different versions, commits and allocators.
pub const BUILD: u64 = fnv(fnv(fnv(0xcbf2_9ce4_8422_2325, TIDEGATE_VERSION), COMMIT), ALLOCATOR);

const fn fnv(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}
