//! The `tidegate` program: everything is in the library.

use std::process::ExitCode;

/// Tunnels and requests allocate and free in many sizes on many threads; the system's allocator keeps far more of it.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    #[cfg(not(target_env = "msvc"))]
    allocator::give_back_soon();
    tidegate::cli::main()
}

#[cfg(not(target_env = "msvc"))]
mod allocator {
    use std::alloc::{GlobalAlloc, Layout};

    use libmimalloc_sys::{mi_malloc, mi_option_set_default, mi_option_t};
    use mimalloc::MiMalloc;

    /// mimalloc, which is asked for an alignment only by those few who need more than a word's: its shortest way to a block
    /// knows of none.
    pub(crate) struct Allocator;

    // SAFETY: all that is asked is asked of mimalloc, whose blocks are freed and resized in the same way, however they were
    // asked for. `mi_malloc` aligns to a word at least (mimalloc.h: to `MI_MAX_ALIGN_SIZE`, 16, from that size on, and smaller
    // blocks to their size, a word at least), and gives a null pointer when there is no memory.
    unsafe impl GlobalAlloc for Allocator {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match layout.align() <= size_of::<usize>() {
                // SAFETY: any size may be asked for.
                true => unsafe { mi_malloc(layout.size()) }.cast(),
                // SAFETY: what the caller promises to us.
                false => unsafe { MiMalloc.alloc(layout) },
            }
        }

        #[inline]
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: what the caller promises to us.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }

        #[inline]
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: what the caller promises to us.
            unsafe { MiMalloc.dealloc(block, layout) }
        }

        #[inline]
        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: what the caller promises to us.
            unsafe { MiMalloc.realloc(block, layout, size) }
        }
    }

    /// `mi_option_purge_delay` of mimalloc.h, which the bindings do not name.
    const PURGE_DELAY: mi_option_t = 15;

    /// Memory that was freed goes back to the system after a tenth of a second. mimalloc's own second is put off by each
    /// further call, so that after a crowd has left some of its memory would stay for good. `MIMALLOC_PURGE_DELAY` in the
    /// environment goes first.
    pub(crate) fn give_back_soon() {
        // SAFETY: takes two numbers and stores one of them; it asks that no other thread sets options meanwhile, and this is
        // called first of all in `main`, when there is no other thread.
        unsafe { mi_option_set_default(PURGE_DELAY, 100) }
    }

    #[cfg(test)]
    mod tests {
        use libmimalloc_sys::mi_option_get;

        use super::*;

        #[test]
        fn the_number_is_that_of_the_purge_delay() {
            // SAFETY: reads one number; that no other thread sets it meanwhile, this one test sees to.
            let read = || unsafe { mi_option_get(PURGE_DELAY) };
            assert_eq!(read(), 1000, "its default; other options have others");
            give_back_soon();
            assert_eq!(read(), 100);
        }
    }
}
