//! Validation: the conditions that the cache asks with, and what a 304 or a HEAD brings to what is stored (RFC 9111 §4.3).

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Answer, Exchange,
    conditional::{is_strong, is_weak_match},
    kept::{announced_length, is_dropped},
    storable::weigh,
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

/// What a 200 to HEAD tells about a stored answer to GET (RFC 9111 §4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headed {
    /// It is the same representation: its fields and its freshness are news, as those of a 304 are.
    Same,
    /// Another has taken its place.
    Other,
    /// Nothing tells which.
    Unknown,
}

/// The stored answer with the fields of a 304 (or of a 200 to HEAD) and a new start of its freshness. `Err`: that is about
/// another representation.
pub(crate) fn freshened(answer: &Answer, exchange: &Exchange<'_>, news: &ResponseHead) -> Result<Freshened, Reason> {
    if !is_about(answer, news) {
        return Err(Reason::ValidatorMismatch);
    }
    let head = merge(answer, news);
    let (terms, refused) = weigh(exchange, &with_vary(&head, answer));
    Ok(Freshened { answer: Answer::new(&head, terms, exchange.requested, exchange.answered), refused })
}

/// Compares the validators and the length of a 200 to HEAD with those of the stored answer. A length alone proves nothing.
pub(crate) fn headed(answer: &Answer, head: &ResponseHead) -> Headed {
    let repeats = |name, own: &Option<Bytes>| head.fields.get(name).map(|told| own.as_deref() == Some(told));
    let validators = [repeats("etag", &answer.etag), repeats("last-modified", &answer.last_modified)];
    let same_length = announced_length(head).zip(answer.length).is_none_or(|(told, own)| told == own);
    if answer.head.status != 200 || !same_length || validators.contains(&Some(false)) {
        Headed::Other
    } else if validators.contains(&Some(true)) {
        Headed::Same
    } else {
        Headed::Unknown
    }
}

/// Whether a 304 is about the stored answer that it was asked for (RFC 9111 §4.3.4): by a strong tag only about the one that
/// has the same, by a weak one about one with the same opaque tag, and without a tag about the only one that was named.
fn is_about(answer: &Answer, not_modified: &ResponseHead) -> bool {
    match (not_modified.fields.get("etag"), answer.etag.as_deref()) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(told), Some(own)) if is_strong(told) => told == own,
        (Some(told), Some(own)) => is_weak_match(told, own),
    }
}

/// The stored head with the news in place of its own fields. What the news omit stays; lengths, codings and ranges describe
/// the stored body and stay as well (RFC 9111 §3.2).
fn merge(answer: &Answer, news: &ResponseHead) -> ResponseHead {
    let updates = |name: &[u8]| !describes_body(name) && (is_age(name) || !is_dropped(name, &news.fields));
    let mut head = answer.backends_head();
    head.fields.retain(|name, _| {
        let replaced = updates(name) && news.fields.contains(name);
        // Freshness restarts from the news, so their Date or none at all.
        !replaced && !name.eq_ignore_ascii_case(b"date")
    });
    for (name, value) in news.fields.iter().filter(|(name, _)| updates(name)) {
        head.fields.push(name, value);
    }
    head
}

/// The head with a Vary, where the stored one is not kept and the news say nothing of it: what chooses among answers counts
/// although no client sees it, as `private` or `no-cache` name it (RFC 9111 §5.2.2.4, §5.2.2.7).
fn with_vary<'h>(head: &'h ResponseHead, answer: &Answer) -> Cow<'h, ResponseHead> {
    if head.fields.contains("vary") || answer.vary.is_empty() {
        return Cow::Borrowed(head);
    }
    let mut head = head.clone();
    answer.vary.names().for_each(|name| head.fields.push("Vary", name));
    Cow::Owned(head)
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
