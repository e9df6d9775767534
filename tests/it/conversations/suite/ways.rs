//! The ways that a conversation takes to the judge, and what both ends hear on each.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::watch,
};

use super::{
    judge::{Heard, judge},
    table::{Conversation, Say},
};
use crate::support::{
    Authority, Connection, End as StreamEnd, Frame, Gateway, Http2, Http2Receiver, Http2Sender, Origin, Socket,
    free_address, within,
};

/// What one end of a conversation has heard behind the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub bytes: Vec<u8>,
    pub end: End,
}

/// How its stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN; with TLS, behind its own last word; END_STREAM.
    Finished,
    /// Anything else.
    Cut,
}

#[derive(Clone, Copy, Debug)]
pub enum Way {
    Direct,
    Plain,
    Tls,
    TlsBackend,
    Unix,
    Http2,
}

/// Ways through the gateway.
pub const THROUGH: [Way; 5] = [Way::Plain, Way::Tls, Way::TlsBackend, Way::Unix, Way::Http2];

/// Judges behind a gateway that observes its tunnels and sets every term, each to more than the suite asks for. A Ping of the
/// gateway's own would be a frame that the direct way has not, so the first would come after an hour.
pub struct House {
    heard: Heard,
    authority: Authority,
    plain: Origin,
    _unix: Origin,
    _tls: Origin,
    gateway: Gateway,
    tls: SocketAddr,
    http2: Http2,
}

const TERMS: &str = "idle_timeout = \"1h\", max_lifetime = \"10h\", max_message = \"64MiB\", \
    messages_per_second = 1000000, max_connections = 1000, max_connections_per_client = 1000, \
    handshakes_per_second = 100000, handshakes_per_second_per_client = 100000, \
    ping_interval = \"1h\", pong_timeout = \"20s\"";

impl House {
    pub async fn new() -> Self {
        let heard = Heard::default();
        let origin = || Origin::new().otherwise(judge(heard.clone()));
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let certificate = authority.issue(&["127.0.0.1", "app.test"]);
        let pair = certificate.write(directory.path(), "app");
        authority.write(&directory.path().join("authority.pem"));
        let (plain, unix) = (origin().start().await, origin().start_unix().await);
        let (backend_tls, tls, h2c) = (origin().start_tls(&certificate).await, free_address(), free_address());
        let text = format!(
            "upstream = \"{}\"\n\
             [[listener]]\naddress = \"{tls}\"\ntls = [{pair}]\n\
             [[listener]]\naddress = \"{h2c}\"\nh2c = true\n\
             [upstreams.unix]\nservers = [\"{}\"]\n\
             [upstreams.tls]\nservers = [\"{}\"]\ntls = {{ server_name = \"app.test\", ca = \"DIR/authority.pem\" }}\n\
             [[routes]]\nmatch = {{ path = \"/unix\" }}\nupstream = \"unix\"\nwebsocket = {{ {TERMS} }}\n\
             [[routes]]\nmatch = {{ path = \"/tls\" }}\nupstream = \"tls\"\nwebsocket = {{ {TERMS} }}\n\
             [[routes]]\nwebsocket = {{ {TERMS} }}\n",
            plain.address, unix.address, backend_tls.address
        );
        let gateway = Gateway::in_directory(directory, &text).await;
        let http2 = Http2::prior_knowledge(h2c).await;
        Self { heard, authority, plain, _unix: unix, _tls: backend_tls, gateway, tls, http2 }
    }

    /// Holds a conversation; gives what the client heard and what the judge did.
    pub async fn hold(&self, conversation: &Conversation, way: Way) -> (Record, Record) {
        let name = format!("{}-{way:?}", conversation.number);
        let client = within(format!("{name}: the client's end"), self.client(conversation, way, &name)).await;
        let mut heard = self.heard.subscribe();
        let judge = heard.wait_for(|heard| heard.contains_key(&name));
        let judge = within(format!("{name}: the judge's end"), judge).await.unwrap()[&name].clone();
        (client, judge)
    }

