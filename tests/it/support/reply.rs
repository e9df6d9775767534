//! What an origin says: a canned answer, one made from the request, or a script with the socket in its hands.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::watch;

use super::{Next, Request, Talk};

type Made = dyn Fn(&Request, usize) -> Reply + Send + Sync;
type Script = dyn Fn(Talk) -> Pin<Box<dyn Future<Output = Next> + Send>> + Send + Sync;

/// How a path is answered.
#[derive(Clone)]
pub enum Responder {
    Canned(Reply),
    /// Made from the request and its number among those for the same path, from 1.
    By(Arc<Made>),
    Script(Arc<Script>),
}

/// A sound answer, framed by Content-Length unless it says otherwise.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
}

/// An answer without fields or body.
pub fn reply(status: u16) -> Reply {
    Reply { status, fields: Vec::new(), body: Vec::new(), chunked: false }
}

/// An answer made from the request and its number among those for the same path, from 1.
pub fn by(make: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Responder {
    Responder::By(Arc::new(make))
}

/// An answer that is given once it is released with `true`, and from then on.
pub fn held_back(answer: Reply) -> (Responder, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let play = script(move |talk| {
        let (mut released, answer) = (released.clone(), answer.clone());
        async move {
            released.wait_for(|go| *go).await.unwrap();
            talk.answer(&answer).await
        }
    });
    (play, release)
}

/// Full control: the script reads the body if it wants it, and writes what it likes. The head has been read.
pub fn script<F>(play: impl Fn(Talk) -> F + Send + Sync + 'static) -> Responder
where
    F: Future<Output = Next> + Send + 'static,
{
    Responder::Script(Arc::new(move |talk| Box::pin(play(talk))))
}

impl Reply {
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The body in three chunks instead of a Content-Length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The bytes of the answer to `method`.
    pub fn bytes(&self, method: &str) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        let bodyless = self.status < 200 || self.status == 204 || self.status == 304;
        if self.chunked {
            out += "Transfer-Encoding: chunked\r\n";
        } else if !bodyless {
            out += &format!("Content-Length: {}\r\n", self.body.len());
        }
        let mut out = [out.as_bytes(), b"\r\n"].concat();
        if method == "HEAD" || bodyless {
            return out;
        }
        if !self.chunked {
            out.extend_from_slice(&self.body);
            return out;
        }
        for piece in self.body.chunks(self.body.len().div_ceil(3).max(1)) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        out
    }
}

impl From<Reply> for Responder {
    fn from(reply: Reply) -> Self {
        Self::Canned(reply)
    }
}

/// Bytes as they stand; the connection stays open after them.
impl From<&str> for Responder {
    fn from(bytes: &str) -> Self {
        Self::from(bytes.as_bytes().to_vec())
    }
}

/// Bytes as they stand; the connection stays open after them.
impl From<Vec<u8>> for Responder {
    fn from(bytes: Vec<u8>) -> Self {
        let bytes: Arc<[u8]> = bytes.into();
        script(move |mut talk| {
            let bytes = bytes.clone();
            async move {
                talk.read_body().await;
                talk.send(&bytes[..]).await;
                talk.keep()
            }
        })
    }
}
