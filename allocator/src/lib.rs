//! The allocator, and the one of its settings that we do not leave as it is.
//!
//! Batches take and free the same hundreds of megabytes again and again. The allocator gives what has
//! been free for a second back to the system, which clears each page before it gives it again. Kept for
//! ten seconds, a replay of a dense day has a tenth of the page faults, and about a twentieth less
//! processor time. That is longer than a batch's way through a run, and short enough for memory that was
//! needed once to be given back.

use std::ffi::{c_int, c_long};

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of the allocator's header.
const PURGE_DELAY: c_int = 15;
const PURGE_MILLISECONDS: c_long = 10_000;

unsafe extern "C" {
    // SAFETY: these set and read one of the allocator's numbers; an option that there is not is passed
    // over.
    safe fn mi_option_set(option: c_int, value: c_long);
    safe fn mi_option_get(option: c_int) -> c_long;
}

/// Keeps freed memory for ten seconds. Who has set the allocator's own variable knows better.
pub fn keep_freed_memory() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        mi_option_set(PURGE_DELAY, PURGE_MILLISECONDS);
    }
}

/// For how many milliseconds freed memory is kept.
pub fn freed_memory_is_kept() -> c_long {
    mi_option_get(PURGE_DELAY)
}
