//! A URL as an operator writes it, read as strictly as a request's.

use http::Method;

use super::{Refusal, Scheme, target::target_of};

/// Scheme, authority and target of what operators ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `None`: any.
    pub scheme: Option<Scheme>,
    /// Host and port as written.
    pub authority: String,
    /// Path and query as written; `/` where there is neither.
    pub target: String,
}

impl Url {
    /// Reads `https://example.com/a?b`, or the same without a scheme. An error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => (Some(scheme_of(scheme, text)?), rest),
            _ => (None, text),
        };
        if rest.starts_with('/') {
            return Err(format!("`{text}` has no host; expected a URL such as `https://example.com/a`"));
        }
        let absolute = format!("http://{rest}");
        match target_of(&Method::GET, &absolute) {
            Ok(target) => Ok(Self {
                scheme,
                authority: target.authority.unwrap_or_default().to_owned(),
                target: format!("{}{}", if target.needs_slash { "/" } else { "" }, target.path),
            }),
            Err(Refusal::Authority) => Err(format!("`{text}` does not begin with a host")),
            Err(_) => Err(format!(
                "`{text}` holds what no request's target does, such as a space, `#` or a letter that is not ASCII"
            )),
        }
    }

    /// The schemes that it may be about.
    pub fn schemes(&self) -> &'static [Scheme] {
        match self.scheme {
            Some(Scheme::Http) => &[Scheme::Http],
            Some(Scheme::Https) => &[Scheme::Https],
            None => &[Scheme::Http, Scheme::Https],
        }
    }
}

fn scheme_of(scheme: &str, text: &str) -> Result<Scheme, String> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(format!("`{text}` has the scheme `{scheme}`; expected http or https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_requests_are() {
        for (text, scheme, authority, target) in [
            ("https://example.com/a?b=://c", Some(Scheme::Https), "example.com", "/a?b=://c"),
            ("HTTP://Example.com:8080", Some(Scheme::Http), "Example.com:8080", "/"),
            ("example.com?a", None, "example.com", "/?a"),
            ("[::1]:80/%61//b", None, "[::1]:80", "/%61//b"),
            ("example.com/a?b=http://c", None, "example.com", "/a?b=http://c"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.scheme, url.authority.as_str(), url.target.as_str()),
                (scheme, authority, target),
                "{text}"
            );
        }
        assert_eq!(Url::parse("a/b").unwrap().schemes(), [Scheme::Http, Scheme::Https]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("/a", "has no host"),
            ("https:///a", "has no host"),
            ("ftp://example.com/a", "the scheme `ftp`"),
            ("user@example.com/", "does not begin with a host"),
            ("", "does not begin with a host"),
            ("example.com/a b", "such as a space"),
            ("example.com/a#b", "such as a space"),
            ("example.com/é", "such as a space"),
        ] {
            let wrong = Url::parse(text).unwrap_err();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
    }
}
