//! Taking answers out of the cache.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    AdminState,
    answer::Answer,
    request::{Request, text_of},
};
use crate::{
    cache::{Purge, Purged, key},
    wire::Url,
};

pub(super) const ABOUT: &str =
    "takes answers out of the cache: {\"url\": \"https://…\"}, or prefix, tag, group, all; and \"soft\": true";

/// `POST /purge`.
pub(super) fn purge(state: &AdminState, request: &Request) -> Answer {
    let purges = request.object().and_then(|order| purges(state, &order));
    match purges {
        Ok((whats, soft)) => {
            let purged: u64 = whats.into_iter().map(|what| state.cache.purge(&Purge { what, soft })).sum();
            Answer::json(StatusCode::OK, &json!({ "purged": purged, "soft": soft }))
        }
        Err(error) => Answer::wrong(StatusCode::BAD_REQUEST, &error),
    }
}

/// What an order comes to, and whether it is a soft one.
fn purges(state: &AdminState, order: &Map<String, Value>) -> Result<(Vec<Purged>, bool), String> {
    if let Some(stray) = order.keys().find(|key| !KINDS.contains(&key.as_str()) && *key != "soft") {
        return Err(format!("unknown key `{stray}`; expected one of {}", KINDS.join(", ")));
    }
    let mut kinds = order.iter().filter(|(key, _)| *key != "soft");
    let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else {
        return Err(format!("expected exactly one of {}", KINDS.join(", ")));
    };
    let soft = match order.get("soft") {
        None => false,
        Some(value) => value.as_bool().ok_or("`soft` is neither true nor false")?,
    };
    let whats = match kind.as_str() {
        "all" if *value == Value::Bool(true) => vec![Purged::All],
        "all" => return Err("`all` is not true".to_owned()),
        "group" => group(value)?,
        _ => {
            let mut whats = Vec::new();
            for text in texts(kind, value)? {
                whats.extend(named(state, kind, text)?);
            }
            whats
        }
    };
    Ok((whats, soft))
}

/// One text, or a list of them.
fn texts<'v>(kind: &str, value: &'v Value) -> Result<Vec<&'v str>, String> {
    match value {
        Value::Array(list) if list.is_empty() => Err(format!("`{kind}` is an empty list")),
        Value::Array(list) if list.len() > LIST_MAX => Err(format!("`{kind}` has more than {LIST_MAX} members")),
        Value::Array(list) => list.iter().map(|value| text_of(kind, value)).collect(),
        value => Ok(vec![text_of(kind, value)?]),
    }
}

fn named(state: &AdminState, kind: &str, text: &str) -> Result<Vec<Purged>, String> {
    Ok(match kind {
        "url" => (state.bases)(&Url::parse(text)?).into_iter().map(Purged::Url).collect(),
        "prefix" => {
            let url = Url::parse(text)?;
            keys(&url, &url.target).map(Purged::Prefix).collect()
        }
        _ if text.is_empty() => return Err(format!("`{kind}` is empty")),
        _ => vec![Purged::Tag(text.as_bytes().to_vec())],
    })
}

fn group(value: &Value) -> Result<Vec<Purged>, String> {
    let part = |key: &str| match value.get(key) {
        Some(part) => text_of(key, part),
        None => Err("expected `group` to be an object with `origin` and `name`".to_owned()),
    };
    let (origin, name) = (Url::parse(part("origin")?)?, part("name")?);
    if origin.target != "/" {
        return Err("`origin` has a path; expected scheme and host alone".to_owned());
    }
    Ok(keys(&origin, "").map(|origin| Purged::Group { origin, name: name.as_bytes().to_vec() }).collect())
}

/// The beginnings of keys for a URL whose target is this, one for each scheme.
fn keys<'u>(url: &'u Url, target: &'u str) -> impl Iterator<Item = Vec<u8>> + use<'u> {
    url.schemes().iter().map(move |&scheme| {
        let mut out = Vec::new();
        key::build(&mut out, scheme, &url.authority, target);
        out
    })
}

const KINDS: [&str; 5] = ["url", "prefix", "tag", "group", "all"];

/// Members of a list in one order.
const LIST_MAX: usize = 1000;
