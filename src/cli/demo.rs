//! `tidegate demo`: see what the gateway does without an app of one's own.

use std::{net::SocketAddr, process::ExitCode};

use super::{args::Demo, log, output};
use crate::config;

/// Runs until a signal ends it; 1 if it could not start.
pub(super) fn run(options: Demo) -> ExitCode {
    if let Err(error) = log::start(&options.log) {
        output::fail(&error);
        return ExitCode::from(super::USAGE);
    }
    let mut addresses = Vec::new();
    for (option, text) in [("--listen", &options.listen), ("--admin", &options.admin)] {
        match config::address(option, text) {
            Ok(address) => addresses.push(address),
            Err(problems) => {
                output::problems(&problems);
                return ExitCode::from(super::USAGE);
            }
        }
    }
    match show(addresses[0], addresses[1]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => output::fail(&problem),
    }
}

/// Stands in for the demo until it is there.
fn show(listen: SocketAddr, admin: SocketAddr) -> Result<(), String> {
    Err(format!("this build has no demo to show on {listen} and {admin}"))
}
