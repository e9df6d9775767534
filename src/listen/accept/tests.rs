use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;
use crate::{
    clock::Now,
    config::{self, Listener, ListenerTls, TlsVersion},
    listen::{
        bind::{SocketFile, bind},
        testing::{common_name, connector, connector_of, limits, overwrite, write_pair},
        tls::{self, Certificates},
    },
    metrics::Registry,
};

/// A listener that answers each connection with what it knows of it, then echoes.
struct Rig {
    address: ListenAddress,
    connections: Connections,
    registry: Registry,
    stop: watch::Sender<bool>,
    served: Arc<AtomicUsize>,
    clients: mpsc::UnboundedReceiver<ClientInfo>,
    accepting: JoinHandle<()>,
    _file: Option<SocketFile>,
}

impl Rig {
    fn new(entry: Entry) -> Self {
        Self::on(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), entry, limits())
    }

    fn on(address: ListenAddress, entry: Entry, limits: config::Limits) -> Self {
        let listener = Listener { address, tls: None, h2c: false, http2: true };
        let bound = bind(&[listener], 1).unwrap().remove(0);
        let address = bound.local_address().clone();
        let (mut sockets, file) = bound.into_parts();
        let connections = Connections::new(&limits, Vec::new());
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, vec!["other".to_owned(), address.to_string()], vec![Vec::new()]);
        let door = Arc::new(Door::new(1, address.clone(), entry, connections.clone(), metrics));
        let (stop, stopped) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        let (sender, clients) = mpsc::unbounded_channel();
        let handler = {
            let served = served.clone();
            move |stream, info| {
                let (served, sender) = (served.clone(), sender.clone());
                async move {
                    served.fetch_add(1, Ordering::Relaxed);
                    sender.send(info).unwrap();
                    echo(stream).await;
                }
            }
        };
        let accepting = tokio::spawn(accept(sockets.remove(0), door, stopped, handler));
        Self { address, connections, registry, stop, served, clients, accepting, _file: file }
    }

    fn tcp(&self) -> SocketAddr {
        match &self.address {
            ListenAddress::Tcp(address) => *address,
            ListenAddress::Unix(path) => panic!("{path:?} is no TCP address"),
        }
    }

    /// The line of this metric in what Prometheus is shown, `None` while it has no row.
    fn metric(&self, name: &str) -> Option<f64> {
        let shown = self.registry.render();
        let line = shown.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.tcp()).await.unwrap()
    }

    async fn client(&mut self) -> ClientInfo {
        soon(self.clients.recv()).await.unwrap()
    }
}

async fn echo(mut stream: Stream) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

async fn echoes<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: &mut S) {
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"ping");
}

/// The end of the stream, or an error of one that was closed.
async fn closes<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
}

fn tls_entry(minimum: TlsVersion, http2: bool, deadline: Duration) -> (tempfile::TempDir, Arc<Certificates>, Entry) {
    let directory = tempfile::tempdir().unwrap();
    let pairs = vec![
        write_pair(directory.path(), "first", "first", &["first.test"]),
        write_pair(directory.path(), "wildcard", "wildcard", &["*.example.com"]),
        write_pair(directory.path(), "app", "app", &["app.example.com"]),
    ];
    let (certificates, _) = Certificates::load(&pairs, Now::read()).unwrap();
    let certificates = Arc::new(certificates);
    let config = tls::server_config(&ListenerTls { pairs, minimum }, http2, certificates.clone()).unwrap();
    (directory, certificates, Entry::Tls(Arc::new(config), deadline))
}

async fn tls_client(rig: &Rig, name: &str, alpn: &[&str]) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    soon(connector(alpn).connect(name, rig.connect().await)).await
}

#[tokio::test]
async fn a_plain_connection_reaches_the_handler_with_who_it_is() {
    let mut rig = Rig::new(Entry::Plain);
    let mut client = rig.connect().await;
    echoes(&mut client).await;
    let info = rig.client().await;
    assert_eq!(info.client, Some(client.local_addr().unwrap()));
    assert_eq!(info.local, Some(rig.tcp()));
    assert_eq!((info.tls, info.http2), (false, false));
}

#[tokio::test]
async fn an_ipv4_client_of_the_ipv6_wildcard_goes_by_its_ipv4_address() {
    let mut rig = Rig::on(ListenAddress::Tcp("[::]:0".parse().unwrap()), Entry::Plain, limits());
    let client = TcpStream::connect(("127.0.0.1", rig.tcp().port())).await.unwrap();
    let info = rig.client().await;
    assert_eq!(info.client, Some(client.local_addr().unwrap()));
    assert_eq!(info.local, Some(client.peer_addr().unwrap()));
}

