//! The backend of all cases: it says what the case of the path says, and remembers what it got.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{case::words, dates};
use crate::support::*;

/// What one case has to do with the backend.
#[derive(Clone, Default)]
pub struct Scene {
    pub says: Vec<String>,
    pub seen: Vec<Request>,
    /// The bodies that it gave.
    pub given: Vec<String>,
}

/// The scenes by the path of their case.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<HashMap<String, Scene>>>);

impl Stage {
    pub fn of<T>(&self, path: &str, act: impl FnOnce(&mut Scene) -> T) -> T {
        act(self.0.lock().unwrap().entry(path.to_owned()).or_default())
    }

    /// Plays its part on one connection.
    pub fn script(&self) -> Responder {
        let stage = self.clone();
        script(move |talk| play(talk, stage.clone()))
    }
}

async fn play(mut talk: Talk, stage: Stage) -> Next {
    talk.read_body().await;
    let case: String = talk.request.path().splitn(5, '/').take(4).collect::<Vec<_>>().join("/");
    let (says, number) = stage.of(&case, |scene| {
        scene.seen.push(talk.request.clone());
        (scene.says.clone(), scene.seen.len())
    });
    let mut stays = true;
    for answer in says {
        match answer.as_str() {
            "close" => return talk.close().await,
            "reset" => return talk.reset(),
            "half a head" => {
                talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-").await;
                return talk.close().await;
            }
            "silence" => {
                talk.gone().await;
                return talk.close().await;
            }
            _ => {
                let said = Said::of(&answer, &talk.request.method, number);
                stage.of(&case, |scene| scene.given.push(said.body));
                talk.send(said.bytes).await;
                stays &= said.stays;
            }
        }
    }
    if stays { talk.keep() } else { talk.close().await }
}

/// An answer as it goes over the wire.
struct Said {
    bytes: String,
    body: String,
    /// The connection goes on after it.
    stays: bool,
}

impl Said {
    /// `status | Field: value | :option value`: 200 where no status stands, a Date of now where none stands.
    fn of(line: &str, method: &str, number: usize) -> Self {
        let words = words(line);
        let (status, rest) = match words.split_first() {
            Some((first, rest)) if first.bytes().all(|byte| byte.is_ascii_digit()) => (&**first, rest),
            _ => ("200", &words[..]),
        };
        let option = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name)).map(str::trim);
        let body = match (option(":size"), option(":body")) {
            (Some(size), _) => "x".repeat(size.parse().unwrap()),
            (_, Some(body)) => body.to_owned(),
            _ => format!("answer {number}"),
        };
        let mut head = format!("HTTP/1.1 {status} Told\r\n");
        for field in rest.iter().filter(|word| !word.starts_with(':')) {
            head += &format!("{field}\r\n");
        }
        let is_interim = status.starts_with('1');
        let has_date = rest.iter().any(|word| word.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("date:")));
        if !is_interim && !has_date && option(":no-date").is_none() {
            head += &format!("Date: {}\r\n", dates::imf(dates::now()));
        }
        let has_no_body = is_interim || matches!(status, "204" | "304");
        let is_chunked = option(":chunked").is_some();
        match option(":length") {
            _ if is_chunked => head += "Transfer-Encoding: chunked\r\n",
            Some(length) => head += &format!("Content-Length: {length}\r\n"),
            None if has_no_body || option(":until-close").is_some() => {}
            None => head += &format!("Content-Length: {}\r\n", body.len()),
        }
        let is_whole = option(":length").is_none() && option(":broken").is_none();
        let rest = match (has_no_body || method == "HEAD", is_chunked) {
            (true, _) => String::new(),
            (false, false) => body.clone(),
            (false, true) => {
                let trailer = option(":trailer").map_or(String::new(), |field| format!("{field}\r\n"));
                let end = if is_whole { format!("0\r\n{trailer}\r\n") } else { String::new() };
                format!("{:x}\r\n{body}\r\n{end}", body.len())
            }
        };
        let stays = rest.is_empty() || (is_whole && option(":until-close").is_none());
        Self { bytes: format!("{head}\r\n{rest}"), body, stays }
    }
}
