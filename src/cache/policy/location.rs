//! What Location and Content-Location point at, as far as it is of the same origin as the request.

use std::borrow::Cow;

use crate::{
    cache::key,
    wire::{RequestHead, Scheme},
};

/// The path and query that a reference names, if it is one to the request's own origin (RFC 9110 §4.3.1); its fragment is
/// nobody's business here. `None` for all others, and for one that is empty.
pub fn same_origin_target<'v>(request: &RequestHead, reference: &'v str) -> Option<Cow<'v, str>> {
    let reference = reference.split('#').next().filter(|reference| !reference.is_empty())?;
    if let Some(rest) = reference.strip_prefix("//") {
        return of_authority(request, rest);
    }
    // RFC 3986 §4.2: a colon before any slash ends a scheme.
    match reference.find([':', '/', '?']).map(|at| (at, &reference[at..])) {
        Some((0, rest)) if rest.starts_with('/') => Some(without_dots(Cow::Borrowed(reference))),
        Some((at, rest)) if rest.starts_with(':') => {
            let own = match request.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            };
            let rest = rest.strip_prefix("://").filter(|_| reference[..at].eq_ignore_ascii_case(own))?;
            of_authority(request, rest)
        }
        _ => relative(&request.target, reference),
    }
}

/// The target behind an authority that is the request's own.
fn of_authority<'v>(request: &RequestHead, rest: &'v str) -> Option<Cow<'v, str>> {
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
        "" => Some(Cow::Borrowed("/")),
        target => target.starts_with('/').then(|| without_dots(Cow::Borrowed(target))),
    }
}

/// A reference without a path from the root, taken from the request's own target (RFC 3986 §5.2.3).
fn relative(target: &str, reference: &str) -> Option<Cow<'static, str>> {
    let path = target.split('?').next()?;
    let kept = if reference.starts_with('?') { path.len() } else { path.rfind('/')? + 1 };
    Some(without_dots(Cow::Owned(format!("{}{reference}", &path[..kept]))))
}

/// The target without the segments `.` and `..` of its path (RFC 3986 §5.2.4).
fn without_dots(target: Cow<'_, str>) -> Cow<'_, str> {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    if !path.contains("/.") {
        return target;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    // A path that ends in dots names a directory.
    let end = if path.ends_with("/.") || path.ends_with("/..") { &[""][..] } else { &[] };
    Cow::Owned(format!("/{}{query}", [&kept, end].concat().join("/")))
}

#[cfg(test)]
mod tests;
