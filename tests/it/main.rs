//! Stories about the whole gateway: a scripted origin, the real binary in front of it, a raw client, all through real
//! sockets.
//!
//! `support` is the small language that the stories are told in; each other module is a theme. `direct` has no gateway:
//! it holds the language itself to account.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that can't go on says so and stops")]
#![allow(unreachable_pub, reason = "one binary: the modules are its only readers")]

mod attacks;
mod browser;
mod cache;
mod conformance;
mod connections;
mod conversations;
mod direct;
mod drains;
mod endings;
mod evil_backend;
mod fields;
mod fills;
mod handover;
mod handshakes;
mod http2;
mod keys;
mod laggards;
mod leavers;
mod limits;
mod operators;
mod passes;
mod ranges;
mod ranges_fill;
mod ranges_parts;
mod refreshes;
mod refuses;
mod reloads;
mod routes;
mod rules;
mod servers;
mod stale;
mod stop;
mod streams;
mod support;
mod terms;
mod tls;
mod tunnels;
mod unsafe_methods;
mod upstreams;
mod websocket_http2;
mod zlib;
