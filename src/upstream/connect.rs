//! New connections to one upstream's servers. The only place that knows pingora.
//!
//! A plain socket is dialled bare, so that the tunnels and the exchange can use it without a layer between; TLS is
//! pingora's connector: verification, SNI, ALPN, authorities of its own.

use std::{
    error::Error,
    io,
    iter::successors,
    net::SocketAddr,
    path::Path,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use pingora::{
    connectors::{ConnectorOptions, TransportConnector},
    protocols::{self, ALPN, TcpKeepalive},
    upstreams::peer::HttpPeer,
};
use rustix::io::Errno;
use tokio::{
    net::{TcpStream, UnixStream},
    time::Instant,
};

use super::Failure;
use crate::{
    config::{BackendAddress, UpstreamTls},
    net::{Io, OutQueue, Stream, socket},
};

/// Makes connections as one upstream wants them.
pub(super) struct Dialer {
    timeout: Duration,
    tls: Option<Tls>,
}

struct Tls {
    connector: TransportConnector,
    settings: UpstreamTls,
}

/// What the two ends agree to speak (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speak {
    Http1,
    Http2,
    /// HTTP/1.1, until the connection is a tunnel.
    WebSocket,
}

impl Dialer {
    /// Reads the authorities to trust; an error says which file is wrong and how.
    pub(super) fn new(timeout: Duration, tls: Option<&UpstreamTls>) -> Result<Self, String> {
        let tls = tls.map(|settings| Tls::new(settings.clone())).transpose()?;
        Ok(Self { timeout, tls })
    }

    /// One new connection, within the connect timeout (name lookup and TLS included). Of `first` goes what the connection
    /// takes at once; the rest stays queued.
    pub(super) async fn dial(
        &self,
        address: &BackendAddress,
        speak: Speak,
        first: Option<&mut OutQueue>,
    ) -> Result<Stream, Failure> {
        let deadline = Instant::now() + self.timeout;
        within(deadline, pin!(self.dial_until(deadline, address, speak, first))).await
    }

    async fn dial_until(
        &self,
        deadline: Instant,
        address: &BackendAddress,
        speak: Speak,
        first: Option<&mut OutQueue>,
    ) -> Result<Stream, Failure> {
        match address {
            BackendAddress::Unix(path) => match &self.tls {
                None => UnixStream::connect(path).await.map(Stream::Unix).map_err(refused),
                // What TLS needs is large, and a plain connection does not carry it about.
                Some(tls) => Box::pin(tls.connect_unix(path, speak)).await,
            },
            BackendAddress::Tcp(address) => self.dial_tcp(*address, speak, first).await,
            BackendAddress::Name { host, port } => {
                let addresses = find(deadline, host, *port).await?;
                Box::pin(self.dial_first(deadline, addresses, speak, first)).await
            }
        }
    }

    /// One address of a name after the other. Each gets its share of the time that is left, so that one that swallows
    /// everything does not stand for all.
    async fn dial_first(
        &self,
        deadline: Instant,
        addresses: Vec<SocketAddr>,
        speak: Speak,
        mut first: Option<&mut OutQueue>,
    ) -> Result<Stream, Failure> {
        let mut last = Failure::Name(Arc::from("it has no address"));
        let count = addresses.len() as u32;
        for (tried, address) in (0..count).zip(addresses) {
            let share = deadline.saturating_duration_since(Instant::now()) / (count - tried);
            match within(Instant::now() + share, pin!(self.dial_tcp(address, speak, first.as_deref_mut()))).await {
                Ok(stream) => return Ok(stream),
                Err(failure) => last = last.or(failure),
            }
        }
        Err(last)
    }

    async fn dial_tcp(
        &self,
        address: SocketAddr,
        speak: Speak,
        first: Option<&mut OutQueue>,
    ) -> Result<Stream, Failure> {
        match &self.tls {
            None => connect(address, first).await.map(Stream::Tcp).map_err(refused),
            Some(tls) => {
                let peer = HttpPeer::new(address, true, tls.settings.server_name.clone());
                Box::pin(tls.connect(peer, speak)).await
            }
        }
    }
}

/// A bare connection. A backend on the same machine has accepted it before `begin_connect` is back, so that it takes the
/// request at once, and nobody has to ask the event loop, nor a timer, whether it is open.
async fn connect(address: SocketAddr, first: Option<&mut OutQueue>) -> io::Result<TcpStream> {
    // Once something was written nothing more may fail: to those above, a failure here says that nothing was.
    let stream = TcpStream::from_std(socket::begin_connect(address, first.is_some())?)?;
    let is_open = match first {
        None => false,
        Some(first) => match socket::write_first(&stream, first) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        },
    };
    if !is_open {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok(stream)
}

