//! What is read and written, and when the event loop is asked, on both kinds of sockets.

use std::{future::poll_fn, pin::pin};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{super::Stream, *};

/// Two connections of each kind: the end that is looked at, and its peer.
async fn pairs() -> [(Stream, Stream); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let near = listener.accept().await.unwrap().0;
    let (near_unix, far_unix) = UnixStream::pair().unwrap();
    [(Stream::Tcp(near), Stream::Tcp(far)), (Stream::Unix(near_unix), Stream::Unix(far_unix))]
}

/// One read of at most so many bytes.
async fn read(stream: &mut Stream, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let length = poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(io::Result::Ok(buffer.filled().len()))
    })
    .await?;
    bytes.truncate(length);
    Ok(bytes)
}

#[tokio::test]
async fn a_read_that_found_less_than_it_could_waits_for_more_and_is_woken() {
    for (mut near, mut far) in pairs().await {
        far.write_all(b"some").await.unwrap();
        assert_eq!(read(&mut near, 100).await.unwrap(), b"some");
        assert!(!near.is_readable(), "the system would have to be asked to say that there is nothing");
        let more = tokio::spawn(async move { (read(&mut near, 100).await.unwrap(), near) });
        far.write_all(b"more").await.unwrap();
        let (more, mut near) = more.await.unwrap();
        assert_eq!(more, b"more");
        drop(far);
        assert_eq!(read(&mut near, 100).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn a_read_that_found_all_that_it_could_hold_goes_on_at_once() {
    for (mut near, mut far) in pairs().await {
        far.write_all(b"eight of").await.unwrap();
        assert_eq!(read(&mut near, 4).await.unwrap(), b"eigh");
        assert!(near.is_readable());
        assert_eq!(read(&mut near, 4).await.unwrap(), b"t of");
    }
}

#[tokio::test]
async fn bytes_that_come_together_with_the_end_are_read_before_it() {
    for (mut near, mut far) in pairs().await {
        far.write_all(b"last").await.unwrap();
        drop(far);
        assert_eq!(read(&mut near, 100).await.unwrap(), b"last");
        assert_eq!(read(&mut near, 100).await.unwrap(), b"");
        assert_eq!(read(&mut near, 100).await.unwrap(), b"", "an end stays");
    }
}

#[tokio::test]
async fn memory_that_was_never_written_is_read_into_too() {
    for (mut near, mut far) in pairs().await {
        far.write_all(b"into what a vector has left").await.unwrap();
        let mut bytes = Vec::with_capacity(100);
        near.read_buf(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"into what a vector has left");
    }
}

#[tokio::test]
async fn what_a_full_socket_does_not_take_is_waited_for() {
    let sent: Vec<u8> = (0..8_000_000u32).map(|at| at as u8 ^ (at >> 8) as u8).collect();
    for (mut near, mut far) in pairs().await {
        let mut writing = pin!(async {
            near.write_all(&sent).await.unwrap();
            drop(near);
        });
        let is_full = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx).is_pending())).await;
        assert!(is_full, "more than a socket holds");
        let mut received = Vec::new();
        tokio::join!(writing, async { far.read_to_end(&mut received).await.unwrap() });
        assert!(received == sent);
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_is_an_error_of_the_write() {
    for (mut near, far) in pairs().await {
        drop(far);
        let failed = loop {
            // The first may be what the peer's system answers with a reset.
            if let Err(error) = near.write_all(b"anybody?").await {
                break error.kind();
            }
            tokio::task::yield_now().await;
        };
        assert!(matches!(failed, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{failed}");
    }
}
