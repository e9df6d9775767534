//! The start: everything that can go wrong is tried before the first thread runs, and told all at once.

use std::{
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{
    Assembly, Handler, Lifecycle, Parts, Phase, Running, StartFault, StartProblem, StopRequest, Stopped,
    signals::Signals,
    stop::Control,
    worker::{Orders, Worker, orders},
};
use crate::{
    access_log::AccessLog,
    clock::Now,
    config::{Config, Listener, Server as Backend},
    listen::{
        Bound, Connections, Door, Entry, ListenSocket, Metrics, SocketFile, bind, bind_admin,
        tls::{self, Certificates, Rhythm, Watched, Watcher},
    },
    metrics::Registry,
};

/// Starts all threads; `as_process` also takes the signals over and keeps the service manager informed.
pub(super) fn start<H, A>(config: Config, assemble: A, as_process: bool) -> Result<Running, StartProblem>
where
    H: Handler,
    A: FnOnce(Parts) -> Result<Assembly<H>, String>,
{
    let config = Arc::new(config);
    let registry = Registry::new();
    let (phase, lifecycle) = Lifecycle::new();
    let (request_sender, requests) = watch::channel(StopRequest::None);
    let connections = Connections::new(&config.limits, config.trusted_proxies.clone());

    let Opened { bound, certificates, admin } = open(&config)?;
    let addresses: Vec<_> = bound.iter().map(|bound| bound.local_address().clone()).collect();
    let admin_address = admin.as_ref().and_then(|admin| admin.local_addr().ok());
    let metrics = register(&registry, &bound, &certificates);
    let doors = doors(&config, &bound, &certificates, &connections, &metrics)?;
    let (seats, socket_files) = seats(bound, &doors, config.threads);
    let access_log = AccessLog::start(&config.access_log, &registry)
        .map_err(|error| StartFault::AccessLog(config.access_log.target.clone(), error))?;
    let assembly = assemble(Parts {
        config: config.clone(),
        registry,
        access_log: access_log.clone(),
        lifecycle: lifecycle.clone(),
        connections: connections.clone(),
    })
    .map_err(StartFault::Gateway)?;

    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartFault::System)?;
    if as_process {
        obey_signals(&runtime, &request_sender, &access_log)?;
    }
    let (reins, orders) = orders();
    let control = Control {
        workers: start_workers(seats, &assembly.handler, orders)?,
        handler: assembly.handler,
        connections: connections.clone(),
        access_log,
        phase,
        requests,
        reins,
        socket_files,
        certificates: watcher(&certificates, metrics)?,
        admin: admin.map(|listener| (listener, assembly.admin)),
        shutdown: config.timeouts.shutdown,
        is_service: as_process,
    };
    control.phase.send_replace(Phase::Ready);
    let control = start_control(control, runtime)?;
    let running =
        Running { addresses, admin: admin_address, lifecycle, connections, requests: request_sender, control };
    log_start(&config, &running);
    Ok(running)
}

/// What had to be had from the system and the disk.
struct Opened {
    bound: Vec<Bound>,
    /// One place for each listener.
    certificates: Vec<Option<Arc<Certificates>>>,
    admin: Option<TcpListener>,
}

/// Certificates and sockets, with all of their problems.
fn open(config: &Config) -> Result<Opened, StartProblem> {
    let mut faults = Vec::new();
    let mut certificates = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        let loaded = listener.tls.as_ref().map(|tls| Certificates::load(&tls.pairs, Now::read())).transpose();
        match loaded {
            Ok(loaded) => certificates.push(loaded.map(|(loaded, warnings)| {
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                Arc::new(loaded)
            })),
            Err(problems) => {
                faults
                    .extend(problems.into_iter().filter(|problem| !problem.is_warning()).map(StartFault::Certificate));
            }
        }
    }
    let bound = bind(&config.listeners, config.threads).unwrap_or_else(|problems| {
        faults.extend(problems.into_iter().map(StartFault::Bind));
        Vec::new()
    });
    let admin = config.admin.as_ref().and_then(|admin| {
        bind_admin(admin.listen, &bound).map_err(|problem| faults.push(StartFault::Bind(problem))).ok()
    });
    if faults.is_empty() { Ok(Opened { bound, certificates, admin }) } else { Err(StartProblem { faults }) }
}

fn register(registry: &Registry, bound: &[Bound], certificates: &[Option<Arc<Certificates>>]) -> Metrics {
    let listeners = bound.iter().map(|bound| bound.local_address().to_string()).collect();
    let files = |certificates: &Certificates| {
        certificates.files().iter().map(|files| files.certificate.display().to_string()).collect()
    };
    let certificates = certificates.iter().map(|own| own.as_deref().map(files).unwrap_or_default()).collect();
    Metrics::register(registry, listeners, certificates)
}

