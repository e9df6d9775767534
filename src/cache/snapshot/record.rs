//! One stored answer as bytes: everything that was decided about it, so that nothing is decided anew by other rules.
//!
//! Numbers are little-endian, byte strings have their length in front, what may be missing has a byte that says whether it is
//! there. What is read is checked as if anybody had written it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    cache::{
        Answer, Parts, Stored,
        given::Given,
        parts::Runs,
        policy::{
            LifetimeSource,
            answer::Edits,
            tags::Words,
            vary::{Vary, VaryPart},
        },
    },
    clock::Now,
    wire::{Fields, ResponseHead},
};

/// What a record says, without the body.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) given: Given,
    /// Which bytes its body holds, if not all of them.
    pub(super) parts: Option<Parts>,
    /// As old as it was when it was written down, and received now.
    pub(super) answer: Answer,
}

/// Writes everything but the body.
pub(super) fn encode(key: &[u8], stored: &Stored, now: Now) -> Vec<u8> {
    let answer = &stored.answer;
    let mut out = Out(Vec::with_capacity(answer.http1.len() * 2 + 512));
    out.bytes(key);
    let Given { hits, bytes } = stored.given_so_far();
    out.number(hits);
    out.number(bytes);
    out.number(answer.length.unwrap_or(stored.body.length()));
    out.maybe(stored.parts.as_deref(), |out, parts| {
        out.flag(parts.sure);
        out.number(parts.runs.len() as u64);
        for run in parts.runs.iter() {
            out.number(run.start);
            out.number(run.end);
        }
    });
    out.duration(answer.initial_age.saturating_add(now.instant.saturating_duration_since(answer.received)));
    out.duration(answer.took);
    out.maybe(answer.ended(), Out::number);
    out.number(u64::from(answer.head.status));
    out.bytes(&answer.head.reason);
    out.fields(&answer.head.fields);
    out.maybe(answer.edits.as_deref(), |out, edits| {
        out.fields(&edits.taken);
        out.fields(&edits.added);
    });
    out.maybe(answer.etag.as_deref(), Out::bytes);
    out.maybe(answer.last_modified.as_deref(), Out::bytes);
    out.maybe(answer.modified_seconds, |out, seconds| out.number(seconds.cast_unsigned()));
    out.number(answer.lifetime);
    out.number(answer.lifetime_source as u64);
    out.maybe(answer.targeted, |out, index| out.number(index as u64));
    for flag in [answer.no_cache, answer.must_revalidate, answer.shared_with_authorization] {
        out.flag(flag);
    }
    out.maybe(answer.stale_if_error, Out::number);
    out.maybe(answer.stale_while_revalidate, Out::number);
    out.words(&answer.tags);
    out.words(&answer.groups);
    out.number(answer.vary.parts().count() as u64);
    for VaryPart { name, value, language } in answer.vary.parts() {
        out.bytes(name.as_bytes());
        out.maybe(value, |out, (exact, canonical)| {
            out.maybe(exact, Out::bytes);
            out.bytes(canonical);
        });
        out.maybe(language, Out::bytes);
    }
    out.0
}

/// Reads what [`encode`] has written; `held` are the bytes of its body. `None`: it is not such a thing.
pub(super) fn decode(bytes: &[u8], held: u64, now: Now) -> Option<Record> {
    let mut input = In(bytes);
    let key = input.bytes()?.to_vec();
    let given = Given { hits: input.number()?, bytes: input.number()? };
    let length = input.number()?;
    let parts = input.maybe(|input| input.parts(held, length))?;
    if parts.is_none() && held != length {
        return None;
    }
    let (age, took) = (input.duration()?, input.duration()?);
    let ended = input.maybe(In::number)?;
    let mut answer = input.answer(length, now)?;
    if !input.0.is_empty() {
        return None;
    }
    (answer.initial_age, answer.took) = (age, took);
    if let Some(age) = ended {
        answer.end_freshness(age);
    }
    answer.write_heads();
    Some(Record { key, given, parts, answer })
}

struct Out(Vec<u8>);

