//! A question to an endpoint: its query, or its body in JSON.

use serde_json::Value;

use crate::wire::RequestHead;

/// A request with its body.
pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The value of a parameter of the query, decoded; the first of that name.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.head.target.split_once('?')?;
        let value = query.split('&').find_map(|parameter| match parameter.split_once('=') {
            Some((found, value)) => (found == name).then_some(value),
            None => (parameter == name).then_some(""),
        })?;
        Some(decoded(value))
    }

    /// Whether the query has no parameters but these; the error names one.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), String> {
        let Some((_, query)) = self.head.target.split_once('?') else { return Ok(()) };
        let mut found = query.split('&').map(|parameter| parameter.split('=').next().unwrap_or(parameter));
        match found.find(|name| !name.is_empty() && !names.contains(name)) {
            Some(stray) => Err(format!("unknown parameter `{stray}`; expected some of {}", names.join(", "))),
            None => Ok(()),
        }
    }

    /// The number at the end of the path.
    pub(super) fn number(&self) -> Option<u64> {
        self.head.path().rsplit('/').next()?.parse().ok()
    }

    /// The body as an object; an error says what is wrong with it.
    pub(super) fn object(&self) -> Result<serde_json::Map<String, Value>, String> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err("expected an object".to_owned()),
            Err(error) => Err(format!("this is no JSON: {error}")),
        }
    }
}

/// The text of a key; an error if it is there and no text.
pub(super) fn text_of<'v>(key: &str, value: &'v Value) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("`{key}` is no text"))
}

/// `%XX` and `+` as forms have them (WHATWG URL, "application/x-www-form-urlencoded"); what is no code stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match (first, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, body: &str) -> Request {
        let head = RequestHead { target: target.to_owned(), ..RequestHead::default() };
        Request { head, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn parameters_are_decoded() {
        let asked = request("/a?url=https%3A%2F%2Fa%2F%3Fb%3D1&flag&plus=a+b%2B&bad=%zz%4&url=second", "");
        assert_eq!(asked.parameter("url").as_deref(), Some("https://a/?b=1"));
        assert_eq!(asked.parameter("flag").as_deref(), Some(""));
        assert_eq!(asked.parameter("plus").as_deref(), Some("a b+"));
        assert_eq!(asked.parameter("bad").as_deref(), Some("%zz%4"));
        assert_eq!(asked.parameter("fla"), None);
        assert_eq!(request("/a", "").parameter("url"), None);
    }

    #[test]
    fn a_body_is_an_object_or_told_what_it_is() {
        assert_eq!(request("/", "{\"a\":1}").object().unwrap()["a"], 1);
        assert_eq!(request("/", "[]").object().unwrap_err(), "expected an object");
        assert!(request("/", "").object().unwrap_err().starts_with("this is no JSON: "));
    }
}
