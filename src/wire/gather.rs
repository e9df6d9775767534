//! One pass over a request's field lines: what frames its body, where it goes, what becomes of the connection.

use super::fields::list_members;
use super::framing::{Coding, coding_of, is_plain_length, length_of};
use super::{Framing, Refusal, Version, is_odd, is_same, is_same_word, is_twin, text};

/// What the lines seen so far have said.
#[derive(Debug, Default)]
pub(super) struct Gathered<'h, 'k> {
    /// An authority that was found sound before: mostly the one that is named again.
    known: &'k str,
    /// Sound, and so ASCII.
    pub(super) host: Option<&'h [u8]>,
    length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    persist: bool,
    upgrade: bool,
    websocket: bool,
    pub(super) expect_continue: bool,
}

/// What is to be done with the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Drop,
    /// The Host line: keep it, or put the authority of the target in its place.
    Host,
    /// Keep it, if the text round its value is sound as well.
    Coding,
    /// Put this number in its place.
    Length(u64),
}

impl<'h, 'k> Gathered<'h, 'k> {
    /// Before the first line of a request that comes after one for this authority.
    pub(super) fn knowing(known: &'k str) -> Self {
        Self { known, ..Self::default() }
    }

    /// Takes one line in. Most lines cost one look at the length and the first letter of their name.
    #[inline]
    pub(super) fn take(&mut self, name: &[u8], value: &'h [u8], version: Version) -> Result<Verdict, Refusal> {
        match role_of(name) {
            None => Ok(Verdict::Keep),
            Some(role) => self.take_as(role, value, version),
        }
    }

    fn take_as(&mut self, role: Role, value: &'h [u8], version: Version) -> Result<Verdict, Refusal> {
        match role {
            Role::Twin => return Ok(Verdict::Drop),
            Role::Host => return self.take_host(value),
            Role::ContentLength => return self.take_length(value),
            Role::TransferEncoding => {
                // A second line is never read as the rest of the first: RFC 9112 §6.1, exactly one `chunked`.
                self.coding = Some(if self.coding.is_some() { Coding::Invalid } else { coding_of(value) });
                return Ok(Verdict::Coding);
            }
            Role::Connection => self.take_connection(value),
            Role::Upgrade => self.websocket |= list_members(value).any(|word| is_same(word, b"websocket")),
            // RFC 9110 §10.1.1: a 1.0 client can't wait for a 100, so the field means nothing and goes no further.
            Role::Expect if version == Version::Http10 => return Ok(Verdict::Drop),
            Role::Expect => {
                if self.expect_continue || !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                self.expect_continue = true;
            }
        }
        Ok(Verdict::Keep)
    }

    fn take_host(&mut self, value: &'h [u8]) -> Result<Verdict, Refusal> {
        if self.host.is_some() {
            return Err(Refusal::Host);
        }
        if self.known.is_empty() || value != self.known.as_bytes() {
            text::authority(value).ok_or(Refusal::Host)?;
        }
        self.host = Some(value);
        Ok(Verdict::Host)
    }

    /// The same length said twice is folded to one line; two lengths are refused (RFC 9110 §8.6).
    fn take_length(&mut self, value: &[u8]) -> Result<Verdict, Refusal> {
        let length = length_of(value).ok_or(Refusal::ContentLength)?;
        match self.length.replace(length) {
            Some(before) if before == length => Ok(Verdict::Drop),
            Some(_) => Err(Refusal::ContentLength),
            None if is_plain_length(value) => Ok(Verdict::Keep),
            None => Ok(Verdict::Length(length)),
        }
    }

    fn take_connection(&mut self, value: &[u8]) {
        for word in list_members(value) {
            match word.len() {
                5 => self.close |= is_same(word, b"close"),
                7 => self.upgrade |= is_same(word, b"upgrade"),
                10 => self.persist |= is_same(word, b"keep-alive"),
                _ => {}
            }
        }
    }

    /// How the body is framed (RFC 9112 §6.3). `None` stands for no body; HTTP/2 knows better.
    pub(super) fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, None) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), Some(_)) => Err(Refusal::LengthAndCoding),
            // RFC 9112 §6.1: a 1.0 message with Transfer-Encoding has faulty framing.
            (Some(_), None) if version != Version::Http11 => Err(Refusal::TransferEncoding),
            (Some(Coding::Chunked), None) => Ok(Framing::Chunked),
            (Some(Coding::Unknown), None) => Err(Refusal::UnknownCoding),
            (Some(Coding::Invalid), None) => Err(Refusal::TransferEncoding),
        }
    }

    /// Whether the connection persists (RFC 9112 §9.3).
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.persist)
    }

    /// Whether the lines ask for a WebSocket (RFC 6455 §4.1), which a 1.0 request can't (RFC 9110 §7.8).
    pub(super) fn wants_websocket(&self, version: Version) -> bool {
        version == Version::Http11 && self.websocket && self.upgrade
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Upgrade,
    /// A name that many backends take for a framing or forwarding field, because they read `_`, and some `.` and the like,
    /// as `-`.
    Twin,
}

/// Nearly all lines play none, which the length and the first letter tell; only that is worth having in the caller's loop.
#[inline]
fn role_of(name: &[u8]) -> Option<Role> {
    let (role, known): (Option<Role>, &[u8]) = match (name.len(), name.first()? | 0x20) {
        (4, b'h') => (Some(Role::Host), b"host"),
        (6, b'e') => (Some(Role::Expect), b"expect"),
        (7, b'u') => (Some(Role::Upgrade), b"upgrade"),
        (10, b'c') => (Some(Role::Connection), b"connection"),
        (14, b'c') => (Some(Role::ContentLength), b"content-length"),
        (17, b't') => (Some(Role::TransferEncoding), b"transfer-encoding"),
        // These play none here, but their twins do elsewhere.
        (10, b'k') => (None, b"keep-alive"),
        (16, b'p') => (None, b"proxy-connection"),
        (9.., b'x') => return is_forwarding_twin(name).then_some(Role::Twin),
        _ => return None,
    };
    confirmed(role, name, known)
}

/// The role that goes with the name `known`, where this is it.
#[inline(never)]
fn confirmed(role: Option<Role>, name: &[u8], known: &[u8]) -> Option<Role> {
    if is_same(name, known) { role } else { is_twin(name, known).then_some(Role::Twin) }
}

#[inline(never)]
fn is_forwarding_twin(name: &[u8]) -> bool {
    let prefix = name.get(..FORWARDED_PREFIX.len());
    is_twin(name, b"x-real-ip") || prefix.is_some_and(|prefix| is_odd(name) && is_same_word(FORWARDED_PREFIX, prefix))
}

const FORWARDED_PREFIX: &[u8] = b"x-forwarded-";
