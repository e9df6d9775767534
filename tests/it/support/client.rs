//! A client that sends what it is told and reads strictly.

use std::{net::SocketAddr, panic::Location};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
};

use super::{
    Answer, Authority, Flaw, Socket,
    message::Length,
    show,
    time::{PATIENCE, in_time},
    wire::Wire,
    within,
};

/// One HTTP/1 connection, and what went over it, for the message of a story that fails.
pub struct Connection {
    pub wire: Wire,
    sent: Vec<u8>,
    said: Vec<String>,
}

/// Where a story asked, for the message.
pub type Place = &'static Location<'static>;

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
        self.answer_at(method, Location::caller())
    }

    async fn answer_at(&mut self, method: &str, place: Place) -> Answer {
        let read = in_time(self.try_answer(method)).await;
        self.sound("a whole answer", read, place)
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
        head.sent = self.sent.clone();
        self.said.push(format!("answer:\n{}", show(&[&head.raw[..], &head.body].concat())));
        Ok(head)
    }

    /// The next head alone, interim or final; its body is for the story to read.
    #[track_caller]
    pub fn head(&mut self) -> impl Future<Output = Answer> {
        self.head_at(Location::caller())
    }

    pub(super) async fn head_at(&mut self, place: Place) -> Answer {
        let read = in_time(self.wire.answer_head()).await;
        let head = self.sound("an answer's head", read, place);
        self.said.push(format!("head:\n{}", show(&head.raw)));
        head
    }

    /// The next chunk of a chunked body.
    #[track_caller]
    pub fn chunk(&mut self) -> impl Future<Output = Vec<u8>> {
        let place = Location::caller();
        async move {
            let read = in_time(self.wire.chunk()).await;
            self.sound("a chunk", read, place)
        }
    }

    /// Data of a chunked body until it ends with `end`, whatever chunk borders stand in it.
    #[track_caller]
    pub fn chunks_until(&mut self, end: &str) -> impl Future<Output = String> {
        let place = Location::caller();
        async move {
            let mut data = Vec::new();
            while !data.ends_with(end.as_bytes()) {
                let read = in_time(self.wire.chunk()).await;
                let chunk = self.sound(&format!("a chunk with {end:?}"), read, place);
                assert!(!chunk.is_empty(), "{place}: the body ended before {end:?}:\n{}", show(&data));
                data.extend(chunk);
            }
            String::from_utf8(data).unwrap()
        }
    }

    /// Exactly these many bytes, whatever they are.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> impl Future<Output = Vec<u8>> {
        let place = Location::caller();
        async move {
            let mut bytes = Vec::new();
            let mut sink = |piece: &[u8]| bytes.extend_from_slice(piece);
            let read = in_time(self.wire.body(Length::Exactly(count as u64), &mut sink)).await;
            self.sound(&format!("{count} bytes"), read, place);
            bytes
        }
    }

    /// Everything up to the end of the connection, by FIN or by reset.
    #[track_caller]
    pub fn until_closed(&mut self) -> impl Future<Output = Vec<u8>> {
        let place = Location::caller();
        async move {
            let read = in_time(async { while matches!(self.wire.fill().await, Ok(count) if count > 0) {} }).await;
            self.sound("the connection to be closed", read.map(Ok), place);
            std::mem::take(&mut self.wire.buffer)
        }
    }

    /// The connection ends and not one more byte comes.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        let closing = self.until_closed();
        async move {
            let rest = closing.await;
            assert!(rest.is_empty(), "{place}: bytes before the close:\n{}", show(&rest));
        }
    }

    /// A GET on this connection.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> impl Future<Output = Answer> {
        self.ask_at("GET", target, &[], b"", Location::caller())
    }

    /// A GET with further fields.
    #[track_caller]
    pub fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> impl Future<Output = Answer> {
        self.ask_at("GET", target, fields, b"", Location::caller())
    }

    /// A whole request; a body gets its Content-Length. The Host is `example.test` where the fields have none.
    #[track_caller]
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> impl Future<Output = Answer> {
        self.ask_at(method, target, fields, body, Location::caller())
    }

    pub(super) async fn ask_at(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        place: Place,
    ) -> Answer {
        self.send(request(method, target, fields, body)).await;
        self.answer_at(method, place).await
    }

    /// What was read, or the story fails with the transcript: it never came, or it was unsound.
    fn sound<T>(&self, what: &str, read: Option<Result<T, Flaw>>, place: Place) -> T {
        match read {
            Some(Ok(value)) => value,
            Some(Err(flaw)) => panic!("{place}: expected {what}: {flaw}\n{}", self.transcript()),
            None => panic!("{place}: waited {PATIENCE:?} for {what}\n{}", self.transcript()),
        }
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
