//! What Location and Content-Location point at, as far as it is of the same origin as the request.

use crate::{
    cache::key,
    wire::{RequestHead, Scheme},
};

/// The path and query that a reference names, if it is one to the request's own origin (RFC 9110 §4.3.1) and says its path
/// from the root; its fragment is nobody's business here. `None` for all others.
pub fn same_origin_target<'v>(request: &RequestHead, reference: &'v str) -> Option<&'v str> {
    let reference = reference.split('#').next()?;
    let rest = match reference.strip_prefix("//") {
        Some(rest) => rest,
        None if reference.starts_with('/') => return Some(reference),
        None => {
            let (scheme, rest) = reference.split_once("://")?;
            let own = match request.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            };
            scheme.eq_ignore_ascii_case(own).then_some(rest)?
        }
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let origin = |authority: &str| {
        let mut origin = Vec::new();
        key::build(&mut origin, request.scheme, authority, "");
        origin
    };
    if origin(authority) != origin(&request.authority) {
        return None;
    }
    match target {
        "" => Some("/"),
        target => target.starts_with('/').then_some(target),
    }
}

#[cfg(test)]
mod tests;
