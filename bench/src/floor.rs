//! The floor: the least that a gateway can do for the same job, to show how much is left to be had. One thread, one epoll, no
//! look at what passes, no bound on anything.
//!
//! A client that begins with `GET /cached/` gets kept answers, one for each head that it sends: the least that a hit can cost.
//! Any other gets a connection of its own to the backend, and bytes pass both ways as they come: the least that passing on can
//! cost. The end of either side is the end of both.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream},
    os::fd::{AsFd, OwnedFd},
};

use bytes::Bytes;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventData, EventFlags},
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, connect, listen, recv, send,
        socket_with, sockopt,
    },
};

const BACKLOG: i32 = 4096;
const BUFFER: usize = 64 * 1024;
const EVENTS: usize = 1024;
const KEPT: &[u8] = b"GET /cached/";
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: OwnedFd,
    listener: OwnedFd,
    backend: SocketAddrV4,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Whole answers of the backend, by path.
    answers: HashMap<Vec<u8>, Bytes>,
    buffer: Box<[u8]>,
}

struct Connection {
    client: End,
    /// None until the first bytes have told that one is needed.
    backend: Option<End>,
}

struct End {
    socket: OwnedFd,
    /// What the epoll calls it: twice its connection's place, and one more at the backend's side.
    token: u64,
    /// What the socket did not take; until it has, the other side is not read.
    unsent: Bytes,
    /// The other side has said that it sends no more.
    ended: bool,
}

/// Serves until it is killed.
pub fn serve(port: u16, backend: u16) -> io::Result<()> {
    let local = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    // Linux hands it on to what is accepted.
    sockopt::set_tcp_nodelay(&listener, true)?;
    bind(&listener, &local(port))?;
    listen(&listener, BACKLOG)?;
    let epoll = epoll::create(epoll::CreateFlags::empty())?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN | EventFlags::ET)?;
    let mut floor = Floor {
        epoll,
        listener,
        backend: local(backend),
        connections: Vec::new(),
        free: Vec::new(),
        answers: HashMap::new(),
        buffer: vec![0; BUFFER].into(),
    };
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        retry_on_intr(|| epoll::wait(&floor.epoll, spare_capacity(&mut events), None))?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => floor.accept()?,
                token => floor.advance(token, event.flags),
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match accept_with(&self.listener, SocketFlags::empty()) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let place = self.free.pop().unwrap_or(self.connections.len());
            let client = End::new(socket, 2 * place as u64, &self.epoll)?;
            let connection = Some(Connection { client, backend: None });
            match self.connections.get_mut(place) {
                Some(free) => *free = connection,
                None => self.connections.push(connection),
            }
        }
    }

    /// Does what an event of a connection makes possible.
    fn advance(&mut self, token: u64, flags: EventFlags) {
        let place = token as usize / 2;
        // An event may be older than the end of its connection; one that comes to a newer connection finds nothing to do.
        let Some(mut connection) = self.connections[place].take() else { return };
        match self.serve(&mut connection, token % 2 == 1, flags) {
            Ok(()) => self.connections[place] = Some(connection),
            Err(_) => self.free.push(place),
        }
    }

    /// An error is the end of the connection.
    fn serve(&mut self, connection: &mut Connection, is_backend: bool, flags: EventFlags) -> io::Result<()> {
        let Connection { client, backend } = connection;
        let Some(backend) = backend else {
            client.ended |= flags.intersects(ENDED);
            return self.begin(connection);
        };
        let (here, there) = if is_backend { (backend, client) } else { (client, backend) };
        here.ended |= flags.intersects(ENDED);
        if !here.unsent.is_empty() {
            pass(there, here, &self.epoll, &mut self.buffer)?;
        }
        pass(here, there, &self.epoll, &mut self.buffer)
    }

    /// Answers a client, or dials for it.
    fn begin(&mut self, connection: &mut Connection) -> io::Result<()> {
        let Connection { client, backend } = connection;
        while client.flush(&self.epoll)? {
            let Some(count) = client.receive(&mut self.buffer)? else { break };
            if !self.buffer[..count].starts_with(KEPT) {
                let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::empty(), None)?;
                connect(&socket, &self.backend)?;
                sockopt::set_tcp_nodelay(&socket, true)?;
                let dialled = backend.insert(End::new(socket, client.token + 1, &self.epoll)?);
                return dialled.send(&self.buffer[..count], &self.epoll);
            }
            client.unsent = self.kept(count)?;
            client.flush(&self.epoll)?;
            if is_drained(count, &self.buffer, client) {
                break;
            }
        }
        Ok(())
    }

    /// The answer to the head in the buffer. The backend is asked once for each path.
    fn kept(&mut self, count: usize) -> io::Result<Bytes> {
        let head = &self.buffer[..count];
        if !head.ends_with(b"\r\n\r\n") {
            return Err(ErrorKind::InvalidData.into());
        }
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if let Some(answer) = self.answers.get(path) {
            return Ok(answer.clone());
        }
        let mut stream = TcpStream::connect(self.backend)?;
        stream.write_all(head)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(self.answers.entry(path.to_owned()).or_insert(answer.into()).clone())
    }
}

/// Passes on what has come, until `to` takes no more.
fn pass(from: &mut End, to: &mut End, epoll: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
    while to.flush(epoll)? {
        let Some(count) = from.receive(buffer)? else { break };
        to.send(&buffer[..count], epoll)?;
        if is_drained(count, buffer, from) {
            break;
        }
    }
    Ok(())
}

/// Whether a read has shown that there is no more for now: the epoll tells of what comes after one that did not fill its
/// buffer (epoll(7), question 9), but not again of an end.
fn is_drained(count: usize, buffer: &[u8], from: &End) -> bool {
    count < buffer.len() && !from.ended
}

impl End {
    fn new(socket: OwnedFd, token: u64, epoll: &OwnedFd) -> io::Result<Self> {
        epoll::add(epoll, &socket, EventData::new_u64(token), EVENT)?;
        Ok(Self { socket, token, unsent: Bytes::new(), ended: false })
    }

    /// None if nothing is there; the end is an error.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.socket.as_fd(), buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(ErrorKind::UnexpectedEof.into()),
            Ok((count, _)) => Ok(Some(count)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends, and keeps what is not taken.
    fn send(&mut self, bytes: &[u8], epoll: &OwnedFd) -> io::Result<()> {
        let sent = self.give(bytes, epoll)?;
        self.unsent = Bytes::copy_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Whether nothing is left to be sent.
    fn flush(&mut self, epoll: &OwnedFd) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let sent = self.give(&self.unsent, epoll)?;
            self.unsent = self.unsent.slice(sent..);
        }
        Ok(self.unsent.is_empty())
    }

    /// How much of it was taken. If not all, the epoll tells when more will be.
    fn give(&self, bytes: &[u8], epoll: &OwnedFd) -> io::Result<usize> {
        let sent = match send(&self.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        if sent < bytes.len() {
            epoll::modify(epoll, &self.socket, EventData::new_u64(self.token), EVENT | EventFlags::OUT)?;
        }
        Ok(sent)
    }
}

const EVENT: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);
