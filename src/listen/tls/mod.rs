//! TLS towards clients: which versions, which certificate, and new ones while running.
//!
//! A pair of files that cannot be used is told with its names and a way out, at start and by `check`; while running it
//! leaves the pair in use as it was.

use std::sync::Arc;

use rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring};

pub use certificates::{Certificates, Reloaded};
pub use problem::{Problem, ProblemKind};
pub use stream::{SpokeHttp, TlsStream, accept};
pub use watch::{Rhythm, Watched, Watcher};

use crate::{
    clock::Now,
    config::{CertificateFiles, ListenerTls, TlsVersion},
};

mod certificates;
mod names;
mod pair;
mod problem;
mod stream;
mod watch;

/// What is wrong with these pairs; warnings among it. Empty when all is well.
pub fn check(pairs: &[CertificateFiles]) -> Vec<Problem> {
    let now = Now::read();
    pairs
        .iter()
        .flat_map(|files| match pair::read(files).and_then(|contents| pair::parse(files, &contents, now)) {
            Ok((_, warnings)) => warnings,
            Err(problem) => vec![problem],
        })
        .collect()
}

/// What a listener with these certificates agrees on: versions from the configured minimum up, `h2` before `http/1.1` in ALPN
/// if `http2` is on, session tickets with keys of its own that change every six hours, no early data.
///
/// # Errors
/// When the system has no randomness for the ticket keys.
pub fn server_config(
    tls: &ListenerTls,
    http2: bool,
    certificates: Arc<Certificates>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions(tls.minimum))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersion::Tls12 => &VERSIONS,
        TlsVersion::Tls13 => &VERSIONS[..1],
    }
}

/// Newest first.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
