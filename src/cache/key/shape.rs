//! A route's own view of which requests are the same: parameters of the query that don't count, request fields that do.
//!
//! Only the key is shaped, never what the backend gets. So whatever a backend might read as something that counts must
//! count: else a request could have its answer stored under the key of another. In doubt a parameter counts.

use std::cell::RefCell;

use crate::{
    config::{KeyShape, QueryShape},
    wire::Fields,
};

/// A parameter of a query: where it begins, where its name ends, where it ends.
type Span = (usize, usize, usize);

thread_local! {
    static SPANS: RefCell<Vec<Span>> = const { RefCell::new(Vec::new()) };
}

/// Appends a target as this shape has it: exactly as sent, unless the shape says something of the query.
pub(super) fn push_target(out: &mut Vec<u8>, target: &str, shape: &KeyShape) {
    let is_shaped = shape.query != QueryShape::All || shape.sort_query;
    let Some((path, query)) = is_shaped.then(|| target.split_once('?')).flatten() else {
        return out.extend_from_slice(target.as_bytes());
    };
    out.extend_from_slice(path.as_bytes());
    let begin = out.len();
    if shape.sort_query {
        SPANS.with_borrow_mut(|spans| push_sorted(out, query.as_bytes(), &shape.query, spans));
    } else {
        for (from, _, to) in spans(query.as_bytes()).filter(|span| counts(query.as_bytes(), *span, &shape.query)) {
            push_parameter(out, begin, &query.as_bytes()[from..to]);
        }
    }
}

/// Appends the request fields that count. An absent field differs from an empty one, and several lines are one list
/// (RFC 9110 §5.3). A field's value holds no NUL and its name no `=`, so this is like nothing else in a key.
pub(super) fn push_fields(out: &mut Vec<u8>, request: &Fields, shape: &KeyShape) {
    for name in &shape.fields {
        out.extend_from_slice(b"\0=");
        out.extend_from_slice(name.as_bytes());
        for (index, value) in request.all(name).enumerate() {
            out.extend_from_slice(if index == 0 { b":" } else { b", " });
            out.extend_from_slice(value);
        }
    }
}

/// The parameters that count, by name; those of one name stay in their order, in which they may mean something. So do all
/// of them where backends may not agree on which names are one.
fn push_sorted(out: &mut Vec<u8>, query: &[u8], shape: &QueryShape, sorted: &mut Vec<Span>) {
    let begin = out.len();
    sorted.clear();
    sorted.extend(spans(query).filter(|span| counts(query, *span, shape)));
    let name = |&(from, name_end, _): &Span| &query[from..name_end];
    let lower = |span: &Span| name(span).iter().map(u8::to_ascii_lowercase);
    if sorted.iter().all(|span| is_plain(name(span)) && !is_split(query, *span)) {
        // With the place as the second criterion no two are equal, and a sort in place will do.
        sorted.sort_unstable_by(|one, other| lower(one).cmp(lower(other)).then(one.cmp(other)));
        // Names that differ in case alone are neighbours now. Some backends take them for one and read the last of them.
        let is_one_name = |pair: &[Span]| name(&pair[0]) != name(&pair[1]) && lower(&pair[0]).eq(lower(&pair[1]));
        if sorted.windows(2).any(is_one_name) {
            sorted.sort_unstable();
        }
    }
    for &(from, _, to) in sorted.iter() {
        push_parameter(out, begin, &query[from..to]);
    }
}

fn push_parameter(out: &mut Vec<u8>, begin: usize, parameter: &[u8]) {
    out.push(if out.len() == begin { b'?' } else { b'&' });
    out.extend_from_slice(parameter);
}

/// The parameters of a query, but for empty ones, which mean nothing to anybody.
fn spans(query: &[u8]) -> impl Iterator<Item = Span> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let from = next;
        let rest = query.get(from..)?;
        let length = memchr::memchr(b'&', rest).unwrap_or(rest.len());
        next = from + length + 1;
        let name_length = memchr::memchr(b'=', &rest[..length]).unwrap_or(length);
        Some((from, from + name_length, from + length))
    })
    .filter(|(from, _, to)| from < to)
}

fn counts(query: &[u8], span: Span, shape: &QueryShape) -> bool {
    let name = &query[span.0..span.1];
    let is_split = || is_split(query, span);
    match shape {
        QueryShape::All => true,
        QueryShape::Ignore(ignored) => !ignored.iter().any(|ignored| is_named(name, ignored)) || is_split(),
        QueryShape::Keep(kept) if kept.is_empty() => false,
        QueryShape::Keep(kept) => kept.iter().any(|kept| is_named_loosely(name, kept)) || !is_plain(name) || is_split(),
    }
}

/// Some backends split a query at `;` too, and so read a second parameter that was nowhere named.
fn is_split(query: &[u8], (from, _, to): Span) -> bool {
    memchr::memchr(b';', &query[from..to]).is_some()
}

/// Whether a name is this one, or begins like it where it ends in `*`.
fn is_named(name: &[u8], pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

/// The same in upper or lower case, as some backends have it.
fn is_named_loosely(name: &[u8], pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => {
            name.get(..beginning.len()).is_some_and(|front| front.eq_ignore_ascii_case(beginning.as_bytes()))
        }
        None => name.eq_ignore_ascii_case(pattern.as_bytes()),
    }
}

/// Whether no backend takes the name for another: `%70age`, `page[]`, `my.page` and the like may be a name that counts.
fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
