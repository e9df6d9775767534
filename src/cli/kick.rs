//! `tidegate kick`: closes connections of a running gateway.

use std::process::ExitCode;

use super::{args::Kick, ask::Admin, connections::query, output};

/// 0 if the gateway has told them, however few there were; 1 if there is none of that number.
pub(super) fn run(options: Kick) -> ExitCode {
    let mut parameters = options.filters.parameters();
    parameters.extend([
        ("all", options.all.then(|| "true".to_owned())),
        ("code", options.code.map(|code| code.to_string())),
        ("reason", options.reason),
    ]);
    let path = options.id.map_or("/connections".to_owned(), |id| format!("/connections/{id}"));
    let path = path + &query(parameters);
    let said = match Admin::of(options.admin).and_then(|admin| admin.delete(&path)) {
        Ok(said) => said,
        Err(code) => return code,
    };
    if options.json {
        return output::print(&said.to_string());
    }
    let count = said["kicked"].as_u64().unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    output::print(&format!("{count} connection{plural} told to close"))
}
