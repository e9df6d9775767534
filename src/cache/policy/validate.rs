//! Validation: the conditions that the cache asks with, and a 304 merged into what is stored (RFC 9111 §4.3.1, §4.3.4).

use super::{
    Answer, Exchange,
    answer::Terms,
    conditional::is_strong,
    directives::ResponseDirectives,
    kept::{announced_length, is_dropped},
    storable::terms,
    tags::Tags,
    vary::Vary,
};
use crate::{cache::Reason, wire::ResponseHead};

/// The fields that make the request to the backend a validation: `If-None-Match` and `If-Modified-Since` with the stored
/// bytes, weak tags too. They take the place of the client's own; its nominated fields are the variant's already.
pub fn validation_fields(answer: &Answer) -> impl Iterator<Item = (&'static str, &[u8])> {
    let etag = answer.etag.as_deref().map(|etag| ("If-None-Match", etag));
    let date = answer.last_modified.as_deref().map(|date| ("If-Modified-Since", date));
    etag.into_iter().chain(date)
}

/// A stored answer after a 304.
#[derive(Debug)]
pub(crate) struct Freshened {
    pub(crate) answer: Answer,
    /// Why it may not be kept any more, if the 304 says so; it still answers the request that was validated.
    pub(crate) refused: Option<Reason>,
}

/// The stored answer with the 304's fields and a new start of its freshness. `Err`: the 304 names another representation.
pub(crate) fn freshened(
    answer: &Answer,
    exchange: &Exchange<'_>,
    not_modified: &ResponseHead,
) -> Result<Freshened, Reason> {
    let head = merge(answer, not_modified)?;
    let (terms, refused) = match terms(exchange, &head) {
        Ok(terms) => (terms, None),
        Err(reason) => {
            let directives = ResponseDirectives::of(&head.fields);
            let length = announced_length(&head);
            (Terms { directives, vary: Vary::default(), tags: Tags::default(), lifetime: 0, length }, Some(reason))
        }
    };
    Ok(Freshened { answer: Answer::new(&head, terms, exchange.requested, exchange.answered), refused })
}

/// The stored head with the fields of the 304 in place of its own. What the 304 omits stays; lengths, codings and ranges
/// describe the stored body and stay as well (RFC 9111 §3.2). `Err`: the 304 names another representation.
fn merge(answer: &Answer, not_modified: &ResponseHead) -> Result<ResponseHead, Reason> {
    let new_tag = not_modified.fields.get("etag");
    if new_tag.is_some_and(|tag| is_strong(tag) && answer.etag.as_deref().is_some_and(|own| own != tag)) {
        return Err(Reason::ValidatorMismatch);
    }
    let updates = |name: &[u8]| !describes_body(name) && (is_age(name) || !is_dropped(name, &not_modified.fields));
    let mut head = answer.head.clone();
    head.fields.retain(|name, _| {
        let replaced = updates(name) && not_modified.fields.contains(name);
        // Freshness restarts from the 304, so its Date or none at all.
        !replaced && !name.eq_ignore_ascii_case(b"date")
    });
    for (name, value) in not_modified.fields.iter().filter(|(name, _)| updates(name)) {
        head.fields.push(name, value);
    }
    Ok(head)
}

/// Age is not kept, but tells how old the 304 is.
fn is_age(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"age")
}

fn describes_body(name: &[u8]) -> bool {
    [&b"content-length"[..], b"content-encoding", b"content-range"].iter().any(|body| name.eq_ignore_ascii_case(body))
}

#[cfg(test)]
mod tests;
