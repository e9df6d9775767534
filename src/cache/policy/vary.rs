//! Vary: which request fields an answer depends on, and whether another request repeats them (RFC 9111 §4.1).

use crate::wire::{Fields, fields::list_members, is_odd, is_same_word};

use super::directives::quoted_length;

/// The nominated fields with the values of the request that the answer was made for.
#[derive(Clone, Debug, Default)]
pub struct Vary {
    nominated: Box<[Nominated]>,
}

#[derive(Clone, Debug)]
struct Nominated {
    /// In lower case.
    name: Box<str>,
    /// `None`: the request did not have the field.
    value: Option<Value>,
    /// For Accept-Language: the answer's own Content-Language, in lower case.
    language: Option<Box<[u8]>>,
}

#[derive(Clone, Debug)]
struct Value {
    /// The bytes of a field that stood on one line: what most requests repeat exactly.
    exact: Option<Box<[u8]>>,
    canonical: Box<[u8]>,
}

/// One nominated field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VaryPart<'v> {
    pub(crate) name: &'v str,
    /// The bytes of its one line, if it stood on one, and the form in which it is compared; `None`: the request lacked it.
    pub(crate) value: Option<(Option<&'v [u8]>, &'v [u8])>,
    pub(crate) language: Option<&'v [u8]>,
}

/// Fields that the backend does not see as the client sent them: they tell it who the client is. What depends on them
/// can't be chosen by the client's own lines.
const WRITTEN_ANEW: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "x-request-id"];

/// `Vary: *`: no other request can repeat what this answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anything;

impl Vary {
    /// What an answer with these fields depends on, with the values of its request. A name that is no token can't be
    /// asked of a request, so it counts as `*`.
    pub fn of(response: &Fields, request: &Fields) -> Result<Self, Anything> {
        let mut nominated: Vec<Nominated> = Vec::new();
        for member in response.all("vary").flat_map(list_members) {
            let name = std::str::from_utf8(member).map_err(|_| Anything)?.to_ascii_lowercase();
            if name.contains('*') || WRITTEN_ANEW.contains(&name.as_str()) {
                return Err(Anything);
            }
            if nominated.iter().any(|known| *known.name == *name) {
                continue;
            }
            let language = (name == "accept-language").then(|| content_language(response)).flatten();
            let value = Value::of(request, &name);
            nominated.push(Nominated { name: name.into(), value, language });
        }
        Ok(Self { nominated: nominated.into() })
    }

    /// Whether this request repeats every nominated field; a field that neither has is repeated.
    pub fn matches(&self, request: &Fields) -> bool {
        self.nominated.iter().all(|nominated| nominated.matches(request))
    }

    /// Whether this request repeats every nominated field byte for byte, as most do that match at all; quick, but a no says
    /// nothing.
    pub(crate) fn is_repeated_exactly(&self, request: &Fields) -> bool {
        self.nominated.iter().all(|nominated| nominated.is_repeated_exactly(request))
    }

    /// Whether two requests have the same values in the nominated fields.
    pub(crate) fn agree(&self, one: &Fields, other: &Fields) -> bool {
        let value = |fields: &Fields, name: &str| fields.contains(name).then(|| canonical(fields, name));
        self.names().all(|name| value(one, name) == value(other, name))
    }

    /// Whether this request has a twin of a nominated name: some backends take the one for the other, and then the answer
    /// was made for a value that is not what it is chosen by.
    pub(crate) fn has_twin(&self, request: &Fields) -> bool {
        let mut odd = request.iter().map(|(name, _)| name).filter(|name| is_odd(name));
        odd.any(|name| self.names().any(|known| is_same_word(known.as_bytes(), name)))
    }

    /// Whether the answer depends on no request field.
    pub fn is_empty(&self) -> bool {
        self.nominated.is_empty()
    }

    /// The nominated names, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nominated.iter().map(|nominated| &*nominated.name)
    }

    /// The nominated names with the values that a request must repeat, in the form in which they are compared; `None`: it
    /// must not have the field.
    pub fn values(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.nominated.iter().map(|own| (&*own.name, own.value.as_ref().map(|value| &*value.canonical)))
    }

    /// Everything it consists of, to be written down.
    pub(crate) fn parts(&self) -> impl Iterator<Item = VaryPart<'_>> {
        self.nominated.iter().map(|own| VaryPart {
            name: &own.name,
            value: own.value.as_ref().map(|value| (value.exact.as_deref(), &*value.canonical)),
            language: own.language.as_deref(),
        })
    }

    /// The same from what was written down.
    pub(crate) fn of_parts<'p>(parts: impl Iterator<Item = VaryPart<'p>>) -> Self {
        let nominated = parts.map(|VaryPart { name, value, language }| Nominated {
            name: name.into(),
            value: value.map(|(exact, canonical)| Value { exact: exact.map(Into::into), canonical: canonical.into() }),
            language: language.map(Into::into),
        });
        Self { nominated: nominated.collect() }
    }

    /// The fields of a request that it matches.
    pub(crate) fn request(&self) -> Fields {
        let value = |value: &Value| value.exact.as_ref().unwrap_or(&value.canonical).clone();
        self.nominated.iter().filter_map(|own| Some((&*own.name, own.value.as_ref().map(value)?))).collect()
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        let value = |value: &Value| value.canonical.len() + value.exact.as_ref().map_or(0, |exact| exact.len());
        let of = |nominated: &Nominated| {
            size_of::<Nominated>()
                + nominated.name.len()
                + nominated.value.as_ref().map_or(0, value)
                + nominated.language.as_ref().map_or(0, |language| language.len())
        };
        self.nominated.iter().map(of).sum()
    }
}

