//! Stories of one tunnel over real sockets and in-memory pipes: what went in comes out, and every way out has its reason.

mod breaks;
mod drain;
mod ends;
mod moving;
mod terms;

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    metrics::Registry,
    tunnel::{About, Drain, Pace, Source, Tunnels, wire},
};

/// A running tunnel, with the far ends of both its streams in the test's hand.
struct Story<C, B> {
    client: C,
    backend: B,
    tunnels: Tunnels,
    tunnel: JoinHandle<Ended>,
}

const TERMS: Terms = Terms {
    idle: Duration::from_secs(3600),
    linger: Duration::from_secs(30),
    close: Duration::from_secs(5),
    send: Duration::from_secs(120),
    lifetime: None,
    message_bytes: None,
    messages_per_second: None,
    pings: None,
    count_pings: true,
    close_code: 1012,
    session_code: 1008,
    session_ends: None,
    observe: true,
};

fn tunnels() -> Tunnels {
    let name: Arc<str> = "app".into();
    Tunnels::new(&Registry::new(), &[Arc::clone(&name)], &[name])
}

/// Asks all to go, at once.
fn drain(tunnels: &Tunnels) {
    let now = Instant::now();
    let pace = Pace::new(1_000_000, now.into_std());
    tunnels.drain_all(Drain { reason: CloseReason::Drain, pace, cut_at: now + Duration::from_secs(3600) });
}

fn close_frame(code: u16, key: Option<[u8; 4]>) -> Vec<u8> {
    wire::close_frame(&Farewell::new(code, ""), key)
}

fn start(
    client: Stream,
    backend: Stream,
    first: (&'static [u8], &'static [u8]),
    terms: Terms,
) -> (Tunnels, JoinHandle<Ended>) {
    let tunnels = tunnels();
    let (up, down) = (Bytes::from_static(first.0), Bytes::from_static(first.1));
    let tunnel =
        tokio::spawn(run(client, up, backend, down, Arc::new(terms), tunnels.open(0, 0, About::default()), |ended| {
            ended
        }));
    (tunnels, tunnel)
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    far.set_nodelay(true).unwrap();
    (near, far)
}

async fn tcp_story_with(terms: Terms, first: (&'static [u8], &'static [u8])) -> Story<TcpStream, TcpStream> {
    let ((near_client, client), (near_backend, backend)) = (tcp_pair().await, tcp_pair().await);
    let (tunnels, tunnel) = start(Stream::Tcp(near_client), Stream::Tcp(near_backend), first, terms);
    Story { client, backend, tunnels, tunnel }
}

async fn tcp_story() -> Story<TcpStream, TcpStream> {
    tcp_story_with(TERMS, (b"", b"")).await
}

/// Over pipes that hold `size` bytes each; for paused time.
fn pipe_story(size: usize, terms: Terms) -> Story<DuplexStream, DuplexStream> {
    let ((near_client, client), (near_backend, backend)) = (duplex(size), duplex(size));
    let (tunnels, tunnel) =
        start(Stream::Boxed(Box::new(near_client)), Stream::Boxed(Box::new(near_backend)), (b"", b""), terms);
    Story { client, backend, tunnels, tunnel }
}

async fn read_exactly(stream: &mut (impl tokio::io::AsyncRead + Unpin), length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// A Close frame: its code and its reason.
async fn read_close(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> (u16, String) {
    let head = read_exactly(stream, 2).await;
    assert_eq!(head[0], 0x88, "{head:02x?}");
    let key = if head[1] & 0x80 != 0 { read_exactly(stream, 4).await } else { vec![0; 4] };
    let payload = read_exactly(stream, usize::from(head[1] & 0x7f)).await;
    let plain: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    (u16::from_be_bytes([plain[0], plain[1]]), String::from_utf8(plain[2..].into()).unwrap())
}

/// A data frame of `payload`, masked with zeros when a client sends it.
fn data_frame(payload: &[u8], masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match payload.len() {
        length @ 0..126 => frame.push(mask | length as u8),
        length => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}
