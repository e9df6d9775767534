//! The ways in which the requests of a case come to the gateway.

use std::net::SocketAddr;

use crate::support::*;

/// What lies between the client and the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Http1,
    Http2,
    Http1Tls,
    Http2Tls,
}

/// The gateway, and the ways to it.
pub struct Doors {
    pub gateway: Gateway,
    secure: SocketAddr,
    authority: Authority,
    http2: Http2,
    http2_tls: Http2,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Http1Tls, Self::Http2Tls];

    pub fn is_secure(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }

    /// As a URL has it, and with its usual port.
    pub fn scheme(self) -> (&'static str, &'static str) {
        if self.is_secure() { ("https", "443") } else { ("http", "80") }
    }
}

impl Doors {
    /// A gateway with this configuration, in which `DOORS` stands for its further listeners.
    pub async fn open(config: &str) -> Self {
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let pair = authority.issue(&[NAME]).write(directory.path(), "front");
        let (plain, secure) = (free_address(), free_address());
        let doors = format!(
            "[[listener]]\naddress = \"{plain}\"\nh2c = true\n[[listener]]\naddress = \"{secure}\"\ntls = [{pair}]"
        );
        let gateway = Gateway::in_directory(directory, &config.replace("DOORS", &doors)).await;
        let http2 = Http2::prior_knowledge(plain).await;
        let http2_tls = Http2::tls(secure, NAME, &authority).await;
        Self { gateway, secure, authority, http2, http2_tls }
    }

    /// The shared connection for this way's requests, where it is one of HTTP/2.
    pub fn http2(&self, way: Way) -> Option<Http2> {
        match way {
            Way::Http1 | Way::Http1Tls => None,
            Way::Http2 => Some(self.http2.clone()),
            Way::Http2Tls => Some(self.http2_tls.clone()),
        }
    }

    /// A connection of HTTP/1.
    pub async fn http1(&self, way: Way) -> Connection {
        match way.is_secure() {
            true => Connection::tls(self.secure, NAME, &self.authority).await,
            false => self.gateway.connect().await,
        }
    }
}

/// The host of all requests that name no other.
pub const NAME: &str = "example.test";