impl Nominated {
    fn is_repeated_exactly(&self, request: &Fields) -> bool {
        let mut lines = request.all(&self.name);
        let exact = self.value.as_ref().map(|value| value.exact.as_deref());
        lines.next().map(Some) == exact && lines.next().is_none()
    }

    fn matches(&self, request: &Fields) -> bool {
        let mut lines = request.all(&self.name);
        let (first, second) = (lines.next(), lines.next());
        let (Some(first), Some(value)) = (first, &self.value) else {
            return first.is_none() && self.value.is_none();
        };
        if second.is_none() && value.exact.as_deref() == Some(first) {
            return true;
        }
        let canonical = canonical(request, &self.name);
        *canonical == *value.canonical || self.language.as_deref().is_some_and(|language| prefers(&canonical, language))
    }
}

impl Value {
    fn of(request: &Fields, name: &str) -> Option<Self> {
        let mut lines = request.all(name);
        let first = lines.next()?;
        let exact = lines.next().is_none().then(|| first.into());
        Some(Self { exact, canonical: canonical(request, name).into() })
    }
}

/// The field's value as it is compared: lines joined, space round commas left out; in the Accept family also the case and
/// the order of the members, which carry no meaning there (RFC 9110 §12.4, §12.5).
fn canonical(request: &Fields, name: &str) -> Vec<u8> {
    let members = request.all(name).flat_map(members);
    if !matches!(name, "accept" | "accept-encoding" | "accept-language" | "accept-charset") {
        return members.collect::<Vec<_>>().join(&b',');
    }
    let mut preferences: Vec<Vec<u8>> = members.filter(|member| !member.is_empty()).map(preference).collect();
    preferences.sort_unstable();
    preferences.dedup();
    preferences.join(&b',')
}

/// The members between commas that are not in a quoted string, trimmed; empty ones included.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = member_length(text);
        rest = text.get(end + 1..);
        Some(text[..end].trim_ascii())
    })
}

fn member_length(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b',' {
        at += match text[at] {
            b'"' => quoted_length(&text[at + 1..]).map_or(1, |length| length + 2),
            _ => 1,
        };
    }
    at
}

/// One member of an Accept-like list: lower case and without space outside quoted strings, its weight in shortest form.
fn preference(member: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(member.len());
    let mut quoted = false;
    for &byte in member {
        quoted ^= byte == b'"';
        if quoted {
            plain.push(byte);
        } else if !byte.is_ascii_whitespace() {
            plain.push(byte.to_ascii_lowercase());
        }
    }
    let Some(at) = plain.windows(3).position(|window| window == b";q=") else { return plain };
    let weight = &plain[at + 3..];
    let is_decimal = !weight.is_empty() && weight.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if is_decimal && weight.contains(&b'.') {
        while plain.last() == Some(&b'0') {
            plain.pop();
        }
        if plain.last() == Some(&b'.') {
            plain.pop();
        }
    }
    // A weight of 1 is what stands for none (RFC 9110 §12.4.2).
    if &plain[at..] == b";q=1" {
        plain.truncate(at);
    }
    plain
}

/// Whether `language` is the one that this Accept-Language (in canonical form) wants most, and the only such.
fn prefers(canonical: &[u8], language: &[u8]) -> bool {
    let weighed = || {
        canonical.split(|&byte| byte == b',').map(|member| {
            let at = member.windows(3).position(|window| window == b";q=");
            at.map_or((member, 1000), |at| (&member[..at], thousandths(&member[at + 3..])))
        })
    };
    let best = weighed().map(|(_, weight)| weight).max().unwrap_or(0);
    let mut wanted = weighed().filter(|&(_, weight)| weight == best);
    best > 0 && wanted.next().is_some_and(|(name, _)| name == language) && wanted.next().is_none()
}

/// A weight (RFC 9110 §12.4.2) in thousandths; what is none counts as 0.
fn thousandths(weight: &[u8]) -> u32 {
    match weight {
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let scale = [1000, 100, 10, 1][digits.len()];
            digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')) * scale
        }
        _ => 0,
    }
}

/// The answer's one language, in lower case.
fn content_language(response: &Fields) -> Option<Box<[u8]>> {
    let mut languages = response.all("content-language").flat_map(list_members);
    let first = languages.next()?.to_ascii_lowercase();
    languages.next().is_none().then(|| first.into())
}

#[cfg(test)]
mod tests;
