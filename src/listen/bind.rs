//! Listening sockets, and why one cannot be had.
//!
//! Each worker thread has a TCP socket of its own on the same address (SO_REUSEPORT), so that the kernel spreads the
//! connections; a Unix socket is one, shared by all workers. SO_REUSEPORT would also let a second gateway of the same user
//! share the address unnoticed; so an address is first bound once without it, which finds anybody who listens there.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

pub use problem::{BindFault, BindProblem};

use crate::{
    config::{self, ListenAddress},
    net::socket::prepare_listener,
};

mod problem;

/// One listener, bound: a socket for each worker.
pub struct Bound {
    address: ListenAddress,
    sockets: Vec<ListenSocket>,
    file: Option<SocketFile>,
}

/// A socket that listens and does not block.
#[derive(Debug)]
pub enum ListenSocket {
    /// A TCP socket of one worker's own.
    Tcp(TcpListener),
    /// One worker's handle on the listener's only Unix socket.
    Unix(UnixListener),
}

/// A Unix socket's file, removed when this is dropped, if it is still the one that was made here.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Binds every listener, `workers` sockets for each. On any problem nothing stays bound and all problems are told.
pub fn bind(listeners: &[config::Listener], workers: usize) -> Result<Vec<Bound>, Vec<BindProblem>> {
    let mut bound: Vec<Bound> = Vec::with_capacity(listeners.len());
    let mut problems = Vec::new();
    for listener in listeners {
        let result = match &listener.address {
            ListenAddress::Tcp(address) => bind_tcp(*address, workers),
            ListenAddress::Unix(path) => bind_unix(path, workers),
        };
        match result {
            Ok(listener) => bound.push(listener),
            Err(fault) => {
                let fault = fault.or_own(in_the_way(&listener.address, &bound));
                problems.push(BindProblem::new("listener", listener.address.clone(), fault));
            }
        }
    }
    if problems.is_empty() { Ok(bound) } else { Err(problems) }
}

/// Binds the admin's address, one socket that does not block, beside the listeners that are bound already.
pub fn bind_admin(address: SocketAddr, beside: &[Bound]) -> Result<TcpListener, BindProblem> {
    listen_tcp(address, false).map_err(|fault| {
        let address = ListenAddress::Tcp(address);
        let fault = fault.or_own(in_the_way(&address, beside));
        BindProblem::new("admin listener", address, fault)
    })
}

impl Bound {
    /// Where it really listens: with the port that the system chose where 0 was asked for.
    pub fn local_address(&self) -> &ListenAddress {
        &self.address
    }

    /// The sockets, one for each worker, and the file to remove when they are to be closed.
    pub fn into_parts(self) -> (Vec<ListenSocket>, Option<SocketFile>) {
        (self.sockets, self.file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("the socket file `{}` could not be removed: {error}", self.path.display());
        }
    }
}

fn bind_tcp(wanted: SocketAddr, workers: usize) -> Result<Bound, BindFault> {
    if wanted.port() != 0 {
        // Given back at once: it only shows that nobody else listens here.
        bound_tcp(wanted, false)?;
    }
    let first = listen_tcp(wanted, true)?;
    let address = first.local_addr().map_err(BindFault::Other)?;
    let mut sockets = vec![ListenSocket::Tcp(first)];
    for _ in 1..workers {
        sockets.push(ListenSocket::Tcp(listen_tcp(address, true)?));
    }
    Ok(Bound { address: ListenAddress::Tcp(address), sockets, file: None })
}

fn listen_tcp(address: SocketAddr, shared: bool) -> Result<TcpListener, BindFault> {
    let socket = bound_tcp(address, shared)?;
    let listen = || {
        prepare_listener(SockRef::from(&socket))?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| BindFault::of_tcp(error, address))?;
    Ok(socket.into())
}

fn bound_tcp(address: SocketAddr, shared: bool) -> Result<Socket, BindFault> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // An address whose old connections are still fading away is free.
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        if let SocketAddr::V6(address) = address
            && address.ip().is_unspecified()
        {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().map_err(|error| BindFault::of_tcp(error, address))
}

fn bind_unix(path: &Path, workers: usize) -> Result<Bound, BindFault> {
    let address = SockAddr::unix(path).map_err(|_| BindFault::PathTooLong)?;
    make_way(path, &address)?;
    let listen = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
        socket.listen(BACKLOG)?;
        let socket = UnixListener::from(socket);
        let mut sockets = Vec::with_capacity(workers);
        for _ in 1..workers {
            sockets.push(ListenSocket::Unix(socket.try_clone()?));
        }
        sockets.push(ListenSocket::Unix(socket));
        Ok(Bound { address: ListenAddress::Unix(path.to_owned()), sockets, file: Some(file) })
    };
    listen().map_err(|error| BindFault::of_unix(error, path))
}

/// Removes a socket file that nobody listens on any more; leaves everything else alone.
fn make_way(path: &Path, address: &SockAddr) -> Result<(), BindFault> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(BindFault::NotASocket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindFault::of_unix(error, path)),
    }
    let knock = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A listener whose queue is full would otherwise hold the start up.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    };
    match knock() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| BindFault::of_unix(error, path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(BindFault::of_unix(error, path)),
        // Answered, or there and busy, or there and of another kind.
        _ => Err(BindFault::InUse),
    }
}

fn in_the_way<'b>(address: &ListenAddress, bound: &'b [Bound]) -> Option<&'b ListenAddress> {
    bound.iter().map(|other| &other.address).find(|other| overlap(other, address))
}

/// Whether two listeners want the same address.
fn overlap(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let (first, second) = (one.ip().to_canonical(), other.ip().to_canonical());
            let takes_all = |all: &SocketAddr, of: &SocketAddr| match all {
                SocketAddr::V4(all) => *all.ip() == Ipv4Addr::UNSPECIFIED && of.ip().to_canonical().is_ipv4(),
                SocketAddr::V6(all) => all.ip().is_unspecified(),
            };
            one.port() == other.port() && (first == second || takes_all(one, other) || takes_all(other, one))
        }
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
        _ => false,
    }
}

/// Connections that wait to be accepted, for each socket; the system may allow fewer (net.core.somaxconn).
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests;
