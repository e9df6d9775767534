//! Tidegate: a reverse proxy that keeps HTTP answers and holds WebSockets open.
//!
//! # The house
//!
//! Arrows go down only; `tests/architecture.rs` holds the table.
//!
//! ```text
//!  5   cli   demo                              what the operator types
//!  4   server                                  build, run, stop
//!  3   gateway   admin                         the journey of a request | look inside
//!  2   listen  route  cache  tunnel  upstream  the parts; strangers to each other
//!  1   config  metrics  access_log             settled values in, facts out
//!  0   wire  net  units  clock                 words that all use
//! ```
//!
//! # Where does X happen?
//!
//! | what | where |
//! |---|---|
//! | a request's steps, in order | [`gateway`] (`journey`) |
//! | what a client may send, and what is refused | [`wire::request`] |
//! | what a backend may answer | [`wire::response`], [`wire::body`] |
//! | fields that are dropped, set or believed | `gateway::fields` |
//! | may it be stored, is it fresh, what does Vary say | [`cache::policy`] |
//! | what makes two requests the same | [`cache::key`] |
//! | purging, looking inside, explaining | [`admin`]; `gateway::{purge, explain}`; [`cli`] |
//! | what is open, and closing it | [`admin`] (`connections`, `drain`); [`tunnel::tunnels`]; `gateway::{watch, observed}` |
//! | which servers are down, full or taken out | `upstream::server`; `admin::drain` |
//! | who has asked a tunnel to go, and taking it back | `tunnel::orders` |
//! | how many tunnels, how many handshakes | [`tunnel::permits`]; of a server: `upstream::server` |
//! | why, in words and numbers | [`cache::policy::explain`] |
//! | one fetch for everybody who asks | [`cache::fill`]; the asking: `gateway::fetch` |
//! | a fetch whose client has left, a refresh | `gateway::background` |
//! | a range, and what is held in parts | `cache::parts`, `gateway::ranged` |
//! | which server, a connection to it, a retry | [`upstream`] |
//! | the WebSocket handshake, the copy, the Close frame | [`tunnel`] |
//! | sockets, TLS, connection caps | [`listen`] |
//! | signals, threads, stopping | [`server`] |
//! | the file as written, all its problems at once | [`config`] |
//! | what Prometheus sees | [`metrics`]; each part declares its own |
//!
//! One departure from the usual way to use pingora: its `HttpProxy` is not used. Both the ask lane and the relay lane go
//! through one exchange of our own (`gateway::opening` and `gateway::transfer` over [`upstream`]), so that there is one strict reading of every
//! answer, one pool of connections, and a stored `Date` that survives HTTP/2. pingora dials TLS backends.
pub mod access_log;
pub mod admin;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod gateway;
pub mod listen;
pub mod metrics;
pub mod net;
pub mod route;
pub mod server;
pub mod tunnel;
pub mod units;
pub mod upstream;
pub mod wire;
