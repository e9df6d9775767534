//! Many connections: at rest, all asking at once, and ended while somebody else is served.

use std::{
    collections::BTreeMap,
    future::ready,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::mpsc,
    task::{JoinSet, spawn_local},
    time::sleep,
};

use crate::{
    dial::{Dial, Stream},
    http1::Http1,
    load::{self, Load, Shared, Target},
    origin,
    tally::Tally,
    tunnel::{Event, Tunnel},
};

/// Connections that come and go one by one after the many.
const LATER: u32 = 20;

/// Opened at a time.
const AT_ONCE: usize = 100;

/// A gateway has settled by then.
const SETTLE: Duration = Duration::from_millis(1500);

/// The longest that is waited for tunnels to be ended.
const END_MAX: Duration = Duration::from_secs(30);

/// How connections rest.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// As open WebSockets.
    Tunnel,
    /// Behind one request each.
    Request,
    /// Without having said a word (with TLS, behind the handshake).
    Silent,
}

/// Tunnels at rest; when and how each ended.
pub struct Ends {
    count: usize,
    ends: mpsc::UnboundedReceiver<(Instant, Event)>,
}

enum Resting {
    Tunnel(Tunnel),
    Stream(Stream),
}

/// Memory of the gateway before many connections, with them at rest, and after they have closed.
pub async fn hold(target: Target, count: usize, rest: Rest, path: String) -> io::Result<Value> {
    let watched = target.watched().ok_or_else(|| io::Error::other("--watch is needed"))?;
    // What the first connections make the gateway allocate is no cost of the others.
    drop(open(&target, AT_ONCE, rest, &path).await?);
    sleep(SETTLE).await;
    let before = watched.resident_bytes();
    let began = Instant::now();
    let resting = open(&target, count, rest, &path).await?;
    let opened_in = began.elapsed();
    sleep(SETTLE).await;
    let at_rest = watched.resident_bytes();
    let alive = close(resting).await;
    // Life goes on: allocators give memory back when they are called again.
    for _ in 0..LATER {
        drop(open(&target, 1, rest, &path).await?);
        sleep(SETTLE * 2 / LATER).await;
    }
    let after = watched.resident_bytes();
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / count as f64;
    Ok(json!({
        "connections": count,
        "alive": alive,
        "opened_in_seconds": opened_in.as_secs_f64(),
        "resident_before": before,
        "bytes_each": each(at_rest),
        "bytes_each_after_close": each(after),
    }))
}

async fn open(target: &Target, count: usize, rest: Rest, path: &str) -> io::Result<Vec<Resting>> {
    let dial = target.dial();
    let mut opened = Vec::with_capacity(count);
    while opened.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..AT_ONCE.min(count - opened.len()) {
            let (dial, path) = (dial.clone(), path.to_owned());
            opening.spawn_local(async move { open_one(&dial, rest, &path).await });
        }
        while let Some(resting) = opening.join_next().await {
            opened.push(resting??);
        }
    }
    Ok(opened)
}

async fn open_one(dial: &Dial, rest: Rest, path: &str) -> io::Result<Resting> {
    Ok(match rest {
        Rest::Tunnel => Resting::Tunnel(Tunnel::open(dial, path).await?),
        Rest::Silent => Resting::Stream(dial.connect().await?),
        Rest::Request => {
            let mut connection = Http1::connect(dial).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: bench.test\r\n\r\n");
            connection.exchange(request.as_bytes()).await?;
            Resting::Stream(connection.into_stream())
        }
    })
}

/// Closes all of them; how many were open until then.
async fn close(resting: Vec<Resting>) -> usize {
    let mut alive = 0;
    for connection in resting {
        match connection {
            Resting::Tunnel(mut tunnel) => alive += usize::from(is_waiting(tunnel.next()).await),
            Resting::Stream(mut stream) => alive += usize::from(is_waiting(stream.read_u8()).await),
        }
    }
    alive
}

/// Whether the peer has nothing to say, not even that it is gone. Waits for no timer, of which thousands would take seconds
/// in which a gateway's patience ends.
async fn is_waiting<T>(word: impl Future<Output = T>) -> bool {
    tokio::select! {
        biased;
        _ = word => false,
        () = ready(()) => true,
    }
}

/// Many ask for the same thing that nobody has asked for before, all at once; how often the backend was asked.
pub async fn stampede(target: Target, connections: usize, rounds: usize, path: String) -> io::Result<Value> {
    let dial = target.dial();
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Http1::connect(&dial).await?);
    }
    let tally = Rc::new(Tally::new());
    tally.record(true);
    let mut reached = Vec::new();
    let began = Instant::now();
    for _ in 0..rounds {
        let before = origin::count(target.origin).await?;
        let request = format!("GET {path}/{} HTTP/1.1\r\nHost: bench.test\r\n\r\n", fastrand::u64(..));
        let since = Instant::now();
        let mut asking = JoinSet::new();
        for mut connection in open.drain(..) {
            let (tally, request, dial) = (tally.clone(), request.clone(), dial.clone());
            asking.spawn_local(async move {
                match connection.exchange(request.as_bytes()).await {
                    Ok(answer) if answer.status == 200 => tally.done(since, answer.body_bytes),
                    Ok(answer) => tally.failed(format!("status {}", answer.status)),
                    Err(error) => {
                        tally.failed(error);
                        return Http1::connect(&dial).await;
                    }
                }
                Ok(connection)
            });
        }
        while let Some(connection) = asking.join_next().await {
            open.push(connection??);
        }
        reached.push(origin::count(target.origin).await?.zip(before).map(|(now, before)| now - before));
    }
    let mut told = tally.to_json(began.elapsed());
    told["reached_origin_each"] = json!(reached);
    Ok(told)
}

/// Opens tunnels that rest until they end; the ends are told.
pub async fn rest(target: &Target, count: usize, path: &str) -> io::Result<Ends> {
    let (ended, ends) = mpsc::unbounded_channel();
    for resting in open(target, count, Rest::Tunnel, path).await? {
        let ended = ended.clone();
        spawn_local(async move {
            if let Resting::Tunnel(mut tunnel) = resting {
                let end = tunnel.next().await;
                // Nobody listens once the program is about to end.
                let _told = ended.send((Instant::now(), end));
            }
        });
    }
    Ok(Ends { count, ends })
}

/// The latency of a healthy client whose load has begun: while many tunnels rest, and (after a line on standard input)
/// while whoever wrote that line ends them, or does something else.
pub async fn disturb(target: &Target, load: &Load, shared: &Rc<Shared>, mut resting: Ends) -> io::Result<Value> {
    let calm = load::measure(target, load, shared).await?;
    println!("{calm}");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let began = Instant::now();
    shared.tally.reset();
    shared.tally.record(true);
    sleep(Duration::from_secs_f64(load.seconds)).await;
    shared.tally.record(false);
    let mut told = shared.tally.to_json(began.elapsed());
    let mut counts: BTreeMap<Event, usize> = BTreeMap::new();
    let mut last = Duration::ZERO;
    let until = tokio::time::Instant::now() + if line.trim() == "ends" { END_MAX } else { Duration::ZERO };
    for _ in 0..resting.count {
        let Ok(Some((at, end))) = tokio::time::timeout_at(until, resting.ends.recv()).await else { break };
        *counts.entry(end).or_default() += 1;
        last = last.max(at.saturating_duration_since(began));
    }
    told["calm"] = calm;
    told["ends"] = counts.iter().map(|(end, count)| (format!("{end:?}"), json!(count))).collect();
    told["last_end_seconds"] = json!(last.as_secs_f64());
    Ok(told)
}
