use std::time::Duration;

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};

use super::*;

async fn tcp() -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (client, Stream::Tcp(listener.accept().await.unwrap().0))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.expect("within five seconds")
}

#[tokio::test]
async fn the_preface_is_recognised_and_left_unread() {
    let (mut client, mut stream) = tcp().await;
    client.write_all(PREFACE).await.unwrap();
    client.write_all(b"more").await.unwrap();
    assert_eq!(soon(first_bytes(&stream)).await.unwrap(), FirstBytes::Http2);
    let mut read = [0; 28];
    soon(stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read[..24], PREFACE);
    assert_eq!(&read[24..], b"more");
}

#[tokio::test]
async fn the_preface_in_single_bytes_is_recognised() {
    let (mut client, stream) = tcp().await;
    let send = async {
        for byte in PREFACE {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (first, ()) = soon(async { tokio::join!(first_bytes(&stream), send) }).await;
    assert_eq!(first.unwrap(), FirstBytes::Http2);
}

#[tokio::test]
async fn it_is_decided_with_the_first_byte_that_differs() {
    for bytes in [&b"G"[..], b"PRI * HTTP/2.0\r\n\r\nSX", b"POST"] {
        let (mut client, stream) = tcp().await;
        client.write_all(bytes).await.unwrap();
        assert_eq!(soon(first_bytes(&stream)).await.unwrap(), FirstBytes::Other);
    }
}

#[tokio::test]
async fn half_a_preface_and_then_the_end_is_something_else() {
    let (mut client, stream) = tcp().await;
    client.write_all(b"PRI *").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(soon(first_bytes(&stream)).await.unwrap(), FirstBytes::Other);
}

#[tokio::test]
async fn an_end_without_a_byte_is_told() {
    let (mut client, stream) = tcp().await;
    client.shutdown().await.unwrap();
    assert_eq!(soon(first_bytes(&stream)).await.unwrap(), FirstBytes::None);
}

#[tokio::test]
async fn half_a_preface_is_waited_on_without_spinning() {
    let (mut client, stream) = tcp().await;
    client.write_all(b"PRI *").await.unwrap();
    let mut polls = 0;
    let mut first = std::pin::pin!(first_bytes(&stream));
    let counted = std::future::poll_fn(|cx| {
        polls += 1;
        first.as_mut().poll(cx)
    });
    assert!(timeout(Duration::from_millis(100), counted).await.is_err());
    assert!(polls < 10, "polled {polls} times");
}

#[tokio::test]
async fn unix_sockets_are_looked_at_too() {
    let (mut client, stream) = UnixStream::pair().unwrap();
    client.write_all(PREFACE).await.unwrap();
    assert_eq!(soon(first_bytes(&Stream::Unix(stream))).await.unwrap(), FirstBytes::Http2);
}

proptest! {
    /// Whoever sees all bytes at once must come to the same verdict as whoever sees a growing prefix.
    #[test]
    fn a_growing_prefix_ends_in_the_verdict_of_the_whole(keep in 0_usize..=24, tail in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut bytes = PREFACE[..keep].to_vec();
        bytes.extend(tail);
        bytes.truncate(24);
        let grown = (1..=bytes.len()).find_map(|length| judge(&bytes[..length]));
        let plain = if bytes.is_empty() || PREFACE.starts_with(&bytes) && bytes.len() < 24 { None }
            else if bytes == PREFACE { Some(FirstBytes::Http2) }
            else { Some(FirstBytes::Other) };
        prop_assert_eq!(grown, plain);
    }
}
