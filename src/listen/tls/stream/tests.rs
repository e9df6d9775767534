use std::time::Duration;

use proptest::prelude::*;
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedProtocolVersion,
    crypto::cipher::{MessageEncrypter, OutboundPlainMessage},
    version,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::{
    clock::Now,
    config::{ListenerTls, TlsVersion},
    listen::{
        testing::{connector_of, write_pair},
        tls::{Certificates, server_config},
    },
    net::socket::{Origin, prepare},
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

#[tokio::test]
async fn the_socket_beneath_is_reached_for_its_options() {
    use std::os::fd::AsFd;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let near = listener.accept().await.unwrap().0;
    let seen = near.as_fd().try_clone_to_owned().unwrap();
    let (connector, name) = (connector_of(&[&version::TLS13], &[]), "a.test".try_into().unwrap());
    let (server, _client) = tokio::join!(accept(config(), Stream::Tcp(near)), connector.connect(name, far));
    let tunnel = Stream::Boxed(Box::new(server.unwrap()));
    prepare(&tunnel, Origin::Accepted, Duration::from_secs(7)).unwrap();
    assert_eq!(socket2::SockRef::from(&seen).tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
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
    far.write_all(b"\0\0\0\0\0\0\0").await.unwrap();
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
async fn http_without_tls_gets_an_answer_that_it_can_read() {
    let (near, mut far) = pipe(1 << 20);
    far.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let fault = accept(config(), near).await.err().unwrap();
    assert!(fault.get_ref().unwrap().is::<SpokeHttp>());
    let mut came = String::new();
    far.read_to_string(&mut came).await.unwrap();
    let (head, body) = came.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(body.contains("https://"), "{body}");
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
async fn a_handshake_cut_by_what_is_no_tls_gets_an_alert() {
    let (near, mut far) = pipe(1 << 20);
    // The first ten bytes of a ClientHello, in a record of their own (RFC 8446 §5.1), and a content type that is none.
    far.write_all(&[22, 3, 1, 0, 10, 1, 0, 1, 0, 3, 3, 1, 2, 3, 4, 99, 3, 3, 0, 1, 0]).await.unwrap();
    let fault = accept(config(), near).await.err().unwrap();
    assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
    let mut came = Vec::new();
    far.read_to_end(&mut came).await.unwrap();
    assert!(came.len() == 7 && came[0] == 21 && came[5] == 2, "{came:?}");
}

/// A client that writes its own TLS 1.3 records.
struct RawClient {
    pipe: DuplexStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl RawClient {
    fn new(client: Client) -> Self {
        let (pipe, session) = client.into_inner();
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.tls13()).unwrap();
        let (sequence, secrets) = session.dangerous_extract_secrets().unwrap().tx;
        let (key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => panic!("another cipher"),
        };
        Self { pipe, encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    async fn say(&mut self, typ: ContentType, payload: &[u8]) {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: payload.into() };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        self.pipe.write_all(&record.encode()).await.unwrap();
    }
}

const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];

#[tokio::test]
async fn a_handshake_message_may_come_in_pieces_while_we_write() {
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let mut client = RawClient::new(client);
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    client.say(ContentType::Handshake, &KEY_UPDATE_REQUESTED[..2]).await;
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut [0; 10])).is_pending());
    server.write_all(b"meanwhile").await.unwrap();
    client.say(ContentType::Handshake, &KEY_UPDATE_REQUESTED[2..]).await;
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut [0; 10])).is_pending());
    server.write_all(b"with other keys").await.unwrap();
    assert!(holds_nothing(&server));
    // The keys that this is sealed with are not in use any more.
    client.say(ContentType::ApplicationData, b"late").await;
    assert_eq!(server.read(&mut [0; 10]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_close_within_a_handshake_message_of_the_client_is_a_close() {
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let mut client = RawClient::new(client);
    client.say(ContentType::Handshake, &KEY_UPDATE_REQUESTED[..2]).await;
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut [0; 10])).is_pending());
    server.shutdown().await.unwrap();

    // RFC 8446 §5.1: no other record may come between the pieces.
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let mut client = RawClient::new(client);
    client.say(ContentType::Handshake, &KEY_UPDATE_REQUESTED[..2]).await;
    client.say(ContentType::ApplicationData, b"between").await;
    assert_eq!(server.read(&mut [0; 10]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn empty_records_are_no_end() {
    let (mut server, client) = connected(&version::TLS13, 1 << 20).await;
    let mut client = RawClient::new(client);
    for _ in 0..5 {
        client.say(ContentType::ApplicationData, b"").await;
    }
    client.say(ContentType::ApplicationData, b"word").await;
    let mut came = [0; 10];
    assert_eq!(server.read(&mut came).await.unwrap(), 4);
    // close_notify (RFC 8446 §6.1); what comes after it is not read.
    client.say(ContentType::Alert, &[1, 0]).await;
    client.say(ContentType::ApplicationData, b"too late").await;
    for _ in 0..2 {
        assert_eq!(server.read(&mut came).await.unwrap(), 0);
    }
    server.write_all(b"an answer").await.unwrap();
    server.shutdown().await.unwrap();
    assert!(server.write(b"more").await.is_err());
}

#[tokio::test]
async fn what_came_is_read_where_nothing_can_be_written() {
    let (mut server, client) = connected(&version::TLS13, 1000).await;
    let mut client = RawClient::new(client);
    client.say(ContentType::ApplicationData, b"last words").await;
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut server).poll_write(cx, &[7; 5000]).is_ready());
    drop(client);
    let mut came = [0; 20];
    assert_eq!(server.read(&mut came).await.unwrap(), 10);
    assert_eq!(server.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
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
        // Less than a handshake's own messages would hold up both: rustls reads none before it has said its part.
        room in prop_oneof![100..1000_usize, 100..100_000_usize],
        most in 1..70_000_usize,
        newest in any::<bool>(),
    ) {
        // When everybody waits, time runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let talk = async {
            let (near, far) = pipe(room);
            let connector = connector_of(&[if newest { &version::TLS13 } else { &version::TLS12 }], &["h2"]);
            let server = async {
                let (reads, writes) = tokio::io::split(accept(config(), near).await.unwrap());
                tokio::join!(hear(reads, most), say(writes, down))
            };
            let client = async {
                let stream = connector.connect("a.test".try_into().unwrap(), far).await.unwrap();
                let (reads, writes) = tokio::io::split(stream);
                tokio::join!(hear(reads, most), say(writes, up))
            };
            let ((heard_up, said_down), (heard_down, said_up)) = tokio::join!(server, client);
            assert!(said_up == heard_up, "up: {} of {} bytes", heard_up.len(), said_up.len());
            assert!(said_down == heard_down, "down: {} of {} bytes", heard_down.len(), said_down.len());
        };
        let over = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), talk).await });
        assert!(over.is_ok(), "nobody is woken any more");
    }

    /// Whoever stands between the two can cut and change bytes: what is read is then the beginning of what was said, and
    /// its end is no end in order.
    #[test]
    fn a_meddler_is_found_out(
        said in prop::collection::vec((1..40_000_usize, 1..5_usize), 1..4),
        at in prop_oneof![0..600_usize, 0..100_000_usize],
        change in prop_oneof![Just(None), (1..=255_u8).prop_map(Some)],
        step in 1..20_000_usize,
        newest in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let talk = async {
            let connector = connector_of(&[if newest { &version::TLS13 } else { &version::TLS12 }], &["h2"]);
            let (near, to_server) = pipe(1 << 20);
            let (to_client, far) = tokio::io::duplex(1 << 20);
            let (mut from_server, mut to_server) = tokio::io::split(to_server);
            let (mut from_client, mut to_client) = tokio::io::split(to_client);
            let client = async {
                let mut stream = connector.connect("a.test".try_into().unwrap(), far).await.ok()?;
                // Only what the server made of it is of interest.
                let said = say(&mut stream, said).await;
                let _end = stream.read(&mut [0; 10]).await;
                Some(said)
            };
            let server = async {
                let mut stream = accept(config(), near).await.ok()?;
                let (mut came, mut buffer) = (Vec::new(), vec![0; 5000]);
                let end = loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => break Ok(()),
                        Ok(read) => came.extend_from_slice(&buffer[..read]),
                        Err(fault) => break Err(fault.kind()),
                    }
                };
                let _said = stream.write_all(b"an answer").await;
                let _shut = stream.shutdown().await;
                Some((came, end))
            };
            let meddler = async {
                let (mut passed, mut buffer) = (0, vec![0; step]);
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    let mut bytes = &mut buffer[..read];
                    let is_here = (passed..passed + read).contains(&at);
                    match change {
                        Some(change) if is_here => bytes[at - passed] ^= change,
                        None if is_here => bytes = &mut bytes[..at - passed],
                        _ => {}
                    }
                    passed += read;
                    if to_server.write_all(bytes).await.is_err() || (is_here && change.is_none()) {
                        break;
                    }
                }
                let _end = to_server.shutdown().await;
                passed > at
            };
            let back = async {
                let _end = tokio::io::copy(&mut from_server, &mut to_client).await;
                let _end = to_client.shutdown().await;
            };
            let (said, heard, has_meddled, ()) = tokio::join!(client, server, meddler, back);
            let Some((came, end)) = heard else {
                assert!(has_meddled);
                return;
            };
            if let Some(said) = said {
                assert!(said.starts_with(&came) && (end.is_err() || said == came));
            }
            // A change of the version in the first record's head may go unnoticed (RFC 8446 §5.1).
            assert!(end.is_ok() || has_meddled);
            assert!(end.is_err() || !(has_meddled && change.is_none()));
        };
        let over = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), talk).await });
        // A record whose head now names a greater length is waited for: ending that is the deadlines' business.
        assert!(over.is_ok() || change.is_some(), "nobody is woken any more");
    }
}
