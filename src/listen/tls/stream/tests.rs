use proptest::prelude::*;
use rustls::{SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::{
    clock::Now,
    config::{ListenerTls, TlsVersion},
    listen::{
        testing::{connector_of, write_pair},
        tls::{Certificates, server_config},
    },
};

type Client = tokio_rustls::client::TlsStream<DuplexStream>;

fn config() -> Arc<ServerConfig> {
    let directory = tempfile::tempdir().unwrap();
    let pairs = vec![write_pair(directory.path(), "a", "a", &["a.test"])];
    let (certificates, _) = Certificates::load(&pairs, Now::read()).unwrap();
    let tls = ListenerTls { pairs, minimum: TlsVersion::Tls12 };
    Arc::new(server_config(&tls, true, Arc::new(certificates)).unwrap())
}

fn pipe(room: usize) -> (Stream, DuplexStream) {
    let (near, far) = tokio::io::duplex(room);
    (Stream::Boxed(Box::new(near)), far)
}

/// Both ends of a connection over a pipe of so many bytes.
async fn connected(version: &'static SupportedProtocolVersion, room: usize) -> (TlsStream, Client) {
    let (near, far) = pipe(room);
    let connector = connector_of(&[version], &["h2"]);
    let name = "a.test".try_into().unwrap();
    let (server, client) = tokio::join!(accept(config(), near), connector.connect(name, far));
    (server.unwrap(), client.unwrap())
}

fn holds_nothing(server: &TlsStream) -> bool {
    let capacity = server.incoming.capacity() + server.plain.capacity() + server.outgoing.buffer.capacity();
    capacity == 0
}

#[tokio::test]
async fn a_connection_at_rest_holds_no_buffer() {
    for version in [&version::TLS12, &version::TLS13] {
        let (mut server, mut client) = connected(version, 1 << 20).await;
        assert_eq!(server.protocol(), Some(&b"h2"[..]));
        assert!(holds_nothing(&server));
        for _ in 0..3 {
            client.write_all(b"question").await.unwrap();
            let mut question = [0; 8];
            server.read_exact(&mut question).await.unwrap();
            server.write_all(&[7; 100_000]).await.unwrap();
            server.flush().await.unwrap();
            client.read_exact(&mut [0; 100_000]).await.unwrap();
            assert!(holds_nothing(&server));
        }
    }
}

#[tokio::test]
async fn either_end_may_close_first() {
    for version in [&version::TLS12, &version::TLS13] {
        let (mut server, mut client) = connected(version, 1 << 20).await;
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        let mut came = Vec::new();
        server.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, b"last words");
        server.write_all(b"an answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, b"an answer");

        let (mut server, mut client) = connected(version, 1 << 20).await;
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
        client.write_all(b"still talking").await.unwrap();
        let mut came = [0; 13];
        server.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"still talking");
    }
}

#[tokio::test]
async fn an_end_without_the_closing_alert_is_no_end() {
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let (mut pipe, _) = client.into_inner();
    pipe.shutdown().await.unwrap();
    let fault = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_no_tls_gets_an_alert() {
    let (near, mut far) = pipe(1 << 20);
    far.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let fault = accept(config(), near).await.err().unwrap();
    assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
    let mut came = Vec::new();
    far.read_to_end(&mut came).await.unwrap();
    // RFC 8446 §6: content type 21, level fatal.
    assert!(came.len() == 7 && came[0] == 21 && came[5] == 2, "{came:?}");

    // No protocol in common: no_application_protocol (RFC 7301 §3.2).
    let (near, far) = pipe(1 << 20);
    let connector = connector_of(&[&version::TLS13], &["spdy"]);
    let (server, client) = tokio::join!(accept(config(), near), connector.connect("a.test".try_into().unwrap(), far));
    assert_eq!(server.err().unwrap().kind(), io::ErrorKind::InvalidData);
    assert!(client.err().unwrap().to_string().contains("NoApplicationProtocol"));
}

#[tokio::test]
async fn a_broken_record_ends_the_connection() {
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let (mut pipe, _) = client.into_inner();
    pipe.write_all(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
        .await
        .unwrap();
    let fault = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
    assert!(server.read(&mut [0; 10]).await.is_err());
    assert!(server.write(b"more").await.is_err());
}

#[tokio::test]
async fn keys_are_changed_under_way() {
    let (mut server, mut client) = connected(&version::TLS13, 1 << 20).await;
    for round in 0..5_u8 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(&[round; 1000]).await.unwrap();
        let mut came = [0; 1000];
        server.read_exact(&mut came).await.unwrap();
        assert_eq!(came, [round; 1000]);
        server.write_all(&came).await.unwrap();
        client.read_exact(&mut came).await.unwrap();
        assert!(holds_nothing(&server));
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_the_writer() {
    let (mut server, mut client) = connected(&version::TLS13, 10_000).await;
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    let data: Vec<u8> = (0..1_000_000).map(|at: u32| (at >> 3) as u8).collect();
    let mut taken = 0;
    while let Poll::Ready(more) = Pin::new(&mut server).poll_write(cx, &data[taken..]) {
        taken += more.unwrap();
    }
    assert!(taken <= PLAIN_MAX + 10_000, "{taken}");
    assert!(server.outgoing.buffer.len() <= SENT_BYTES);
    let writing = async {
        server.write_all(&data[taken..]).await.unwrap();
        server.flush().await.unwrap();
    };
    let mut came = vec![0; data.len()];
    let (read, ()) = tokio::join!(client.read_exact(&mut came), writing);
    read.unwrap();
    assert!(came == data && holds_nothing(&server));
}

/// Writes so many bytes at a time, by one slice or by many.
async fn say(mut stream: impl AsyncWrite + Unpin, pieces: Vec<(usize, usize)>) -> Vec<u8> {
    let mut said = Vec::new();
    for (length, slices) in pieces {
        let piece: Vec<u8> = (0..length).map(|at| (at * 7 + said.len()) as u8).collect();
        let mut at = 0;
        while at < piece.len() {
            let step = (piece.len() - at).div_ceil(slices).max(1);
            let slices: Vec<_> = piece[at..].chunks(step).map(io::IoSlice::new).collect();
            at += stream.write_vectored(&slices).await.unwrap();
        }
        stream.flush().await.unwrap();
        said.extend(piece);
    }
    stream.shutdown().await.unwrap();
    said
}

async fn hear(mut stream: impl AsyncRead + Unpin, most: usize) -> Vec<u8> {
    let (mut came, mut buffer) = (Vec::new(), vec![0; most]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return came,
            read => came.extend_from_slice(&buffer[..read]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_ends_hear_what_the_other_said(
        up in prop::collection::vec((1..90_000_usize, 1..20_usize), 0..6),
        down in prop::collection::vec((1..200_000_usize, 1..20_usize), 0..6),
        room in 1..100_000_usize,
        most in 1..70_000_usize,
        newest in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let version = if newest { &version::TLS13 } else { &version::TLS12 };
            let (server, client) = connected(version, room.max(50)).await;
            let (server_reads, server_writes) = tokio::io::split(server);
            let (client_reads, client_writes) = tokio::io::split(client);
            let (said_up, said_down, heard_up, heard_down) = tokio::join!(
                say(client_writes, up),
                say(server_writes, down),
                hear(server_reads, most),
                hear(client_reads, most),
            );
            assert!(said_up == heard_up, "up: {} of {} bytes", heard_up.len(), said_up.len());
            assert!(said_down == heard_down, "down: {} of {} bytes", heard_down.len(), said_down.len());
        });
    }
}
