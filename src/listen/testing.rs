//! What several tests need: certificates on disk, a client that shows what it was given, settled limits.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{CertificateFiles, Limits};

/// Writes a self-signed pair for these names, with a common name to know it by.
pub(crate) fn write_pair(directory: &Path, file: &str, common_name: &str, names: &[&str]) -> CertificateFiles {
    let files = CertificateFiles {
        certificate: directory.join(format!("{file}.pem")),
        key: directory.join(format!("{file}.key")),
    };
    overwrite(&files, common_name, names);
    files
}

/// The same into existing files.
pub(crate) fn overwrite(files: &CertificateFiles, common_name: &str, names: &[&str]) {
    let (certificate, key) = pem_pair(common_name, names, |_| {});
    fs::write(&files.certificate, certificate).unwrap();
    write_key(&files.key, &key);
}

pub(crate) fn write_key(path: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;

    fs::write(path, pem).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Certificate and key as PEM.
pub(crate) fn pem_pair(
    common_name: &str,
    names: &[&str],
    edit: impl FnOnce(&mut rcgen::CertificateParams),
) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    edit(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A TLS client that takes any certificate.
pub(crate) fn connector(alpn: &[&str]) -> TlsConnector {
    connector_of(rustls::ALL_VERSIONS, alpn)
}

/// The same with only these versions.
pub(crate) fn connector_of(versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    // Tests that write records of their own need the keys.
    config.enable_secret_extraction = true;
    TlsConnector::from(Arc::new(config))
}

/// The common name of the certificate that the server gave.
pub(crate) fn common_name(stream: &TlsStream<TcpStream>) -> String {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    let (_, certificate) = X509Certificate::from_der(&certificates[0]).unwrap();
    certificate.subject().iter_common_name().last().unwrap().as_str().unwrap().to_owned()
}

/// Wide limits.
pub(crate) fn limits() -> Limits {
    Limits {
        connections: 1000,
        connections_per_address: 1000,
        head_bytes: 32 * 1024,
        target_bytes: 8 * 1024,
        fields: 100,
        body_bytes: 1 << 20,
        body_rate: 1024,
        body_rate_grace: Duration::from_secs(10),
        answer_head_bytes: 32 * 1024,
        unsent_bytes: 1 << 20,
        tunnels: None,
        http2_streams: 100,
        drain_rate: 200,
    }
}

#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
