//! `tidegate healthcheck`: one question to a running gateway, for containers without a shell or curl.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::{args::Healthcheck, config_path, output};
use crate::config;

/// 0 if the gateway says that it is ready.
pub(super) fn run(options: Healthcheck) -> ExitCode {
    let address = match admin_address(options) {
        Ok(address) => reachable(address),
        Err(code) => return code,
    };
    match ask(address) {
        Ok(200) => output::print("ready"),
        Ok(status) => output::fail(&format!("not ready: http://{address}/ready answered {status}")),
        Err(error) => output::fail(&format!("no answer from http://{address}/ready: {error}")),
    }
}

fn admin_address(options: Healthcheck) -> Result<SocketAddr, ExitCode> {
    if let Some(admin) = options.admin {
        return config::address("--admin", &admin).map_err(|problems| {
            output::problems(&problems);
            ExitCode::from(super::USAGE)
        });
    }
    let Some(path) = config_path(options.config) else {
        return Ok((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into());
    };
    let loaded = config::load(&path).map_err(|problems| {
        output::problems(&problems);
        ExitCode::FAILURE
    })?;
    match loaded.config.admin {
        Some(admin) => Ok(admin.listen),
        None => Err(output::fail(&format!("the admin listener is off in `{}`", path.display()))),
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

/// The status of the answer to `GET /ready`.
fn ask(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP answer"))
}

/// The status in a status line (RFC 9112 §4).
fn status(line: &str) -> Option<u16> {
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.trim_end().parse().ok()
}

/// Where the admin listener is by default.
const DEFAULT_PORT: u16 = 9090;

/// For each step; a healthy gateway answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

const LINE_BYTES_MAX: u64 = 1024;
