//! What can be asked, as a table: a further endpoint is a further row.
//!
//! Answers are made on a thread that may block, so a row's function may take its time and needs no `async`.

use http::{Method, StatusCode};

use super::{
    AdminState, Readiness, answer::Answer, connections, drain, entries, explain, host, purge, request::Request,
};
use crate::{metrics::TEXT_CONTENT_TYPE, wire::RequestHead};

/// A method on a path. GET answers HEAD too (RFC 9110 §9.3.2).
pub(super) struct Endpoint {
    method: Method,
    /// One that ends in `/{id}` stands for all that end in a number.
    path: &'static str,
    /// For the front page.
    about: &'static str,
    answer: fn(&AdminState, &Request) -> Answer,
}

static ENDPOINTS: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/", about: "this page", answer: front_page },
    Endpoint { method: Method::GET, path: "/metrics", about: "for Prometheus, text format 0.0.4", answer: metrics },
    Endpoint { method: Method::GET, path: "/live", about: "200 while the process answers", answer: live },
    Endpoint { method: Method::GET, path: "/ready", about: "200 while it should get traffic, else 503", answer: ready },
    Endpoint { method: Method::POST, path: "/purge", about: purge::ABOUT, answer: purge::purge },
    Endpoint { method: Method::GET, path: "/cache/entry", about: entries::ABOUT_ENTRY, answer: entries::entry },
    Endpoint { method: Method::GET, path: "/cache/top", about: entries::ABOUT_TOP, answer: entries::top },
    Endpoint { method: Method::POST, path: "/explain", about: explain::ABOUT, answer: explain::explain },
    Endpoint { method: Method::GET, path: "/connections", about: connections::ABOUT, answer: connections::list },
    Endpoint {
        method: Method::DELETE,
        path: "/connections",
        about: connections::ABOUT_KICK,
        answer: connections::kick_all,
    },
    Endpoint {
        method: Method::GET,
        path: "/connections/{id}",
        about: connections::ABOUT_ONE,
        answer: connections::one,
    },
    Endpoint {
        method: Method::DELETE,
        path: "/connections/{id}",
        about: connections::ABOUT_KICK_ONE,
        answer: connections::kick_one,
    },
    Endpoint {
        method: Method::GET,
        path: "/connections/closed",
        about: connections::ABOUT_CLOSED,
        answer: connections::closed,
    },
    Endpoint { method: Method::GET, path: "/drain", about: drain::ABOUT_LIST, answer: drain::list },
    Endpoint { method: Method::POST, path: "/drain", about: drain::ABOUT, answer: drain::drain },
];

/// The endpoint that a request is for, or what to answer if there is none.
pub(super) fn find(state: &AdminState, head: &RequestHead) -> Result<&'static Endpoint, Answer> {
    if !host::is_own(&head.authority, &state.hosts) {
        return Err(Answer::text(StatusCode::FORBIDDEN, host::EXPLANATION));
    }
    let on_path = || ENDPOINTS.iter().filter(|endpoint| endpoint.is_at(head.path()));
    if let Some(endpoint) = on_path().find(|endpoint| endpoint.takes(&head.method)) {
        return endpoint.admit(head).map(|()| endpoint);
    }
    let methods: Vec<&str> = on_path().flat_map(Endpoint::methods).collect();
    if methods.is_empty() {
        return Err(Answer::text(StatusCode::NOT_FOUND, "There is nothing here; / tells what there is.\n"));
    }
    let methods = methods.join(", ");
    let text = format!("This can be asked with {methods} only.\n");
    Err(Answer { allow: Some(methods), ..Answer::text(StatusCode::METHOD_NOT_ALLOWED, text) })
}

impl Endpoint {
    /// What it has to say.
    pub(super) fn answer(&self, state: &AdminState, request: &Request) -> Answer {
        (self.answer)(state, request)
    }

    /// Whether its questions are bodies, in JSON.
    pub(super) fn takes_body(&self) -> bool {
        self.method == Method::POST
    }

    /// A form of a foreign page can send a body as text without asking first, but not as JSON (WHATWG Fetch, "CORS-safelisted
    /// request-header"). DELETE is never sent unasked ("CORS-safelisted method"), and nothing here ever agrees.
    fn admit(&self, head: &RequestHead) -> Result<(), Answer> {
        let media_type = head.fields.get_str("content-type").and_then(|line| line.split(';').next()).unwrap_or("");
        match self.takes_body() && !media_type.trim().eq_ignore_ascii_case("application/json") {
            true => Err(Answer::wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected Content-Type: application/json")),
            false => Ok(()),
        }
    }

    fn is_at(&self, path: &str) -> bool {
        match (self.path.strip_suffix("{id}"), path) {
            (None, path) => self.path == path,
            (Some(before), path) => path.strip_prefix(before).is_some_and(|id| id.parse::<u64>().is_ok()),
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.method == method || (self.method == Method::GET && method == Method::HEAD)
    }

    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = (self.method == Method::GET).then_some("HEAD");
        std::iter::once(self.method.as_str()).chain(head)
    }
}

fn front_page(state: &AdminState, _: &Request) -> Answer {
    let mut text = "Tidegate\n\n".to_owned();
    for (name, value) in &state.info {
        text += &format!("{name}: {value}\n");
    }
    if !state.info.is_empty() {
        text.push('\n');
    }
    for Endpoint { method, path, about, .. } in ENDPOINTS {
        let method = method.as_str();
        text += &format!("{method:<6} {path:<19} {about}\n");
    }
    Answer::text(StatusCode::OK, text)
}

fn metrics(state: &AdminState, _: &Request) -> Answer {
    Answer { content_type: TEXT_CONTENT_TYPE, ..Answer::text(StatusCode::OK, state.registry.render()) }
}

fn live(_: &AdminState, _: &Request) -> Answer {
    Answer::text(StatusCode::OK, "ok\n")
}

fn ready(state: &AdminState, _: &Request) -> Answer {
    let readiness = (state.ready)();
    let is_ready = readiness == Readiness::Ready;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer::json(status, &serde_json::json!({ "ready": is_ready, "reason": readiness.label() }))
}
