//! The opening handshake, checked on both sides (RFC 6455 §4).
//!
//! What a client sends is a handshake only if every word of it is right; a tunnel opens only on a 101 that proves that
//! the backend read this very handshake. Subprotocols and extensions are the ends' own affair and are not looked at.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use crate::wire::{Fields, Framing, RequestHead, ResponseHead, Version, fields::list_members};

/// A client's handshake that was found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    key: [u8; KEY_LENGTH],
}

/// Why a request that asks for a WebSocket is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeRefusal {
    /// Not GET.
    Method,
    /// No Host.
    Host,
    /// It asks for no WebSocket, or in a version that knows no way to.
    Upgrade,
    /// Not exactly one `Sec-WebSocket-Version: 13`.
    ProtocolVersion,
    /// Not exactly one `Sec-WebSocket-Key` of 16 bytes in base64.
    Key,
    /// A body comes with it.
    Body,
}

/// Why a backend's answer opens no tunnel though it should (502 to the client).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSwitch {
    /// The status is not 101, or the version is not HTTP/1.1.
    Status,
    /// `Upgrade` is not `websocket` alone.
    Upgrade,
    /// `Connection` does not list `upgrade`.
    Connection,
    /// Not exactly one `Sec-WebSocket-Accept`, or one that does not belong to the key.
    Accept,
    /// The field that says when the session ends says nothing that can be understood.
    Session,
}

/// Completes an extended CONNECT (RFC 8441 §5) to the handshake that the backend is to see: with a key made of `nonce`,
/// which HTTP/2 has no use for, and with the version where the client left it out.
pub fn complete(head: &mut RequestHead, nonce: u128) {
    head.fields.set("Sec-WebSocket-Key", STANDARD.encode(nonce.to_ne_bytes()));
    if !head.fields.contains("sec-websocket-version") {
        head.fields.push("Sec-WebSocket-Version", "13");
    }
}

/// Whether `head` is a right handshake (RFC 6455 §4.1, §4.2.1), or a completed extended CONNECT for one (RFC 8441 §5).
/// Host and field syntax were checked when it was read.
pub fn check(head: &RequestHead) -> Result<Handshake, HandshakeRefusal> {
    if head.method != http::Method::GET {
        return Err(HandshakeRefusal::Method);
    }
    if head.authority.is_empty() {
        return Err(HandshakeRefusal::Host);
    }
    // `Upgrade` and `Connection`, or `:protocol`, were looked at when the head was read.
    if !head.wants_websocket {
        return Err(HandshakeRefusal::Upgrade);
    }
    if !matches!(head.framing, Framing::None | Framing::Length(0)) {
        return Err(HandshakeRefusal::Body);
    }
    if only(&head.fields, "sec-websocket-version") != Some(b"13") {
        return Err(HandshakeRefusal::ProtocolVersion);
    }
    let key = only(&head.fields, "sec-websocket-key").and_then(read_key).ok_or(HandshakeRefusal::Key)?;
    Ok(Handshake { key })
}

/// Whether a backend's answer to the handshake with `key` opens the tunnel (RFC 6455 §4.1, the client's checks 1 to 4).
pub fn verify_switch(head: &ResponseHead, key: &[u8]) -> Result<(), BadSwitch> {
    if head.status != 101 || head.version != Version::Http11 {
        return Err(BadSwitch::Status);
    }
    let mut protocols = head.fields.all("upgrade").flat_map(list_members);
    let websocket = protocols.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    if !websocket || protocols.next().is_some() {
        return Err(BadSwitch::Upgrade);
    }
    if !head.fields.has_token("connection", "upgrade") {
        return Err(BadSwitch::Connection);
    }
    if only(&head.fields, "sec-websocket-accept") != Some(&accept_for(key)) {
        return Err(BadSwitch::Accept);
    }
    Ok(())
}

/// The `Sec-WebSocket-Accept` that belongs to a key as it stands in the request (RFC 6455 §4.2.2, 5.4).
pub fn accept_for(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    // Invariant: 20 bytes are 28 characters of base64.
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(accept.len()));
    accept
}

impl Handshake {
    /// `Sec-WebSocket-Key` as the client sent it.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl HandshakeRefusal {
    /// The status of the answer: 426 where another version of the protocol would do (RFC 6455 §4.2.2), else 400. Over
    /// HTTP/2 there is no Upgrade field, without which there is no 426 (RFC 9110 §15.5.22).
    pub fn status(self, version: Version) -> u16 {
        match self {
            Self::ProtocolVersion if version == Version::Http11 => 426,
            _ => 400,
        }
    }

    /// Fields that the answer must carry. 426 names the protocol (RFC 9110 §15.5.22), which is then listed in
    /// Connection too (§7.8); that line stands beside one that the answer may already have. Over HTTP/2 only the version
    /// goes out.
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ProtocolVersion => {
                &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"), ("Connection", "upgrade")]
            }
            _ => &[],
        }
    }

    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::Method => "websocket_method",
            Self::Host => "websocket_host",
            Self::Upgrade => "websocket_upgrade",
            Self::ProtocolVersion => "websocket_version",
            Self::Key => "websocket_key",
            Self::Body => "websocket_body",
        }
    }
}

impl BadSwitch {
    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::Status => "switch_status",
            Self::Upgrade => "switch_upgrade",
            Self::Connection => "switch_connection",
            Self::Accept => "switch_accept",
            Self::Session => "switch_session",
        }
    }
}

/// The value of a field that stands on exactly one line.
fn only<'f>(fields: &'f Fields, name: &'f str) -> Option<&'f [u8]> {
    let mut lines = fields.all(name);
    let value = lines.next()?;
    lines.next().is_none().then(|| value.trim_ascii())
}

/// 16 bytes in base64 are 22 characters and two of padding. The bits left over in the last character are the client's
/// business: nobody decodes a key (RFC 6455 §4.2.2: the server hashes it as it stands).
fn read_key(value: &[u8]) -> Option<[u8; KEY_LENGTH]> {
    let key: [u8; KEY_LENGTH] = value.try_into().ok()?;
    let text = key.strip_suffix(b"==")?;
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).then_some(key)
}

const KEY_LENGTH: usize = 24;
/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests;
