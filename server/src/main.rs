//! The `tidegate` binary.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    tidegate::run(tidegate::config::Config::for_this_process())
}
