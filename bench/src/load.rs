//! Loads: who asks, how often, and what is told of it.

use std::{io, rc::Rc, time::Duration};

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use crate::{
    dial::Dial,
    frame,
    http1::{Answer, Http1},
    http2::Http2,
    origin,
    pace::Pace,
    question::Question,
    tally::{Tally, Watched},
    tunnel::Tunnel,
};

/// After a failure, so that a gateway that is down is not asked in a tight loop.
const BREATH: Duration = Duration::from_millis(1);

#[derive(Args, Clone)]
pub struct Target {
    /// The gateway's port on 127.0.0.1.
    #[arg(long)]
    to: u16,
    #[arg(long)]
    tls: bool,
    /// HTTP/2; without TLS by prior knowledge.
    #[arg(long)]
    pub http2: bool,
    /// Process whose processor time and memory are told, its descendants' among them.
    #[arg(long)]
    watch: Option<u32>,
    /// The backend's port; tells how many requests reached it.
    #[arg(long)]
    pub origin: Option<u16>,
}

#[derive(Args)]
pub struct Load {
    #[arg(long, default_value_t = 50)]
    pub connections: usize,
    /// Streams at a time on each HTTP/2 connection.
    #[arg(long, default_value_t = 10)]
    pub streams: usize,
    /// How long it is measured.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Before that.
    #[arg(long, default_value_t = 0.3)]
    pub warm: f64,
    /// Instead of a time, exactly so many requests, from the first one on.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Open loop, with so many requests a second.
    #[arg(long)]
    pub rate: Option<u32>,
    /// The status that answers should have.
    #[arg(long, default_value_t = 200)]
    pub expect: u16,
    /// A connection for each request.
    #[arg(long)]
    pub reconnect: bool,
}

impl Target {
    pub fn dial(&self) -> Dial {
        Dial::new(self.to, self.tls, if self.http2 { "h2" } else { "http/1.1" })
    }

    pub fn watched(&self) -> Option<Watched> {
        self.watch.map(Watched::new)
    }
}

/// What all askers of a load share.
pub struct Shared {
    pub dial: Dial,
    pub pace: Pace,
    pub tally: Tally,
}

impl Shared {
    pub fn new(target: &Target, load: &Load) -> Rc<Self> {
        let tally = Tally::new();
        tally.record(load.requests.is_some());
        Rc::new(Self { dial: target.dial(), pace: Pace::new(load.rate, load.requests), tally })
    }

    /// Makes questions due, if they come at a rate; until the end of the program.
    pub fn drive(self: &Rc<Self>) {
        let shared = self.clone();
        spawn_local(async move {
            if let Err(error) = shared.pace.drive().await {
                shared.tally.failed(error);
            }
        });
    }
}

pub async fn get(target: Target, load: Load, question: Question) -> io::Result<Value> {
    let shared = Shared::new(&target, &load);
    ask(&target, &load, &shared, Rc::new(question)).await?;
    measure(&target, &load, &shared).await
}

/// Starts the askers of HTTP requests.
pub async fn ask(target: &Target, load: &Load, shared: &Rc<Shared>, question: Rc<Question>) -> io::Result<()> {
    let (expect, reconnect) = (load.expect, load.reconnect);
    for _ in 0..load.connections {
        if target.http2 && !reconnect {
            let connection = Http2::connect(&shared.dial).await?;
            for _ in 0..load.streams {
                let (shared, question, mut connection) = (shared.clone(), question.clone(), connection.clone());
                spawn_local(async move {
                    repeat(&shared, async || {
                        let (request, body) = question.http2()?;
                        checked(connection.exchange(request, body).await?, expect)
                    })
                    .await;
                });
            }
        } else {
            let (shared, question) = (shared.clone(), question.clone());
            spawn_local(async move {
                let (mut kept, mut request) = (None, Vec::new());
                repeat(&shared, async || {
                    let mut connection = match kept.take() {
                        Some(connection) => connection,
                        None => Http1::connect(&shared.dial).await?,
                    };
                    question.write_http1(&mut request);
                    let answer = connection.exchange(&request).await?;
                    if !answer.last && !reconnect {
                        kept = Some(connection);
                    }
                    checked(answer, expect)
                })
                .await;
            });
        }
    }
    Ok(())
}

