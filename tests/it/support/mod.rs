//! The language of the stories: an `Origin` that says and does what it is told, the `Gateway` in front of it, a
//! `Connection` that sends bytes and reads strictly. Nothing here shares code with the gateway.

mod client;
mod flaw;
mod gateway;
mod http2;
mod http2_websocket;
mod message;
mod net;
mod origin;
mod origin2;
mod pki;
mod reply;
mod socket;
mod time;
mod websocket;
mod wire;

pub use client::Connection;
pub use flaw::Flaw;
pub use gateway::{Gateway, Signal};
pub use http2::{Fate, Http2, RawHttp2, send_all, whole};
pub use http2_websocket::{End, Http2Receiver, Http2Sender, Http2Socket};
pub use message::{Answer, Request};
pub use net::{DeadAddress, free_address};
pub use origin::{Next, Origin, Talk};
pub use origin2::{Origin2, Seen as Seen2};
pub use pki::{Authority, Certificate};
pub use reply::{Reply, Responder, by, held_back, reply, script};
pub use socket::Socket;
pub use time::{eventually, within};
pub use websocket::{
    Frame, KEY, accept_value, echo_frames, handshake, held_websocket, websocket_echo, websocket_flood,
};

/// `length` bytes of an endless text that repeats only after 65,521 bytes, a prime, so that a lost, doubled or moved
/// piece shows.
pub fn pattern(from: u64, length: usize) -> Vec<u8> {
    const PERIOD: usize = 65_521;
    static BLOCK: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        (0..PERIOD as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    });
    let mut bytes = Vec::with_capacity(length);
    let mut at = (from % PERIOD as u64) as usize;
    while bytes.len() < length {
        let take = (PERIOD - at).min(length - bytes.len());
        bytes.extend_from_slice(&BLOCK[at..at + take]);
        at = 0;
    }
    bytes
}

/// Bytes as a person can read them: printable text as it is, line ends and control bytes escaped, long runs shortened.
pub fn show(bytes: &[u8]) -> String {
    let (head, tail) =
        if bytes.len() > 3000 { (&bytes[..2000], &bytes[bytes.len() - 500..]) } else { (bytes, &[][..]) };
    let text = |part: &[u8]| part.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n    ");
    match tail {
        [] => format!("    {}", text(head)),
        _ => format!("    {}\n    … {} bytes …\n    {}", text(head), bytes.len() - 2500, text(tail)),
    }
}
