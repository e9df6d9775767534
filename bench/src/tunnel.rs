//! WebSockets as a client opens and uses them: over HTTP/1.1 (RFC 6455) and over HTTP/2 (RFC 8441).

use std::{future::poll_fn, io};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, ext::Protocol};
use tokio::io::AsyncWriteExt;

use crate::{
    dial::{Dial, Stream},
    frame::{self, Frames, Part},
    http1::Http1,
    http2::{self, Http2},
    scratch::read_until,
};

pub struct Tunnel {
    way: Way,
    frames: Frames,
}

enum Way {
    Socket(Stream),
    Http2(SendStream<Bytes>, RecvStream),
}

/// What a tunnel brought.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    /// A message of so many bytes.
    Message(u64),
    Ping,
    /// A Close frame with its code (RFC 6455 §7.4), 1005 for none.
    Close(u16),
    /// The end of the stream, without a Close frame.
    Cut,
}

impl Tunnel {
    pub async fn open(dial: &Dial, path: &str) -> io::Result<Self> {
        let mut connection = Http1::connect(dial).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            frame::KEY
        );
        let answer = connection.exchange(head.as_bytes()).await?;
        expect(answer.status, 101)?;
        Ok(Self { way: Way::Socket(connection.into_stream()), frames: Frames::default() })
    }

    /// One more stream of a connection whose server offers extended CONNECT.
    pub async fn open_http2(connection: &mut Http2, path: &str) -> io::Result<Self> {
        connection.takes_tunnels().await?;
        poll_fn(|cx| connection.requests.poll_ready(cx)).await.map_err(io::Error::other)?;
        let request = http::Request::connect(format!("https://bench.test{path}"))
            .version(http::Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(())
            .map_err(io::Error::other)?;
        let (response, sending) = connection.requests.send_request(request, false).map_err(io::Error::other)?;
        let response = response.await.map_err(io::Error::other)?;
        expect(response.status().as_u16(), 200)?;
        Ok(Self { way: Way::Http2(sending, response.into_body()), frames: Frames::default() })
    }

    /// Sends a message and waits for one of the same size.
    pub async fn echo(&mut self, message: &Bytes, size: u64) -> io::Result<()> {
        self.send(message.clone()).await?;
        match self.next().await {
            Event::Message(length) if length == size => Ok(()),
            event => Err(io::Error::other(format!("{event:?} instead of {size} bytes"))),
        }
    }

    /// Waits for a message or the end. Pings are answered; a Close is answered as the end that it is.
    pub async fn next(&mut self) -> Event {
        loop {
            let event = self.event().await.unwrap_or(Event::Cut);
            match event {
                Event::Ping => {
                    // Whether it arrived is told by what comes next.
                    let _sent = self.send(frame::from_client(frame::PONG, b"").into()).await;
                }
                Event::Close(code) => {
                    let payload = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
                    let _sent = self.send(frame::from_client(frame::CLOSE, &payload).into()).await;
                    return event;
                }
                _ => return event,
            }
        }
    }

    /// Says Close first and waits for the other side's, as a browser does. A stream that ends without is an error.
    pub async fn close(mut self) -> io::Result<()> {
        self.send(frame::from_client(frame::CLOSE, &1000_u16.to_be_bytes()).into()).await?;
        loop {
            match self.event().await? {
                Event::Message(_) | Event::Ping => {}
                Event::Close(_) => return Ok(()),
                Event::Cut => return Err(io::Error::other("cut off instead of closed")),
            }
        }
    }

    async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        match &mut self.way {
            Way::Socket(stream) => {
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            Way::Http2(sending, _) => sending.send_data(bytes, false).map_err(io::Error::other),
        }
    }

    async fn event(&mut self) -> io::Result<Event> {
        let Self { way, frames } = self;
        let mut seen = Seen::default();
        match way {
            Way::Socket(stream) => read_until(stream, |bytes| Ok(seen.feed(frames, bytes))).await,
            Way::Http2(_, receiving) => loop {
                let Some(piece) = http2::receive(receiving).await? else { return Ok(Event::Cut) };
                if let Some(event) = seen.feed(frames, &mut BytesMut::from(piece)) {
                    return Ok(event);
                }
            },
        }
    }
}

/// A message while it comes.
#[derive(Default)]
struct Seen {
    length: u64,
    code: Vec<u8>,
}

impl Seen {
    /// The last event that ends in these bytes; the bench has one message in flight on a tunnel.
    fn feed(&mut self, frames: &mut Frames, bytes: &mut [u8]) -> Option<Event> {
        let mut event = None;
        frames.feed(bytes, |part| match part {
            Part::Begin { opcode, length } => {
                if opcode == frame::BINARY {
                    self.length = length;
                }
                self.code.clear();
            }
            Part::Payload { opcode, bytes } => {
                if opcode == frame::CLOSE {
                    self.code.extend_from_slice(bytes);
                }
            }
            Part::End { opcode } => {
                event = match opcode {
                    frame::BINARY => Some(Event::Message(self.length)),
                    frame::PING => Some(Event::Ping),
                    frame::CLOSE => {
                        let code = self.code.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code));
                        Some(Event::Close(code))
                    }
                    _ => event,
                };
            }
        });
        event
    }
}

fn expect(status: u16, wanted: u16) -> io::Result<()> {
    if status == wanted { Ok(()) } else { Err(io::Error::other(format!("status {status} instead of {wanted}"))) }
}
