//! HTTP/1 heads, read by the letter of RFC 9112: what is merely common is refused.

use super::Flaw;

/// A field line, name and value as they stood on the wire (the value without the white space round it).
pub type Field = (String, String);

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub version: String,
    pub fields: Vec<Field>,
    /// The head as it came, the empty line included.
    pub raw: Vec<u8>,
    /// The first MiB of the body.
    pub body: Vec<u8>,
    pub body_length: u64,
    pub trailers: Vec<Field>,
    /// The whole body has come.
    pub complete: bool,
    /// Why the body did not come whole.
    pub flaw: Option<String>,
    /// Which of the origin's connections it came on, from 0.
    pub connection: usize,
}

/// An answer as the client got it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub version: String,
    pub status: u16,
    pub fields: Vec<Field>,
    pub raw: Vec<u8>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    /// The connection's end was the body's end.
    pub until_close: bool,
    /// What the connection had sent until then.
    pub sent: Vec<u8>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    None,
    Exactly(u64),
    Chunked,
    UntilClose,
}

impl Request {
    pub fn parse(raw: &[u8], connection: usize) -> Result<Self, Flaw> {
        let (first, fields) = split_head(raw)?;
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
            return Err(Flaw::malformed("request line", raw));
        };
        if method.is_empty() || target.is_empty() {
            return Err(Flaw::malformed("request line", raw));
        }
        Ok(Self {
            method: method.into(),
            target: target.into(),
            version: version.into(),
            fields,
            raw: raw.to_vec(),
            body: Vec::new(),
            body_length: 0,
            trailers: Vec::new(),
            complete: false,
            flaw: None,
            connection,
        })
    }

    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub fn length(&self) -> Result<Length, Flaw> {
        Ok(framing(&self.fields, &self.raw)?.unwrap_or(Length::None))
    }
}

impl Answer {
    pub fn parse(raw: &[u8]) -> Result<Self, Flaw> {
        let (first, fields) = split_head(raw)?;
        let bytes = first.as_bytes();
        let sound = bytes.len() >= 13
            && (first.starts_with("HTTP/1.1 ") || first.starts_with("HTTP/1.0 "))
            && bytes[9..12].iter().all(u8::is_ascii_digit)
            && bytes[12] == b' ';
        if !sound {
            return Err(Flaw::malformed("status line", raw));
        }
        Ok(Self {
            version: first[..8].into(),
            status: first[9..12].parse().unwrap(),
            fields,
            raw: raw.to_vec(),
            body: Vec::new(),
            trailers: Vec::new(),
            until_close: false,
            sent: Vec::new(),
        })
    }

    /// RFC 9112 §6.3.
    pub fn length(&self, method: &str) -> Result<Length, Flaw> {
        if method == "HEAD" || self.status < 200 || self.status == 204 || self.status == 304 {
            return Ok(Length::None);
        }
        Ok(framing(&self.fields, &self.raw)?.unwrap_or(Length::UntilClose))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `Cache-Status` of the gateway, as text; empty where there is none.
    pub fn cache_status(&self) -> String {
        self.all("cache-status").join(", ")
    }

    /// The answer came from the store.
    pub fn is_hit(&self) -> bool {
        self.cache_status().split([';', ',']).any(|word| word.trim() == "hit")
    }
}

impl Answer {
    /// Fails the story where the answer did not come from the store.
    #[track_caller]
    pub fn must_hit(&self) {
        assert!(self.is_hit(), "expected a hit\n{}", self.told());
    }

    /// Fails the story where the answer came from the store.
    #[track_caller]
    pub fn must_miss(&self) {
        assert!(!self.is_hit(), "expected no hit\n{}", self.told());
    }

    /// What was sent and what came, for people.
    pub fn told(&self) -> String {
        format!("sent:\n{}\ncame:\n{}", super::show(&self.sent), super::show(&[&self.raw[..], &self.body].concat()))
    }
}

/// Access by name, for both kinds of message.
macro_rules! by_name {
    ($message:ty) => {
        #[allow(dead_code, reason = "the same words for both kinds of message")]
        impl $message {
            /// The only value of a field; two lines of it fail the story.
            #[track_caller]
            pub fn field(&self, name: &str) -> Option<&str> {
                let all = self.all(name);
                assert!(all.len() < 2, "{name} came {} times in\n{}", all.len(), super::show(&self.raw));
                all.first().copied()
            }

            /// All values of a field, in order.
            pub fn all(&self, name: &str) -> Vec<&str> {
                let same = |field: &&Field| field.0.eq_ignore_ascii_case(name);
                self.fields.iter().filter(same).map(|field| field.1.as_str()).collect()
            }

            pub fn has(&self, name: &str) -> bool {
                !self.all(name).is_empty()
            }
        }
    };
}
by_name!(Request);
by_name!(Answer);

/// Content-Length or chunked; `None` where neither stands.
fn framing(fields: &[Field], raw: &[u8]) -> Result<Option<Length>, Flaw> {
    let values = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Ok(None),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Some(Length::Exactly(length.parse().map_err(|_| Flaw::malformed("Content-Length", raw))?)))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Length::Chunked)),
        _ => Err(Flaw::malformed("framing", raw)),
    }
}

/// The first line and the field lines of a head that ends with the empty line.
fn split_head(raw: &[u8]) -> Result<(String, Vec<Field>), Flaw> {
    let bad = |why: &str| Flaw::malformed(why, raw);
    let text = std::str::from_utf8(raw).map_err(|_| bad("not UTF-8"))?;
    let text = text.strip_suffix("\r\n\r\n").ok_or_else(|| bad("no empty line"))?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let fields = lines.map(|line| field_line(line).ok_or_else(|| bad("field line"))).collect::<Result<_, _>>()?;
    if first.contains(['\r', '\n', '\0']) {
        return Err(bad("first line"));
    }
    Ok((first, fields))
}

/// RFC 9110 §5.1, §5.5: token, colon, value without control bytes.
pub fn field_line(line: &str) -> Option<Field> {
    let (name, value) = line.split_once(':')?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let control = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f;
    if name.is_empty() || !name.bytes().all(token) || value.bytes().any(control) {
        return None;
    }
    Some((name.into(), value.trim_matches([' ', '\t']).into()))
}