impl Tls {
    fn new(settings: UpstreamTls) -> Result<Self, String> {
        let mut options = ConnectorOptions::new(1);
        match &settings.ca {
            Some(path) => {
                check_authorities(path)?;
                options.ca_file = Some(path.to_string_lossy().into_owned());
            }
            None => check_system_authorities()?,
        }
        Ok(Self { connector: TransportConnector::new(Some(options)), settings })
    }

    async fn connect_unix(&self, path: &Path, speak: Speak) -> Result<Stream, Failure> {
        let peer = HttpPeer::new_uds(&path.to_string_lossy(), true, self.settings.server_name.clone());
        self.connect(peer.map_err(|error| Failure::Connect(error.to_string().into()))?, speak).await
    }

    async fn connect(&self, mut peer: HttpPeer, speak: Speak) -> Result<Stream, Failure> {
        // Set here, for the socket of pingora's streams can't be reached when they have become tunnels.
        peer.options.tcp_keepalive = Some(probes(speak));
        peer.options.verify_cert = self.settings.verify;
        peer.options.verify_hostname = self.settings.verify;
        peer.options.alpn = match speak {
            Speak::Http1 | Speak::WebSocket => ALPN::H1,
            Speak::Http2 => ALPN::H2,
        };
        let stream = self.connector.new_stream(&peer).await.map_err(|error| {
            if let Some(local) = local_cause(error.root_cause()) {
                return local;
            }
            // The first line names the fault; the rest is pingora's chain of contexts.
            let text = error.to_string();
            Failure::Connect(text.split("  cause:").last().unwrap_or(&text).trim().into())
        })?;
        if speak == Speak::Http2 && !matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return Err(Failure::Connect(Arc::from("the server does not speak HTTP/2 (no ALPN `h2`)")));
        }
        Ok(Stream::Boxed(Box::new(stream)))
    }
}

/// Of what pingora makes.
impl Io for protocols::Stream {}

/// A server that has vanished in silence is found, as on plain connections.
fn probes(speak: Speak) -> TcpKeepalive {
    TcpKeepalive {
        idle: socket::PROBE_AFTER,
        interval: socket::PROBE_EVERY,
        count: socket::PROBES as usize,
        // Zero is the system's own: a request of HTTP/1.1 has times of its own.
        #[cfg(target_os = "linux")]
        user_timeout: match speak {
            Speak::Http1 => Duration::ZERO,
            Speak::Http2 | Speak::WebSocket => socket::UNACKNOWLEDGED_MAX,
        },
    }
}

async fn within<T>(
    deadline: Instant,
    dialling: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(deadline, dialling).await.unwrap_or(Err(Failure::ConnectTimeout))
}

/// The addresses of a name. One that nobody answers for in time is not the server's silence.
async fn find(deadline: Instant, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let lost = |why: &str| Failure::Name(Arc::from(why));
    match tokio::time::timeout_at(deadline, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(local(&error).unwrap_or_else(|| lost(&error.to_string()))),
        Err(_) => Err(lost("nobody says in time where")),
    }
}

fn refused(error: io::Error) -> Failure {
    local(&error).unwrap_or_else(|| Failure::Connect(error.to_string().into()))
}

/// What this machine refuses says nothing about a server.
fn local(error: &io::Error) -> Option<Failure> {
    let is_local = error.raw_os_error().is_some_and(|code| LOCAL.map(Errno::raw_os_error).contains(&code));
    is_local.then(|| Failure::Local(error.to_string().into()))
}

/// The same, where words of others stand before the system's.
fn local_cause(error: &(dyn Error + 'static)) -> Option<Failure> {
    successors(Some(error), |&cause| cause.source()).find_map(|cause| cause.downcast_ref().and_then(local))
}

/// pingora panics on a file without certificates, so it is read here first.
fn check_authorities(path: &Path) -> Result<(), String> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let shown = path.display();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("`{shown}` is no PEM file: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("`{shown}` holds a certificate that can't be trusted: {error}"))?;
    }
    if roots.is_empty() { Err(format!("`{shown}` holds no certificate")) } else { Ok(()) }
}

/// pingora panics on a machine without authorities; here that is a problem with a way out.
fn check_system_authorities() -> Result<(), String> {
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(
            "this system has no certificate authorities: install `ca-certificates`, or name a PEM file with `ca`"
                .to_owned(),
        );
    }
    Ok(())
}

/// Descriptors of the process, those of the system, ports, room for what is sent, memory, places in epoll: none left.
const LOCAL: [Errno; 6] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM, Errno::NOSPC];

#[cfg(test)]
mod tests;
