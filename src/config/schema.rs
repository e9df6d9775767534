//! The declaration as JSON Schema, for editors and for other programs' checks.

use serde_json::{Map, Value, json};

use super::{
    kind::{Declaration, Kind},
    raw,
};

/// A draft-07 schema of the configuration file.
pub fn schema() -> Value {
    let mut root = table(&raw::File::declaration());
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Tidegate");
    root
}

fn table(declaration: &Declaration) -> Value {
    let mut properties = Map::new();
    for key in &declaration.keys {
        let mut property = json!({ "description": key.doc });
        if let Some(default) = &key.default {
            property["default"] = default.to_json();
        }
        if let (Value::Object(property), Value::Object(kind)) = (&mut property, kind(&key.kind)) {
            // A table's own words stand back behind the key's.
            property.extend(kind.into_iter().filter(|(name, _)| name != "description"));
        }
        properties.insert(key.name.to_owned(), property);
    }
    let required: Vec<&str> = declaration.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut table = json!({
        "type": "object",
        "description": declaration.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "anyOf": [{ "type": "boolean" }, filled_in()] }),
        Kind::Whole { minimum, maximum } => json!({
            "anyOf": [{ "type": "integer", "minimum": minimum, "maximum": maximum }, filled_in()]
        }),
        Kind::Size { minimum, maximum } => json!({
            "anyOf": [
                { "type": "integer", "minimum": minimum, "maximum": maximum },
                { "type": "string", "pattern": format!("^[0-9]+ *([kKMGT]B|[KMGT]iB|B)?$|{FILLED_IN}") },
            ]
        }),
        Kind::Duration { zero } => {
            let plain_zero = if *zero { "0|" } else { "" };
            json!({
                "type": "string",
                "pattern": format!("^({plain_zero}([0-9]+ *(d|h|m|s|ms) *)+)$|{FILLED_IN}"),
            })
        }
        Kind::Text { example: "", .. } => json!({ "type": "string" }),
        Kind::Text { example, .. } => json!({ "type": "string", "examples": [example] }),
        Kind::Choice(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            json!({ "anyOf": [{ "type": "string", "enum": words }, filled_in()] })
        }
        Kind::List(element) => json!({ "type": "array", "items": self::kind(element) }),
        Kind::OneOrMany(one) => {
            json!({ "anyOf": [self::kind(one), { "type": "array", "items": self::kind(one) }] })
        }
        Kind::Names { kind: named, .. } => json!({ "type": "object", "additionalProperties": self::kind(named) }),
        Kind::Table(declaration) => table(declaration),
        Kind::Either(one, other) => json!({ "anyOf": [self::kind(one), self::kind(other)] }),
    }
}

/// A text that a variable or a file fills in.
fn filled_in() -> Value {
    json!({ "type": "string", "pattern": FILLED_IN })
}

const FILLED_IN: &str = r"\$\{|^file:";
