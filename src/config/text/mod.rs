//! Texts with a syntax of their own: what may stand between the quotes.

mod address;
mod cache;
mod word;

pub(super) use address::{AdminAddress, Backend, Network, UpstreamText};
pub(super) use cache::{KeyField, ParameterName, TargetedField};
pub(super) use word::{
    CertificateName, Edited, FieldName, FieldValue, FilePath, HostName, Label, Method, Origin, PathPrefix,
};

#[cfg(test)]
mod tests;
