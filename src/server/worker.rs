//! A worker: one thread, one event loop, its own listening sockets, and every connection that they accept.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
};

use super::Handler;
use crate::listen::{Door, ListenSocket, accept};

/// A worker that is ready to start.
pub(super) struct Worker {
    runtime: Runtime,
    name: String,
    seats: Vec<(ListenSocket, Arc<Door>)>,
}

/// What tells the workers to stop accepting, and to end.
#[derive(Clone)]
pub(super) struct Orders {
    /// True: accept no more.
    pub(super) close: watch::Receiver<bool>,
    /// True: drop what is left and end the thread.
    pub(super) end: watch::Receiver<bool>,
    /// Held by every accept loop; when all are gone, nothing more comes in.
    pub(super) accepting: mpsc::Sender<()>,
}

impl Worker {
    pub(super) fn new(index: usize, seats: Vec<(ListenSocket, Arc<Door>)>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, name: format!("tidegate-{index}"), seats })
    }

    pub(super) fn start<H: Handler>(self, handler: Arc<H>, orders: Orders) -> io::Result<JoinHandle<()>> {
        let Self { runtime, name, seats } = self;
        thread::Builder::new().name(name).spawn(move || {
            let Orders { close, mut end, accepting } = orders;
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
                // An error: nobody is left to give orders.
                let _ = end.wait_for(|end| *end).await;
            });
            // Drops what is still open, without waiting for look-ups that block.
            runtime.shutdown_background();
        })
    }
}
