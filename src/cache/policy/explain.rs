//! A decision in words, with its numbers: for `tidegate explain`, and for whoever looks at one entry.

use super::{
    Answer, Exchange, Policy,
    freshness::LifetimeSource,
    reuse::{Reuse, reuse, revalidation_window},
    storable::weigh,
    tags::Words,
    validate::{Freshened, freshened},
    wants::Wants,
};
use crate::{
    cache::Reason,
    clock::Now,
    wire::{RequestHead, ResponseHead},
};

/// What the rules say of one answer. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Why it is not stored; `None`: it is.
    pub refused: Option<Reason>,
    /// Whether a request like this one, now, is given it.
    pub reuse: Reuse,
    /// How long it is fresh, counted from age 0.
    pub lifetime: u64,
    /// Where that comes from.
    pub source: LifetimeSource,
    /// The field whose directives count: `cache-control`, or a targeted one (RFC 9213).
    pub control: Box<str>,
    /// How old it is now.
    pub age: u64,
    /// For so long after its freshness it is given while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: u64,
    /// For so long after its freshness it stands in for a 500, 502, 503 or 504 (RFC 5861 §4).
    pub stale_if_error: u64,
    /// It is never given stale, not even when the backend can't be reached (RFC 9111 §5.2.2.2).
    pub must_revalidate: bool,
    /// The entity tag, verbatim.
    pub etag: Option<Vec<u8>>,
    /// Last-Modified, verbatim.
    pub last_modified: Option<Vec<u8>>,
    /// The request fields that it depends on, in lower case.
    pub vary: Vec<Box<str>>,
    /// Its tags.
    pub tags: Words,
    /// Its groups (RFC 9875).
    pub groups: Words,
}

/// Explains what becomes of an answer that has just come from the backend.
pub fn explain(exchange: &Exchange<'_>, head: &ResponseHead) -> Explanation {
    let (terms, refused) = weigh(exchange, head);
    let answer = Answer::new(head, terms, exchange.requested, exchange.answered);
    Explanation { refused, ..explain_stored(exchange.request, &answer, exchange.policy, exchange.answered) }
}

/// Explains what a 304 would make of a stored answer. `Err`: it is about another one.
pub fn explain_validated(
    stored: &Answer,
    exchange: &Exchange<'_>,
    not_modified: &ResponseHead,
) -> Result<Explanation, Reason> {
    let Freshened { answer, refused } = freshened(stored, exchange, not_modified)?;
    Ok(Explanation { refused, ..explain_stored(exchange.request, &answer, exchange.policy, exchange.answered) })
}

/// Explains what a stored answer is worth to a request now.
pub fn explain_stored(request: &RequestHead, answer: &Answer, policy: &Policy, now: Now) -> Explanation {
    let age = answer.age(now);
    let directives = Wants::of(&request.fields).directives(request, policy.client_cache_control);
    let window = |seconds: u64| if answer.must_revalidate { 0 } else { seconds };
    let targeted = answer.targeted.and_then(|at| policy.targeted_fields.get(at));
    Explanation {
        refused: None,
        reuse: reuse(answer, &directives, policy, age),
        lifetime: answer.lifetime,
        source: answer.lifetime_source,
        control: targeted.cloned().unwrap_or_else(|| "cache-control".into()),
        age,
        stale_while_revalidate: window(revalidation_window(answer, policy)),
        stale_if_error: window(answer.stale_if_error.unwrap_or(policy.stale_if_error.as_secs())),
        must_revalidate: answer.must_revalidate,
        etag: answer.etag.as_deref().map(<[u8]>::to_vec),
        last_modified: answer.last_modified.as_deref().map(<[u8]>::to_vec),
        vary: answer.vary.names().map(Box::from).collect(),
        tags: answer.tags.clone(),
        groups: answer.groups.clone(),
    }
}

impl Explanation {
    /// The facts as (name, words), in the order in which one would tell them. What is not there is left out.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("stored", self.stored()), ("reused", self.reused())];
        facts.push(("lifetime", format!("{} s, {}", self.lifetime, self.source.words(&self.control))));
        facts.push(("age", format!("{} s", self.age)));
        let stale = match (self.must_revalidate, self.stale_while_revalidate, self.stale_if_error) {
            (true, ..) => "never".to_owned(),
            (false, revalidating, failing) => format!(
                "while refreshing for {revalidating} s, on a backend's error for {failing} s, without a backend always"
            ),
        };
        facts.push(("stale", stale));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        facts.extend(self.etag.as_deref().map(|tag| ("etag", text(tag))));
        facts.extend(self.last_modified.as_deref().map(|date| ("last_modified", text(date))));
        let joined = |words: &Words| words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", ");
        let lists = [("vary", self.vary.join(", ")), ("tags", joined(&self.tags)), ("groups", joined(&self.groups))];
        facts.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()));
        facts
    }

    fn stored(&self) -> String {
        self.refused.map_or_else(|| "yes".to_owned(), |reason| format!("no, {}: {}", reason.label(), reason.sentence()))
    }

    fn reused(&self) -> String {
        match self.reuse {
            _ if self.refused.is_some() => "no".to_owned(),
            Reuse::Usable => "yes".to_owned(),
            Reuse::UsableWhileRevalidating => "yes, while it is refreshed".to_owned(),
            Reuse::Validate(reason) => format!("after a validation, {}: {}", reason.label(), reason.sentence()),
        }
    }
}

#[cfg(test)]
mod tests;
