//! The backend: answers of a given size that may or may not be kept, WebSocket echo, and a count of what it was asked.
//!
//! | path | answer |
//! |---|---|
//! | `/cached/SIZE/…` | SIZE bytes, fresh for an hour, with a validator |
//! | `/vary/SIZE/…` | the same, with `Vary: Accept-Encoding` |
//! | `/fresh/SIZE/…` | the same, never to be stored |
//! | `/slow/SIZE/…` | as `/cached`, after [`SLOW`] |
//! | `/ws` | 101, then every message back |
//! | `/count` | how many requests there were, but for these |

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::spawn_local,
};

use crate::{
    frame::{self, Frames, Part},
    scratch::read_until,
};

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_millis(200);

const BACKLOG: u32 = 16_384;
const FIELDS_MAX: usize = 64;
const READ: usize = 16 * 1024;

#[derive(Default)]
struct Origin {
    asked: Cell<u64>,
    /// Whole answers of this second, by kind and size.
    answers: RefCell<HashMap<String, Bytes>>,
    second: Cell<u64>,
}

/// Serves until it is killed.
pub async fn serve(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener: TcpListener = socket.listen(BACKLOG)?;
    let origin = Rc::new(Origin::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let origin = origin.clone();
        spawn_local(async move {
            // A client that goes away is no concern of the backend's.
            let _ended = origin.connection(stream).await;
        });
    }
}

/// Asks the backend on `port`, if any, how many requests there were.
pub async fn count(port: Option<u16>) -> io::Result<Option<u64>> {
    let Some(port) = port else { return Ok(None) };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /count HTTP/1.1\r\nHost: bench.test\r\n\r\n").await?;
    // The backend answers in one write.
    read_until(&mut stream, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        Ok(text.rsplit("\r\n").next().and_then(|count| count.parse().ok()))
    })
    .await
    .map(Some)
}

impl Origin {
    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut input = BytesMut::new();
        loop {
            let Some(asked) = read_request(&mut stream, &mut input).await? else { return Ok(()) };
            if let Some(key) = asked.websocket {
                self.asked.set(self.asked.get() + 1);
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {}\r\n\r\n",
                    frame::accept(&key)
                );
                stream.write_all(head.as_bytes()).await?;
                return echo(stream, input).await;
            }
            skip_body(&mut stream, &mut input, asked.body_bytes).await?;
            let answer = self.answer(&asked.target).await;
            stream.write_all(&answer).await?;
        }
    }

    async fn answer(&self, target: &str) -> Bytes {
        let mut segments = target.trim_start_matches('/').split('/');
        let kind = segments.next().unwrap_or_default();
        if kind == "count" {
            let count = self.asked.get().to_string();
            return format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{count}", count.len()).into();
        }
        self.asked.set(self.asked.get() + 1);
        let Some(size) = segments.next().and_then(|size| size.parse().ok()) else {
            return Bytes::from_static(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        if kind == "slow" {
            tokio::time::sleep(SLOW).await;
        }
        self.sized(kind, size)
    }

    fn sized(&self, kind: &str, size: usize) -> Bytes {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut answers = self.answers.borrow_mut();
        if self.second.replace(second) != second {
            answers.clear();
        }
        let name = format!("{kind}/{size}");
        let answer = answers.entry(name).or_insert_with(|| {
            let terms = match kind {
                "fresh" => "no-store",
                "vary" => "max-age=3600\r\nVary: Accept-Encoding",
                _ => "max-age=3600",
            };
            let date = httpdate::fmt_http_date(now);
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nServer: tidebench\r\nDate: {date}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {size}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: \"v1\"\r\n\
                 Cache-Control: {terms}\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + size, b'x');
            answer.into()
        });
        answer.clone()
    }
}

struct Asked {
    target: String,
    body_bytes: u64,
    /// The key of a WebSocket handshake.
    websocket: Option<Vec<u8>>,
}

async fn read_request(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<Option<Asked>> {
    loop {
        if let Some(asked) = parse(input)? {
            return Ok(Some(asked));
        }
        input.reserve(READ);
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(input: &mut BytesMut) -> io::Result<Option<Asked>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let parsed = head.parse(input).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let mut asked = Asked { target: head.path.unwrap_or_default().to_owned(), body_bytes: 0, websocket: None };
    for field in head.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            asked.body_bytes = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        } else if field.name.eq_ignore_ascii_case("sec-websocket-key") {
            asked.websocket = Some(field.value.to_vec());
        }
    }
    input.advance(length);
    Ok(Some(asked))
}

async fn skip_body(stream: &mut TcpStream, input: &mut BytesMut, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    loop {
        let here = left.min(input.len() as u64);
        input.advance(here as usize);
        left -= here;
        if left == 0 {
            return Ok(());
        }
        input.reserve(READ);
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Sends back what comes, frame by frame, as it comes; one write for one read.
async fn echo(mut stream: TcpStream, mut input: BytesMut) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut output = Vec::new();
    let mut open = answer_frames(&mut frames, &mut input, &mut output);
    drop(input);
    while open {
        stream.write_all(&output).await?;
        output.clear();
        open = read_until(&mut stream, |bytes| Ok(Some(answer_frames(&mut frames, bytes, &mut output)))).await?;
    }
    stream.write_all(&output).await?;
    stream.shutdown().await
}

/// Whether the tunnel stays open.
fn answer_frames(frames: &mut Frames, bytes: &mut [u8], output: &mut Vec<u8>) -> bool {
    let mut open = true;
    frames.feed(bytes, |part| match part {
        Part::Begin { opcode: frame::PONG, .. } | Part::Payload { opcode: frame::PONG, .. } => {}
        Part::Begin { opcode, length } => {
            let answer = if opcode == frame::PING { frame::PONG } else { opcode };
            frame::write_head(output, answer, length, None);
        }
        Part::Payload { bytes, .. } => output.extend_from_slice(bytes),
        Part::End { opcode } => open &= opcode != frame::CLOSE,
    });
    open
}
