//! The part of `libz-ng-sys` that flate2 uses, given by `libz-rs-sys`.
//!
//! Both libraries offer zlib's C interface; they differ in how `z_stream` writes its two allocator fields, so that
//! struct stands here and each function casts a pointer to it. flate2 asks the library itself for its version.
#![no_std]
#![allow(non_camel_case_types, non_snake_case)]
#![allow(clippy::missing_safety_doc)] // Each function has the contract of zlib's function of that name.

use core::ffi::{c_char, c_int, c_void};

pub use libz_rs_sys::{
    Bytef, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH, Z_MEM_ERROR,
    Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR, Z_SYNC_FLUSH, uInt, uLong, voidpf,
    zlibVersion,
};

pub type alloc_func = unsafe extern "C" fn(voidpf, uInt, uInt) -> voidpf;
pub type free_func = unsafe extern "C" fn(voidpf, voidpf);

/// zlib's stream, with allocator functions that are always there.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: uLong,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: uLong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: uLong,
    pub reserved: uLong,
}
pub type z_streamp = *mut z_stream;

/// The library's own part of a stream.
#[repr(C)]
pub struct internal_state {
    _opaque: [u8; 0],
}

const _: () = assert!(size_of::<z_stream>() == size_of::<libz_rs_sys::z_stream>());

macro_rules! same_function {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: z_streamp, $($argument: $kind),*) -> c_int {
            // SAFETY: both structs are repr(C) with the same fields in the same order; `Option<fn>` has the layout of
            // `fn`, and the size is asserted above. All else is the caller's contract with zlib.
            unsafe { libz_rs_sys::$name(stream.cast(), $($argument),*) }
        }
    )*};
}

same_function! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const Bytef, length: uInt);
    deflateInit2_(
        level: c_int, method: c_int, window_bits: c_int, memory: c_int, strategy: c_int, version: *const c_char, size: c_int
    );
    inflate(flush: c_int);
    inflateEnd();
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const Bytef, length: uInt);
    inflateInit2_(window_bits: c_int, version: *const c_char, size: c_int);
}
