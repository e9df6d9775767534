//! `tidegate demo`: a small app with live updates, Tidegate in front of it, and a page that shows what the gateway is about.
//!
//! The app is a real HTTP server on a loopback port of its own; between it and Tidegate there is nothing but a socket.
//! Nothing is written to disk and nothing is asked of the network.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::server::{StartFault, StartProblem};
use gateway::start_gateway;
use origin::{Neighbours, Origin};

mod gateway;
mod origin;

/// Where the demo can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Address of the page; if somebody has it already, a free port of the same address is taken and told.
    pub listen: SocketAddr,
    /// Address of metrics and health; likewise.
    pub admin: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
        }
    }
}

/// The file that the welcome asks for twice.
const IMAGE: &str = "/assets/harbour.png";

/// Runs the demo until SIGINT or SIGTERM, then ends it in order.
///
/// # Errors
/// Everything that stands in the way of the start. A taken port does not: another one is found.
pub fn run(options: Options) -> Result<(), StartProblem> {
    let listen = free(options.listen)?;
    let admin = free(options.admin)?;
    let origin = Origin::start().map_err(StartFault::System)?;
    let running = start_gateway(listen, admin, origin.address())?;
    let addresses = Addresses {
        page: running.tcp_address(0).unwrap_or(listen),
        metrics: running.admin_address().unwrap_or(admin),
        app: origin.address(),
    };
    origin.introduce(Neighbours { gateway: addresses.page, metrics: addresses.metrics, origin: addresses.app });
    say(&moved(options, &addresses));
    say(&addresses.welcome());

    wait_for_stop_signal().map_err(StartFault::System)?;
    say("\nStopping.\n");
    // The app first: its streams then end in order, and nothing holds the gateway up.
    origin.stop();
    running.stop();
    Ok(())
}

/// Where everything is.
struct Addresses {
    page: SocketAddr,
    metrics: SocketAddr,
    app: SocketAddr,
}

impl Addresses {
    fn welcome(&self) -> String {
        let Self { page, metrics, app } = self;
        format!(
            "Tidegate {version} is running in front of a small app.\n\
             \n  Page     http://{page}/\
             \n  Metrics  http://{metrics}/metrics\
             \n  App      http://{app}/ (the same page without Tidegate)\n\
             \nTry, in another terminal:\n\
             \n  # fetched the first time, from the cache the second\
             \n  curl -s -D - -o /dev/null -o /dev/null http://{page}{IMAGE} http://{page}{IMAGE} | grep -i '^cache-status'\n\
             \n  # one event each second, none held back\
             \n  curl -N http://{page}/api/events\n\
             \nCtrl-C ends it.\n",
            version = env!("CARGO_PKG_VERSION"),
        )
    }
}

/// A sentence for each address that had to be changed.
fn moved(options: Options, addresses: &Addresses) -> String {
    let pairs = [(options.listen, addresses.page), (options.admin, addresses.metrics)];
    let changed = pairs.into_iter().filter(|(wanted, got)| wanted.port() != 0 && wanted != got);
    changed.map(|(wanted, got)| format!("{wanted} is taken by another program; {got} is used instead.\n")).collect()
}

/// `wanted` if it can be had, else port 0 of the same address: the system then finds a free one.
fn free(wanted: SocketAddr) -> Result<SocketAddr, StartProblem> {
    // Without SO_REUSEPORT, so that another Tidegate on the same port is noticed and not joined.
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(wanted),
        Err(problem) if problem.kind() == io::ErrorKind::AddrInUse => Ok(SocketAddr::new(wanted.ip(), 0)),
        Err(problem) => Err(StartFault::System(problem).into()),
    }
}

fn wait_for_stop_signal() -> io::Result<()> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// To the terminal. If nobody reads there, the demo runs all the same.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests;