fn doors(
    config: &Config,
    bound: &[Bound],
    certificates: &[Option<Arc<Certificates>>],
    connections: &Connections,
    metrics: &Metrics,
) -> Result<Vec<Arc<Door>>, StartProblem> {
    let mut doors = Vec::with_capacity(bound.len());
    for (index, ((listener, bound), certificates)) in config.listeners.iter().zip(bound).zip(certificates).enumerate() {
        let entry = entry(config, listener, certificates.clone())?;
        let address = bound.local_address().clone();
        doors.push(Arc::new(Door::new(index, address, entry, connections.clone(), metrics.clone())));
    }
    Ok(doors)
}

fn entry(config: &Config, listener: &Listener, certificates: Option<Arc<Certificates>>) -> Result<Entry, StartProblem> {
    match (&listener.tls, certificates) {
        (Some(tls), Some(certificates)) => {
            let agreed = tls::server_config(tls, listener.http2, certificates)
                .map_err(|error| StartFault::Tls(error.to_string()))?;
            Ok(Entry::Tls(Arc::new(agreed), config.timeouts.tls_handshake))
        }
        _ if listener.h2c => Ok(Entry::PriorKnowledge(config.timeouts.head)),
        _ => Ok(Entry::Plain),
    }
}

/// The sockets by worker, instead of by listener.
type Seats = Vec<Vec<(ListenSocket, Arc<Door>)>>;

fn seats(bound: Vec<Bound>, doors: &[Arc<Door>], workers: usize) -> (Seats, Vec<SocketFile>) {
    let mut seats: Seats = (0..workers).map(|_| Vec::new()).collect();
    let mut files = Vec::new();
    for (bound, door) in bound.into_iter().zip(doors) {
        let (sockets, file) = bound.into_parts();
        files.extend(file);
        for (seat, socket) in seats.iter_mut().zip(sockets) {
            seat.push((socket, door.clone()));
        }
    }
    (seats, files)
}

/// Starts every worker or none: on a failure the ones already started end with their orders, which are dropped here.
fn start_workers<H: Handler>(
    seats: Seats,
    handler: &Arc<H>,
    orders: Orders,
) -> Result<Vec<JoinHandle<()>>, StartProblem> {
    let workers = seats.into_iter().enumerate().map(|(index, seats)| Worker::new(index, seats));
    let workers = workers.collect::<Result<Vec<_>, _>>().map_err(StartFault::System)?;
    let mut threads = Vec::with_capacity(workers.len());
    for worker in workers {
        threads.push(worker.start(handler.clone(), orders.clone()).map_err(StartFault::System)?);
    }
    Ok(threads)
}

fn obey_signals(
    runtime: &Runtime,
    requests: &watch::Sender<StopRequest>,
    access_log: &AccessLog,
) -> Result<(), StartProblem> {
    let _inside = runtime.enter();
    let signals = Signals::listen().map_err(StartFault::System)?;
    runtime.spawn(signals.obey(requests.clone(), access_log.clone()));
    Ok(())
}

fn start_control<H: Handler>(
    control: Control<H>,
    runtime: Runtime,
) -> Result<Option<JoinHandle<Stopped>>, StartProblem> {
    let thread = thread::Builder::new().name("tidegate-control".to_owned());
    Ok(Some(thread.spawn(move || control.run(runtime)).map_err(StartFault::System)?))
}

/// Keeps an eye on the certificates' files, if there are any.
fn watcher(certificates: &[Option<Arc<Certificates>>], metrics: Metrics) -> Result<Option<Watcher>, StartProblem> {
    let watch = |(listener, own): (usize, &Option<Arc<Certificates>>)| {
        own.as_ref().map(|certificates| Watched { listener, certificates: certificates.clone() })
    };
    let watched: Vec<_> = certificates.iter().enumerate().filter_map(watch).collect();
    if watched.is_empty() {
        return Ok(None);
    }
    Ok(Some(Watcher::start(watched, metrics, Rhythm::default()).map_err(StartFault::System)?))
}

/// One line for each thing that an operator wants to see.
fn log_start(config: &Config, running: &Running) {
    tracing::info!("tidegate {} with {} worker threads", env!("CARGO_PKG_VERSION"), config.threads);
    for (listener, address) in config.listeners.iter().zip(&running.addresses) {
        let spoken = match (&listener.tls, listener.http2, listener.h2c) {
            (Some(_), true, _) => "HTTP/1.1 and HTTP/2 over TLS",
            (Some(_), false, _) => "HTTP/1.1 over TLS",
            (None, _, true) => "HTTP/1.1, and HTTP/2 by prior knowledge",
            (None, _, false) => "HTTP/1.1",
        };
        tracing::info!("listening on {address}: {spoken}");
    }
    match running.admin {
        Some(address) => tracing::info!("metrics and health on {address}"),
        None => tracing::info!("no admin listener: neither metrics nor health checks"),
    }
    for upstream in &config.upstreams {
        let servers: Vec<_> = upstream.servers.iter().map(|Backend { address, .. }| address.to_string()).collect();
        tracing::info!("upstream `{}`: {}", upstream.name, servers.join(", "));
    }
}
