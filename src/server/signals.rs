//! What the operating system and its service manager say, and are told.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::StopRequest;
use crate::access_log::AccessLog;

/// The signals that are listened to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    /// From here on these signals no longer end the process by themselves. Within a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Does what the signals ask for, for ever.
    pub(super) async fn obey(mut self, requests: watch::Sender<StopRequest>, access_log: AccessLog) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.quit.recv() => "SIGQUIT",
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: reload is not supported yet; certificates are reloaded by themselves");
                    continue;
                }
                _ = self.user.recv() => {
                    tracing::info!("SIGUSR1: the access log is opened anew");
                    access_log.reopen();
                    continue;
                }
            };
            requests.send_modify(|request| *request = request.more_urgent());
            match *requests.borrow() {
                StopRequest::Immediate => tracing::warn!("{name} again: what is open is cut"),
                _ => tracing::info!("{name}: stopping; once more stops at once"),
            }
        }
    }
}

/// Lets the process open as many files as it may, and tells how far that goes if it is not as far as the configuration
/// does, whose own check warns of a number that was asked for.
pub(super) fn raise_open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!("the open-file limit could not be raised: {error}");
    }
    if let Some(current) = getrlimit(Resource::Nofile).current.filter(|current| *current / 2 < connections as u64) {
        tracing::info!(
            "the open-file limit is {current}: room for {} connections with one to a backend each",
            current / 2
        );
    }
}

/// Does nothing where there is no service manager.
pub(super) fn tell_service_manager(is_service: bool, state: sd_notify::NotifyState<'_>) {
    if is_service && let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager could not be told: {error}");
    }
}
