//! `tidegate drain`: closes a running gateway's tunnels one after another.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::{Drain, Drained},
    ask::Admin,
    output,
};

/// 0 if the gateway has begun, however few there are.
pub(super) fn run(options: Drain) -> ExitCode {
    let Drained { all: _, route, upstream, server } = options.which;
    let mut order = match (route, upstream, server) {
        (Some(route), ..) => json!({ "route": route }),
        (_, Some(upstream), _) => json!({ "upstream": upstream }),
        (.., Some(server)) => json!({ "server": server }),
        _ => json!({ "all": true }),
    };
    if let Some(rate) = options.rate {
        order["rate"] = rate.into();
    }
    if let Some(within) = options.within {
        order["within"] = within.into();
    }
    let said = match Admin::of(options.admin).and_then(|admin| admin.order("/drain", &order)) {
        Ok(said) => said,
        Err(code) => return code,
    };
    if options.json {
        return output::print(&said.to_string());
    }
    let count = said["draining"].as_u64().unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    let seconds = said["seconds"].as_f64().unwrap_or_default();
    let cuts = if said["cuts"] == true { "; those that are not told in time are cut" } else { "" };
    output::print(&format!("{count} tunnel{plural} told to close, the last in {seconds:.1} s{cuts}"))
}
