//! What comes of each validation of a stored answer (RFC 9111 §4.3): just one thing, whichever way it goes.

use std::sync::Arc;

use crate::metrics::Family;

/// What came of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Validation {
    NotModified,
    Replaced,
    NotStored,
    Mismatch,
    Stale,
    Failed,
}

/// A validation under way, or a request whose failure a stored answer may make good. Dropped without a result, it has failed.
pub struct Validating {
    results: Arc<Family<Validation>>,
    result: Validation,
}

impl Validating {
    pub(super) fn new(results: &Arc<Family<Validation>>) -> Self {
        Self { results: results.clone(), result: Validation::Failed }
    }

    /// The backend failed, and the stored answer is given although it is stale (RFC 9111 §4.2.4).
    pub fn stands_in(self) {
        self.ends(Validation::Stale);
    }

    /// What came is not kept; a 5xx is none (RFC 9111 §4.3.3).
    pub fn passes(self, status: u16) {
        self.ends(if status < 500 { Validation::NotStored } else { Validation::Failed });
    }

    pub(super) fn ends(mut self, result: Validation) {
        self.result = result;
    }
}

impl std::fmt::Debug for Validating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validating").finish_non_exhaustive()
    }
}

impl Drop for Validating {
    fn drop(&mut self) {
        self.results.add(self.result, 1);
    }
}

impl Validation {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NotModified => "not_modified",
            Self::Replaced => "replaced",
            Self::NotStored => "not_stored",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
            Self::Failed => "failed",
        }
    }
}
