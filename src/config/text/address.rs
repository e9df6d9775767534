//! Addresses: where to listen, where backends are, which networks are trusted.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use ipnet::IpNet;

use crate::config::{
    BackendAddress, ListenAddress,
    kind::Kind,
    value::{Text, Wrong},
};

impl Text for ListenAddress {
    fn kind() -> Kind {
        Kind::Text { what: "an address to listen on", example: "0.0.0.0:8080" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        match text.strip_prefix(UNIX) {
            Some(path) => unix_path(path, directory).map(Self::Unix),
            None => own_address(text).map(Self::Tcp),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// Where the admin listener is: an IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) struct AdminAddress(pub(in crate::config) SocketAddr);

impl Text for AdminAddress {
    fn kind() -> Kind {
        Kind::Text { what: "an address to listen on", example: "127.0.0.1:9090" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        own_address(text).map(Self)
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// One server of an upstream, and whether it speaks TLS.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Backend {
    pub(in crate::config) address: BackendAddress,
    /// The host of an `https://` URL.
    pub(in crate::config) tls_host: Option<String>,
}

impl Text for Backend {
    fn kind() -> Kind {
        Kind::Text { what: "the address of a backend", example: "127.0.0.1:3000" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return Ok(Self { address: BackendAddress::Unix(unix_path(path, directory)?), tls_host: None });
        }
        if let Some(authority) = strip_scheme(text, "https://")? {
            let (address, host) = backend_address(authority, Some(443), text)?;
            return Ok(Self { address, tls_host: Some(host) });
        }
        if let Some(authority) = strip_scheme(text, "http://")? {
            return Ok(Self { address: backend_address(authority, Some(80), text)?.0, tls_host: None });
        }
        Ok(Self { address: backend_address(text, None, text)?.0, tls_host: None })
    }

    fn text(&self) -> String {
        match self.tls_host {
            Some(_) => format!("https://{}", self.address),
            None => self.address.to_string(),
        }
    }
}

/// The name of an upstream, or the address of a single backend: told apart where the names are known.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct UpstreamText {
    pub(in crate::config) text: String,
    /// What it is as an address.
    pub(in crate::config) backend: Result<Backend, String>,
}

impl UpstreamText {
    /// A reference by name.
    pub(in crate::config) fn named(name: &str) -> Self {
        Self { text: name.to_owned(), backend: Err(String::new()) }
    }
}

impl Text for UpstreamText {
    fn kind() -> Kind {
        Kind::Text { what: "the name of an upstream or the address of a backend", example: "127.0.0.1:3000" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new("the text is empty", ""));
        }
        let backend = Backend::parse(text, directory).map_err(|wrong| wrong.message);
        Ok(Self { text: text.to_owned(), backend })
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) struct Network(pub(in crate::config) IpNet);

impl Text for Network {
    fn kind() -> Kind {
        Kind::Text { what: "a network", example: "10.0.0.0/8" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        match text.parse::<IpNet>() {
            Ok(network) if network.addr() == network.network() => Ok(Self(network)),
            Ok(network) => Err(Wrong::new(
                format!("`{text}` has bits set behind its prefix"),
                format!("did you mean `{}`?", network.trunc()),
            )),
            Err(_) => Err(Wrong::new(format!("`{text}` is not a network"), "")),
        }
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// An address of this machine: IP and port. `localhost` is taken as the IPv4 loopback.
fn own_address(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wrong = |label: String| Wrong::new(format!("`{text}` is not an address to listen on"), label);
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let port = text.strip_prefix('*').unwrap_or(text);
    if let Ok(port) = port.strip_prefix(':').unwrap_or(port).parse::<u16>() {
        return Err(wrong(format!("did you mean `0.0.0.0:{port}`?")));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Err(wrong(format!("expected a port as well: `{address}:8080`")));
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        return Err(wrong(format!("expected a port as well: `[{address}]:8080`")));
    }
    if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
        return Err(wrong(format!("expected an address without a scheme: `{}`", rest.trim_end_matches('/'))));
    }
    Err(wrong("expected an IP address and a port, such as `0.0.0.0:8080` or `[::]:8080`, or `unix:/path`".to_owned()))
}

/// What follows the scheme, if it is this one; anything but an authority and `/` is refused.
fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Result<Option<&'t str>, Wrong> {
    let Some(rest) = text.strip_prefix(scheme) else { return Ok(None) };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err(Wrong::new(
            "an upstream has no user or password",
            "set `Authorization` with `request_fields` of the route",
        ));
    }
    match authority.find(['/', '?', '#']) {
        Some(end) => Err(Wrong::new(
            "an upstream has no path",
            format!("did you mean `{scheme}{}`? the path is the route's", &authority[..end]),
        )),
        None => Ok(Some(authority)),
    }
}

/// Address and bare host of `host[:port]`.
fn backend_address(
    authority: &str,
    default_port: Option<u16>,
    written: &str,
) -> Result<(BackendAddress, String), Wrong> {
    let wrong = |label: &str| Wrong::new(format!("`{written}` is not the address of a backend"), label);
    if let Ok(address) = authority.parse::<SocketAddr>() {
        if address.port() == 0 {
            return Err(wrong("expected a port from 1 to 65535"));
        }
        return Ok((BackendAddress::Tcp(address), address.ip().to_string()));
    }
    let bare = authority.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let port = default_port.ok_or_else(|| wrong("expected a port as well, such as `127.0.0.1:3000`"))?;
        return Ok((BackendAddress::Tcp((ip, port).into()), ip.to_string()));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            Ok(port) if port > 0 => (host, port),
            _ => return Err(wrong("expected a port from 1 to 65535")),
        },
        None => (authority, default_port.ok_or_else(|| wrong("expected a port as well, such as `app:3000`"))?),
    };
    if !is_host_name(host) {
        return Err(wrong(""));
    }
    Ok((BackendAddress::Name { host: Arc::from(host), port }, host.to_owned()))
}

/// A name that a resolver may be asked for: letters, digits, `-`, `_` in labels of at most 63, not a wrong IPv4 address.
pub(super) fn is_host_name(host: &str) -> bool {
    let labels_are_sound = host.trim_end_matches('.').split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let looks_like_ipv4 = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    labels_are_sound && host.len() <= 253 && !looks_like_ipv4
}

fn unix_path(path: &str, directory: &Path) -> Result<std::path::PathBuf, Wrong> {
    if path.is_empty() {
        return Err(Wrong::new("the path of the socket is missing", "expected `unix:/path/of.sock`"));
    }
    let path = directory.join(path);
    if path.as_os_str().len() > UNIX_PATH_MAX {
        return Err(Wrong::new(
            "the path of the socket is too long",
            format!("expected at most {UNIX_PATH_MAX} bytes, the system's limit"),
        ));
    }
    Ok(path)
}

const UNIX: &str = "unix:";

/// `sun_path` of Linux has room for 108 bytes, the last of which is a NUL.
const UNIX_PATH_MAX: usize = 107;
