//! `tidegate drain`: takes a part of a running gateway out of service, its tunnels one after another, and back.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::{AdminAt, Drain, Drained},
    ask::Admin,
    output,
};

/// 0 if the gateway has done so, however few tunnels there are.
pub(super) fn run(options: Drain) -> ExitCode {
    let Drained { all: _, route, upstream, server, list } = options.which;
    if list {
        return show(options.admin, options.json);
    }
    let mut order = match (route, upstream, server) {
        (Some(route), ..) => json!({ "route": route }),
        (_, Some(upstream), _) => json!({ "upstream": upstream }),
        (.., Some(server)) => json!({ "server": server }),
        _ => json!({ "all": true }),
    };
    if options.undo {
        order["undo"] = true.into();
    }
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
    if options.undo {
        let taken_back = said["taken_back"] == true;
        return output::print(if taken_back { "taken back" } else { "it was not drained" });
    }
    let count = said["draining"].as_u64().unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    let seconds = said["seconds"].as_f64().unwrap_or_default();
    let cuts = if said["cuts"] == true { "; those that are not told in time are cut" } else { "" };
    output::print(&format!("{count} tunnel{plural} told to close, the last in {seconds:.1} s{cuts}"))
}

/// What is drained, a line each.
fn show(admin: AdminAt, json: bool) -> ExitCode {
    let said = match Admin::of(admin).and_then(|admin| admin.look("/drain")) {
        Ok(said) => said,
        Err(code) => return code,
    };
    if json {
        return output::print(&said.to_string());
    }
    let parts = said["drained"].as_array().into_iter().flatten().filter_map(|part| part.as_object()?.iter().next());
    let lines: Vec<String> =
        parts.map(|(what, name)| name.as_str().map_or_else(|| what.clone(), |name| format!("{what} {name}"))).collect();
    output::print(&if lines.is_empty() { "nothing is drained".to_owned() } else { lines.join("\n") })
}