    async fn client(&self, conversation: &Conversation, way: Way, name: &str) -> Record {
        let extension = conversation.extension.map(|value| ("sec-websocket-extensions", value));
        let fields: Vec<_> = extension.into_iter().collect();
        let target = match way {
            Way::Unix => format!("/unix?{name}"),
            Way::TlsBackend => format!("/tls?{name}"),
            _ => format!("/?{name}"),
        };
        let mut connection = match way {
            Way::Direct => Connection::tcp(self.plain.address.parse().unwrap()).await,
            Way::Tls => Connection::tls(self.tls, "app.test", &self.authority).await,
            Way::Plain | Way::Unix | Way::TlsBackend => self.gateway.connect().await,
            Way::Http2 => {
                let socket = self.http2.clone().websocket(&target, &fields).await;
                return talk(conversation, Reader::Stream(socket.down), Writer::Stream(socket.up)).await;
            }
        };
        connection.upgrade(&target, &fields).await;
        let glued = std::mem::take(&mut connection.wire.buffer);
        let (reading, writing) = tokio::io::split(connection.wire.socket);
        talk(conversation, Reader::Socket(glued, reading), Writer::Socket(writing)).await
    }
}

/// What the client has heard so far.
#[derive(Default)]
struct Progress {
    frames: usize,
    /// The payload of a Close.
    close: Option<Vec<u8>>,
    ended: bool,
}

/// Says what the conversation has, answers a Close, and ends the connection after the judge.
async fn talk(conversation: &Conversation, reader: Reader, mut writer: Writer) -> Record {
    let (told, mut progress) = watch::channel(Progress::default());
    let writes = async {
        for say in &conversation.says {
            match say {
                Say::Bytes(bytes) => writer.send(bytes).await,
                Say::Chopped(bytes, size) => {
                    for piece in bytes.chunks(*size) {
                        writer.send(piece).await;
                    }
                }
                Say::Await(count) => _ = progress.wait_for(|it| it.frames >= *count || it.ended).await,
                Say::Finish => writer.finish().await,
            }
        }
        let close = progress.wait_for(|it| it.close.is_some() || it.ended).await.unwrap().close.clone();
        if let Some(payload) = close.filter(|_| !conversation.closes) {
            writer.send(&Frame { fin: true, opcode: 8, payload }.masked()).await;
        }
        progress.wait_for(|it| it.ended).await.unwrap();
        writer.finish().await;
    };
    let (record, ()) = tokio::join!(read(reader, &told), writes);
    record
}

async fn read(mut reader: Reader, told: &watch::Sender<Progress>) -> Record {
    let (mut bytes, mut pending) = (Vec::new(), Vec::new());
    loop {
        match reader.more().await {
            Ok(more) => {
                bytes.extend_from_slice(&more);
                pending.extend(more);
                while let Some(frame) = Frame::take(&mut pending) {
                    told.send_modify(|it| {
                        it.frames += 1;
                        if frame.opcode == 8 {
                            it.close = Some(frame.payload);
                        }
                    });
                }
            }
            Err(end) => {
                told.send_modify(|it| it.ended = true);
                return Record { bytes, end };
            }
        }
    }
}

enum Reader {
    /// With what came together with the 101.
    Socket(Vec<u8>, ReadHalf<Socket>),
    Stream(Http2Receiver),
}

enum Writer {
    Socket(WriteHalf<Socket>),
    Stream(Http2Sender),
}

impl Reader {
    async fn more(&mut self) -> Result<Vec<u8>, End> {
        match self {
            Self::Socket(glued, _) if !glued.is_empty() => Ok(std::mem::take(glued)),
            Self::Socket(_, socket) => {
                let mut bytes = Vec::with_capacity(64 * 1024);
                match socket.read_buf(&mut bytes).await {
                    Ok(0) => Err(End::Finished),
                    Ok(_) => Ok(bytes),
                    Err(_) => Err(End::Cut),
                }
            }
            Self::Stream(stream) => stream.bytes_or_end().await.map_err(|end| match end {
                StreamEnd::Finished => End::Finished,
                StreamEnd::Reset(_) | StreamEnd::Gone => End::Cut,
            }),
        }
    }
}

impl Writer {
    /// A judge that has gone takes nothing; that shows in what is heard.
    async fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Socket(socket) => {
                if socket.write_all(bytes).await.is_ok() {
                    let _ = socket.flush().await;
                }
            }
            Self::Stream(stream) => stream.send(bytes).await,
        }
    }

    async fn finish(&mut self) {
        match self {
            Self::Socket(socket) => _ = socket.shutdown().await,
            Self::Stream(stream) => stream.finish(),
        }
    }
}
