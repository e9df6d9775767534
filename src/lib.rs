//! Tidegate: a reverse proxy that keeps HTTP answers and holds WebSockets open.
pub mod access_log;
pub mod admin;
pub mod cache;
pub mod clock;
pub mod config;
pub mod listen;
pub mod metrics;
pub mod net;
pub mod server;
pub mod tunnel;
pub mod wire;
