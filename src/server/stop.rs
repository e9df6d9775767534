//! The end of a gateway, step by step, as soon as each step is done.

use std::{
    net::TcpListener,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch, time::timeout};

use super::{AdminTask, Handler, Phase, StopRequest, Stopped, signals, worker::Reins};
use crate::{
    access_log::AccessLog,
    listen::{Connections, SocketFile, tls},
};

/// Everything that has to be ended, in the hands of the control thread.
pub(super) struct Control<H> {
    pub(super) handler: Arc<H>,
    pub(super) connections: Connections,
    pub(super) access_log: AccessLog,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) requests: watch::Receiver<StopRequest>,
    pub(super) reins: Reins,
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) socket_files: Vec<SocketFile>,
    pub(super) certificates: Option<tls::Watcher>,
    pub(super) admin: Option<(TcpListener, AdminTask)>,
    pub(super) shutdown: Duration,
    /// Whether systemd is told.
    pub(super) is_service: bool,
}

impl<H: Handler> Control<H> {
    /// Runs until the gateway has stopped.
    pub(super) fn run(mut self, runtime: Runtime) -> Stopped {
        let stopped = runtime.block_on(async {
            self.open_admin();
            let stopped = self.stop().await;
            self.end_workers().await;
            stopped
        });
        if *self.requests.borrow() < StopRequest::Immediate {
            self.handler.hand_on();
        }
        // Only now are all lines queued.
        self.access_log.flush();
        self.certificates.take();
        runtime.shutdown_background();
        stopped
    }

    fn open_admin(&mut self) {
        let Some((listener, serve)) = self.admin.take() else { return };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(serve(listener))),
            Err(error) => tracing::error!("the admin listener could not be given to the event loop: {error}"),
        }
    }

    async fn stop(&mut self) -> Stopped {
        // An error: the handle is gone, and with it whoever could want more of this gateway.
        let _ = self.requests.wait_for(|request| *request >= StopRequest::Graceful).await;
        let started = Instant::now();
        self.phase.send_replace(Phase::Draining);
        signals::tell_service_manager(self.is_service, sd_notify::NotifyState::Stopping);
        tracing::info!(
            connections = self.connections.open(),
            "stopping: no new connections; those that are open have up to {:?}",
            self.shutdown
        );

        // A successor may take the paths from here on.
        self.socket_files.clear();
        self.reins.close();
        self.handler.drain();

        let mut requests = self.requests.clone();
        let all_closed = async {
            // First the accept loops: until they have ended, "none open" is not the last word.
            self.reins.closed().await;
            self.connections.all_closed().await;
        };
        tokio::select! {
            _ = timeout(self.shutdown, all_closed) => {}
            _ = requests.wait_for(|request| *request == StopRequest::Immediate) => {}
        }
        let cut = self.cut().await;
        self.phase.send_replace(Phase::Stopped);
        let took = started.elapsed();
        match cut {
            0 => tracing::info!("stopped after {took:.1?}: every connection had come to its end"),
            cut => tracing::warn!("stopped after {took:.1?}: {cut} connections were cut"),
        }
        Stopped { cut }
    }

    /// Ends the worker threads. One that hangs is left behind: it must not keep the process from its end.
    async fn end_workers(&mut self) {
        self.reins.end();
        if timeout(CUT_MAX, self.reins.ended()).await.is_err() {
            tracing::error!("a worker thread hangs; its connections may not have been closed in order");
        }
        for worker in self.workers.drain(..).filter(JoinHandle::is_finished) {
            if worker.join().is_err() {
                tracing::error!("a worker thread had ended by a panic");
            }
        }
    }

    /// Cuts what is open, and lets it write its last lines.
    async fn cut(&self) -> usize {
        let open = self.connections.open();
        if open > 0 {
            self.handler.cut();
            // A connection that does not notice is dropped with its worker.
            let _ = timeout(CUT_MAX, self.connections.all_closed()).await;
        }
        open
    }
}

/// For connections and workers that have been told to end to do so.
const CUT_MAX: Duration = Duration::from_secs(1);