/// Messages there and back, one in flight on each tunnel.
pub async fn echo(target: Target, load: Load, path: String, size: usize) -> io::Result<Value> {
    let shared = Shared::new(&target, &load);
    talk(&target, &load, &shared, &path, size).await?;
    measure(&target, &load, &shared).await
}

/// Opens tunnels and starts what sends messages through them.
pub async fn talk(target: &Target, load: &Load, shared: &Rc<Shared>, path: &str, size: usize) -> io::Result<()> {
    let message = Bytes::from(frame::from_client(frame::BINARY, &vec![b'x'; size]));
    for _ in 0..load.connections {
        let tunnels = if target.http2 { load.streams } else { 1 };
        for mut tunnel in open_tunnels(target, &shared.dial, path, tunnels).await? {
            let (shared, message) = (shared.clone(), message.clone());
            spawn_local(async move {
                repeat(&shared, async || {
                    tunnel.echo(&message, size as u64).await?;
                    Ok(size as u64)
                })
                .await;
            });
        }
    }
    Ok(())
}

/// Opens a tunnel and closes it again, over and over.
pub async fn handshake(target: Target, load: Load, path: String) -> io::Result<Value> {
    let shared = Shared::new(&target, &load);
    for _ in 0..load.connections {
        let (shared, path) = (shared.clone(), path.clone());
        let mut connection = if target.http2 { Some(Http2::connect(&shared.dial).await?) } else { None };
        spawn_local(async move {
            repeat(&shared, async || {
                let tunnel = match &mut connection {
                    Some(connection) => Tunnel::open_http2(connection, &path).await?,
                    None => Tunnel::open(&shared.dial, &path).await?,
                };
                tunnel.close().await?;
                Ok(0)
            })
            .await;
        });
    }
    measure(&target, &load, &shared).await
}

/// Tunnels, all on one connection if it is HTTP/2.
pub async fn open_tunnels(target: &Target, dial: &Dial, path: &str, count: usize) -> io::Result<Vec<Tunnel>> {
    let mut tunnels = Vec::with_capacity(count);
    let mut connection = if target.http2 { Some(Http2::connect(dial).await?) } else { None };
    for _ in 0..count {
        tunnels.push(match &mut connection {
            Some(connection) => Tunnel::open_http2(connection, path).await?,
            None => Tunnel::open(dial, path).await?,
        });
    }
    Ok(tunnels)
}

/// Asks as the pace says, until the program ends.
async fn repeat(shared: &Shared, mut once: impl AsyncFnMut() -> io::Result<u64>) {
    let under_way = shared.tally.asker();
    loop {
        let since = shared.pace.next().await;
        under_way.set(Some(since));
        let came = once().await;
        under_way.set(None);
        match came {
            Ok(bytes) => shared.tally.done(since, bytes),
            Err(error) => {
                shared.tally.failed(error);
                sleep(BREATH).await;
            }
        }
    }
}

fn checked(answer: Answer, expect: u16) -> io::Result<u64> {
    if answer.status != expect {
        return Err(io::Error::other(format!("status {} instead of {expect}", answer.status)));
    }
    Ok(answer.body_bytes)
}

/// Waits until the load has done what it should; tells what that was and what it cost.
pub async fn measure(target: &Target, load: &Load, shared: &Rc<Shared>) -> io::Result<Value> {
    shared.drive();
    let watched = target.watched();
    let cpu_seconds = || watched.as_ref().map(Watched::cpu_seconds);
    if load.requests.is_none() {
        sleep(Duration::from_secs_f64(load.warm)).await;
    }
    let asked = origin::count(target.origin).await?;
    let (began, spent) = (Instant::now(), cpu_seconds());
    shared.tally.record(true);
    match load.requests {
        Some(requests) => {
            while shared.tally.count() + shared.tally.failures() < requests {
                sleep(BREATH).await;
            }
        }
        None => sleep(Duration::from_secs_f64(load.seconds)).await,
    }
    shared.tally.late(shared.pace.overdue());
    shared.tally.record(false);
    let mut told = shared.tally.to_json(began.elapsed());
    told["cpu_seconds"] = json!(cpu_seconds().zip(spent).map(|(now, before)| now - before));
    told["resident_bytes"] = json!(watched.as_ref().map(Watched::resident_bytes));
    told["reached_origin"] = json!(origin::count(target.origin).await?.zip(asked).map(|(now, before)| now - before));
    Ok(told)
}
