//! The backend of a story: it does what it is told for each path, and remembers every request it got.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UnixListener},
    sync::watch,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Certificate, Flaw, Request, Socket,
    reply::{Reply, Responder, reply},
    show,
    wire::Wire,
    within,
};

/// Bodies are remembered up to here.
const REMEMBERED: usize = 1 << 20;

/// A running origin. Dropping it closes its listener and its connections.
pub struct Origin {
    /// As an upstream's server is written in the configuration.
    pub address: String,
    shared: Arc<Shared>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
    directory: Option<tempfile::TempDir>,
}

/// An origin that does not listen yet.
pub struct OriginBuilder {
    routes: Vec<(String, Responder)>,
    otherwise: Responder,
}

struct Shared {
    routes: Vec<(String, Responder)>,
    otherwise: Responder,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    connections: usize,
    /// What came that was no request.
    flaws: Vec<String>,
    /// Server names of TLS handshakes.
    names: Vec<String>,
}

/// One exchange, in the hands of a script.
pub struct Talk {
    pub request: Request,
    pub wire: Wire,
    /// This request's place in the record.
    index: usize,
    /// Its number among the requests for the same path, from 1.
    pub number: usize,
    shared: Arc<Shared>,
}

/// What happens to the connection after an exchange.
pub enum Next {
    Keep(Box<Talk>),
    Close,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
    Tls(TcpListener, TlsAcceptor),
}

impl Origin {
    /// An origin where every path answers 200 with its own target as the body, not to be stored.
    #[expect(clippy::new_ret_no_self, reason = "reads as what it is: Origin::new().on(…).start()")]
    pub fn new() -> OriginBuilder {
        let otherwise = super::by(|request, _| reply(200).field("Cache-Control", "no-store").body(&request.target));
        OriginBuilder { routes: Vec::new(), otherwise }
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state.borrow().requests.clone()
    }

    /// The requests for a path.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path() == path).collect()
    }

    /// The only request for a path.
    #[track_caller]
    pub fn request_for(&self, path: &str) -> Request {
        let mut all = self.requests_for(path);
        assert!(all.len() == 1, "{} requests for {path} reached the origin; all:\n{}", all.len(), self.log());
        all.remove(0)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.state.borrow().connections
    }

    /// What came that was no request.
    pub fn flaws(&self) -> Vec<String> {
        self.shared.state.borrow().flaws.clone()
    }

    /// Server names that clients sent (SNI).
    pub fn server_names(&self) -> Vec<String> {
        self.shared.state.borrow().names.clone()
    }

    /// Everything that came, for people.
    pub fn log(&self) -> String {
        let state = self.shared.state.borrow();
        let requests = state.requests.iter().map(|r| format!("connection {}:\n{}", r.connection, show(&r.raw)));
        requests.chain(state.flaws.clone()).collect::<Vec<_>>().join("\n")
    }

    /// Waits until `count` requests for a path have come.
    #[track_caller]
    pub fn reached(&self, path: &str, count: usize) -> impl Future<Output = ()> {
        let path = path.to_owned();
        let what = format!("{count} requests for {path} at the origin");
        self.until(what, move |requests| requests.iter().filter(|r| r.path() == path).count() >= count)
    }

    /// Waits until the requests satisfy `test`; a body's end is told too.
    #[track_caller]
    pub fn until(&self, what: impl std::fmt::Display, test: impl Fn(&[Request]) -> bool) -> impl Future<Output = ()> {
        let mut changes = self.shared.state.subscribe();
        within(what, async move {
            changes.wait_for(|state| test(&state.requests)).await.unwrap();
        })
    }
}

impl OriginBuilder {
    /// Answers `path` (whatever its query) so.
    pub fn on(mut self, path: &str, responder: impl Into<Responder>) -> Self {
        self.routes.push((path.into(), responder.into()));
        self
    }

    /// Answers all other paths so.
    pub fn otherwise(mut self, responder: impl Into<Responder>) -> Self {
        self.otherwise = responder.into();
        self
    }

    /// Listens on a loopback address.
    pub async fn start(self) -> Origin {
        let (listener, address) = bind().await;
        self.run(Listener::Tcp(listener), address.to_string(), None)
    }

    /// Listens on a Unix socket.
    pub async fn start_unix(self) -> Origin {
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("origin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        self.run(Listener::Unix(listener), format!("unix:{}", path.display()), Some(directory))
    }

    /// Listens with TLS.
    pub async fn start_tls(self, certificate: &Certificate) -> Origin {
        let (listener, address) = bind().await;
        let acceptor = TlsAcceptor::from(certificate.server(&["http/1.1"]));
        self.run(Listener::Tls(listener, acceptor), address.to_string(), None)
    }

    fn run(self, listener: Listener, address: String, directory: Option<tempfile::TempDir>) -> Origin {
        let state = watch::Sender::new(State::default());
        let shared = Arc::new(Shared { routes: self.routes, otherwise: self.otherwise, state });
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(listener, shared.clone(), tasks.clone()));
        tasks.lock().unwrap().push(accepting.abort_handle());
        Origin { address, shared, tasks, directory }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap().iter() {
            task.abort();
        }
        drop(self.directory.take());
    }
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: Listener, shared: Arc<Shared>, tasks: Arc<Mutex<Vec<AbortHandle>>>) {
    loop {
        let accepted = match &listener {
            Listener::Tcp(tcp) | Listener::Tls(tcp, _) => tcp.accept().await.map(|(tcp, _)| Socket::Tcp(tcp)),
            Listener::Unix(unix) => unix.accept().await.map(|(unix, _)| Socket::Unix(unix)),
        };
        let acceptor = match &listener {
            Listener::Tls(_, acceptor) => Some(acceptor.clone()),
            _ => None,
        };
        let Ok(socket) = accepted else { return };
        let mut connection = 0;
        shared.state.send_modify(|state| {
            connection = state.connections;
            state.connections += 1;
        });
        let serving = tokio::spawn(serve(socket, acceptor, connection, shared.clone()));
        tasks.lock().unwrap().push(serving.abort_handle());
    }
}

