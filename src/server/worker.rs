//! A worker: one thread, one event loop, its own listening sockets, and every connection that they accept.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
};

use super::Handler;
use crate::listen::{Door, ListenSocket, accept};

/// A request is one nested future, and unoptimized builds need 2.5 MB to poll it. Only touched pages cost memory.
const STACK_BYTES: usize = 8 << 20;
/// No wait of a connection is shorter by default.
const NEAR: Duration = Duration::from_secs(1);

/// A worker that is ready to start.
pub(super) struct Worker {
    runtime: Runtime,
    name: String,
    seats: Vec<(ListenSocket, Arc<Door>)>,
}

/// What the workers are told, in the worker's hands.
#[derive(Clone)]
pub(super) struct Orders {
    close: watch::Receiver<bool>,
    end: watch::Receiver<bool>,
    /// Held by every accept loop.
    accepting: mpsc::Sender<()>,
    /// Held by every worker to its end.
    running: mpsc::Sender<()>,
}

/// What the workers are told, in the hands of who tells them.
pub(super) struct Reins {
    close: watch::Sender<bool>,
    end: watch::Sender<bool>,
    accepting: mpsc::Receiver<()>,
    running: mpsc::Receiver<()>,
}

/// Both ends.
pub(super) fn orders() -> (Reins, Orders) {
    let (close_sender, close) = watch::channel(false);
    let (end_sender, end) = watch::channel(false);
    let (accepting_sender, accepting) = mpsc::channel(1);
    let (running_sender, running) = mpsc::channel(1);
    let reins = Reins { close: close_sender, end: end_sender, accepting, running };
    (reins, Orders { close, end, accepting: accepting_sender, running: running_sender })
}

impl Reins {
    /// Tells the workers to accept no more.
    pub(super) fn close(&self) {
        self.close.send_replace(true);
    }

    /// Returns when no worker accepts any more: all connections that there will be have been counted.
    pub(super) async fn closed(&mut self) {
        while self.accepting.recv().await.is_some() {}
    }

    /// Tells the workers to drop what is left and to end.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    /// Returns when every worker has come to its end.
    pub(super) async fn ended(&mut self) {
        while self.running.recv().await.is_some() {}
    }
}

/// Keeps a timer that fires within a second. For each timer that is nearer than all others the event loop is told through
/// its own descriptor, which costs a write and a turn: with this one beside them no timer of connections and tunnels is.
async fn keep_near() {
    loop {
        tokio::time::sleep(NEAR).await;
    }
}

impl Worker {
    pub(super) fn new(index: usize, seats: Vec<(ListenSocket, Arc<Door>)>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, name: format!("tidegate-{index}"), seats })
    }

    pub(super) fn start<H: Handler>(self, handler: Arc<H>, orders: Orders) -> io::Result<JoinHandle<()>> {
        let Self { runtime, name, seats } = self;
        thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || {
            let Orders { close, mut end, accepting, running } = orders;
            runtime.block_on(async move {
                for (socket, door) in seats {
                    let handler = handler.clone();
                    let serve = move |stream, client| handler.clone().serve(stream, client);
                    let (close, accepting) = (close.clone(), accepting.clone());
                    tokio::spawn(async move {
                        accept(socket, door, close, serve).await;
                        drop(accepting);
                    });
                }
                drop(accepting);
                tokio::spawn(keep_near());
                // An error: nobody is left to give orders.
                let _ = end.wait_for(|end| *end).await;
            });
            // Drops what is still open, without waiting for look-ups that block.
            runtime.shutdown_background();
            drop(running);
        })
    }
}
