use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::{
    config,
    config::{Listener, ListenerTls, LogFormat, LogTarget, TlsVersion},
    listen::testing::{common_name, connector, limits, overwrite, write_pair},
};

mod process;

/// A handler that knows lines: it answers each with itself; `hold` with `held`, and with itself only when it is let go.
struct Lines {
    draining: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    let_go: watch::Sender<bool>,
    /// Takes no notice of drain and cut.
    deaf: bool,
}

impl Handler for Lines {
    async fn serve(self: Arc<Self>, stream: Stream, _: ClientInfo) {
        let mut cut = self.cut.subscribe();
        if self.deaf {
            return self.lines(stream).await;
        }
        tokio::select! {
            () = self.lines(stream) => {}
            _ = cut.wait_for(|cut| *cut) => {}
        }
    }

    fn drain(&self) {
        self.draining.send_replace(true);
    }

    fn cut(&self) {
        self.cut.send_replace(true);
    }
}

impl Lines {
    fn new(deaf: bool) -> Arc<Self> {
        let flag = || watch::channel(false).0;
        Arc::new(Self { draining: flag(), cut: flag(), let_go: flag(), deaf })
    }

    async fn lines(&self, stream: Stream) {
        let mut stream = BufReader::new(stream);
        let mut draining = self.draining.subscribe();
        loop {
            let mut line = String::new();
            let read = tokio::select! {
                biased;
                read = stream.read_line(&mut line) => read,
                _ = draining.wait_for(|draining| *draining), if !self.deaf => return,
            };
            if !matches!(read, Ok(1..)) {
                return;
            }
            if line == "hold\n" {
                let _ = stream.get_mut().write_all(b"held\n").await;
                let _ = self.let_go.subscribe().wait_for(|let_go| *let_go).await;
            }
            if stream.get_mut().write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// A running server and its handler.
struct Rig {
    running: Running,
    lines: Arc<Lines>,
}

impl Rig {
    fn start(config: Config) -> Self {
        Self::with(config, Lines::new(false))
    }

    fn with(config: Config, lines: Arc<Lines>) -> Self {
        let handler = lines.clone();
        let running = Server::start(config, move |parts| Ok(assembly(handler, parts))).unwrap();
        Self { running, lines }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.running.tcp_address(0).unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

fn assembly(handler: Arc<Lines>, parts: Parts) -> Assembly<Lines> {
    let lifecycle = parts.lifecycle;
    // An admin that tells the phase to whoever connects.
    let admin: AdminTask = Box::new(move |listener| {
        Box::pin(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(format!("{:?}", lifecycle.phase()).as_bytes()).await;
            }
        })
    });
    Assembly { handler, admin }
}

fn config(listeners: Vec<Listener>) -> Config {
    Config {
        listeners,
        admin: None,
        threads: 2,
        cache: config::Cache::default(),
        access_log: config::AccessLog { target: LogTarget::Off, format: LogFormat::Json, queue: 16 },
        limits: limits(),
        timeouts: config::Timeouts {
            tls_handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            send: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(60),
            tunnel_linger: Duration::from_secs(60),
            tunnel_close: Duration::from_secs(5),
            tunnel_drain: Duration::from_secs(30),
            shutdown: Duration::from_secs(60),
        },
        trusted_proxies: Vec::new(),
        forward: config::Forward { forwarded: false, via: false, request_id: None },
        upstreams: Vec::new(),
        routes: Vec::new(),
    }
}

fn tcp(address: &str) -> Listener {
    Listener { address: ListenAddress::Tcp(address.parse().unwrap()), tls: None, h2c: false, http2: true }
}

fn unix(path: &Path) -> Listener {
    Listener { address: ListenAddress::Unix(path.to_owned()), tls: None, h2c: false, http2: true }
}

fn one_listener() -> Config {
    config(vec![tcp("127.0.0.1:0")])
}

fn ask(stream: &mut (impl Read + Write), line: &str) {
    stream.write_all(line.as_bytes()).unwrap();
    expect(stream, line);
}

fn hold(stream: &mut (impl Read + Write)) {
    stream.write_all(b"hold\n").unwrap();
    expect(stream, "held\n");
}

fn expect(stream: &mut impl Read, line: &str) {
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, line.as_bytes());
}

/// What is left until the stream ends, a reset counting as an end.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

fn until(condition: impl Fn() -> bool) {
    let latest = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < latest, "did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_listener_serves_on_every_worker() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let rig = Rig::start(config(vec![tcp("127.0.0.1:0"), unix(&path), tcp("[::1]:0")]));
    assert_eq!(rig.running.addresses().len(), 3);
    for _ in 0..32 {
        ask(&mut rig.connect(), "hello\n");
        ask(&mut TcpStream::connect(rig.running.tcp_address(2).unwrap()).unwrap(), "hello\n");
        ask(&mut UnixStream::connect(&path).unwrap(), "hello\n");
    }
    assert_eq!(rig.running.stop(), Stopped { cut: 0 });
}

#[test]
fn a_renewed_certificate_is_taken_up_by_a_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let pair = write_pair(directory.path(), "site", "before", &["site.test"]);
    let mut secure = tcp("127.0.0.1:0");
    secure.tls = Some(ListenerTls { pairs: vec![pair.clone()], minimum: TlsVersion::Tls12 });
    let rig = Rig::start(config(vec![secure]));
    let address = rig.running.tcp_address(0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let presented = || {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            common_name(&connector(&[]).connect("site.test".try_into().unwrap(), stream).await.unwrap())
        })
    };
    assert_eq!(presented(), "before");
    overwrite(&pair, "after", &["site.test"]);
    until(|| presented() == "after");
}

