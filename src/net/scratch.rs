//! Reads of what has not begun yet, through a buffer of the thread's own: who waits for a first byte holds no memory, and
//! what comes whole is one read.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::Stream;

/// A head with a body of 16 KiB or some more fits in.
const SIZE: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// One read of at most 32 KiB; `take` is shown what came, nothing at the end of the stream, and must not read itself.
pub fn poll_read<T>(stream: &mut Stream, cx: &mut Context<'_>, take: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}
