//! `tidegate purge`: takes answers out of a running gateway's cache.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::{Purge, Purged},
    ask::Admin,
    output,
};

/// 0 if the gateway has purged, however little there was.
pub(super) fn run(options: Purge) -> ExitCode {
    let Purged { url, prefix, tag, group, all } = options.what;
    let mut order = match group.as_deref() {
        _ if all => json!({ "all": true }),
        Some([origin, name]) => json!({ "group": { "origin": origin, "name": name } }),
        _ if !prefix.is_empty() => json!({ "prefix": prefix }),
        _ if !tag.is_empty() => json!({ "tag": tag }),
        _ => json!({ "url": url }),
    };
    order["soft"] = options.soft.into();
    let said = match Admin::of(options.admin).and_then(|admin| admin.order("/purge", &order)) {
        Ok(said) => said,
        Err(code) => return code,
    };
    if options.json {
        return output::print(&said.to_string());
    }
    let count = said["purged"].as_u64().unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    let how = if options.soft { "stale from now on" } else { "gone" };
    output::print(&format!("{count} answer{plural} {how}"))
}