#[tokio::test]
async fn a_unix_socket_has_no_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut rig = Rig::on(ListenAddress::Unix(path.clone()), Entry::Plain, limits());
    let mut client = UnixStream::connect(&path).await.unwrap();
    echoes(&mut client).await;
    let info = rig.client().await;
    assert_eq!((info.client, info.local), (None, None));
}

#[tokio::test]
async fn a_connection_over_the_cap_is_closed_and_a_place_that_comes_free_is_given_again() {
    let limits = config::Limits { connections: 2, ..limits() };
    let rig = Rig::on(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), Entry::Plain, limits);
    let (mut first, mut second) = (rig.connect().await, rig.connect().await);
    echoes(&mut first).await;
    echoes(&mut second).await;
    closes(&mut rig.connect().await).await;
    assert_eq!(rig.connections.open(), 2);
    drop(first);
    soon(async {
        while rig.connections.open() == 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    echoes(&mut rig.connect().await).await;
    assert_eq!(rig.served.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_cap_of_one_address_holds_before_tls() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let limits = config::Limits { connections_per_address: 1, ..limits() };
    let rig = Rig::on(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), entry, limits);
    let _silent = rig.connect().await;
    closes(&mut rig.connect().await).await;
    assert_eq!(rig.connections.open(), 1);
}

#[tokio::test]
async fn the_certificate_follows_the_name() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let rig = Rig::new(entry);
    for (name, expected) in [
        ("app.example.com", "app"),
        ("other.example.com", "wildcard"),
        ("first.test", "first"),
        ("unknown.test", "first"),
        ("127.0.0.1", "first"),
    ] {
        let mut client = tls_client(&rig, name, &[]).await.unwrap();
        assert_eq!(common_name(&client), expected, "{name}");
        echoes(&mut client).await;
    }
}

#[tokio::test]
async fn http2_is_agreed_on_only_where_both_want_it() {
    for (http2, alpn, expected) in [
        (true, &["h2", "http/1.1"][..], true),
        (true, &["http/1.1"], false),
        (true, &[], false),
        (false, &["h2", "http/1.1"], false),
    ] {
        let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, http2, Duration::from_secs(60));
        let mut rig = Rig::new(entry);
        let _client = tls_client(&rig, "first.test", alpn).await.unwrap();
        let info = rig.client().await;
        assert_eq!((info.tls, info.http2), (true, expected), "{http2} {alpn:?}");
    }
}

