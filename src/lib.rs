//! Tidegate: a reverse proxy that keeps HTTP answers and holds WebSockets open.
pub mod access_log;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod net;
pub mod tunnel;
pub mod units;
pub mod wire;
