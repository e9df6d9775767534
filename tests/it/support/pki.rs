//! A certificate authority for one story.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Socket, within};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    root: CertificateDer<'static>,
}

/// A certificate with its key.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, root) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, root }
    }

    /// A certificate for these DNS names or addresses.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes the authority's own certificate.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).unwrap();
    }

    /// A TLS client's connection that trusts this authority only.
    pub async fn connect(&self, address: SocketAddr, name: &str, protocols: &[&str]) -> io::Result<Socket> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = within(format!("a connection to {address}"), TcpStream::connect(address)).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = within("a TLS handshake", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await?;
        Ok(Socket::Tls(Box::new(tls.into())))
    }
}

impl Certificate {
    /// Writes both PEM files, `NAME.pem` and `NAME.key`, and gives the TOML table that names them.
    pub fn write(&self, directory: &Path, name: &str) -> String {
        let (certificate, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        // The key first: whoever watches the certificate then finds both.
        std::fs::write(&key, &self.key).unwrap();
        std::fs::write(&certificate, &self.certificate).unwrap();
        format!("{{ certificate = {:?}, key = {:?} }}", certificate, key)
    }

    /// The leaf, to compare with what a server showed.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// A TLS server with this certificate.
    pub fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_no_client_auth().with_single_cert(vec![self.der()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Socket {
    /// The certificate that a TLS server showed.
    pub fn peer_certificate(&self) -> CertificateDer<'static> {
        let Self::Tls(tls) = self else { panic!("no TLS") };
        tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// The protocol agreed by ALPN.
    pub fn protocol(&self) -> Option<String> {
        let Self::Tls(tls) = self else { panic!("no TLS") };
        tls.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }
}
