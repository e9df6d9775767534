//! Who is at the client's end of a connection: what operators are told of it beside its numbers.

use std::net::IpAddr;

/// What a row of the list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tunnel.
    #[default]
    WebSocket,
    /// An HTTP answer that has been open for a while: a stream of events, a long poll, a large download.
    Http,
}

/// Who has asked for a connection. Texts are the client's own, cut to a bound.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What it is.
    pub kind: Kind,
    /// The client's address as believed; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// The request's `User-Agent`; empty if it has none.
    pub user_agent: Box<str>,
}

impl About {
    /// A text of a peer's as rows hold it: at most `TEXT_BYTES_MAX` bytes, what is not UTF-8 replaced.
    pub fn text(bytes: Option<&[u8]>) -> Box<str> {
        let bytes = bytes.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]);
        text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::Http];

    /// The word for operators.
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
        }
    }
}

/// The longest text of a peer's in a row.
const TEXT_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_their_bound() {
        assert_eq!(&*About::text(None), "");
        assert_eq!(&*About::text(Some(b"curl/8.1 \xff")), "curl/8.1 \u{fffd}");
        let long = "ä".repeat(1000);
        assert_eq!(&*About::text(Some(long.as_bytes())), "ä".repeat(100));
        assert!(About::text(Some(&[0xff; 1000])).len() <= TEXT_BYTES_MAX);
    }
}
