//! What freed memory comes to.

/// Tells the allocator to keep what training frees: a step frees and asks for the same tensors again, gigabytes a
/// second, and pages that went back to the system would have to be cleared anew. It holds for the process.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets two numbers of the allocator under its own lock; a value that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
