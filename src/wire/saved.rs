//! Heads that people write or have saved, read by the same strict reading as those that come over the wire.

use super::{Fields, HeadLimits, Parsed, RequestHead, ResponseHead, Scheme, Url};

/// The head of a request that somebody describes; an error says why it would not be taken. Without a scheme it is http.
pub fn request(method: &str, url: &str, fields: &[(String, String)]) -> Result<RequestHead, String> {
    let Url { scheme, authority, target } = Url::parse(url)?;
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("Host: {authority}\r\n"));
    }
    for (name, value) in fields {
        if name.contains(['\r', '\n']) || value.contains(['\r', '\n']) {
            return Err("a field holds a line end".to_owned());
        }
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut head = RequestHead { scheme: scheme.unwrap_or(Scheme::Http), ..RequestHead::default() };
    match head.parse(text.as_bytes(), &LIMITS) {
        Ok(Parsed::Complete(length)) if length == text.len() => Ok(head),
        Ok(_) => Err("the request is not one".to_owned()),
        Err(refusal) => Err(format!("such a request is refused with {}: {}", refusal.status(), refusal.label())),
    }
}

/// The head of an answer as `curl -sI` or `curl -si` print it, with either line end; an error says what is wrong. Of several
/// heads in a row (1xx, redirects that were followed) the last counts.
pub fn response(text: &str) -> Result<ResponseHead, String> {
    let mut rest = text;
    let mut last = None;
    while rest.starts_with("HTTP/") {
        let mut lines = Vec::new();
        let mut taken = 0;
        for line in rest.split_inclusive('\n') {
            taken += line.len();
            match line.trim_end_matches(['\r', '\n']) {
                "" => break,
                line => lines.push(line),
            }
        }
        last = Some(lines);
        rest = &rest[taken..];
    }
    let lines =
        last.ok_or("expected the head of an answer, as `curl -sI` prints it: `HTTP/1.1 200 OK` and field lines")?;
    let (first, fields) = lines.split_first().ok_or("the head of the answer is empty")?;
    // HTTP/2 and HTTP/3 have no status line; what tools print for it names the version so.
    let first = match first.split_once(' ') {
        Some((version, status)) if !version.starts_with("HTTP/1.") => format!("HTTP/1.1 {status}"),
        _ => (*first).to_owned(),
    };
    let whole = format!("{first}\r\n{}\r\n", fields.iter().map(|line| format!("{line}\r\n")).collect::<String>());
    let mut head = ResponseHead { fields: Fields::new(), ..ResponseHead::default() };
    match head.parse(whole.as_bytes(), LIMITS.head_bytes, LIMITS.fields) {
        Ok(Parsed::Complete(_)) => Ok(head),
        Ok(Parsed::Partial) => Err("the head of the answer is not whole".to_owned()),
        Err(bad) => Err(format!("such an answer is refused: {}", bad.label())),
    }
}

const LIMITS: HeadLimits = HeadLimits { target_bytes: 16 * 1024, head_bytes: 256 * 1024, fields: 256 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_described_by_method_url_and_fields() {
        let fields = [("Accept".to_owned(), "text/html".to_owned())];
        let head = request("GET", "https://Example.com:8443?a", &fields).unwrap();
        assert_eq!(
            (head.scheme, head.authority.as_str(), head.target.as_str()),
            (Scheme::Https, "Example.com:8443", "/?a")
        );
        assert_eq!(head.fields.get("accept"), Some(&b"text/html"[..]));
        let other = [("host".to_owned(), "other".to_owned())];
        assert_eq!(request("GET", "example.com", &other).unwrap().authority, "other");
    }

    #[test]
    fn a_request_that_would_be_refused_is_told_why() {
        assert_eq!(request("TRACE", "a/", &[]).unwrap_err(), "such a request is refused with 405: trace");
        let field = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(request("GET", "a/", &field("a b", "c")).unwrap_err().contains("field_syntax"));
        assert_eq!(request("GET", "a/", &field("a", "b\r\nc: d")).unwrap_err(), "a field holds a line end");
        assert!(request("GET\r\nA: b", "a/", &[]).is_err());
    }

    #[test]
    fn saved_heads_are_read_with_either_line_end() {
        for text in [
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\nbody HTTP/1.1 404",
            "HTTP/2 200 \nETag: \"a\"\n",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/3 200\r\netag: \"a\"\r\n\r\n",
            "HTTP/1.0 301 Moved\n\nHTTP/1.1 200 OK\nETag: \"a\"",
        ] {
            let head = response(text).unwrap();
            assert_eq!((head.status, head.fields.get("ETag")), (200, Some(&b"\"a\""[..])), "{text}");
            assert!(!head.fields.contains("link"));
        }
    }

    #[test]
    fn what_is_no_head_is_told() {
        assert!(response("").unwrap_err().starts_with("expected the head of an answer"));
        assert!(response("<html>").is_err());
        assert!(response("HTTP/1.1 OK\n").unwrap_err().contains("status_line"));
        assert!(response("HTTP/1.1 200 OK\nno colon\n").unwrap_err().contains("field_syntax"));
    }
}
