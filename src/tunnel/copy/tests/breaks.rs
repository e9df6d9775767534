//! Streams that break: what was said before is delivered, and nobody takes the break for an end.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::io::BufStream;

use super::{ends::reset, *};

/// Notes whether the end of its stream was told. Its writes fail, if it has a reason for that.
pub(super) struct Noting {
    stream: DuplexStream,
    is_end_told: Arc<AtomicBool>,
    fails: Option<ErrorKind>,
}

impl crate::net::Io for Noting {}

impl tokio::io::AsyncRead for Noting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.fails {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.is_end_told.store(true, Relaxed);
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Noting {
    /// A stream, its far end, and the note. What is written is held back until it is flushed, unless writes fail.
    pub(super) fn stream(fails: Option<ErrorKind>) -> (Stream, DuplexStream, Arc<AtomicBool>) {
        Self::stream_of(1024, fails)
    }

    /// The same with room for so many bytes on their way, beside what it holds back.
    fn stream_of(size: usize, fails: Option<ErrorKind>) -> (Stream, DuplexStream, Arc<AtomicBool>) {
        let (near, far) = duplex(size);
        let is_end_told = Arc::<AtomicBool>::default();
        let noting = Self { stream: near, is_end_told: is_end_told.clone(), fails };
        let stream: Box<dyn crate::net::Io> = match fails {
            Some(_) => Box::new(noting),
            None => Box::new(BufStream::new(noting)),
        };
        (Stream::Boxed(stream), far, is_end_told)
    }
}

#[tokio::test]
async fn a_stream_that_broke_is_no_stream_that_ended_unless_a_close_frame_tells_more() {
    let frame = data_frame(b"half of it", false);
    let close = close_frame(1000, None);
    for (said, end_is_told) in [(&frame[..], true), (&frame[..5], false), (b"no frames at all", false), (&close, true)]
    {
        let ((near_client, mut client, is_end_told), (near_backend, mut backend)) =
            (Noting::stream(None), tcp_pair().await);
        let (_tunnels, tunnel) = start(near_client, Stream::Tcp(near_backend), (b"", b""), TERMS);
        backend.write_all(said).await.unwrap();
        assert_eq!(read_exactly(&mut client, said.len()).await, said);
        reset(backend);
        if said == frame {
            assert_eq!(read_close(&mut client).await.0, 1014);
        }
        // The tunnel may be over.
        let _ = client.write_all(&close_frame(1000, Some([0; 4]))).await;
        assert_eq!(read_to_end(&mut client).await, b"");
        tunnel.await.unwrap();
        assert_eq!(is_end_told.load(Relaxed), end_is_told, "{said:?}");
    }
}

#[tokio::test]
async fn a_break_that_a_write_is_told_of_is_one_though_a_read_finds_an_end() {
    for (kind, end_is_told) in [
        (ErrorKind::ConnectionReset, false),
        (ErrorKind::TimedOut, false),
        // It had ended its stream and read no more.
        (ErrorKind::BrokenPipe, true),
    ] {
        let (near_client, mut client, is_end_told) = Noting::stream(None);
        let (near_backend, mut backend, _) = Noting::stream(Some(kind));
        let (_tunnels, tunnel) = start(near_client, near_backend, (b"", b""), TERMS);
        let half = &data_frame(b"half of it", false)[..5];
        backend.write_all(half).await.unwrap();
        assert_eq!(read_exactly(&mut client, 5).await, half);
        client.write_all(&data_frame(b"unheard", true)).await.unwrap();
        tokio::task::yield_now().await;
        drop(backend);
        assert_eq!(read_to_end(&mut client).await, b"");
        assert_eq!(tunnel.await.unwrap().reason, CloseReason::BackendGone);
        assert_eq!(is_end_told.load(Relaxed), end_is_told, "{kind:?}");
    }
}

#[tokio::test]
async fn a_break_behind_an_end_leaves_the_end_as_it_was() {
    let (near_client, mut client, is_end_told) = Noting::stream_of(4, None);
    let (near_backend, mut backend, _) = Noting::stream_of(1024, Some(ErrorKind::ConnectionReset));
    let (_tunnels, tunnel) = start(near_client, near_backend, (b"", b""), TERMS);
    backend.write_all(b"no frames, and its end").await.unwrap();
    drop(backend);
    // Its end was read by then: it is all held back.
    assert_eq!(read_exactly(&mut client, 1).await, b"n");
    client.write_all(b"?").await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(read_to_end(&mut client).await, b"o frames, and its end");
    tunnel.await.unwrap();
    assert!(is_end_told.load(Relaxed));
}

#[tokio::test]
async fn a_backend_that_breaks_within_a_frame_while_it_is_closed_keeps_nobody_waiting() {
    let mut story = tcp_story().await;
    let half = &data_frame(b"half of it", false)[..5];
    story.backend.write_all(half).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 5).await, half);
    drain(&story.tunnels);
    assert_eq!(read_close(&mut story.backend).await.0, 1012);
    let began = Instant::now();
    reset(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::Drain);
    assert!(began.elapsed() < TERMS.close);
}
