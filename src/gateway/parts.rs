//! Parts of a stored answer: 206, as one piece or as `multipart/byteranges`, and 416 (RFC 9110 §14, §15.3.7, §15.5.17).

use std::ops::Range;

use bytes::Bytes;
use http::Method;

use super::{
    Gateway, Visit,
    answer::Source,
    client::{BodyLength, Client, flush},
    failure::Fault,
};
use crate::{
    cache::{
        Answer, CacheStatus, FillFailed, Reader, Stored, Wanted,
        conditional::{self, Condition},
        policy::range,
    },
    clock::Now,
    wire::{ResponseHead, response::reason_for},
};

/// One piece of the body, with what stands before it.
pub(super) struct Part {
    before: Bytes,
    bytes: Range<u64>,
}

impl Gateway {
    /// Queues what this request is given of a stored answer: parts, all of it, or the 304 or 416 that say why not.
    pub(super) fn answer_range<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        age: u64,
        status: CacheStatus,
    ) {
        let wanted = match conditional::evaluate(visit.request, &stored.answer) {
            // RFC 9110 §14.2: Range is for GET alone.
            Condition::Proceed if visit.request.method == Method::GET => range::evaluate(visit.request, &stored.answer),
            _ => Wanted::Whole,
        };
        match wanted {
            Wanted::Whole => self.answer_stored(client, visit, stored, age, status),
            wanted => self.answer_part(client, visit, stored, age, status, &wanted),
        }
    }

    /// Queues the bytes that are wanted of a stored answer, or the 416 that says how many there are.
    pub(super) fn answer_part<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        age: u64,
        status: CacheStatus,
        wanted: &Wanted,
    ) {
        let (parts, end) = self.start_part(client, visit, &stored.answer, age, status, wanted);
        client.hold(&stored.body);
        for part in parts {
            client.push(part.before);
            stored.slice(&part.bytes).for_each(|piece| client.push(piece));
        }
        client.push(end);
        client.finish(None);
    }

    /// Sends the one range that is wanted of a body that is still arriving, at this client's pace.
    pub(super) async fn read_part<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        reader: Reader,
        status: CacheStatus,
    ) -> Result<(), Fault> {
        let answer = reader.answer().clone();
        let wanted = range::evaluate(visit.request, &answer);
        let Wanted::Parts(ranges) = &wanted else { return self.read(client, visit, reader, status).await };
        let ([range], Condition::Proceed) = (&ranges[..], conditional::evaluate(visit.request, &answer)) else {
            return self.read(client, visit, reader, status).await;
        };
        self.start_part(client, visit, &answer, answer.age(Now::read()), status, &wanted);
        let length = range.end - range.start;
        if self.send_cut(client, &mut Source::Fill(reader), range.start, length).await? < length {
            return Err(Fault::Fill(FillFailed::Incomplete));
        }
        client.finish(None);
        Ok(flush(client).await?)
    }

    /// Queues the head of a part of this answer, or of the 416: the stored one but for what speaks of the whole body. The
    /// bytes of the parts are for the caller to send.
    pub(super) fn start_part<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        answer: &Answer,
        age: u64,
        status: CacheStatus,
        wanted: &Wanted,
    ) -> (Vec<Part>, Bytes) {
        let length = answer.length.unwrap_or(0);
        let mut head = answer.head.clone();
        head.fields.remove("content-length");
        let (parts, end) = match wanted {
            Wanted::Parts(ranges) => {
                head.status = 206;
                cut(&mut head, ranges, length)
            }
            Wanted::Unsatisfiable(_) => {
                head.status = 416;
                head.fields.retain(|name, _| !describes_content(name));
                head.fields.push("Content-Range", format!("bytes */{length}"));
                (Vec::new(), Bytes::new())
            }
            Wanted::Whole => (vec![Part { before: Bytes::new(), bytes: 0..length }], Bytes::new()),
        };
        if head.status != 200 {
            head.reason = reason_for(head.status).as_bytes().into();
        }
        visit.facts.status = head.status;
        head.fields.push("Age", itoa::Buffer::new().format(age));
        self.add_status(visit, &mut head, status);
        let sum = parts.iter().map(|part| part.before.len() as u64 + part.bytes.end - part.bytes.start).sum::<u64>();
        client.start(&head, BodyLength::Exact(sum + end.len() as u64));
        (parts, end)
    }
}

/// The parts as they are sent, and what stands behind the last; the head is told of them.
fn cut(head: &mut ResponseHead, ranges: &[Range<u64>], length: u64) -> (Vec<Part>, Bytes) {
    if let [bytes] = ranges {
        head.fields.push("Content-Range", content_range(bytes, length));
        return (vec![Part { before: Bytes::new(), bytes: bytes.clone() }], Bytes::new());
    }
    // Not to be guessed, so that no content can look like the end of a part.
    let boundary = format!("{:032x}", fastrand::u128(..));
    let content_type = head.fields.get("content-type").map(<[u8]>::to_vec);
    head.fields.set("Content-Type", format!("multipart/byteranges; boundary={boundary}"));
    let part = |(at, bytes): (usize, &Range<u64>)| {
        let line_end = if at == 0 { "" } else { "\r\n" };
        let mut before = format!("{line_end}--{boundary}\r\n").into_bytes();
        if let Some(content_type) = &content_type {
            before.extend_from_slice(b"Content-Type: ");
            before.extend_from_slice(content_type);
            before.extend_from_slice(b"\r\n");
        }
        before.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(bytes, length)).as_bytes());
        Part { before: before.into(), bytes: bytes.clone() }
    };
    (ranges.iter().enumerate().map(part).collect(), format!("\r\n--{boundary}--\r\n").into())
}

fn content_range(bytes: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1)
}

/// Fields that have no place beside the missing content of a 416; nor has what lets it be taken for the stored answer.
fn describes_content(name: &[u8]) -> bool {
    let known: [&[u8]; 5] = [b"content-type", b"content-encoding", b"cache-control", b"expires", b"set-cookie"];
    known.iter().any(|known| name.eq_ignore_ascii_case(known))
}
