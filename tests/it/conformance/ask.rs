//! A request of a case.

use serde_json::{Value, json};

use super::{
    case::words,
    way::{Doors, NAME, Way},
};
use crate::support::*;

/// A request as a case tells it: `METHOD suffix | Field: value | :body text`.
pub struct Ask {
    pub method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Ask {
    pub fn of(line: &str, path: &str) -> Self {
        let words = words(line);
        let is_first = |word: &&String| !word.contains(':');
        let first = words.first().filter(is_first).map_or("GET", String::as_str);
        let (method, suffix) = first.split_once(' ').unwrap_or((first, ""));
        let rest = &words[usize::from(words.first().filter(is_first).is_some())..];
        let fields = rest.iter().filter(|word| !word.starts_with(':')).map(|word| {
            let (name, value) = word.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        let usual = if matches!(method, "POST" | "PUT" | "PATCH") { "form" } else { "" };
        let body = rest.iter().find_map(|word| word.strip_prefix(":body ")).unwrap_or(usual);
        Self { method: method.into(), target: format!("{path}{suffix}"), fields: fields.collect(), body: body.into() }
    }

    /// What `explain` foretells: the word of Cache-Status that tells a hit from the reasons to ask the backend. `None` where
    /// it says that the store has no part in it.
    pub async fn foretold(&self, gateway: &Gateway, scheme: &str) -> Option<String> {
        let host = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let url = format!("{scheme}://{}{}", host.map_or(NAME, |(_, host)| host), self.target);
        let fields: Vec<_> = self.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).collect();
        let length = self.body.len().to_string();
        let length = (!self.body.is_empty()).then(|| ["Content-Length", &length]);
        let fields = [json!(fields), json!(length.as_slice())].map(|list| list.as_array().cloned().unwrap()).concat();
        let question = json!({ "method": self.method, "url": url, "fields": fields }).to_string();
        let (host, mut admin) = (gateway.admin.to_string(), Connection::tcp(gateway.admin).await);
        let fields = [("Host", &*host), ("Content-Type", "application/json"), ("Connection", "close")];
        let told = admin.ask("POST", "/explain", &fields, question.as_bytes()).await;
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        let facts = told["facts"].as_array().unwrap_or_else(|| panic!("{question}: {told}"));
        let says = |about: &str| facts.iter().find(|fact| fact["about"] == about)?["says"].as_str();
        let status = says("cache_status").or_else(|| says("cache")?.split_once(": ").map(|(_, status)| status))?;
        status.strip_prefix("tidegate; ")?.split(';').next().map(str::to_owned)
    }

    /// Sends it: the statuses of interim answers if they can be seen, and the final answer unless it was cut. What
    /// HTTP/2 does not have, or its connection is not for, goes over HTTP/1.
    pub async fn send(&self, doors: &Doors, way: Way) -> (Option<Vec<u16>>, Option<Answer>) {
        match doors.http2(way).filter(|_| !self.names("host") && !self.names("connection")) {
            Some(mut http2) => {
                let fields: Vec<_> = self.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
                (None, http2.try_ask(&self.method, &self.target, &fields, self.body.as_bytes()).await.ok())
            }
            None => {
                let (interim, answer) = self.send_http1(doors.http1(way).await).await;
                (Some(interim), answer)
            }
        }
    }

    /// On a connection of its own.
    async fn send_http1(&self, mut connection: Connection) -> (Vec<u16>, Option<Answer>) {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.names("host") {
            text += &format!("Host: {NAME}\r\n");
        }
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        connection.send(format!("{text}\r\n{}", self.body)).await;
        let mut interim = Vec::new();
        loop {
            let Ok(mut head) = within(&self.target, connection.wire.answer_head()).await else {
                return (interim, None);
            };
            if head.status < 200 {
                interim.push(head.status);
                continue;
            }
            let length = head.length(&self.method).unwrap();
            let mut body = Vec::new();
            let mut sink = |piece: &[u8]| body.extend_from_slice(piece);
            let Ok(trailers) = within(&self.target, connection.wire.body(length, &mut sink)).await else {
                return (interim, None);
            };
            (head.body, head.trailers) = (body, trailers);
            return (interim, Some(head));
        }
    }

    pub fn names(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(field))
    }

    /// Neither a HEAD nor for a range: the whole body comes.
    pub fn is_plain(&self) -> bool {
        self.method != "HEAD" && !self.names("range")
    }
}
