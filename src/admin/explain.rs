//! What would become of a request, asked of the gateway that runs.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    AdminState,
    answer::Answer,
    request::{Request, text_of},
};
use crate::wire::{RequestHead, ResponseHead, saved};

pub(super) const ABOUT: &str = "tells what would become of a request: {\"method\", \"url\", \"fields\": [[name, value]], \"response\": a saved head}";

/// `POST /explain`.
pub(super) fn explain(state: &AdminState, request: &Request) -> Answer {
    match request.object().and_then(|question| heads(&question)) {
        Ok((asked, answered)) => {
            let facts = (state.explain)(asked, answered.as_ref());
            let facts: Vec<_> = facts.iter().map(|(about, says)| json!({ "about": about, "says": says })).collect();
            Answer::json(StatusCode::OK, &json!({ "facts": facts }))
        }
        Err(error) => Answer::wrong(StatusCode::BAD_REQUEST, &error),
    }
}

fn heads(question: &Map<String, Value>) -> Result<(RequestHead, Option<ResponseHead>), String> {
    if let Some(stray) = question.keys().find(|key| !["method", "url", "fields", "response"].contains(&key.as_str())) {
        return Err(format!("unknown key `{stray}`; expected method, url, fields or response"));
    }
    let method = question.get("method").map_or(Ok("GET"), |method| text_of("method", method))?;
    let url = question.get("url").ok_or("expected `url`").and_then(|url| url.as_str().ok_or("`url` is no text"))?;
    let fields = match question.get("fields") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(field).collect::<Result<_, _>>()?,
        Some(_) => return Err("`fields` is no list".to_owned()),
    };
    let response = question.get("response").map(|head| text_of("response", head)).transpose()?;
    Ok((saved::request(method, url, &fields)?, response.map(saved::response).transpose()?))
}

fn field(value: &Value) -> Result<(String, String), String> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::String(value)]) => Ok((name.clone(), value.clone())),
        _ => Err("each of `fields` is a list of a name and a value".to_owned()),
    }
}
