//! What can be asked, as a table: a further endpoint is a further row.
//!
//! Answers are made on a thread that may block, so a row's function may take its time and needs no `async`.

use http::{Method, StatusCode};

use super::{AdminState, Readiness, answer::Answer, host};
use crate::{metrics::TEXT_CONTENT_TYPE, wire::RequestHead};

/// A method on a path. GET answers HEAD too (RFC 9110 §9.3.2).
struct Endpoint {
    method: Method,
    path: &'static str,
    /// For the front page.
    about: &'static str,
    answer: fn(&AdminState, &RequestHead) -> Answer,
}

static ENDPOINTS: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/", about: "this page", answer: front_page },
    Endpoint { method: Method::GET, path: "/metrics", about: "for Prometheus, text format 0.0.4", answer: metrics },
    Endpoint { method: Method::GET, path: "/live", about: "200 while the process answers", answer: live },
    Endpoint { method: Method::GET, path: "/ready", about: "200 while it should get traffic, else 503", answer: ready },
];

/// The answer to one request.
pub(super) fn answer(state: &AdminState, head: &RequestHead) -> Answer {
    if !host::is_own(&head.authority, &state.hosts) {
        return Answer::text(StatusCode::FORBIDDEN, host::EXPLANATION);
    }
    let on_path = || ENDPOINTS.iter().filter(|endpoint| endpoint.path == head.path());
    if let Some(endpoint) = on_path().find(|endpoint| endpoint.takes(&head.method)) {
        return (endpoint.answer)(state, head);
    }
    let methods: Vec<&str> = on_path().flat_map(Endpoint::methods).collect();
    if methods.is_empty() {
        return Answer::text(StatusCode::NOT_FOUND, "There is nothing here; / tells what there is.\n");
    }
    let methods = methods.join(", ");
    let text = format!("This can be asked with {methods} only.\n");
    Answer { allow: Some(methods), ..Answer::text(StatusCode::METHOD_NOT_ALLOWED, text) }
}

impl Endpoint {
    fn takes(&self, method: &Method) -> bool {
        self.method == method || (self.method == Method::GET && method == Method::HEAD)
    }

    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = (self.method == Method::GET).then_some("HEAD");
        std::iter::once(self.method.as_str()).chain(head)
    }
}

fn front_page(state: &AdminState, _: &RequestHead) -> Answer {
    let mut text = "Tidegate\n\n".to_owned();
    for (name, value) in &state.info {
        text += &format!("{name}: {value}\n");
    }
    if !state.info.is_empty() {
        text.push('\n');
    }
    for Endpoint { method, path, about, .. } in ENDPOINTS {
        text += &format!("{method} {path:<10} {about}\n");
    }
    Answer::text(StatusCode::OK, text)
}

fn metrics(state: &AdminState, _: &RequestHead) -> Answer {
    Answer { content_type: TEXT_CONTENT_TYPE, ..Answer::text(StatusCode::OK, state.registry.render()) }
}

fn live(_: &AdminState, _: &RequestHead) -> Answer {
    Answer::text(StatusCode::OK, "ok\n")
}

fn ready(state: &AdminState, _: &RequestHead) -> Answer {
    let readiness = (state.ready)();
    let is_ready = readiness == Readiness::Ready;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!("{{\"ready\":{is_ready},\"reason\":\"{}\"}}\n", readiness.label());
    Answer { content_type: "application/json", ..Answer::text(status, body) }
}
