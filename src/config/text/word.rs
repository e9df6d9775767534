//! Words of HTTP: hosts, paths, methods, field names and values, origins; and file names.

use std::path::{Path, PathBuf};

use super::address::is_host_name;
use crate::config::{
    HostPattern, LogTarget,
    kind::Kind,
    shape::OFF,
    value::{Text, Wrong},
};

/// A file; relative to the configuration file that names it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct FilePath(pub(in crate::config) PathBuf);

impl Text for FilePath {
    fn kind() -> Kind {
        Kind::Text { what: "the path of a file", example: "site.pem" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        if text.is_empty() { Err(Wrong::new("the path is empty", "")) } else { Ok(Self(directory.join(text))) }
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl Text for LogTarget {
    fn kind() -> Kind {
        Kind::Text { what: "`\"stdout\"`, `\"off\"` or the path of a file", example: "" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        match text {
            STDOUT => Ok(Self::Stdout),
            OFF => Ok(Self::Off),
            path => FilePath::parse(path, directory).map(|path| Self::File(path.0)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stdout => STDOUT.to_owned(),
            Self::Off => OFF.to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// A name for people: not empty, no control characters.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Label(pub(in crate::config) String);

impl Text for Label {
    fn kind() -> Kind {
        Kind::Text { what: "a name", example: "app" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::new("the name is empty or holds control characters", ""));
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The name that a server's certificate must carry: a host name or an IP address.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct CertificateName(pub(in crate::config) String);

impl Text for CertificateName {
    fn kind() -> Kind {
        Kind::Text { what: "the name in a certificate", example: "app.internal" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let is_sound = is_host_name(text) || text.parse::<std::net::IpAddr>().is_ok();
        if is_sound { Ok(Self(text.to_owned())) } else { Err(Wrong::new(format!("`{text}` is not a host name"), "")) }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// A host's name as it is asked for, lower case: no address, no port, no wildcard.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct HostName(pub(in crate::config) String);

impl Text for HostName {
    fn kind() -> Kind {
        Kind::Text { what: "a host name", example: "gateway.internal" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        match HostPattern::parse(text, directory) {
            Ok(HostPattern::Exact(host)) => Ok(Self(host)),
            Ok(HostPattern::Suffix(_)) => {
                Err(Wrong::new(format!("`{text}` is not the name of one host"), "expected each name in full"))
            }
            Err(_) if text.contains('*') => {
                Err(Wrong::new(format!("`{text}` is not a host name"), "expected each name in full"))
            }
            Err(wrong) => Err(wrong),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl Text for HostPattern {
    fn kind() -> Kind {
        Kind::Text { what: "a host", example: "app.example.com" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let host = text.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let wrong = |label: &str| Wrong::new(format!("`{text}` is not a host"), label);
        if text == "*" {
            return Err(wrong("leave `host` out to match every host"));
        }
        if text.contains("://") || text.contains('/') {
            return Err(wrong("expected a host without scheme and path"));
        }
        if let Some(suffix) = host.strip_prefix("*.") {
            return match is_host_name(suffix) {
                true => Ok(Self::Suffix(format!(".{suffix}"))),
                false => Err(wrong("expected a whole name behind `*.`")),
            };
        }
        if host.contains('*') {
            return Err(wrong("a wildcard stands for whole labels in front: `*.example.com`"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<std::net::Ipv6Addr>() {
            return Ok(Self::Exact(format!("[{address}]")));
        }
        if is_host_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Ok(Self::Exact(host.to_owned()));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Err(wrong(if has_port { "a host is matched without its port" } else { "" }))
    }

    fn text(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Suffix(suffix) => format!("*{suffix}"),
        }
    }
}

/// The beginning of a request's path.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct PathPrefix(pub(in crate::config) String);

impl Text for PathPrefix {
    fn kind() -> Kind {
        Kind::Text { what: "a path", example: "/app" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::new(
                format!("the path `{text}` does not begin with `/`"),
                format!("did you mean `/{text}`?"),
            ));
        }
        if let Some(found) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#')) {
            let label = match found {
                '?' | '#' => "expected a path without query and fragment",
                _ => "expected what a request sends: other characters are percent-encoded",
            };
            return Err(Wrong::new(format!("`{}` can't be part of a path", found.escape_debug()), label));
        }
        if text.contains('*') {
            return Err(Wrong::new("a path has no wildcards", "every path that begins like this is matched"));
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// A request method (RFC 9110 §9): case matters.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Method(pub(in crate::config) http::Method);

impl Text for Method {
    fn kind() -> Kind {
        Kind::Text { what: "a method", example: "GET" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let wrong = |label: String| Wrong::new(format!("`{text}` is not a method"), label);
        if text.chars().any(|c| c.is_ascii_lowercase()) {
            return Err(wrong(format!("did you mean `{}`?", text.to_ascii_uppercase())));
        }
        http::Method::from_bytes(text.as_bytes()).map(Self).map_err(|_| wrong(String::new()))
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// A field name or a cookie's name: a token (RFC 9110 §5.6.2).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct FieldName(pub(in crate::config) String);

impl Text for FieldName {
    fn kind() -> Kind {
        Kind::Text { what: "a name", example: "X-Name" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        if is_token(text) {
            return Ok(Self(text.to_owned()));
        }
        let found = text.chars().find(|c| !is_token(&c.to_string()));
        let message = match found {
            Some(found) => format!("`{}` can't be part of a field's name", found.escape_debug()),
            None => "the name is empty".to_owned(),
        };
        Err(Wrong::new(message, "expected letters, digits and ``!#$%&'*+-.^_`|~``"))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The name of a field that a route may change: those that frame a message or rule a connection are the gateway's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Edited(pub(in crate::config) String);

impl Text for Edited {
    fn kind() -> Kind {
        FieldName::kind()
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        let name = FieldName::parse(text, directory)?.0;
        if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            return Err(Wrong::new(format!("`{name}` can't be changed by a route"), "this field is the gateway's own"));
        }
        Ok(Self(name))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// A field's value (RFC 9110 §5.5), without spaces around it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct FieldValue(pub(in crate::config) String);

impl Text for FieldValue {
    fn kind() -> Kind {
        Kind::Text { what: "a field's value", example: "" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Wrong::new("the value holds control characters", "expected one line of text"));
        }
        Ok(Self(text.trim_matches([' ', '\t']).to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// An origin (RFC 6454 §6.2): scheme, host and, unless it is the scheme's own, port; kept as browsers send it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Origin(pub(in crate::config) String);

impl Text for Origin {
    fn kind() -> Kind {
        Kind::Text { what: "an origin", example: "https://app.example.com" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let wrong = |label: &str| Wrong::new(format!("`{text}` is not an origin"), label);
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) =
            lower.split_once("://").ok_or_else(|| wrong("expected a scheme as well: `https://app.example.com`"))?;
        let uri: http::Uri = lower.parse().map_err(|_| wrong(""))?;
        if authority.contains(['/', '?', '#', '@', '*']) || uri.host().is_none() {
            return Err(wrong("expected scheme, host and port only, without `/` at the end"));
        }
        let own_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let authority = authority.strip_suffix(own_port).unwrap_or(authority);
        Ok(Self(format!("{scheme}://{authority}")))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

const STDOUT: &str = "stdout";

/// What frames a message (RFC 9112 §6) or speaks of one connection only (RFC 9110 §7.6.1).
const OWN_FIELDS: &[&str] = &[
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];