#[test]
fn several_servers_run_side_by_side() {
    let (one, two) = (Rig::start(one_listener()), Rig::start(one_listener()));
    ask(&mut one.connect(), "one\n");
    assert_eq!(one.running.stop(), Stopped { cut: 0 });
    ask(&mut two.connect(), "two\n");
}

#[test]
fn a_stop_without_connections_is_over_at_once_and_frees_the_address() {
    let rig = Rig::start(one_listener());
    let address = rig.running.tcp_address(0).unwrap();
    let started = Instant::now();
    assert_eq!(rig.running.stop(), Stopped { cut: 0 });
    assert!(started.elapsed() < Duration::from_secs(5));
    let again = Rig::start(config(vec![tcp(&address.to_string())]));
    ask(&mut again.connect(), "hello\n");
}

#[test]
fn a_stop_closes_idle_connections_at_once() {
    let rig = Rig::start(one_listener());
    let mut idle: Vec<_> = (0..10).map(|_| rig.connect()).collect();
    idle.iter_mut().for_each(|client| ask(client, "hello\n"));
    let started = Instant::now();
    assert_eq!(rig.running.stop(), Stopped { cut: 0 });
    assert!(started.elapsed() < Duration::from_secs(5));
    idle.iter_mut().for_each(|client| assert_eq!(rest(client), b""));
}