/// One connection: request after request, until a script closes it or the gateway does.
async fn serve(socket: Socket, acceptor: Option<TlsAcceptor>, connection: usize, shared: Arc<Shared>) {
    let socket = match (socket, acceptor) {
        (Socket::Tcp(tcp), Some(acceptor)) => {
            let Ok(tls) = acceptor.accept(tcp).await else {
                return shared.flaw(connection, "the TLS handshake failed");
            };
            let name = tls.get_ref().1.server_name().unwrap_or_default().to_owned();
            shared.state.send_modify(|state| state.names.push(name));
            Socket::Tls(Box::new(tls.into()))
        }
        (socket, _) => socket,
    };
    if let Socket::Tcp(tcp) = &socket {
        tcp.set_nodelay(true).unwrap();
    }
    let mut wire = Wire::new(socket);
    loop {
        let request = match wire.request_head(connection).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(flaw) => return shared.flaw(connection, flaw),
        };
        let index = shared.record(&request);
        let number = shared.number(request.path());
        let responder = shared.responder(request.path());
        let mut talk = Talk { request, wire, index, number, shared: shared.clone() };
        let next = match responder {
            Responder::Script(play) => play(talk).await,
            Responder::Canned(answer) => talk.answer(&answer).await,
            Responder::By(make) => {
                talk.read_body().await;
                let answer = make(&talk.request, number);
                talk.answer(&answer).await
            }
        };
        match next {
            Next::Keep(talk) if talk.request.flaw.is_none() => wire = talk.wire,
            _ => return,
        }
    }
}

impl Shared {
    fn record(&self, request: &Request) -> usize {
        let mut index = 0;
        self.state.send_modify(|state| {
            index = state.requests.len();
            state.requests.push(request.clone());
        });
        index
    }

    fn number(&self, path: &str) -> usize {
        self.state.borrow().requests.iter().filter(|request| request.path() == path).count()
    }

    fn responder(&self, path: &str) -> Responder {
        let route = self.routes.iter().find(|(on, _)| on == path);
        route.map_or_else(|| self.otherwise.clone(), |(_, responder)| responder.clone())
    }

    fn flaw(&self, connection: usize, flaw: impl std::fmt::Display) {
        self.state.send_modify(|state| state.flaws.push(format!("connection {connection}: {flaw}")));
    }
}

impl Talk {
    /// Reads the request's body into the record; says `100 Continue` first where it is asked for.
    pub async fn read_body(&mut self) {
        if self.request.complete || self.request.flaw.is_some() {
            return;
        }
        if self.request.has("expect") {
            self.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let (mut body, mut length) = (Vec::new(), 0);
        let framing = self.request.length();
        let read = match framing {
            Ok(framing) => {
                let mut sink = |piece: &[u8]| {
                    length += piece.len() as u64;
                    body.extend_from_slice(&piece[..piece.len().min(REMEMBERED - body.len())]);
                };
                self.wire.body(framing, &mut sink).await
            }
            Err(flaw) => Err(flaw),
        };
        self.request.body = body;
        self.request.body_length = length;
        match read {
            Ok(trailers) => {
                self.request.trailers = trailers;
                self.request.complete = true;
            }
            Err(flaw) => self.request.flaw = Some(flaw.to_string()),
        }
        let (request, index) = (self.request.clone(), self.index);
        self.shared.state.send_modify(|state| state.requests[index] = request);
    }

    /// Reads the body's next bytes, `sink` sees them; for bodies that are too large to remember.
    pub async fn read_body_with(&mut self, mut sink: impl FnMut(&[u8])) -> Result<(), Flaw> {
        let framing = self.request.length()?;
        self.wire.body(framing, &mut sink).await.map(|_| ())
    }

    /// Writes these bytes at once. A gateway that has gone away is no error here: the story looks at the other end.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).await.is_ok()
    }

    /// Reads the body, then gives a sound answer.
    pub async fn answer(mut self, answer: &Reply) -> Next {
        self.read_body().await;
        let bytes = answer.bytes(&self.request.method);
        self.send(bytes).await;
        self.keep()
    }

    /// One chunk of a chunked body.
    pub async fn chunk(&mut self, data: &str) -> bool {
        self.send(format!("{:x}\r\n{data}\r\n", data.len())).await
    }

    /// Waits until the gateway closes this connection, and throws away what it says meanwhile.
    pub async fn gone(&mut self) {
        while matches!(self.wire.fill().await, Ok(count) if count > 0) {
            self.wire.buffer.clear();
        }
    }

    /// The connection goes on with the next request.
    pub fn keep(self) -> Next {
        Next::Keep(Box::new(self))
    }

    /// The connection ends with a FIN.
    pub async fn close(mut self) -> Next {
        // The other end may have closed first.
        let _ = self.wire.socket.shutdown().await;
        Next::Close
    }

    /// The connection ends with a reset.
    pub fn reset(self) -> Next {
        self.wire.socket.reset();
        Next::Close
    }
}
