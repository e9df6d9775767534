//! Why a listener could not be bound, whose it is, and the way out.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use crate::config::ListenAddress;

/// A listener that could not be bound.
#[derive(Debug)]
pub struct BindProblem {
    /// `listener` or `admin listener`.
    pub what: &'static str,
    /// As configured.
    pub address: ListenAddress,
    /// What went wrong.
    pub fault: BindFault,
}

/// What went wrong.
#[derive(Debug)]
pub enum BindFault {
    /// Somebody else listens there.
    InUse,
    /// A listener of the same configuration has the address already.
    OwnInUse(ListenAddress),
    /// A port below 1024 without the right to it.
    LowPort,
    /// The address belongs to no interface of this machine.
    NotOurs,
    /// The machine has no IPv6 (or no IPv4).
    NoFamily,
    /// The Unix socket's directory does not exist.
    NoDirectory(PathBuf),
    /// The Unix socket's directory, or what is in the socket's place, may not be written.
    NotPermitted(PathBuf),
    /// Something that is no socket is in the Unix socket's place.
    NotASocket,
    /// A Unix socket's path has a length limit of about 107 bytes.
    PathTooLong,
    /// What the system said.
    Other(io::Error),
}

impl BindProblem {
    pub(super) fn new(what: &'static str, address: ListenAddress, fault: BindFault) -> Self {
        Self { what, address, fault }
    }

    /// The way out, where one is known.
    pub fn hint(&self) -> Option<String> {
        Some(match (&self.fault, &self.address) {
            (BindFault::InUse, ListenAddress::Tcp(address)) => {
                format!("`ss -ltnp 'sport = :{}'` shows who has it; stop that, or listen on another port", address.port())
            }
            (BindFault::InUse, ListenAddress::Unix(path)) => {
                format!("`ss -lxp src {}` shows who has it; stop that, or choose another path", path.display())
            }
            (BindFault::OwnInUse(ListenAddress::Tcp(other)), _) if other.is_ipv6() && other.ip().is_unspecified() => {
                format!("`{other}` takes IPv4 connections too; leave this one out")
            }
            (BindFault::OwnInUse(_), _) => "leave one of the two out".to_owned(),
            (BindFault::LowPort, _) => "listen on a port from 1024 up, or give the program the right: \
                 `AmbientCapabilities=CAP_NET_BIND_SERVICE` in its systemd unit, or `setcap cap_net_bind_service=+ep` on its file"
                .to_owned(),
            (BindFault::NotOurs, _) => {
                "`ip address` lists the addresses of this machine; `0.0.0.0` or `[::]` stands for all of them".to_owned()
            }
            (BindFault::NoFamily, _) => "this machine has that protocol switched off; for IPv4 only, write `0.0.0.0`".to_owned(),
            (BindFault::NoDirectory(directory), _) => {
                format!("make the directory `{}`, or choose another path", directory.display())
            }
            (BindFault::NotPermitted(directory), _) => {
                format!("let the user that runs the program write in `{}`", directory.display())
            }
            (BindFault::NotASocket, _) => "it is left as it is; remove it, or choose another path".to_owned(),
            (BindFault::PathTooLong, _) => "choose a shorter path, such as one below `/run`".to_owned(),
            (BindFault::Other(_), _) => return None,
        })
    }
}

impl BindFault {
    pub(super) fn of_tcp(error: io::Error, address: SocketAddr) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::ADDRINUSE) => Self::InUse,
            Some(Errno::ACCESS | Errno::PERM) if (1..1024).contains(&address.port()) => Self::LowPort,
            Some(Errno::ADDRNOTAVAIL) => Self::NotOurs,
            Some(Errno::AFNOSUPPORT) => Self::NoFamily,
            _ => Self::Other(error),
        }
    }

    pub(super) fn of_unix(error: io::Error, path: &Path) -> Self {
        let directory = || match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        match Errno::from_io_error(&error) {
            Some(Errno::ADDRINUSE) => Self::InUse,
            Some(Errno::NOENT | Errno::NOTDIR) => Self::NoDirectory(directory()),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::NotPermitted(directory()),
            Some(Errno::NAMETOOLONG) => Self::PathTooLong,
            _ => Self::Other(error),
        }
    }

    /// The same, but telling that it is a listener of ours that is in the way.
    pub(super) fn or_own(self, own: Option<&ListenAddress>) -> Self {
        match (self, own) {
            (Self::InUse, Some(own)) => Self::OwnInUse(own.clone()),
            (fault, _) => fault,
        }
    }
}

impl fmt::Display for BindProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: ", self.what, self.address)?;
        match &self.fault {
            BindFault::InUse => f.write_str("the address is in use by another process"),
            BindFault::OwnInUse(other) => write!(f, "the listener `{other}` has this address already"),
            BindFault::LowPort => f.write_str("ports below 1024 need a right that the program does not have"),
            BindFault::NotOurs => f.write_str("no interface of this machine has this address"),
            BindFault::NoFamily => f.write_str("this machine does not speak that kind of address"),
            BindFault::NoDirectory(directory) => write!(f, "there is no directory `{}`", directory.display()),
            BindFault::NotPermitted(directory) => {
                write!(f, "the program may not make a socket in `{}`", directory.display())
            }
            BindFault::NotASocket => f.write_str("something that is not a socket has this path"),
            BindFault::PathTooLong => f.write_str("the path is too long for a Unix socket"),
            BindFault::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindProblem {}