impl Out {
    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn duration(&mut self, duration: Duration) {
        self.number(duration.as_secs());
        self.number(u64::from(duration.subsec_nanos()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn fields(&mut self, fields: &Fields) {
        self.number(fields.len() as u64);
        for (name, value) in fields.iter() {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn words(&mut self, words: &Words) {
        self.number(words.len() as u64);
        words.iter().for_each(|word| self.bytes(word));
    }
}

struct In<'b>(&'b [u8]);

impl<'b> In<'b> {
    fn take(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn duration(&mut self) -> Option<Duration> {
        let (seconds, nanos) = (self.number()?, u32::try_from(self.number()?).ok()?);
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    /// So many of them; each takes some bytes, so a wrong number ends soon.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| read(self)).collect()
    }

    fn fields(&mut self) -> Option<Fields> {
        let lines = self.list(|input| Some((input.bytes()?, input.bytes()?)))?;
        // RFC 9110 §5.1, §5.5: whatever stands in the file, a head has no more lines than it should.
        let is_name =
            |name: &[u8]| !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':');
        let is_value = |value: &[u8]| !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        lines.iter().all(|(name, value)| is_name(name) && is_value(value)).then(|| lines.into_iter().collect())
    }

    /// In ascending order, as purges look for them.
    fn words(&mut self) -> Option<Words> {
        let words = self.list(|input| input.bytes().map(Into::into))?;
        words.is_sorted().then(|| words.into())
    }

    /// Runs in order and apart from each other that hold so many bytes of a whole of this length (see [`Parts`]).
    fn parts(&mut self, held: u64, length: u64) -> Option<Parts> {
        let sure = self.flag()?;
        let runs = self.list(|input| Some(input.number()?..input.number()?))?;
        let are_apart = runs.windows(2).all(|pair| pair[0].end < pair[1].start);
        let are_within = runs.iter().all(|run| run.start < run.end && run.end <= length);
        let runs = Runs::of(if are_apart && are_within { runs } else { return None });
        let is_whole = sure && held == length;
        (runs.bytes() == held && held > 0 && !is_whole).then_some(Parts { runs, sure })
    }

    fn vary(&mut self) -> Option<Vary> {
        let parts = self.list(|input| {
            let name = std::str::from_utf8(input.bytes()?).ok()?;
            let value = input.maybe(|input| Some((input.maybe(Self::bytes)?, input.bytes()?)))?;
            Some(VaryPart { name, value, language: input.maybe(Self::bytes)? })
        })?;
        Some(Vary::of_parts(parts.into_iter()))
    }

    fn answer(&mut self, length: u64, now: Now) -> Option<Answer> {
        let status = u16::try_from(self.number()?).ok().filter(|status| (200..1000).contains(status))?;
        let reason = self.bytes()?.to_vec();
        if reason.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return None;
        }
        let mut fields = self.fields()?;
        fields.shrink();
        let edits = self.maybe(|input| Some(Box::new(Edits { taken: input.fields()?, added: input.fields()? })))?;
        Some(Answer {
            head: ResponseHead { status, reason: reason.into(), fields, ..ResponseHead::default() },
            http1: Bytes::new(),
            not_modified_http1: Bytes::new(),
            length: Some(length),
            etag: self.maybe(|input| input.bytes().map(Bytes::copy_from_slice))?,
            last_modified: self.maybe(|input| input.bytes().map(Bytes::copy_from_slice))?,
            modified_seconds: self.maybe(In::number)?.map(u64::cast_signed),
            lifetime: self.number()?,
            lifetime_source: LifetimeSource::ALL.get(usize::try_from(self.number()?).ok()?).copied()?,
            targeted: self.maybe(In::number)?.and_then(|index| usize::try_from(index).ok()),
            initial_age: Duration::ZERO,
            received: now.instant,
            no_cache: self.flag()?,
            must_revalidate: self.flag()?,
            shared_with_authorization: self.flag()?,
            stale_if_error: self.maybe(In::number)?,
            stale_while_revalidate: self.maybe(In::number)?,
            tags: self.words()?,
            groups: self.words()?,
            vary: self.vary()?,
            took: Duration::ZERO,
            ended: Default::default(),
            edits,
        })
    }
}
