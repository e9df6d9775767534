//! A gateway as a whole: started, run, stopped.
//!
//! Worker threads accept and serve, each for itself; one control thread has the signals, the admin listener and the end.
//! What answers clients is a `Handler`, so that starting and stopping can be tried with something small. Several servers
//! can run in one process; only `run` touches what belongs to the process: signals, the open-file limit, the service manager.

use std::{net::SocketAddr, pin::Pin, sync::Arc, thread::JoinHandle};

use tokio::sync::watch;

pub use assemble::assemble;
pub use lifecycle::{Lifecycle, Phase};
pub use problem::{StartFault, StartProblem};

use crate::{
    access_log::AccessLog,
    config::{Config, ListenAddress},
    listen::Connections,
    metrics::Registry,
    net::{ClientInfo, Stream},
};

mod assemble;
mod lifecycle;
mod problem;
mod signals;
mod start;
mod stop;
mod worker;

/// What answers clients: the gateway, or a test's stand-in.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end, tunnels and all. Runs on the worker that accepted it.
    fn serve(self: Arc<Self>, stream: Stream, client: ClientInfo) -> impl Future<Output = ()> + Send;

    /// From now on: idle connections close, busy ones close after their answer, new ones are served once. Never waits.
    fn drain(&self);

    /// From now on: everything ends at once. Never waits.
    fn cut(&self);

    /// Nothing is served any more, and there is time to write what a successor may take over. Not called where everything
    /// was to end at once.
    fn hand_on(&self) {}
}

/// What a handler and an admin are made from.
pub struct Parts {
    /// What the gateway runs on.
    pub config: Arc<Config>,
    /// Where everything that counts registers its numbers.
    pub registry: Registry,
    /// Started already.
    pub access_log: AccessLog,
    /// For readiness.
    pub lifecycle: Lifecycle,
    /// How many are open.
    pub connections: Connections,
}

/// What the server runs.
pub struct Assembly<H> {
    /// Answers clients.
    pub handler: Arc<H>,
    /// Answers operators; only called if the configuration has an admin listener. Dropped at the end of the gateway.
    pub admin: AdminTask,
}

/// Serves the admin listener; its future runs on the control thread.
pub type AdminTask = Box<dyn FnOnce(tokio::net::TcpListener) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The way to a running gateway.
pub struct Server;

/// A gateway that runs. Dropping it stops it at once and waits for that.
pub struct Running {
    addresses: Vec<ListenAddress>,
    admin: Option<SocketAddr>,
    lifecycle: Lifecycle,
    connections: Connections,
    requests: watch::Sender<StopRequest>,
    control: Option<JoinHandle<Stopped>>,
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not come to their end and were cut.
    pub cut: usize,
}

/// Runs a gateway until a signal ends it: SIGTERM, SIGINT and SIGQUIT let what is open come to its end, the second one
/// cuts it. SIGUSR1 opens the access log anew.
///
/// # Errors
/// Everything that stands in the way of the start.
pub fn run<H, A>(config: Config, assemble: A) -> Result<Stopped, StartProblem>
where
    H: Handler,
    A: FnOnce(Parts) -> Result<Assembly<H>, String>,
{
    signals::raise_open_files(config.limits.connections);
    let running = start::start(config, assemble, true)?;
    signals::tell_service_manager(true, sd_notify::NotifyState::Ready);
    Ok(running.wait())
}

impl Server {
    /// Starts a gateway inside of this process, which stays in charge of its signals. Returns once it accepts connections.
    ///
    /// # Errors
    /// Everything that stands in the way of the start.
    pub fn start<H, A>(config: Config, assemble: A) -> Result<Running, StartProblem>
    where
        H: Handler,
        A: FnOnce(Parts) -> Result<Assembly<H>, String>,
    {
        start::start(config, assemble, false)
    }
}

impl Running {
    /// Where the listeners are bound, in the order of the configuration, with the real ports where 0 was asked for.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The TCP address of a listener, by its index; `None` for a Unix socket.
    pub fn tcp_address(&self, listener: usize) -> Option<SocketAddr> {
        match self.addresses.get(listener) {
            Some(ListenAddress::Tcp(address)) => Some(*address),
            _ => None,
        }
    }

    /// Where the admin listener is bound, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where the gateway is between start and end.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Client connections open now.
    pub fn connections_open(&self) -> usize {
        self.connections.open()
    }

    /// Begins to stop gracefully, and returns at once.
    pub fn begin_stop(&self) {
        self.request(StopRequest::Graceful);
    }

    /// Begins to stop by cutting what is open, and returns at once.
    pub fn begin_cut(&self) {
        self.request(StopRequest::Immediate);
    }

    /// Stops gracefully and waits for the end, at most `timeouts.shutdown` and a moment. Blocks the thread.
    pub fn stop(self) -> Stopped {
        self.begin_stop();
        self.wait()
    }

    /// Waits for an end that somebody else brings about. Blocks the thread.
    pub fn wait(mut self) -> Stopped {
        self.join()
    }

    fn request(&self, request: StopRequest) {
        self.requests.send_modify(|current| *current = request.max(*current));
    }

    fn join(&mut self) -> Stopped {
        match self.control.take().map(JoinHandle::join) {
            Some(Ok(stopped)) => stopped,
            Some(Err(_)) => {
                tracing::error!("the control thread had ended by a panic");
                Stopped { cut: self.connections.open() }
            }
            None => Stopped { cut: 0 },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begin_cut();
        self.join();
    }
}

/// What has been asked for, the more urgent the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum StopRequest {
    None,
    Graceful,
    Immediate,
}

impl StopRequest {
    /// What asking once more means.
    fn more_urgent(self) -> Self {
        match self {
            Self::None => Self::Graceful,
            Self::Graceful | Self::Immediate => Self::Immediate,
        }
    }
}

#[cfg(test)]
mod tests;
