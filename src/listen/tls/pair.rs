//! One certificate with its key: the two files read, understood and compared.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use memchr::memmem;
use rustls::{
    crypto::ring,
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::problem::{Problem, ProblemKind, ReadFault};
use crate::{clock::Now, config::CertificateFiles};

/// A pair that can be used.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// The chain and the key that signs.
    pub(super) certified: Arc<CertifiedKey>,
    /// The DNS names of the certificate, in lower case, with `*.` in front of wildcards.
    pub(super) names: Vec<String>,
    /// When the certificate ends, in seconds since the Unix epoch.
    pub(super) not_after: i64,
}

/// Both files as they are on disk.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    key_exposed: bool,
}

/// Reads both files.
pub(super) fn read(files: &CertificateFiles) -> Result<Contents, Problem> {
    let (certificate, _) = read_file(&files.certificate)
        .map_err(|fault| Problem::new(files, ProblemKind::CertificateUnreadable(fault)))?;
    let (key, key_mode) =
        read_file(&files.key).map_err(|fault| Problem::new(files, ProblemKind::KeyUnreadable(fault)))?;
    Ok(Contents { certificate, key, key_exposed: key_mode & 0o004 != 0 })
}

/// Understands both files and compares them. Beside the pair come the warnings about it.
pub(super) fn parse(files: &CertificateFiles, contents: &Contents, now: Now) -> Result<(Pair, Vec<Problem>), Problem> {
    understand(contents, now.unix_seconds().try_into().unwrap_or(i64::MAX))
        .map(|(pair, warnings)| (pair, warnings.into_iter().map(|kind| Problem::new(files, kind)).collect()))
        .map_err(|kind| Problem::new(files, kind))
}

fn understand(contents: &Contents, now: i64) -> Result<(Pair, Vec<ProblemKind>), ProblemKind> {
    let chain = certificates(&contents.certificate)?;
    let key = signing_key(&contents.key)?;
    let facts = facts(&chain)?;
    let certified = matched(chain, key)?;

    let mut warnings = Vec::new();
    if now > facts.not_after.0 {
        warnings.push(ProblemKind::Expired { since: facts.not_after.1 });
    }
    if now < facts.not_before.0 {
        warnings.push(ProblemKind::NotYetValid { from: facts.not_before.1 });
    }
    if contents.key_exposed {
        warnings.push(ProblemKind::KeyExposed);
    }
    Ok((Pair { certified: Arc::new(certified), names: facts.names, not_after: facts.not_after.0 }, warnings))
}

fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, ProblemKind> {
    let chain = CertificateDer::pem_slice_iter(file)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ProblemKind::CertificateNotPem(pem_text(&error)))?;
    if chain.is_empty() {
        return Err(ProblemKind::NoCertificate { key: holds(file, "PRIVATE KEY-----") });
    }
    Ok(chain)
}

fn signing_key(file: &[u8]) -> Result<Arc<dyn SigningKey>, ProblemKind> {
    // Asked before parsing: the older form (RFC 1421 §4.6.1.1) is no proper base64 to the parser.
    if holds(file, "BEGIN ENCRYPTED PRIVATE KEY-----") || holds(file, "Proc-Type: 4,ENCRYPTED") {
        return Err(ProblemKind::KeyEncrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(file).map_err(|error| match error {
        pem::Error::NoItemsFound => ProblemKind::NoKey { certificate: holds(file, "BEGIN CERTIFICATE-----") },
        error => ProblemKind::KeyNotPem(pem_text(&error)),
    })?;
    ring::sign::any_supported_type(&key).map_err(|error| ProblemKind::KeyUnsupported(error.to_string()))
}

/// What the first certificate says of itself.
struct Facts {
    names: Vec<String>,
    not_before: (i64, String),
    not_after: (i64, String),
}

/// Every certificate must be understood, since clients will be sent all of them.
fn facts(chain: &[CertificateDer<'_>]) -> Result<Facts, ProblemKind> {
    let malformed = |position: usize, reason: String| ProblemKind::CertificateMalformed { position, reason };
    let mut first = None;
    for (index, der) in chain.iter().enumerate() {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| malformed(index + 1, error.to_string()))?;
        if first.is_none() {
            let names = certificate.subject_alternative_name().map_err(|error| malformed(1, error.to_string()))?;
            let validity = certificate.validity();
            first = Some(Facts {
                names: names.map(|names| dns_names(&names.value.general_names)).unwrap_or_default(),
                not_before: (validity.not_before.timestamp(), validity.not_before.to_string()),
                not_after: (validity.not_after.timestamp(), validity.not_after.to_string()),
            });
        }
    }
    first.ok_or(ProblemKind::NoCertificate { key: false })
}

/// The common name is not looked at: RFC 9525 §2 has ended that use.
fn dns_names(names: &[GeneralName<'_>]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

fn matched(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Result<CertifiedKey, ProblemKind> {
    use rustls::{Error, InconsistentKeys};

    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: a kind of key that does not tell its public half; clients will.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            let belongs = |der: &CertificateDer<'static>| {
                CertifiedKey::new(vec![der.clone()], certified.key.clone()).keys_match().is_ok()
            };
            let position = certified.cert.iter().position(belongs).map(|index| index + 1);
            Err(ProblemKind::Mismatch { position })
        }
        Err(error) => Err(ProblemKind::CertificateMalformed { position: 1, reason: error.to_string() }),
    }
}

/// A file's bytes and mode.
fn read_file(path: &Path) -> Result<(Vec<u8>, u32), ReadFault> {
    let read = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    let (bytes, mode) = read().map_err(|error: io::Error| ReadFault::of(&error))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(ReadFault::TooLarge);
    }
    Ok((bytes, mode))
}

fn holds(file: &[u8], text: &str) -> bool {
    memmem::find(file, text.as_bytes()).is_some()
}

/// The parser's own words show byte lists.
fn pem_text(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line `-----END {}-----` is missing", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { .. } => "a line that begins a block is broken".to_owned(),
        pem::Error::Base64Decode(reason) => format!("its base64 is broken ({reason})"),
        error => error.to_string(),
    }
}

/// Bytes. Chains with many certificates stay far below.
const FILE_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
