//! The backend of the suite: it echoes whole messages, answers Pings, and fails a connection as soon as a frame asks for it.

use tokio::sync::watch;

use super::{
    deflate::Codec,
    ways::{End, Record},
};
use crate::support::{Frame, Next, Responder, Talk, script};

/// An echo that is strict about everything, and records what it hears of each conversation.
pub fn judge(heard: Heard) -> Responder {
    script(move |talk| converse(talk, heard.clone()))
}

/// What backends have heard in conversations that are over, by their targets' queries.
pub type Heard = watch::Sender<std::collections::HashMap<String, Record>>;

async fn converse(mut talk: Talk, heard: Heard) -> Next {
    let extension = talk.request.field("sec-websocket-extensions").map(str::to_owned);
    let agreed = extension.iter().map(|extension| ("Sec-WebSocket-Extensions", &**extension)).collect::<Vec<_>>();
    let switching = talk.switching(&agreed);
    talk.send(switching).await;
    let mut judge = Judge { codec: extension.map(|extension| Codec::new(&extension)), message: None };
    let mut bytes = talk.wire.buffer.clone();
    let end = loop {
        match judge.step(&mut talk.wire.buffer) {
            Step::Reads => {
                let before = talk.wire.buffer.len();
                match talk.wire.fill().await {
                    Ok(0) => break End::Finished,
                    Ok(_) => bytes.extend_from_slice(&talk.wire.buffer[before..]),
                    Err(_) => break End::Cut,
                }
            }
            Step::Says(frame) => _ = talk.send(frame.plain()).await,
            Step::Ends(close) => {
                // What comes behind the verdict is no part of it.
                bytes.truncate(bytes.len() - talk.wire.buffer.len());
                talk.send(close.plain()).await;
                break leave(&mut talk).await;
            }
        }
    };
    let (_, name) = talk.request.target.split_once('?').expect("a target with a query");
    heard.send_modify(|heard| _ = heard.insert(name.to_owned(), Record { bytes, end }));
    talk.close().await
}

/// FIN, and then what the client still says, so that nothing is cut by a reset.
async fn leave(talk: &mut Talk) -> End {
    // It may have gone already.
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut talk.wire.socket).await;
    loop {
        talk.wire.buffer.clear();
        match talk.wire.fill().await {
            Ok(0) => return End::Finished,
            Ok(_) => {}
            Err(_) => return End::Cut,
        }
    }
}

struct Judge {
    codec: Option<Codec>,
    message: Option<Message>,
}

struct Message {
    opcode: u8,
    deflated: bool,
    payload: Vec<u8>,
}

enum Step {
    /// More bytes are needed.
    Reads,
    Says(Frame),
    /// Answers a Close, or fails the connection.
    Ends(Frame),
}

impl Judge {
    /// Takes frames until there is something to say.
    fn step(&mut self, buffer: &mut Vec<u8>) -> Step {
        while let &[first, second, ..] = &buffer[..] {
            if !self.is_sound(first, second) {
                return Step::Ends(Frame::close(PROTOCOL_ERROR));
            }
            let Some(frame) = Frame::take(buffer) else { break };
            match frame.opcode {
                8 => return Step::Ends(answer_close(&frame.payload)),
                9 => return Step::Says(Frame { opcode: 10, ..frame }),
                10 => {}
                _ => {
                    if let Some(step) = self.take_piece(frame, first & 0x40 != 0) {
                        return step;
                    }
                }
            }
        }
        Step::Reads
    }

    /// RFC 6455 §5.1: a client masks. §5.2: reserved bits and opcodes. §5.4: pieces. §5.5: control frames are short and whole.
    fn is_sound(&self, first: u8, second: u8) -> bool {
        let (fin, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        // RFC 7692 §6: the first frame of a message says whether it is deflated.
        let may_be_deflated = self.codec.is_some() && matches!(opcode, 1 | 2);
        let reserved_is_sound = reserved == 0 || reserved == 0x40 && may_be_deflated;
        let opcode_is_sound = match opcode {
            0 => self.message.is_some(),
            1 | 2 => self.message.is_none(),
            8..=10 => fin && second & 0x7f <= 125,
            _ => false,
        };
        second & 0x80 != 0 && reserved_is_sound && opcode_is_sound
    }

    fn take_piece(&mut self, frame: Frame, deflated: bool) -> Option<Step> {
        let started = self.message.take();
        let mut message = started.unwrap_or(Message { opcode: frame.opcode, deflated, payload: Vec::new() });
        message.payload.extend_from_slice(&frame.payload);
        if frame.fin {
            return Some(self.echo(message));
        }
        // RFC 6455 §8.1, as early as it can be known.
        let text = (message.opcode == 1 && !message.deflated).then(|| std::str::from_utf8(&message.payload));
        if let Some(Err(error)) = text
            && error.error_len().is_some()
        {
            return Some(Step::Ends(Frame::close(NOT_UTF8)));
        }
        self.message = Some(message);
        None
    }

    fn echo(&mut self, message: Message) -> Step {
        let Message { opcode, deflated, payload } = message;
        let codec = self.codec.as_mut().filter(|_| deflated);
        let payload = match codec {
            Some(codec) => codec.inflate(&payload),
            None => payload,
        };
        if opcode == 1 && std::str::from_utf8(&payload).is_err() {
            return Step::Ends(Frame::close(NOT_UTF8));
        }
        match self.codec.as_mut().filter(|_| deflated) {
            Some(codec) => Step::Says(Frame { fin: true, opcode: opcode | 0x40, payload: codec.deflate(&payload) }),
            None => Step::Says(Frame { fin: true, opcode, payload }),
        }
    }
}

/// RFC 6455 §5.5.1 and §7.4: the code that came, or what is wrong with it.
fn answer_close(payload: &[u8]) -> Frame {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let payload = if payload.is_empty() { Vec::new() } else { PROTOCOL_ERROR.to_be_bytes().into() };
        return Frame { fin: true, opcode: 8, payload };
    };
    let code = u16::from_be_bytes(*code);
    match code {
        _ if std::str::from_utf8(reason).is_err() => Frame::close(NOT_UTF8),
        1000..=1003 | 1007..=1011 | 3000..=4999 => Frame::close(code),
        _ => Frame::close(PROTOCOL_ERROR),
    }
}

pub const PROTOCOL_ERROR: u16 = 1002;
pub const NOT_UTF8: u16 = 1007;
