//! The field lines of one message, in the order and case in which they came.
//!
//! One arena of bytes and one list of places in it: reading a head costs no allocation once the arena has grown. Lines
//! stand in it as HTTP/1.1 writes them, so those that follow one another are written out as one piece. Names compare
//! ASCII-case-insensitively (RFC 9110 §5.1).

use std::ops::Range;

use bytes::Bytes;

use super::{NameMarks, is_same};

/// Field lines (RFC 9110 §5): names and values in arrival order. A field may stand on several lines.
#[derive(Clone, Default)]
pub struct Fields {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Of each name that has ever been here: most fields that are asked for are not there, and this says so without a look
    /// at the lines.
    marks: NameMarks,
}

/// Where one line's name and value stand in the arena.
#[derive(Clone, Copy)]
struct Line {
    name: u32,
    name_length: u32,
    value: u32,
    value_length: u32,
}

/// Room beside the lines of a head that was read.
const ADDED_LINES: usize = 2;
const ADDED_BYTES: usize = 128;

impl Fields {
    /// No lines, no memory.
    pub const fn new() -> Self {
        Self { text: Vec::new(), lines: Vec::new(), marks: NameMarks::NONE }
    }

    /// The same lines, with room for `lines` more of `bytes` in all.
    pub fn clone_with_room(&self, lines: usize, bytes: usize) -> Self {
        let mut clone = Self::with_room(self.lines.len() + lines, self.text.len() + bytes);
        clone.text.extend_from_slice(&self.text);
        clone.lines.extend_from_slice(&self.lines);
        clone.marks = self.marks;
        clone
    }

    fn with_room(lines: usize, bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), lines: Vec::with_capacity(lines), marks: NameMarks::NONE }
    }

    /// Appends one line. The caller has checked both for the bytes that a field may not hold.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let start = self.text.len() as u32;
        write_line(&mut self.text, name, value);
        self.marks = self.marks.with(name);
        self.lines.push(Line {
            name: start,
            name_length: name.len() as u32,
            value: start + (name.len() + BETWEEN.len()) as u32,
            value_length: value.len() as u32,
        });
    }

    /// Copies a whole head into the empty arena, so that its `lines` need only be pointed at by `push_part`.
    pub(super) fn adopt(&mut self, head: &[u8], lines: usize) {
        // With room for the few lines that are mostly added on the way.
        let (lines, bytes) = (lines + ADDED_LINES, head.len() + ADDED_BYTES);
        self.clear();
        if self.memory() == 0 {
            // Memory is had at once; `reserve` would take the longer way by which a list grows.
            *self = Self::with_room(lines, bytes);
        } else {
            self.lines.reserve(lines);
            self.text.reserve(bytes);
        }
        self.text.extend_from_slice(head);
    }

    /// Appends a line whose name and value are parts of `head`, which `adopt` has copied to the front of the arena.
    pub(super) fn push_part(&mut self, head: &[u8], name: &[u8], value: &[u8]) {
        debug_assert!(self.text.len() >= head.len());
        self.marks = self.marks.with(name);
        self.lines.push(Line {
            name: offset_in(head, name) as u32,
            name_length: name.len() as u32,
            value: offset_in(head, value) as u32,
            value_length: value.len() as u32,
        });
    }

    /// Leaves exactly one line of that name, at the end.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(name.as_ref());
        self.push(name, value);
    }

    /// Takes every line of that name out; says whether there was one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let before = self.lines.len();
        if !self.may_have(NameMarks::NONE.with(name.as_ref())) {
            return false;
        }
        let (text, name) = (&self.text, name.as_ref());
        self.lines.retain(|line| !line.is_named(name, text));
        self.lines.len() != before
    }

    /// Keeps the lines for which `keep(name, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| keep(line.name(text), line.value(text)));
    }

    /// The same, asked only about names like these; all others stay.
    pub(super) fn retain_named(&mut self, marks: NameMarks, mut keep: impl FnMut(&[u8]) -> bool) {
        if !self.may_have(marks) {
            return;
        }
        let text = &self.text;
        self.lines.retain(|line| !line.is_like(marks, text) || keep(line.name(text)));
    }

    /// Forgets all lines and keeps the memory for the next message.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.marks = NameMarks::NONE;
    }

    /// Whether one of the names with these marks may be there; if not, none of them is.
    pub fn may_have(&self, marks: NameMarks) -> bool {
        self.marks.meet(marks)
    }

    /// All lines with one of these names, and a few others, as (name, value): for who looks for several names at once.
    pub fn like(&self, marks: NameMarks) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines: &[Line] = if self.may_have(marks) { &self.lines } else { &[] };
        lines
            .iter()
            .filter(move |line| line.is_like(marks, &self.text))
            .map(|line| (line.name(&self.text), line.value(&self.text)))
    }

    /// The value of the first line of that name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.lines_like(name).iter().find(|line| line.is_named(name, &self.text)).map(|line| line.value(&self.text))
    }

    /// The values of every line of that name, in order.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
        let text = &self.text;
        let lines = self.lines_like(name.as_bytes()).iter();
        lines.filter(move |line| line.is_named(name.as_bytes(), text)).map(|line| line.value(text))
    }

    /// The cookies over all lines (RFC 6265 §4.2.1): names, each with its value if a `=` stands behind it.
    pub fn cookies(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let pairs = self.all("cookie").flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
        pairs.filter(|pair| !pair.is_empty()).map(|pair| match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], Some(&pair[at + 1..])),
            None => (pair, None),
        })
    }

    /// All lines if one of this name may be among them, else none.
    fn lines_like(&self, name: &[u8]) -> &[Line] {
        if self.may_have(NameMarks::NONE.with(name)) { &self.lines } else { &[] }
    }

    /// Whether a line of that name is there.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Whether the comma-separated list of that name (over all its lines) holds `token`, in any case (RFC 9110 §5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(list_members).any(|member| is_same(member, token.as_bytes()))
    }

    /// The value of the first line of that name, if it is UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All lines as (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name(&self.text), line.value(&self.text)))
    }

    /// A copy of the arena, in which `ranges` point.
    pub(super) fn text(&self) -> Bytes {
        Bytes::copy_from_slice(&self.text)
    }

    /// Where each line's name and value stand in `text`.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let range = |start: u32, length: u32| start as usize..(start + length) as usize;
        self.lines.iter().map(move |line| (range(line.name, line.name_length), range(line.value, line.value_length)))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of memory held, for the cache's account.
    pub fn memory(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// Gives back memory beyond what the lines need; for fields that are kept.
    pub fn shrink(&mut self) {
        let bytes = self.iter().map(|(name, value)| written_length(name, value)).sum();
        let mut exact = Self::with_room(self.lines.len(), bytes);
        for (name, value) in self.iter() {
            exact.push(name, value);
        }
        *self = exact;
    }

    /// Writes every line as HTTP/1.1 does: `name: value CRLF` (RFC 9112 §5).
    pub fn write_http1(&self, out: &mut Vec<u8>) {
        out.reserve(self.text.len());
        let mut run = 0..0;
        for line in &self.lines {
            let place = line.written(&self.text);
            match &place {
                Some(place) if place.start == run.end => run.end = place.end,
                _ => {
                    out.extend_from_slice(&self.text[run]);
                    run = place.unwrap_or_else(|| {
                        write_line(out, line.name(&self.text), line.value(&self.text));
                        0..0
                    });
                }
            }
        }
        out.extend_from_slice(&self.text[run]);
    }
}

