//! The file: a header, then records, each of which can be told and checked without the others.
//!
//! A record is a mark, the lengths of its two parts, a checksum of those, a checksum of the parts, and the parts: the answer,
//! and the body as it is. Where lengths are damaged the next mark is looked for, so damage costs the records that it lies
//! in. The mark is drawn by lot for each file: no body can hold what would be taken for a record.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
};

use bytes::Bytes;

use crate::cache::{Body, blocks};

/// What a whole file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the configuration by which the keys were made.
    pub(super) fingerprint: u32,
    /// When it was begun, in nanoseconds since the Unix epoch.
    pub(super) written: u64,
}

/// Writes records one behind the other.
pub(super) struct Writer<W> {
    out: W,
    mark: u64,
}

/// Reads them again.
pub(super) struct Records<R> {
    input: BufReader<R>,
    mark: [u8; 8],
    /// Where the next record begins, if nothing is damaged.
    next: u64,
    position: u64,
    size: u64,
    /// Records, or stretches of the file, that could not be read.
    pub(super) damaged: u64,
}

/// A record's first part; its body can be read next.
pub(super) struct Found {
    pub(super) answer: Vec<u8>,
    pub(super) body_length: u64,
    sum: u32,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(super) fn new(mut out: W, header: Header) -> io::Result<Self> {
        let mark = RandomState::new().hash_one(header.written);
        let mut fields = Vec::with_capacity(HEADER);
        fields.extend_from_slice(&MAGIC);
        fields.extend_from_slice(&VERSION.to_le_bytes());
        fields.extend_from_slice(&header.fingerprint.to_le_bytes());
        fields.extend_from_slice(&header.written.to_le_bytes());
        fields.extend_from_slice(&mark.to_le_bytes());
        fields.extend_from_slice(&crc32fast::hash(&fields).to_le_bytes());
        out.write_all(&fields)?;
        Ok(Self { out, mark })
    }

    /// Bytes of a record with such parts; `None`: it is larger than any that is read again.
    pub(super) fn length(answer: &[u8], body: &Body) -> Option<u64> {
        (answer.len() as u64 <= ANSWER_MAX).then(|| RECORD as u64 + answer.len() as u64 + body.length())
    }

    pub(super) fn write(&mut self, answer: &[u8], body: &Body) -> io::Result<()> {
        let mut sum = crc32fast::Hasher::new();
        sum.update(answer);
        body.chunks().iter().for_each(|chunk| sum.update(chunk));
        let mut head = Vec::with_capacity(RECORD);
        head.extend_from_slice(&self.mark.to_le_bytes());
        head.extend_from_slice(&(answer.len() as u64).to_le_bytes());
        head.extend_from_slice(&body.length().to_le_bytes());
        head.extend_from_slice(&sum.finalize().to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        self.out.write_all(&head)?;
        self.out.write_all(answer)?;
        body.chunks().iter().try_for_each(|chunk| self.out.write_all(chunk))
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<R: Read + Seek> Records<R> {
    /// Reads the header; `None`: this is no snapshot, or one of another version.
    pub(super) fn open(mut input: R) -> io::Result<Option<(Self, Header)>> {
        let size = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let mut input = BufReader::with_capacity(1 << 16, input);
        let mut head = [0; HEADER];
        if !is_read(&mut input, &mut head)? {
            return Ok(None);
        }
        if head[..8] != MAGIC || u32_at(&head, 8) != VERSION || u32_at(&head, 32) != crc32fast::hash(&head[..32]) {
            return Ok(None);
        }
        let header = Header { fingerprint: u32_at(&head, 12), written: u64_at(&head, 16) };
        let (mark, start) = (u64_at(&head, 24).to_le_bytes(), HEADER as u64);
        Ok(Some((Self { input, mark, next: start, position: start, size, damaged: 0 }, header)))
    }

    /// The next record whose lengths can be told.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            self.go_to(self.next)?;
            let mut head = [0; RECORD];
            if self.next == self.size {
                return Ok(None);
            }
            let (start, behind) = (self.next, self.next + RECORD as u64);
            if self.read(&mut head)? {
                let (answer, body_length) = (u64_at(&head, 8), u64_at(&head, 16));
                let end = behind.checked_add(answer).and_then(|end| end.checked_add(body_length));
                let is_sound = head[..8] == self.mark && u32_at(&head, 28) == crc32fast::hash(&head[..28]);
                if let Some(end) = end.filter(|&end| is_sound && answer <= ANSWER_MAX && end <= self.size) {
                    self.next = end;
                    let mut found = Found { answer: vec![0; answer as usize], body_length, sum: u32_at(&head, 24) };
                    self.read(&mut found.answer)?;
                    return Ok(Some(found));
                }
            }
            self.damaged += 1;
            self.next = self.mark_from(start + 1)?.unwrap_or(self.size);
        }
    }

    /// The body of the record found last, stretch by stretch of these lengths, if both of its parts are as they were written.
    pub(super) fn body(&mut self, found: &Found, runs: &[u64]) -> io::Result<Option<Vec<Bytes>>> {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&found.answer);
        let mut chunks = Vec::with_capacity(runs.iter().map(|&length| blocks::count(length) as usize).sum());
        for size in runs.iter().copied().flat_map(blocks::sizes) {
            let mut block = vec![0; size as usize];
            if !self.read(&mut block)? {
                return Ok(None);
            }
            sum.update(&block);
            chunks.push(Bytes::from(block));
        }
        Ok(Some(chunks).filter(|_| sum.finalize() == found.sum))
    }

    /// Where the next mark is.
    fn mark_from(&mut self, from: u64) -> io::Result<Option<u64>> {
        self.go_to(from)?;
        let mut window = Vec::new();
        let mut start = from;
        loop {
            let had = window.len();
            let read = (&mut self.input).take(1 << 16).read_to_end(&mut window)?;
            self.position += read as u64;
            if let Some(at) = memchr::memmem::find(&window, &self.mark) {
                return Ok(Some(start + at as u64));
            }
            if read == 0 {
                return Ok(None);
            }
            // The mark may lie across two windows.
            let kept = (had + read).min(self.mark.len() - 1);
            start += (window.len() - kept) as u64;
            window.drain(..window.len() - kept);
        }
    }

    fn go_to(&mut self, position: u64) -> io::Result<()> {
        if self.position != position {
            self.position = self.input.seek(SeekFrom::Start(position))?;
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<bool> {
        let is_whole = is_read(&mut self.input, into)?;
        // Where a read came to the end, the next look goes to a place of its own.
        self.position = if is_whole { self.position + into.len() as u64 } else { u64::MAX };
        Ok(is_whole)
    }
}

/// Fills the buffer; false if the file ends before.
fn is_read(input: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(into) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

const MAGIC: [u8; 8] = *b"tidegate";
/// Changes with every change of what is written.
const VERSION: u32 = 2;
/// Bytes of the header, and of what stands in front of a record's parts.
const HEADER: usize = 36;
const RECORD: usize = 32;
/// Bytes of an answer without its body; heads are bounded far below.
const ANSWER_MAX: u64 = 4 << 20;
