//! The `tidegate` program: everything is in the library.

use std::process::ExitCode;

/// Tunnels and requests allocate and free in many sizes on many threads; the system's allocator keeps far more of it.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
