//! The `turnaround` command: reads the arguments, runs one command, turns its outcome into an
//! exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: turnaround_allocator::MiMalloc = turnaround_allocator::MiMalloc;

fn main() -> ExitCode {
    turnaround_allocator::keep_freed_memory();
    turnaround::cli::main()
}

#[cfg(test)]
mod tests {
    use turnaround_allocator::{freed_memory_is_kept, keep_freed_memory};

    /// The option's number stands in a header that no compiler holds against ours: none but this one is
    /// a second before it is set.
    #[test]
    fn freed_memory_is_kept_for_ten_seconds() {
        assert_eq!(freed_memory_is_kept(), 1_000);
        keep_freed_memory();
        assert_eq!(freed_memory_is_kept(), 10_000);
    }
}
