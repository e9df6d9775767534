//! WebSocket over one stream of an HTTP/2 connection, by hand (RFC 8441).

use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture, ext::Protocol};
use http::{Method, Request};

use super::{Answer, Frame, Http2, eventually, http2::plain, whole, within};

/// A tunnel: its two directions, each with its own end.
pub struct Http2Socket {
    pub head: Answer,
    pub up: Http2Sender,
    pub down: Http2Receiver,
}

pub struct Http2Sender {
    stream: SendStream<Bytes>,
    /// Bytes that flow control has let go.
    pub sent: usize,
}

pub struct Http2Receiver {
    stream: RecvStream,
    buffer: Vec<u8>,
}

/// What came instead of bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// END_STREAM, or the NO_ERROR that tells after it that nothing more is read (RFC 9113 §8.1).
    Finished,
    /// RST_STREAM with this code.
    Reset(h2::Reason),
    /// The whole connection is over.
    Gone,
}

impl Http2 {
    /// Waits for the SETTINGS that allow extended CONNECT.
    pub async fn allowed(&self) {
        let allowed = async || self.sender.is_extended_connect_protocol_enabled().then_some(());
        eventually("SETTINGS_ENABLE_CONNECT_PROTOCOL", allowed).await;
    }

    /// Whether the gateway's SETTINGS, once they are known, allow extended CONNECT.
    pub async fn is_allowed(&mut self) -> bool {
        // By the first answer they have come (RFC 9113 §3.4).
        self.get("/settings").await;
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Starts an extended CONNECT with these fields and no others.
    pub async fn begin_connect(
        &mut self,
        protocol: &'static str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder().method(Method::CONNECT).uri(format!("{}{target}", self.authority));
        request = request.extension(Protocol::from_static(protocol));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut sender = within("room for a stream", self.sender.clone().ready()).await.unwrap();
        sender.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// A whole exchange that is expected to open no tunnel.
    pub async fn refused(&mut self, protocol: &'static str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.allowed().await;
        let (answer, _send) = self.begin_connect(protocol, target, fields).await;
        whole(answer).await.unwrap_or_else(|error| panic!("CONNECT {protocol} {target}: {error}"))
    }

    /// Opens a tunnel as browsers do.
    pub async fn websocket(&mut self, target: &str, fields: &[(&str, &str)]) -> Http2Socket {
        self.allowed().await;
        let fields = [&[("sec-websocket-version", "13")], fields].concat();
        let (answer, send) = self.begin_connect("websocket", target, &fields).await;
        Http2Socket::opened(answer, send).await
    }
}

impl Http2Socket {
    /// Waits for the 200.
    pub async fn opened(answer: ResponseFuture, stream: SendStream<Bytes>) -> Self {
        let (head, receive) = within("the head of a tunnel", answer).await.unwrap().into_parts();
        let head = Answer {
            version: "HTTP/2".into(),
            status: head.status.as_u16(),
            fields: plain(&head.headers),
            body: Vec::new(),
            trailers: Vec::new(),
            raw: format!("{head:?}").into_bytes(),
            until_close: false,
            sent: Vec::new(),
        };
        assert_eq!(head.status, 200, "{}", head.told());
        let up = Http2Sender { stream, sent: 0 };
        Self { head, up, down: Http2Receiver { stream: receive, buffer: Vec::new() } }
    }

    pub async fn send_frame(&mut self, frame: &Frame) {
        self.up.send(&frame.masked()).await;
    }

    /// The next frame; the stream's end fails the story.
    pub async fn frame(&mut self) -> Frame {
        self.down.frame().await
    }

    /// The end of the stream; a frame fails the story.
    pub async fn end(&mut self) -> End {
        match self.down.frame_or_end().await {
            Ok(frame) => panic!("{frame:?} instead of the end"),
            Err(end) => end,
        }
    }
}

impl Http2Sender {
    /// Sends these bytes as flow control lets them go, for as long as that takes. A stream that is over is the reader's to
    /// tell.
    pub async fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.stream.reserve_capacity(bytes.len().min(64 * 1024));
            let granted = match self.stream.capacity() {
                0 => poll_fn(|cx| self.stream.poll_capacity(cx)).await,
                granted => Some(Ok(granted)),
            };
            let Some(Ok(granted)) = granted else { return };
            let (now, later) = bytes.split_at(granted.min(bytes.len()));
            if self.stream.send_data(Bytes::copy_from_slice(now), false).is_err() {
                return;
            }
            self.sent += now.len();
            bytes = later;
        }
    }

    /// The client's last word: END_STREAM.
    pub fn finish(&mut self) {
        let _ = self.stream.send_data(Bytes::new(), true);
    }

    /// RST_STREAM with CANCEL.
    pub fn reset(&mut self) {
        self.stream.send_reset(h2::Reason::CANCEL);
    }
}

impl Http2Receiver {
    /// The next frame; the stream's end fails the story.
    pub async fn frame(&mut self) -> Frame {
        match self.frame_or_end().await {
            Ok(frame) => frame,
            Err(end) => panic!("{end:?} instead of a frame"),
        }
    }

    pub async fn frame_or_end(&mut self) -> Result<Frame, End> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// The next bytes, whatever they are.
    pub async fn bytes_or_end(&mut self) -> Result<Vec<u8>, End> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn fill(&mut self) -> Result<(), End> {
        match within("bytes of a tunnel", self.stream.data()).await {
            Some(Ok(piece)) => {
                // An error here is the next read's.
                let _ = self.stream.flow_control().release_capacity(piece.len());
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            Some(Err(error)) => Err(match error.reason().filter(|_| error.is_reset()) {
                Some(h2::Reason::NO_ERROR) => End::Finished,
                Some(reason) => End::Reset(reason),
                None => End::Gone,
            }),
            None => Err(End::Finished),
        }
    }
}
