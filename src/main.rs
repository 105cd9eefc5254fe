//! The `turnaround` command: reads the arguments, runs one command, turns its outcome into an
//! exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    turnaround::cli::main()
}
