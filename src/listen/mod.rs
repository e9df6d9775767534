//! Where clients come in: listening sockets, the caps on connections, TLS, and the loop that accepts.
//!
//! A connection is counted against the caps before anything is spent on it, and its permit lives as long as its task.
//! What comes out is a stream and who is at its other end; what is spoken on it is the handler's business.
//!
//! - `bind`: sockets, one for each worker and listener, and every reason why one cannot be had
//! - `limit`: connections in all and of one address
//! - `accept`: the loop, and what is done with a connection until the handler takes it
//! - `preface`: HTTP/2 by prior knowledge, recognised without taking a byte
//! - `tls`: certificates, chosen by name, reloaded when their files change

pub mod tls;

mod accept;
mod bind;
mod limit;
mod metrics;
mod preface;

pub use accept::{Door, Entry, accept};
pub use bind::{BindFault, BindProblem, Bound, ListenSocket, SocketFile, bind, bind_admin};
pub use limit::{Connections, Limit, Permit};
pub use metrics::Metrics;

#[cfg(test)]
pub(crate) mod testing;
