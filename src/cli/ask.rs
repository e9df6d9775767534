//! A question to a running gateway's admin listener, for containers without a shell or curl.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    args::{AdminAt, DEFAULT_ADMIN},
    config_path, output,
};
use crate::{
    config,
    wire::{Parsed, ResponseHead},
};

/// A running gateway's admin listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin {
    address: SocketAddr,
}

/// What it said.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Admin {
    /// The one of the options or of the configuration; else the problem has been told.
    pub(super) fn of(options: AdminAt) -> Result<Self, ExitCode> {
        if let Some(admin) = options.admin {
            return Self::at("--admin", &admin);
        }
        let Some(path) = config_path(options.config) else { return Self::at("--admin", DEFAULT_ADMIN) };
        let loaded = config::load(&path).map_err(|problems| {
            output::problems(&problems);
            ExitCode::FAILURE
        })?;
        match loaded.config.admin {
            Some(admin) => Ok(Self { address: reachable(admin.listen) }),
            None => Err(output::fail(&format!("the admin listener is off in `{}`", path.display()))),
        }
    }

    /// The one at this address; the option is named if it is none.
    pub(super) fn at(option: &str, address: &str) -> Result<Self, ExitCode> {
        let address = config::address(option, address).map_err(|problems| {
            output::problems(&problems);
            ExitCode::from(super::USAGE)
        })?;
        Ok(Self { address: reachable(address) })
    }

    /// Where a path is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks for a path.
    pub(super) fn get(&self, path: &str, within: Duration) -> io::Result<Said> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address), within)
    }

    /// Sends an object and gives the object that comes back; else the problem has been told.
    pub(super) fn order(&self, path: &str, object: &Value) -> Result<Value, ExitCode> {
        let body = object.to_string();
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.ask(&format!("POST {path}"), &fields, &body)
    }

    /// Gives the object that is there; else the problem has been told.
    pub(super) fn look(&self, path: &str) -> Result<Value, ExitCode> {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// Deletes what is there and gives the object that comes back; else the problem has been told.
    pub(super) fn delete(&self, path: &str) -> Result<Value, ExitCode> {
        self.ask(&format!("DELETE {path}"), "", "")
    }

    fn ask(&self, line: &str, fields: &str, body: &str) -> Result<Value, ExitCode> {
        let request = format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n{body}", self.address);
        let said = self.exchange(&request, ORDER_WAIT).map_err(|error| {
            output::fail(&format!("no answer from {}: {error}; is a gateway running there?", self.url("/")))
        })?;
        let object: Option<Value> = serde_json::from_slice(&said.body).ok();
        match (said.status, object) {
            (200, Some(object)) => Ok(object),
            (_, Some(object)) if object["error"].is_string() => {
                Err(output::fail(object["error"].as_str().unwrap_or_default()))
            }
            (404, _) => {
                Err(output::fail(&format!("{line}: not there: an older gateway at {}, or none?", self.address)))
            }
            (status, _) => Err(output::fail(&format!("{line}: {} answered {status}", self.address))),
        }
    }

    fn exchange(&self, request: &str, within: Duration) -> io::Result<Said> {
        let deadline = Instant::now() + within;
        let mut stream = TcpStream::connect_timeout(&self.address, within.min(CONNECT_WAIT))?;
        stream.set_write_timeout(Some(within))?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece) {
                Ok(0) => return said(&bytes),
                Ok(length) if bytes.len() + length <= ANSWER_BYTES_MAX => bytes.extend_from_slice(&piece[..length]),
                Ok(_) => return Err(io::Error::new(ErrorKind::FileTooLarge, "the answer is too long")),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Who listens on all addresses is asked on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, address.port()).into()
}

/// A whole answer: its connection has been closed behind it.
fn said(bytes: &[u8]) -> io::Result<Said> {
    let mut head = ResponseHead::default();
    match head.parse(bytes, HEAD_BYTES_MAX, FIELDS_MAX) {
        Ok(Parsed::Complete(length)) => {
            let body = bytes[length..].to_vec();
            match head.fields.get_str("content-length").and_then(|text| text.parse().ok()) {
                Some(announced) if body.len() < announced => Err(ErrorKind::UnexpectedEof.into()),
                _ => Ok(Said { status: head.status, body }),
            }
        }
        Ok(Parsed::Partial) if bytes.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "that is no HTTP answer")),
    }
}

const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// For an order: a purge of a million answers takes a while.
const ORDER_WAIT: Duration = Duration::from_secs(60);

const ANSWER_BYTES_MAX: usize = 16 << 20;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = said(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!(whole, Said { status: 200, body: b"ok".to_vec() });
        for (bytes, kind) in [
            (&b""[..], ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 200 OK\r\n", ErrorKind::InvalidData),
            (b"SSH-2.0-x\r\n", ErrorKind::InvalidData),
        ] {
            assert_eq!(said(bytes).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn all_addresses_are_asked_on_the_loopback() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