#[tokio::test]
async fn the_minimum_version_is_kept_to() {
    for (minimum, accepted) in [(TlsVersion::Tls12, true), (TlsVersion::Tls13, false)] {
        let (_directory, _, entry) = tls_entry(minimum, true, Duration::from_secs(60));
        let rig = Rig::new(entry);
        let stream = connector_of(&[&rustls::version::TLS12], &[])
            .connect("first.test".try_into().unwrap(), rig.connect().await)
            .await;
        assert_eq!(stream.is_ok(), accepted);
        let mut newest = tls_client(&rig, "first.test", &[]).await.unwrap();
        echoes(&mut newest).await;
        assert_eq!(newest.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}

#[tokio::test]
async fn a_second_handshake_resumes_the_session() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let rig = Rig::new(entry);
    let connector = connector(&[]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = connector.connect("first.test".try_into().unwrap(), rig.connect().await).await.unwrap();
        echoes(&mut client).await;
        kinds.push(client.get_ref().1.handshake_kind());
    }
    assert_eq!(kinds, [Some(rustls::HandshakeKind::Full), Some(rustls::HandshakeKind::Resumed)]);
}

#[tokio::test]
async fn a_slow_handshake_is_ended_by_its_deadline_and_gives_its_place_back() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_millis(100));
    let rig = Rig::new(entry);
    let mut client = rig.connect().await;
    // The beginning of a ClientHello, and no more.
    client.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    closes(&mut client).await;
    soon(rig.connections.all_closed()).await;
    assert_eq!(rig.served.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_the_next_one_is_served() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let rig = Rig::new(entry);
    let mut client = rig.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: first.test\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(client.read_to_end(&mut rest)).await;
    echoes(&mut tls_client(&rig, "first.test", &[]).await.unwrap()).await;
    assert_eq!(rig.served.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn new_handshakes_see_a_changed_pair_and_old_connections_stay() {
    let (_directory, certificates, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let rig = Rig::new(entry);
    let mut before = tls_client(&rig, "app.example.com", &[]).await.unwrap();
    overwrite(&certificates.files()[2], "app again", &["app.example.com"]);
    assert_eq!(certificates.reload(Now::read()).len(), 1);
    let after = tls_client(&rig, "app.example.com", &[]).await.unwrap();
    assert_eq!((common_name(&before).as_str(), common_name(&after).as_str()), ("app", "app again"));
    echoes(&mut before).await;
}

#[tokio::test]
async fn prior_knowledge_is_recognised_beside_http1() {
    let mut rig = Rig::new(Entry::PriorKnowledge(Duration::from_secs(60)));
    let mut http2 = rig.connect().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    http2.write_all(preface).await.unwrap();
    let mut answer = [0; 24];
    soon(http2.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, preface);
    assert!(rig.client().await.http2);
    echoes(&mut rig.connect().await).await;
    assert!(!rig.client().await.http2);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_ended_where_its_first_bytes_matter() {
    let rig = Rig::new(Entry::PriorKnowledge(Duration::from_millis(100)));
    closes(&mut rig.connect().await).await;
    assert_eq!(rig.served.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_stop_ends_connections_that_have_said_nothing_yet() {
    let (_directory, _, tls) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    for entry in [Entry::PriorKnowledge(Duration::from_secs(60)), tls] {
        let rig = Rig::new(entry);
        let mut client = rig.connect().await;
        soon(async {
            while rig.connections.open() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        rig.stop.send_replace(true);
        closes(&mut client).await;
        soon(rig.connections.all_closed()).await;
    }
}

#[tokio::test]
async fn a_handshake_that_the_stop_meets_is_still_done() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_secs(60));
    let mut rig = Rig::new(entry);
    // It waits in the queue when the stop comes.
    let client = std::net::TcpStream::connect(rig.tcp()).unwrap();
    rig.stop.send_replace(true);
    soon(&mut rig.accepting).await.unwrap();
    client.set_nonblocking(true).unwrap();
    let client = TcpStream::from_std(client).unwrap();
    let mut client = soon(connector(&[]).connect("first.test".try_into().unwrap(), client)).await.unwrap();
    echoes(&mut client).await;
}

#[tokio::test]
async fn a_stop_closes_the_socket_and_serves_what_had_come_before() {
    let mut rig = Rig::new(Entry::Plain);
    // On this one thread the loop cannot accept before it is awaited: the connection waits in the queue.
    let mut client = std::net::TcpStream::connect(rig.tcp()).unwrap();
    rig.stop.send_replace(true);
    soon(&mut rig.accepting).await.unwrap();
    assert_eq!(rig.connections.open(), 1);
    assert!(TcpStream::connect(rig.tcp()).await.is_err());
    let served = rig.client().await;
    assert_eq!(served.client, Some(client.local_addr().unwrap()));
    io::Write::write_all(&mut client, b"ping").unwrap();
    client.set_nonblocking(true).unwrap();
    let mut client = TcpStream::from_std(client).unwrap();
    let mut answer = [0; 4];
    soon(client.read_exact(&mut answer)).await.unwrap();
}

#[test]
fn every_metric_is_named_as_prometheus_wants_it() {
    let registry = Registry::new();
    Metrics::register(&registry, Vec::new(), Vec::new());
    assert_eq!(registry.lint(), Vec::<String>::new());
}

#[tokio::test]
async fn connections_are_counted_open_accepted_and_refused() {
    let limits = config::Limits { connections: 1, ..limits() };
    let rig = Rig::on(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), Entry::Plain, limits);
    let open = format!("tidegate_connections{{listener=\"{}\"}}", rig.address);
    let accepted = format!("tidegate_connections_accepted_total{{listener=\"{}\"}}", rig.address);
    let mut client = rig.connect().await;
    echoes(&mut client).await;
    closes(&mut rig.connect().await).await;
    assert_eq!((rig.metric(&open), rig.metric(&accepted)), (Some(1.0), Some(2.0)));
    assert_eq!(rig.metric("tidegate_connections_refused_total{limit=\"connections\"}"), Some(1.0));
    drop(client);
    soon(rig.connections.all_closed()).await;
    assert_eq!(rig.metric(&open), Some(0.0));
}

#[tokio::test]
async fn handshakes_are_counted_by_how_they_went() {
    let (_directory, _, entry) = tls_entry(TlsVersion::Tls12, true, Duration::from_millis(300));
    let rig = Rig::new(entry);
    tls_client(&rig, "first.test", &[]).await.unwrap();
    let mut no_tls = rig.connect().await;
    no_tls.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut no_record = rig.connect().await;
    no_record.write_all(&[0; 5]).await.unwrap();
    drop(rig.connect().await);
    closes(&mut rig.connect().await).await;
    soon(rig.connections.all_closed()).await;
    for result in ["ok", "failed", "http", "gone", "timeout"] {
        let name = format!("tidegate_tls_handshakes_total{{result=\"{result}\"}}");
        assert_eq!(rig.metric(&name), Some(1.0), "{result}");
    }
}
