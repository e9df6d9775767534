//! HTTP/1.1 as a client speaks it: one request, then its answer.

use std::io;

use tokio::io::AsyncWriteExt;

use crate::{
    dial::{Dial, Stream},
    scratch::read_until,
};

const FIELDS_MAX: usize = 64;

pub struct Http1 {
    stream: Stream,
}

#[derive(Clone, Copy)]
pub struct Answer {
    pub status: u16,
    pub body_bytes: u64,
    /// The gateway closes the connection behind it.
    pub last: bool,
}

impl Http1 {
    pub async fn connect(dial: &Dial) -> io::Result<Self> {
        Ok(Self { stream: dial.connect().await? })
    }

    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut reading = Reading::default();
        read_until(&mut self.stream, |bytes| reading.see(bytes)).await
    }

    /// The bare stream, behind a 101.
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}

/// An answer while it comes.
#[derive(Default)]
struct Reading {
    /// A head that came in part.
    partial: Vec<u8>,
    begun: Option<Answer>,
    left: u64,
}

impl Reading {
    fn see(&mut self, bytes: &[u8]) -> io::Result<Option<Answer>> {
        let body = if self.begun.is_some() {
            bytes.len()
        } else if self.partial.is_empty() {
            let Some(rest) = self.begin(bytes)? else {
                self.partial.extend_from_slice(bytes);
                return Ok(None);
            };
            rest
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(bytes);
            let Some(rest) = self.begin(&whole)? else {
                self.partial = whole;
                return Ok(None);
            };
            rest
        };
        self.left = self.left.checked_sub(body as u64).ok_or_else(|| invalid("more bytes than were announced"))?;
        Ok(self.begun.filter(|_| self.left == 0))
    }

    /// Reads a head, if it is whole; how many bytes of body came with it.
    fn begin(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = head.parse(bytes).map_err(invalid)? else { return Ok(None) };
        let status = head.code.unwrap_or_default();
        let mut announced = (status == 304 || status == 101).then_some(0);
        let mut last = false;
        for field in head.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") && announced.is_none() {
                announced = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
            } else if field.name.eq_ignore_ascii_case("connection") {
                last = field.value.eq_ignore_ascii_case(b"close");
            }
        }
        self.left = announced.ok_or_else(|| invalid(format!("an answer {status} without Content-Length")))?;
        self.begun = Some(Answer { status, body_bytes: self.left, last });
        Ok(Some(bytes.len() - length))
    }
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