impl Line {
    /// Nearly every line is passed over by its length, without a look at the arena.
    fn is_named(self, name: &[u8], text: &[u8]) -> bool {
        self.name_length as usize == name.len() && is_same(self.name(text), name)
    }

    /// Whether it may have one of the names with these marks.
    fn is_like(self, marks: NameMarks, text: &[u8]) -> bool {
        marks.meet(NameMarks::NONE.with(self.name(text)))
    }

    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.name as usize..(self.name + self.name_length) as usize]
    }

    fn value(self, text: &[u8]) -> &[u8] {
        &text[self.value as usize..(self.value + self.value_length) as usize]
    }

    /// Where it stands just as `write_line` writes it; a line that was read may have had other space round its value.
    fn written(self, text: &[u8]) -> Option<Range<usize>> {
        let (name, value) = (self.name as usize, self.value as usize);
        let end = value + self.value_length as usize;
        let is_plain = value.checked_sub(BETWEEN.len()) == Some(name + self.name_length as usize)
            && text.get(value - BETWEEN.len()..value) == Some(BETWEEN)
            && text.get(end..end + LINE_END.len()) == Some(LINE_END);
        is_plain.then(|| name..end + LINE_END.len())
    }
}

/// Where `part`, a piece of `whole`, begins in it.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    let offset = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    // An empty value may be a slice from anywhere.
    if part.is_empty() { offset.min(whole.len()) } else { offset }
}

/// The same lines in the same order, byte for byte; what else the arenas hold does not count.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value))))
            .finish()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in lines {
            fields.push(name, value);
        }
        fields
    }
}

/// Writes one field line as HTTP/1.1 does.
pub fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(written_length(name, value));
    out.extend_from_slice(name);
    out.extend_from_slice(BETWEEN);
    out.extend_from_slice(value);
    out.extend_from_slice(LINE_END);
}

fn written_length(name: &[u8], value: &[u8]) -> usize {
    name.len() + BETWEEN.len() + value.len() + LINE_END.len()
}

/// What stands between a name and its value, and behind that.
const BETWEEN: &[u8] = b": ";
const LINE_END: &[u8] = b"\r\n";

/// The members of a comma-separated list without the white space round them; empty ones are left out (RFC 9110 §5.6.1.2).
/// For lists of tokens: a comma inside a quoted string is not looked for.
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
