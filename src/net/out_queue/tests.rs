use std::{future::poll_fn, io};

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::*;

/// A stream that takes at most `most` bytes a write, pauses after each, and holds them back until it is flushed.
struct Grudging {
    most: usize,
    paused: bool,
    held: Vec<u8>,
    out: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl crate::net::Io for Grudging {}

impl AsyncRead for Grudging {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Grudging {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.paused = !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = bytes.len().min(self.most);
        self.held.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.paused = !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let held = std::mem::take(&mut self.held);
        self.out.lock().unwrap().extend_from_slice(&held);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Text(Vec<u8>),
    Piece(Vec<u8>),
    Slice(Vec<u8>),
    /// One call of `poll_flush`.
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        small().prop_map(Step::Text),
        small().prop_map(Step::Piece),
        (COPY_MAX - 1..COPY_MAX + 3000, any::<u8>()).prop_map(|(length, byte)| Step::Piece(vec![byte; length])),
        small().prop_map(Step::Slice),
        Just(Step::Poll),
    ]
}

proptest! {
    #[test]
    fn what_goes_in_comes_out_in_order(steps in prop::collection::vec(step(), 0..40), most in 1_usize..6000) {
        let (out, mut expected) = (std::sync::Arc::default(), Vec::new());
        let mut stream = Stream::Boxed(Box::new(Grudging {
            most,
            paused: false,
            held: Vec::new(),
            out: std::sync::Arc::clone(&out),
        }));
        let mut queue = OutQueue::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for step in steps {
            match step {
                Step::Text(ref bytes) => queue.text().extend_from_slice(bytes),
                Step::Piece(ref bytes) => queue.push(Bytes::copy_from_slice(bytes)),
                Step::Slice(ref bytes) => queue.push_slice(bytes),
                Step::Poll => {
                    let flushed = queue.poll_flush(&mut stream, &mut cx);
                    prop_assert!(flushed.is_pending() || queue.is_empty());
                    continue;
                }
            }
            let (Step::Text(bytes) | Step::Piece(bytes) | Step::Slice(bytes)) = step else { continue };
            expected.extend_from_slice(&bytes);
            prop_assert_eq!(queue.len() as u64 + queue.sent(), expected.len() as u64);
        }
        while queue.poll_flush(&mut stream, &mut cx).is_pending() {}
        prop_assert!(queue.is_empty());
        prop_assert_eq!(&*out.lock().unwrap(), &expected);
    }
}

#[test]
fn a_head_behind_a_large_piece_stays_behind_it() {
    let mut queue = OutQueue::default();
    queue.push(Bytes::from(vec![b'x'; COPY_MAX + 1]));
    queue.text().extend_from_slice(b"HTTP/1.1 200 OK");
    assert_eq!(&queue.front[COPY_MAX..], b"xHTTP/1.1 200 OK");
}

#[test]
fn bytes_that_the_stream_holds_back_are_not_out() {
    let mut stream =
        Stream::Boxed(Box::new(Grudging { most: 100, paused: true, held: Vec::new(), out: std::sync::Arc::default() }));
    let mut queue = OutQueue::default();
    queue.push_slice(b"taken, not flushed");
    assert!(queue.poll_flush(&mut stream, &mut Context::from_waker(std::task::Waker::noop())).is_pending());
    assert_eq!((queue.len(), queue.is_empty()), (0, false));
    assert!(queue.poll_flush(&mut stream, &mut Context::from_waker(std::task::Waker::noop())).is_ready());
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_full_socket_takes_the_rest_once_it_is_read() {
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    let mut stream = Stream::Unix(ours);
    let mut queue = OutQueue::default();
    queue.push_slice(b"head");
    (0..40).for_each(|at| queue.push(Bytes::from(vec![at; 100_000])));
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        read
    });
    poll_fn(|cx| queue.poll_flush(&mut stream, cx)).await.unwrap();
    drop(stream);
    let read = reading.await.unwrap();
    assert_eq!((&read[..4], read.len(), queue.sent()), (&b"head"[..], 4_000_004, 4_000_004));
    assert!(read[4..].chunks(100_000).enumerate().all(|(at, chunk)| chunk.iter().all(|&byte| byte == at as u8)));
}

#[test]
fn a_small_piece_lets_its_buffer_go() {
    let buffer = Bytes::from(vec![7; 64 * 1024]);
    let small = compact(buffer.slice(..10));
    assert_eq!(&small[..], &[7; 10]);
    assert!(buffer.is_unique());
    let large = compact(buffer.slice(..COPY_MAX + 1));
    assert!(!buffer.is_unique());
    drop(large);
}

#[test]
fn a_piece_of_nothing_borrows_no_memory() {
    let mut queue = OutQueue::default();
    queue.push_slice(b"");
    queue.push_shared(&Bytes::new());
    assert_eq!(queue.front.capacity(), 0);
}
