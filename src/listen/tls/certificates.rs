//! The certificates of one listener, chosen by the name that the client asks for, exchanged when their files change.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    names::Names,
    pair::{self, Contents, Pair},
    problem::Problem,
};
use crate::{clock::Now, config::CertificateFiles};

/// The pairs of one listener. A handshake reads a table that is only ever exchanged as a whole.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<CertificateFiles>,
    table: ArcSwap<Names<Arc<CertifiedKey>>>,
    pairs: Mutex<Vec<Kept>>,
}

/// What became of a changed pair.
#[derive(Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Index into the listener's pairs.
    pub pair: usize,
    /// When the certificate in use ends, in seconds since the Unix epoch: before and now.
    pub not_after: (i64, i64),
    /// The new pair's warnings, or why the old one stays in use.
    pub result: Result<Vec<Problem>, Problem>,
}

/// A pair in use, and what was last seen on disk, which may be something else that could not be used.
#[derive(Debug)]
struct Kept {
    pair: Pair,
    seen: u64,
}

impl Certificates {
    /// Reads all pairs. Warnings come beside; on any error all problems are told.
    pub fn load(files: &[CertificateFiles], now: Now) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (mut pairs, mut warnings, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for files in files {
            let contents = pair::read(files);
            let seen = fingerprint(&contents);
            match contents.and_then(|contents| pair::parse(files, &contents, now)) {
                Ok((pair, found)) => {
                    pairs.push(Kept { pair, seen });
                    warnings.extend(found);
                }
                Err(problem) => errors.push(problem),
            }
        }
        if !errors.is_empty() {
            errors.append(&mut warnings);
            return Err(errors);
        }
        let table = ArcSwap::from_pointee(table(&pairs));
        Ok((Self { files: files.to_vec(), table, pairs: Mutex::new(pairs) }, warnings))
    }

    /// Reads the files again and takes up what has changed and can be used. Handshakes that have begun keep what they have.
    /// The same broken file is told once. Reads from disk, so it is not for an event loop.
    pub fn reload(&self, now: Now) -> Vec<Reloaded> {
        let mut pairs = self.pairs.lock();
        let mut changes = Vec::new();
        for (index, (kept, files)) in pairs.iter_mut().zip(&self.files).enumerate() {
            let contents = pair::read(files);
            let seen = fingerprint(&contents);
            if seen == kept.seen {
                continue;
            }
            kept.seen = seen;
            let before = kept.pair.not_after;
            let result = contents.and_then(|contents| pair::parse(files, &contents, now)).map(|(pair, warnings)| {
                kept.pair = pair;
                warnings
            });
            changes.push(Reloaded { pair: index, not_after: (before, kept.pair.not_after), result });
        }
        if changes.iter().any(|change| change.result.is_ok()) {
            self.table.store(Arc::new(table(&pairs)));
        }
        changes
    }

    /// When the certificates in use end, in order of the pairs, in seconds since the Unix epoch.
    pub fn ends(&self) -> Vec<i64> {
        self.pairs.lock().iter().map(|kept| kept.pair.not_after).collect()
    }

    /// The files of the pairs, in order.
    pub fn files(&self) -> &[CertificateFiles] {
        &self.files
    }

    /// What answers where no name fits: its certificate's bytes.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> Vec<u8> {
        self.table.load().find(None)[0].cert[0].to_vec()
    }

    /// Every file that is read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flat_map(|files| [files.certificate.as_path(), files.key.as_path()])
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let candidates = table.find(hello.server_name());
        // A site may have certificates with two kinds of keys: the first that the client can verify.
        let fits = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().find(fits).or(candidates.first()).cloned()
    }
}

fn table(pairs: &[Kept]) -> Names<Arc<CertifiedKey>> {
    let entries: Vec<_> = pairs.iter().map(|kept| (kept.pair.names.clone(), kept.pair.certified.clone())).collect();
    Names::new(&entries)
}

/// Tells one state of the files from another, without keeping the key.
fn fingerprint(contents: &Result<Contents, Problem>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match contents {
        Ok(contents) => contents.hash(&mut hasher),
        Err(problem) => problem.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
