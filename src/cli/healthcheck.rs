//! `tidegate healthcheck`: whether a running gateway is ready.

use std::{process::ExitCode, time::Duration};

use super::{args::Healthcheck, ask::Admin, output};

/// 0 if the gateway says that it is ready.
pub(super) fn run(options: Healthcheck) -> ExitCode {
    let admin = match Admin::of(options.admin) {
        Ok(admin) => admin,
        Err(code) => return code,
    };
    match admin.get(PATH, TIMEOUT) {
        Ok(said) if said.status == 200 => output::print("ready"),
        Ok(said) => output::fail(&format!("not ready: {} answered {}", admin.url(PATH), said.status)),
        Err(error) => output::fail(&format!("no answer from {}: {error}", admin.url(PATH))),
    }
}

const PATH: &str = "/ready";

/// A healthy gateway answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);
