//! Bytes of one connection: read by message, written as they are.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Answer, Flaw, Request, Socket,
    message::{Field, Length, field_line},
};

/// No head of a story is larger.
const HEAD_MAX: usize = 4 << 20;

pub struct Wire {
    pub socket: Socket,
    /// Read and not yet taken.
    pub buffer: Vec<u8>,
}

impl Wire {
    pub fn new(socket: Socket) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    /// Reads once; 0 at the end.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 * 1024);
        self.socket.read_buf(&mut self.buffer).await
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }

    /// The next head with its empty line; `None` when the connection ended before its first byte.
    pub async fn head(&mut self) -> Result<Option<Vec<u8>>, Flaw> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..end + 4).collect()));
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(Flaw::malformed("endless head", &self.buffer));
            }
            if let Err(cut) = self.more().await {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut) };
            }
        }
    }

    /// Fills, or says that the connection has ended.
    async fn more(&mut self) -> Result<(), Flaw> {
        let how = match self.fill().await {
            Ok(0) => "end of stream".to_owned(),
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        Err(Flaw::Cut { read: self.buffer.clone(), how })
    }

    /// A line without its CRLF; a bare CR or LF in it is a flaw.
    async fn line(&mut self) -> Result<String, Flaw> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let text = std::str::from_utf8(&line[..end]).map_err(|_| Flaw::malformed("line", &line))?;
                if text.contains(['\r', '\n', '\0']) {
                    return Err(Flaw::malformed("line", &line));
                }
                return Ok(text.to_owned());
            }
            self.more().await?;
        }
    }

    /// Hands `length` bytes to `sink` in the pieces that come.
    async fn exactly(&mut self, mut length: u64, sink: &mut impl FnMut(&[u8])) -> Result<(), Flaw> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let take = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            sink(&self.buffer[..take]);
            self.buffer.drain(..take);
            length -= take as u64;
        }
        Ok(())
    }

    /// A chunked body with its trailers (RFC 9112 §7.1), no extensions: a proxy drops them.
    async fn chunked(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<Vec<Field>, Flaw> {
        loop {
            let line = self.line().await?;
            let hex = !line.is_empty() && line.len() <= 16 && line.bytes().all(|b| b.is_ascii_hexdigit());
            let Some(size) = hex.then(|| u64::from_str_radix(&line, 16).ok()).flatten() else {
                return Err(Flaw::malformed("chunk size", line.as_bytes()));
            };
            if size == 0 {
                break;
            }
            self.exactly(size, sink).await?;
            if !self.line().await?.is_empty() {
                return Err(Flaw::malformed("chunk end", &self.buffer));
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(field_line(&line).ok_or_else(|| Flaw::malformed("trailer", line.as_bytes()))?);
        }
    }

    /// The next data of a chunked body that is not over, in whole chunks or as it comes; empty at its end.
    pub async fn chunk(&mut self) -> Result<Vec<u8>, Flaw> {
        let line = self.line().await?;
        let size = u64::from_str_radix(&line, 16).map_err(|_| Flaw::malformed("chunk size", line.as_bytes()))?;
        let mut data = Vec::new();
        self.exactly(size, &mut |piece: &[u8]| data.extend_from_slice(piece)).await?;
        if size > 0 && !self.line().await?.is_empty() {
            return Err(Flaw::malformed("chunk end", &self.buffer));
        }
        Ok(data)
    }

    /// A body of the given length, handed to `sink` as it comes.
    pub async fn body(&mut self, length: Length, sink: &mut impl FnMut(&[u8])) -> Result<Vec<Field>, Flaw> {
        match length {
            Length::None => Ok(Vec::new()),
            Length::Exactly(length) => self.exactly(length, sink).await.map(|()| Vec::new()),
            Length::Chunked => self.chunked(sink).await,
            Length::UntilClose => loop {
                sink(&self.buffer);
                self.buffer.clear();
                match self.fill().await {
                    Ok(0) => return Ok(Vec::new()),
                    Ok(_) => {}
                    Err(error) => return Err(Flaw::Cut { read: Vec::new(), how: error.to_string() }),
                }
            },
        }
    }

    /// The head of the next answer, interim ones included.
    pub async fn answer_head(&mut self) -> Result<Answer, Flaw> {
        let raw = self.head().await?;
        Answer::parse(&raw.ok_or_else(|| Flaw::Cut { read: Vec::new(), how: "no answer".into() })?)
    }

    /// The head of the next request; `None` when the client has gone.
    pub async fn request_head(&mut self, connection: usize) -> Result<Option<Request>, Flaw> {
        self.head().await?.map(|raw| Request::parse(&raw, connection)).transpose()
    }
}
