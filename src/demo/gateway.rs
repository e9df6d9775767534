//! The one place where the demo meets the gateway: how Tidegate is configured in front of the demo's app.

use std::{net::SocketAddr, time::Duration};

use crate::{
    config::{self, LogTarget},
    server::{self, Running, Server, StartFault, StartProblem},
};

/// After the stop signal the app ends its streams by itself; what is left is not worth waiting for.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Starts Tidegate on `listen` in front of `origin`, with its metrics on `admin`. All else is as it comes by default,
/// but for the access log, which would bury what the demo has to say.
///
/// # Errors
/// Everything that stands in the way of the start.
pub(super) fn start_gateway(
    listen: SocketAddr,
    admin: SocketAddr,
    origin: SocketAddr,
) -> Result<Running, StartProblem> {
    let mut config = config::minimal_with_admin(&listen.to_string(), &origin.to_string(), Some(&admin.to_string()))
        .map_err(|problems| StartFault::Gateway(problems.to_string()))?;
    config.access_log.target = LogTarget::Off;
    config.timeouts.shutdown = SHUTDOWN;
    Server::start(config, server::assemble)
}
