//! What the system says that it was told.

use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

#[tokio::test]
async fn both_ends_of_a_tunnel_get_every_option() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    prepare_listener(SockRef::from(&listener)).unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    assert!(accepted.nodelay().unwrap() || cfg!(not(target_os = "linux")));
    is_prepared(accepted, Origin::Accepted);
    is_prepared(dialled, Origin::Dialled);
}

#[tokio::test]
async fn a_connection_on_this_machine_takes_bytes_as_soon_as_it_is_begun() {
    use std::io::{ErrorKind, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut dialled = begin_connect(address, true).unwrap();
    assert!(dialled.nodelay().unwrap());
    dialled.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    listener.accept().unwrap().0.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    let blocked = dialled.read(&mut bytes).map_err(|error| error.kind());
    assert!(matches!(blocked, Ok(0) | Err(ErrorKind::WouldBlock)), "{blocked:?}");
    drop(listener);
    let refused = begin_connect(address, true).and_then(|mut dialled| dialled.write(b"hello"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

fn is_prepared(stream: TcpStream, from: Origin) {
    let stream = Stream::Tcp(stream);
    prepare(&stream, from, Duration::from_millis(61_500)).unwrap();
    let Stream::Tcp(stream) = &stream else { unreachable!() };
    let socket = SockRef::from(stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(61_500)));
}

#[tokio::test]
async fn streams_without_a_tcp_socket_are_left_alone() {
    let (unix, _peer) = UnixStream::pair().unwrap();
    prepare(&Stream::Unix(unix), Origin::Dialled, Duration::from_secs(1)).unwrap();
    let (boxed, _peer) = tokio::io::duplex(1);
    prepare(&Stream::Boxed(Box::new(boxed)), Origin::Accepted, Duration::from_secs(1)).unwrap();
}

#[tokio::test]
async fn last_bytes_leave_with_the_end_or_when_they_are_let_go() {
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = Stream::Tcp(listener.accept().await.unwrap().0);
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let began = std::time::Instant::now();
        assert_eq!(poll_fn(|cx| stream.poll_write_last(cx, b"late")).await.unwrap(), 4);
        stream.let_go();
        let mut bytes = [0; 4];
        peer.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"late");
        quickest = quickest.min(began.elapsed());
    }
    assert!(quickest < Duration::from_millis(100), "the system lets go by itself after 200 ms: {quickest:?}");
    assert_eq!(poll_fn(|cx| stream.poll_write_last(cx, b"last")).await.unwrap(), 4);
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
}
