//! A client that sends what it is told and reads strictly.

use std::net::SocketAddr;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
};

use super::{Answer, Authority, Flaw, Socket, message::Length, show, wire::Wire, within};

/// One HTTP/1 connection, and what went over it, for the message of a story that fails.
pub struct Connection {
    pub wire: Wire,
    sent: Vec<u8>,
    said: Vec<String>,
}

impl Connection {
    pub fn over(socket: Socket) -> Self {
        Self { wire: Wire::new(socket), sent: Vec::new(), said: Vec::new() }
    }

    pub async fn tcp(address: SocketAddr) -> Self {
        let socket = within(format!("a connection to {address}"), TcpStream::connect(address)).await;
        let socket = socket.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        socket.set_nodelay(true).unwrap();
        Self::over(Socket::Tcp(socket))
    }

    pub async fn unix(path: &std::path::Path) -> Self {
        let socket = within("a connection to a Unix socket", UnixStream::connect(path)).await;
        Self::over(Socket::Unix(socket.unwrap_or_else(|error| panic!("connect to {}: {error}", path.display()))))
    }

    /// TLS with the given SNI, verified against `authority`, offering `http/1.1`.
    pub async fn tls(address: SocketAddr, name: &str, authority: &Authority) -> Self {
        Self::over(authority.connect(address, name, &["http/1.1"]).await.unwrap_or_else(|e| panic!("TLS: {e}")))
    }

    /// Sends the bytes. An error is kept for the transcript: the answer may still be there to read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.sent.extend_from_slice(&bytes[..bytes.len().min(64 * 1024)]);
        if let Err(error) = within("the gateway to take bytes", self.wire.send(bytes)).await {
            self.said.push(format!("sending {} bytes failed: {error}", bytes.len()));
        }
    }

    /// The client's last word: FIN.
    pub async fn finish(&mut self) {
        self.wire.socket.shutdown().await.unwrap();
    }

    /// The final answer to a request that was no HEAD, with its body.
    #[track_caller]
    pub fn answer(&mut self) -> impl Future<Output = Answer> {
        self.answer_to("GET")
    }

    /// The final answer with its body; interim answers are passed over.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            let read = within("an answer", self.try_answer(method)).await;
            read.unwrap_or_else(|flaw| panic!("{place}: no whole answer: {flaw}\n{}", self.transcript()))
        }
    }

    /// The same, where the story expects that it may be cut.
    pub async fn try_answer(&mut self, method: &str) -> Result<Answer, Flaw> {
        loop {
            let head = self.wire.answer_head().await?;
            if head.status >= 200 || head.status == 101 {
                return self.rest(head, method).await;
            }
        }
    }

    /// Reads the body of `head`.
    async fn rest(&mut self, mut head: Answer, method: &str) -> Result<Answer, Flaw> {
        let length = head.length(method)?;
        let mut body = Vec::new();
        let trailers = self.wire.body(length, &mut |piece: &[u8]| body.extend_from_slice(piece)).await;
        head.until_close = length == Length::UntilClose;
        head.trailers = match trailers {
            Ok(trailers) => trailers,
            Err(Flaw::Cut { how, .. }) => return Err(Flaw::Cut { read: [head.raw, body].concat(), how }),
            Err(flaw) => return Err(flaw),
        };
        head.body = body;
        self.said.push(format!("answer:\n{}", show(&[&head.raw[..], &head.body].concat())));
        Ok(head)
    }

    /// The next head alone, interim or final; its body is for the story to read.
    pub async fn head(&mut self) -> Answer {
        let head = within("an answer's head", self.wire.answer_head()).await;
        let head = head.unwrap_or_else(|flaw| panic!("no head: {flaw}\n{}", self.transcript()));
        self.said.push(format!("head:\n{}", show(&head.raw)));
        head
    }

    /// The next chunk of a chunked body.
    pub async fn chunk(&mut self) -> Vec<u8> {
        let chunk = within("a chunk", self.wire.chunk()).await;
        chunk.unwrap_or_else(|flaw| panic!("no chunk: {flaw}\n{}", self.transcript()))
    }

    /// Data of a body until it ends with `end`, whatever chunk borders stand in it.
    pub async fn chunks_until(&mut self, end: &str) -> String {
        let mut data = Vec::new();
        while !data.ends_with(end.as_bytes()) {
            let chunk = self.chunk().await;
            assert!(!chunk.is_empty(), "the body ended before {end:?}:\n{}", show(&data));
            data.extend(chunk);
        }
        String::from_utf8(data).unwrap()
    }

    /// Exactly these many bytes, whatever they are.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = Length::Exactly(count as u64);
        let mut sink = |piece: &[u8]| bytes.extend_from_slice(piece);
        let read = within(format!("{count} bytes"), self.wire.body(length, &mut sink)).await;
        if let Err(flaw) = read {
            panic!("{count} bytes expected: {flaw}\ngot\n{}\n{}", show(&bytes), self.transcript());
        }
        bytes
    }

    /// Everything up to the end of the connection, by FIN or by reset.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let all = async { while matches!(self.wire.fill().await, Ok(count) if count > 0) {} };
        within("the connection to be closed", all).await;
        std::mem::take(&mut self.wire.buffer)
    }

    /// The connection ends and not one more byte comes.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let rest = self.until_closed().await;
            assert!(rest.is_empty(), "{place}: bytes before the close:\n{}\n{}", show(&rest), self.transcript());
        }
    }

    /// A GET on this connection.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.get_with(target, &[]).await
    }

    /// A GET with further fields.
    pub async fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask("GET", target, fields, b"").await
    }

    /// A whole request; a body gets its Content-Length. The Host is `example.test` where the fields have none.
    pub async fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(request(method, target, fields, body)).await;
        self.answer_to(method).await
    }

    /// What went over the connection, for people.
    pub fn transcript(&self) -> String {
        let said = self.said.join("\n");
        format!("sent:\n{}\n{said}\nunread:\n{}", show(&self.sent), show(&self.wire.buffer))
    }
}

/// The bytes of a request; a body gets its Content-Length, a missing Host is `example.test`.
pub fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += "Host: example.test\r\n";
    }
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}
