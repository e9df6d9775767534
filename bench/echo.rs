//! WebSocket echo, both ends: `echo serve PORT SIZE` answers, `echo load PORT SIZE CONNECTIONS SECONDS` asks.
//!
//! The standard library only: `rustc --edition=2021 -O echo.rs`. One thread for each connection and one message in flight on it; every
//! message has SIZE bytes. `load` prints how many messages came back, then how many connections broke.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The key of RFC 6455 §1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const STACK: usize = 64 * 1024;

static MESSAGES: AtomicU64 = AtomicU64::new(0);
static BROKEN: AtomicU64 = AtomicU64::new(0);

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| -> usize { words[index].parse().expect("a number") };
    match words[0].as_str() {
        "serve" => serve(number(1) as u16, number(2)),
        "load" => load(number(1) as u16, number(2), number(3), Duration::from_secs(number(4) as u64)),
        other => panic!("no such command: {other}"),
    }
}

fn serve(port: u16, size: usize) -> io::Result<()> {
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let stream = stream?;
        thread::Builder::new().stack_size(STACK).spawn(move || answer(stream, size))?;
    }
    Ok(())
}

fn answer(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    read_head(&mut stream)?;
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )?;
    let mut question = frame(size, true);
    let answer = frame(size, false);
    loop {
        stream.read_exact(&mut question)?;
        stream.write_all(&answer)?;
    }
}

fn load(port: u16, size: usize, connections: usize, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    let askers: Vec<_> = (0..connections)
        .map(|_| {
            thread::Builder::new().stack_size(STACK).spawn(move || {
                if ask(port, size, until).is_err() {
                    BROKEN.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect::<io::Result<_>>()?;
    for asker in askers {
        asker.join().expect("an asker does not panic");
    }
    println!("{} {}", MESSAGES.load(Ordering::Relaxed), BROKEN.load(Ordering::Relaxed));
    Ok(())
}

fn ask(port: u16, size: usize, until: Instant) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let head = format!(
        "GET /echo HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let head = read_head(&mut stream)?;
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let question = frame(size, true);
    let mut answer = frame(size, false);
    while Instant::now() < until {
        stream.write_all(&question)?;
        stream.read_exact(&mut answer)?;
        MESSAGES.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// A binary message of `size` zeros, masked with zeros where a client sends it (RFC 6455 §5.2).
fn frame(size: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    if size < 126 {
        frame.push(mask | size as u8);
    } else {
        frame.push(mask | 126);
        frame.extend_from_slice(&u16::try_from(size).expect("at most 64 KiB").to_be_bytes());
    }
    frame.resize(frame.len() + if masked { 4 } else { 0 } + size, 0);
    frame
}