#[test]
fn a_stop_lets_a_busy_connection_finish_and_ends_as_soon_as_it_has() {
    let rig = Rig::start(one_listener());
    let mut busy = rig.connect();
    ask(&mut busy, "hello\n");
    hold(&mut busy);
    rig.running.begin_stop();
    until(|| rig.running.lifecycle().phase() == Phase::Draining);
    until(|| TcpStream::connect(rig.running.tcp_address(0).unwrap()).is_err());
    assert!(!rig.running.lifecycle().is_ready());
    assert_eq!(rig.running.connections_open(), 1);
    let started = Instant::now();
    rig.lines.let_go.send_replace(true);
    expect(&mut busy, "hold\n");
    assert_eq!(rig.running.wait(), Stopped { cut: 0 });
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_deadline_cuts_what_is_still_open_and_counts_it() {
    let mut config = one_listener();
    config.timeouts.shutdown = Duration::from_millis(200);
    let rig = Rig::start(config);
    let mut held: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    held.iter_mut().for_each(hold);
    let started = Instant::now();
    assert_eq!(rig.running.stop(), Stopped { cut: 3 });
    assert!(started.elapsed() >= Duration::from_millis(200));
    held.iter_mut().for_each(|client| assert_eq!(rest(client), b""));
}

#[test]
fn connections_that_do_not_hear_the_cut_are_dropped_all_the_same() {
    let mut config = one_listener();
    config.timeouts.shutdown = Duration::from_millis(50);
    let rig = Rig::with(config, Lines::new(true));
    let mut deaf = rig.connect();
    ask(&mut deaf, "hello\n");
    assert_eq!(rig.running.stop(), Stopped { cut: 1 });
    assert_eq!(rest(&mut deaf), b"");
}

#[test]
fn a_cut_does_not_wait_for_the_deadline() {
    let rig = Rig::start(one_listener());
    let mut held = rig.connect();
    hold(&mut held);
    let started = Instant::now();
    rig.running.begin_stop();
    until(|| rig.running.lifecycle().phase() == Phase::Draining);
    rig.running.begin_cut();
    assert_eq!(rig.running.wait(), Stopped { cut: 1 });
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn dropping_the_handle_ends_the_server() {
    let rig = Rig::start(one_listener());
    let address = rig.running.tcp_address(0).unwrap();
    drop(rig);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_admin_answers_until_the_end() {
    let mut config = one_listener();
    config.admin = Some(config::Admin { listen: "127.0.0.1:0".parse().unwrap(), hosts: Vec::new() });
    let rig = Rig::start(config);
    let admin = rig.running.admin_address().unwrap();
    let phase = || String::from_utf8(rest(&mut TcpStream::connect(admin).unwrap())).unwrap();
    assert_eq!(phase(), "Ready");
    let mut held = rig.connect();
    hold(&mut held);
    rig.running.begin_stop();
    until(|| rig.running.lifecycle().phase() == Phase::Draining);
    assert_eq!(phase(), "Draining");
    rig.lines.let_go.send_replace(true);
    assert_eq!(rig.running.wait(), Stopped { cut: 0 });
    assert!(TcpStream::connect(admin).is_err());
}

#[test]
fn a_unix_socket_is_gone_with_the_stop_and_can_be_had_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let rig = Rig::start(config(vec![unix(&path)]));
    let mut held = UnixStream::connect(&path).unwrap();
    hold(&mut held);
    rig.running.begin_stop();
    until(|| !path.exists());
    // A successor may start while this one still drains.
    let successor = Rig::start(config(vec![unix(&path)]));
    rig.lines.let_go.send_replace(true);
    assert_eq!(rig.running.wait(), Stopped { cut: 0 });
    ask(&mut UnixStream::connect(&path).unwrap(), "hello\n");
    drop(successor);
    assert!(!path.exists());
}

#[test]
fn all_problems_of_a_start_are_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut secure = tcp("127.0.0.1:0");
    let mut pair = write_pair(directory.path(), "site", "site", &["site.test"]);
    pair.key = directory.path().join("missing.key");
    secure.tls = Some(ListenerTls { pairs: vec![pair], minimum: TlsVersion::Tls12 });
    let mut config = config(vec![tcp(&taken.local_addr().unwrap().to_string()), secure]);
    config.admin = Some(config::Admin { listen: taken.local_addr().unwrap(), hosts: Vec::new() });
    let handler = Lines::new(false);
    let problem = Server::start(config, move |parts| Ok(assembly(handler, parts))).err().unwrap();
    assert_eq!(problem.faults.len(), 3, "{problem}");
    let text = problem.to_string();
    for part in ["missing.key` does not exist", "\nerror: listener `127", "\nerror: admin listener `127", "hint: `ss"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_gateway_that_cannot_be_built_frees_what_was_bound() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let start = |result: Result<Arc<Lines>, String>| {
        Server::start(config(vec![tcp(&address)]), move |parts| result.map(|handler| assembly(handler, parts)))
    };
    let problem = start(Err("no upstream can be had".to_owned())).err().unwrap();
    assert_eq!(problem.to_string(), "error: no upstream can be had");
    drop(start(Ok(Lines::new(false))).unwrap());
}

#[tokio::test]
async fn the_lifecycle_can_be_waited_for() {
    let rig = Rig::start(one_listener());
    let lifecycle = rig.running.lifecycle().clone();
    lifecycle.reached(Phase::Ready).await;
    assert!(lifecycle.is_ready());
    let mut client = tokio::net::TcpStream::connect(rig.running.tcp_address(0).unwrap()).await.unwrap();
    rig.running.begin_stop();
    lifecycle.reached(Phase::Stopped).await;
    let _ = client.read(&mut [0]).await;
    assert_eq!(rig.running.wait(), Stopped { cut: 0 });
}

#[test]
fn asking_once_more_is_more_urgent() {
    assert_eq!(StopRequest::None.more_urgent(), StopRequest::Graceful);
    assert_eq!(StopRequest::Graceful.more_urgent(), StopRequest::Immediate);
    assert_eq!(StopRequest::Immediate.more_urgent(), StopRequest::Immediate);
}
