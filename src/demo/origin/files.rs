//! The page and its parts, inside the binary: what a cache may do with each, and its answer (RFC 9110 §13, RFC 9111 §5.2).
//!
//! The lifetimes differ on purpose, so that the page's table shows a stored answer, a validated one and one that the
//! browser keeps for itself. `s-maxage` speaks to shared caches only: the browser asks each time, the cache answers.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use crate::wire::{Fields, RequestHead, fields::list_members};

use super::answer::Answer;

/// One embedded file.
pub(super) struct File {
    pub(super) path: &'static str,
    content_type: &'static str,
    cache_control: &'static str,
    bytes: &'static [u8],
}

/// All of them, the page first.
pub(super) const FILES: [File; 6] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        cache_control: "no-cache",
        bytes: include_bytes!("../page/index.html"),
    },
    File {
        path: "/assets/app.css",
        content_type: "text/css; charset=utf-8",
        cache_control: "public, max-age=0, s-maxage=600",
        bytes: include_bytes!("../page/app.css"),
    },
    File {
        path: "/assets/app.js",
        content_type: "text/javascript; charset=utf-8",
        cache_control: "public, max-age=0, s-maxage=600",
        bytes: include_bytes!("../page/app.js"),
    },
    File {
        path: "/assets/tide.svg",
        content_type: "image/svg+xml",
        cache_control: "public, max-age=0, s-maxage=600",
        bytes: include_bytes!("../page/tide.svg"),
    },
    File {
        path: "/assets/gate.svg",
        content_type: "image/svg+xml",
        cache_control: "public, max-age=300",
        bytes: include_bytes!("../page/gate.svg"),
    },
    File {
        path: "/assets/harbour.png",
        content_type: "image/png",
        cache_control: "public, max-age=0, s-maxage=10",
        bytes: include_bytes!("../page/harbour.png"),
    },
];

impl File {
    /// The file at that path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    /// Changes with the content, stays with it from start to start.
    pub(super) fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.bytes);
        format!("\"{:016x}\"", hasher.finish())
    }

    /// 200 with the content, or 304 when the client has it (RFC 9110 §13.1.2).
    pub(super) fn answer(&self, request: &RequestHead) -> Answer {
        let etag = self.etag();
        let known = request.fields.all("if-none-match").flat_map(list_members).any(|tag| {
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*" || tag == etag.as_bytes()
        });
        let mut fields: Fields = [("ETag", etag.as_str()), ("Cache-Control", self.cache_control)].into_iter().collect();
        if known {
            return Answer { status: 304, fields, body: Bytes::new() };
        }
        fields.push("Content-Type", self.content_type);
        if self.path == "/" {
            fields.push("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'");
        }
        Answer { status: 200, fields, body: Bytes::from_static(self.bytes) }
    }
}
