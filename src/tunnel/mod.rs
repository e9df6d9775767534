//! Upgraded connections: the handshake checked on both sides, then bytes both ways until both have ended.
//!
//! A tunnel is given two streams and its terms; it knows no route and no configuration file.
