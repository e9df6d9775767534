//! What can be wrong with a certificate and its key, and the way out.

use std::{fmt, io, path::PathBuf};

use crate::config::CertificateFiles;

/// A problem of one pair of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The certificate's file, as configured.
    pub certificate: PathBuf,
    /// The key's file, as configured.
    pub key: PathBuf,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The certificate's file cannot be read.
    CertificateUnreadable(ReadFault),
    /// The key's file cannot be read.
    KeyUnreadable(ReadFault),
    /// The certificate's file is no proper PEM.
    CertificateNotPem(String),
    /// The certificate's file has no certificate in it; `key` tells that there is a key instead.
    NoCertificate {
        /// There is a private key in the file.
        key: bool,
    },
    /// A certificate that cannot be understood; 1 is the first one of the file.
    CertificateMalformed {
        /// Place in the file.
        position: usize,
        /// What the parser said.
        reason: String,
    },
    /// The key's file is no proper PEM.
    KeyNotPem(String),
    /// The key's file has no private key in it; `certificate` tells that there is a certificate instead.
    NoKey {
        /// There is a certificate in the file.
        certificate: bool,
    },
    /// The key is protected by a pass phrase.
    KeyEncrypted,
    /// A key of a kind or size that is not supported.
    KeyUnsupported(String),
    /// The key belongs to another certificate; to that at `position` of the same file, if it is there.
    Mismatch {
        /// Place in the file, from 1.
        position: Option<usize>,
    },
    /// Warning: the certificate's time is over.
    Expired {
        /// When it ended.
        since: String,
    },
    /// Warning: the certificate's time has not come yet.
    NotYetValid {
        /// When it begins.
        from: String,
    },
    /// Warning: every user of the machine may read the key.
    KeyExposed,
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// It is not there.
    NotFound,
    /// The program may not read it.
    NotPermitted,
    /// It is far larger than any certificate or key.
    TooLarge,
    /// What the system said.
    Other(String),
}

impl Problem {
    pub(super) fn new(files: &CertificateFiles, kind: ProblemKind) -> Self {
        Self { certificate: files.certificate.clone(), key: files.key.clone(), kind }
    }

    /// Whether the pair can be used all the same.
    pub fn is_warning(&self) -> bool {
        matches!(self.kind, ProblemKind::Expired { .. } | ProblemKind::NotYetValid { .. } | ProblemKind::KeyExposed)
    }

    /// The way out, where one is known.
    pub fn hint(&self) -> Option<String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        Some(match &self.kind {
            ProblemKind::CertificateUnreadable(ReadFault::NotPermitted)
            | ProblemKind::KeyUnreadable(ReadFault::NotPermitted) => {
                "let the user that runs the program read the file and enter its directories".to_owned()
            }
            ProblemKind::NoCertificate { key: true } | ProblemKind::NoKey { certificate: true } => {
                "perhaps `certificate` and `key` are swapped".to_owned()
            }
            ProblemKind::NoCertificate { key: false } => {
                "the file must hold PEM blocks that begin with `-----BEGIN CERTIFICATE-----`".to_owned()
            }
            ProblemKind::NoKey { certificate: false } => {
                "the file must hold a PEM block that begins with `-----BEGIN PRIVATE KEY-----`".to_owned()
            }
            ProblemKind::KeyEncrypted => {
                format!("`openssl pkey -in {key} -out plain.key` writes it without its pass phrase")
            }
            ProblemKind::KeyUnsupported(_) => {
                "use an ECDSA key (P-256, P-384), Ed25519, or RSA of 2048 bits and more".to_owned()
            }
            ProblemKind::Mismatch { position: Some(_) } => {
                "put the server's own certificate first, then the ones that signed it".to_owned()
            }
            ProblemKind::Mismatch { position: None } => {
                format!("compare `openssl x509 -in {certificate} -noout -pubkey` and `openssl pkey -in {key} -pubout`")
            }
            ProblemKind::Expired { .. } => "renew it; a changed file is taken up without a restart".to_owned(),
            ProblemKind::NotYetValid { .. } => "compare the clock of this machine".to_owned(),
            ProblemKind::KeyExposed => format!("`chmod o-r {key}`"),
            _ => return None,
        })
    }
}

impl ReadFault {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match &self.kind {
            ProblemKind::CertificateUnreadable(fault) => write!(f, "certificate `{certificate}` {fault}"),
            ProblemKind::KeyUnreadable(fault) => write!(f, "key `{key}` {fault}"),
            ProblemKind::CertificateNotPem(reason) => {
                write!(f, "certificate `{certificate}` is not proper PEM: {reason}")
            }
            ProblemKind::NoCertificate { key: false } => write!(f, "there is no certificate in `{certificate}`"),
            ProblemKind::NoCertificate { key: true } => {
                write!(f, "there is a key but no certificate in `{certificate}`")
            }
            ProblemKind::CertificateMalformed { position, reason } => {
                write!(f, "certificate {position} of `{certificate}` cannot be understood: {reason}")
            }
            ProblemKind::KeyNotPem(reason) => write!(f, "key `{key}` is not proper PEM: {reason}"),
            ProblemKind::NoKey { certificate: false } => write!(f, "there is no private key in `{key}`"),
            ProblemKind::NoKey { certificate: true } => {
                write!(f, "there is a certificate but no private key in `{key}`")
            }
            ProblemKind::KeyEncrypted => write!(f, "key `{key}` is protected by a pass phrase"),
            ProblemKind::KeyUnsupported(reason) => write!(f, "key `{key}` is not supported: {reason}"),
            ProblemKind::Mismatch { position: None } => {
                write!(f, "key `{key}` does not belong to certificate `{certificate}`")
            }
            ProblemKind::Mismatch { position: Some(position) } => {
                write!(f, "key `{key}` belongs to certificate {position} of `{certificate}`, not to the first")
            }
            ProblemKind::Expired { since } => write!(f, "certificate `{certificate}` has ended on {since}"),
            ProblemKind::NotYetValid { from } => write!(f, "certificate `{certificate}` is not valid before {from}"),
            ProblemKind::KeyExposed => write!(f, "key `{key}` can be read by every user of this machine"),
        }
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("does not exist"),
            Self::NotPermitted => f.write_str("may not be read by the program"),
            Self::TooLarge => f.write_str("is too large for what it should be"),
            Self::Other(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for Problem {}
