//! HTTP/2 clients: a well-behaved one, and one that writes frames by hand.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, Request};
use tokio::{net::TcpStream, task::AbortHandle};

use super::{Answer, Authority, Connection, Socket, message::Field, wire::Wire, within};

/// One connection of the `h2` crate.
#[derive(Clone)]
pub struct Http2 {
    pub(super) sender: h2::client::SendRequest<Bytes>,
    driver: AbortHandle,
    pub(super) authority: String,
}

impl Http2 {
    /// Over TLS, agreed by ALPN.
    pub async fn tls(address: SocketAddr, name: &str, authority: &Authority) -> Self {
        let socket = authority.connect(address, name, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(socket.protocol().as_deref(), Some("h2"), "the protocol agreed by ALPN");
        Self::over(socket, format!("https://{name}")).await
    }

    /// Without TLS, by prior knowledge.
    pub async fn prior_knowledge(address: SocketAddr) -> Self {
        let tcp = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self::over(Socket::Tcp(tcp), "http://example.test".into()).await
    }

    async fn over(socket: Socket, authority: String) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
        let (sender, connection) = within("an HTTP/2 handshake", builder.handshake(socket)).await.unwrap();
        let driver = tokio::spawn(async move {
            // Each stream tells its own error.
            let _ = connection.await;
        });
        Self { sender, driver: driver.abort_handle(), authority }
    }

    /// Cuts the whole connection.
    pub fn cut(&self) {
        self.driver.abort();
    }

    /// Starts a request; the body is the caller's to send when `ended` is false.
    pub async fn start(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        ended: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.authority));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let sender = within("room for a stream", self.sender.clone().ready()).await;
        let mut sender = sender.unwrap_or_else(|error| panic!("the connection is over: {error}"));
        sender.send_request(request.body(()).unwrap(), ended).unwrap()
    }

    /// A whole exchange.
    pub async fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.try_ask(method, target, fields, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {target} over HTTP/2: {error}"))
    }

    /// A whole exchange that may be reset.
    pub async fn try_ask(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, h2::Error> {
        let (answer, mut stream) = self.start(method, target, fields, body.is_empty()).await;
        if !body.is_empty() {
            send_all(&mut stream, body).await?;
        }
        let mut answer = whole(answer).await?;
        answer.sent = format!("{method} {target} {fields:?} and {} bytes", body.len()).into_bytes();
        Ok(answer)
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"").await
    }
}

/// Sends a body as flow control lets it go, and ends the stream.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut body: &[u8]) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len().min(64 * 1024));
        let granted = within("flow control to let data go", std::future::poll_fn(|cx| stream.poll_capacity(cx))).await;
        let Some(granted) = granted.transpose()? else { break };
        let (now, later) = body.split_at(granted.min(body.len()));
        stream.send_data(Bytes::copy_from_slice(now), later.is_empty())?;
        body = later;
    }
    Ok(())
}

/// Reads a whole answer.
pub async fn whole(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = within("an HTTP/2 answer", answer).await?.into_parts();
    let (body, trailers) = within("the end of an HTTP/2 body", read_all(&mut stream)).await?;
    Ok(Answer {
        version: "HTTP/2".into(),
        status: head.status.as_u16(),
        fields: plain(&head.headers),
        raw: format!("{head:?}").into_bytes(),
        body,
        trailers: trailers.as_ref().map(plain).unwrap_or_default(),
        until_close: false,
        sent: Vec::new(),
    })
}

/// The body and the trailers of a stream.
pub async fn read_all(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        // The peer only looks at the sum: an error here would be our own.
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    Ok((body, stream.trailers().await?))
}

/// Fields as text.
pub fn plain(fields: &HeaderMap) -> Vec<Field> {
    fields.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}

/// A connection whose frames are written by hand, for what no library sends.
pub struct RawHttp2 {
    wire: Wire,
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// An answer; the status where it is one of the static table's.
    Answered(Option<u16>),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code, or the connection's end.
    ConnectionEnded(Option<u32>),
}

impl RawHttp2 {
    /// Prior knowledge or, on a TLS connection, after ALPN.
    pub async fn over(connection: Connection) -> Self {
        let mut raw = Self { wire: connection.wire };
        raw.wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        raw.frame(4, 0, 0, &[]).await;
        raw
    }

    /// One frame (RFC 9113 §4.1).
    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The gateway may have had enough: its frames are still there to read.
        let _ = within("the gateway to take a frame", self.wire.send(&frame)).await;
    }

    /// HEADERS with END_HEADERS; fields as literals without indexing (RFC 7541 §6.2.2).
    pub async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end_of_stream: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                length(text.len(), &mut block);
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.frame(1, if end_of_stream { 5 } else { 4 }, stream, &block).await;
    }

    /// A POST of one byte to `/t` on the first stream, with these fields and trailers.
    pub async fn send_trailers(&mut self, fields: &[(&str, &str)], trailers: &[(&str, &str)]) {
        let head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/t")];
        self.headers(1, &[&head, fields].concat(), false).await;
        self.frame(0, 0, 1, b"x").await;
        self.headers(1, trailers, true).await;
    }

    /// What becomes of `stream`.
    pub async fn fate(&mut self, stream: u32) -> Fate {
        loop {
            let Some((kind, _, on, payload)) = within("a frame", self.read()).await else {
                return Fate::ConnectionEnded(None);
            };
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match kind {
                1 if on == stream => return Fate::Answered(static_status(payload[0])),
                3 if on == stream => return Fate::Reset(code(0)),
                7 => return Fate::ConnectionEnded(Some(code(4))),
                _ => {}
            }
        }
    }

    /// The next bytes of `stream`.
    pub async fn data(&mut self, stream: u32) -> Vec<u8> {
        loop {
            match within("a DATA frame", self.read()).await {
                Some((0, _, on, payload)) if on == stream && !payload.is_empty() => return payload,
                Some(_) => {}
                None => panic!("the connection ended instead of a DATA frame"),
            }
        }
    }

    /// The bodies of so many streams, in the order in which they end.
    pub async fn bodies(&mut self, streams: usize) -> Vec<Vec<u8>> {
        let (mut under_way, mut ended) = (HashMap::<u32, Vec<u8>>::new(), Vec::new());
        while ended.len() < streams {
            match within("a DATA frame", self.read()).await {
                Some((0, flags, on, payload)) => {
                    under_way.entry(on).or_default().extend_from_slice(&payload);
                    if flags & 1 == 1 {
                        ended.extend(under_way.remove(&on));
                    }
                }
                Some((3 | 7, _, on, payload)) => panic!("stream {on} ended with {payload:?}"),
                Some(_) => {}
                None => panic!("the connection ended after {} bodies", ended.len()),
            }
        }
        ended
    }

    async fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            let buffer = &self.wire.buffer;
            if buffer.len() >= 9 {
                let length = u32::from_be_bytes([0, buffer[0], buffer[1], buffer[2]]) as usize;
                if buffer.len() >= 9 + length {
                    let frame: Vec<u8> = self.wire.buffer.drain(..9 + length).collect();
                    let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
                    return Some((frame[3], frame[4], stream, frame[9..].to_vec()));
                }
            }
            if !matches!(self.wire.fill().await, Ok(count) if count > 0) {
                return None;
            }
        }
    }
}

/// An integer with a 7-bit prefix (RFC 7541 §5.1).
fn length(mut value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        return out.push(value as u8);
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push((value % 128 + 128) as u8);
        value /= 128;
    }
    out.push(value as u8);
}

/// `:status` of the static table (RFC 7541 appendix A).
fn static_status(byte: u8) -> Option<u16> {
    match byte {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => None,
    }
}
