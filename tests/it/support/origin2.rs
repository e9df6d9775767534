//! A backend that speaks HTTP/2, without TLS by prior knowledge or with it by ALPN.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_rustls::TlsAcceptor;

use super::{
    Certificate, Socket,
    http2::{plain, read_all, send_all},
    message::Field,
};

pub struct Origin2 {
    pub address: String,
    requests: Arc<Mutex<Vec<Seen>>>,
    accepting: AbortHandle,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Scheme and authority as sent, path and query.
    pub uri: String,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

/// What it answers: status, fields, body, trailers.
pub type Say = fn(&Seen) -> (u16, Vec<(&'static str, &'static str)>, Vec<u8>, Vec<(&'static str, &'static str)>);

impl Origin2 {
    pub async fn start(say: Say) -> Self {
        Self::listen(say, None).await
    }

    pub async fn start_tls(say: Say, certificate: &Certificate) -> Self {
        Self::listen(say, Some(TlsAcceptor::from(certificate.server(&["h2"])))).await
    }

    async fn listen(say: Say, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = requests.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, record) = (acceptor.clone(), record.clone());
                tokio::spawn(async move {
                    let socket = match acceptor {
                        None => Socket::Tcp(tcp),
                        Some(acceptor) => match acceptor.accept(tcp).await {
                            Ok(tls) => Socket::Tls(Box::new(tls.into())),
                            Err(_) => return,
                        },
                    };
                    serve(socket, say, record).await;
                });
            }
        });
        Self { address, requests, accepting: accepting.abort_handle() }
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Origin2 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(socket: Socket, say: Say, record: Arc<Mutex<Vec<Seen>>>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let record = record.clone();
        tokio::spawn(async move {
            // A stream that the gateway resets is the story's to judge.
            let _ = exchange(request, respond, say, record).await;
        });
    }
}

async fn exchange(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    say: Say,
    record: Arc<Mutex<Vec<Seen>>>,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let (body, trailers) = read_all(&mut stream).await?;
    let trailers = trailers.as_ref().map(plain).unwrap_or_default();
    let (method, uri, fields) = (head.method.to_string(), head.uri.to_string(), plain(&head.headers));
    let seen = Seen { method, uri, fields, body, trailers };
    let (status, fields, body, trailers) = say(&seen);
    record.lock().unwrap().push(seen);
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(name, value);
    }
    let mut stream = respond.send_response(answer.body(()).unwrap(), body.is_empty() && trailers.is_empty())?;
    if trailers.is_empty() {
        return send_all(&mut stream, &body).await;
    }
    if !body.is_empty() {
        stream.send_data(Bytes::from(body), false)?;
    }
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.insert(name, value.parse().unwrap());
    }
    stream.send_trailers(map)
}
