//! One buffer for all reads: what is read is looked at once and forgotten, so a connection at rest holds none.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

const SCRATCH: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Reads until `see` has seen what it waits for in the pieces that come. The end of the stream is an error.
pub async fn read_until<S, T>(stream: &mut S, mut see: impl FnMut(&mut [u8]) -> io::Result<Option<T>>) -> io::Result<T>
where
    S: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                if let Some(seen) = see(buffer.filled_mut())? {
                    return Poll::Ready(Ok(seen));
                }
            }
        })
    })
    .await
}
