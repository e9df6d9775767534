//! Words of the cache: parameters of a query, fields of a key, fields that rule this cache alone.

use std::path::Path;

use super::word::{Edited, FieldName};
use crate::config::{
    kind::Kind,
    value::{Text, Wrong},
};

/// The name of a query's parameter as it is sent, or the beginning of one and `*`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct ParameterName(pub(in crate::config) String);

impl Text for ParameterName {
    fn kind() -> Kind {
        Kind::Text { what: "a parameter's name", example: "utm_*" }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let name = text.strip_suffix('*').unwrap_or(text);
        if name.is_empty() {
            return Err(match text {
                "*" => Wrong::new("`*` alone names no parameter", "write `query = \"all\"` or `query = \"none\"`"),
                _ => Wrong::new("the name is empty", ""),
            });
        }
        match name.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '&' | '=' | '#' | ';' | '*')) {
            None => Ok(Self(text.to_owned())),
            Some('*') => Err(Wrong::new(format!("`{text}` has `*` elsewhere than at its end"), "")),
            Some(found) => Err(Wrong::new(
                format!("`{}` can't be part of a parameter's name", found.escape_debug()),
                "expected the name as a request sends it: other characters are percent-encoded",
            )),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The name of a request field that is part of the key.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct KeyField(pub(in crate::config) String);

impl Text for KeyField {
    fn kind() -> Kind {
        Kind::Text { what: "a field's name", example: "X-Country" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        let name = FieldName::parse(text, directory)?.0;
        if Edited::parse(text, directory).is_err() {
            return Err(Wrong::new(format!("`{name}` is between two hops and tells no answers apart"), ""));
        }
        if name.eq_ignore_ascii_case("host") {
            return Err(Wrong::new("the host is part of every key", "leave it out"));
        }
        Ok(Self(name))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// The name of an answer's field that rules this cache alone (RFC 9213 §2.1).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct TargetedField(pub(in crate::config) String);

impl Text for TargetedField {
    fn kind() -> Kind {
        Kind::Text { what: "a field's name", example: "Tidegate-Cache-Control" }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong> {
        let name = FieldName::parse(text, directory)?.0;
        match ["cache-control", "expires", "pragma"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            true => Err(Wrong::new(
                format!("`{name}` speaks to every cache"),
                "expected a field for this cache alone, such as `\"Tidegate-Cache-Control\"`",
            )),
            false => Ok(Self(name)),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}
