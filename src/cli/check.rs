//! `tidegate check`: everything that is wrong, in one go.

use std::{path::Path, process::ExitCode};

use serde_json::json;

use super::{
    args::{Check, Format},
    config_path, output, usage,
};
use crate::config::{self, Loaded, Problems};

/// 0 if the configuration can be run, warnings or not.
pub(super) fn run(options: Check) -> ExitCode {
    let Some(path) = config_path(options.file.or(options.config)) else {
        return usage("check", "a configuration FILE is required, as an argument or in TIDEGATE_CONFIG");
    };
    let loaded = config::load(&path);
    let is_sound = loaded.is_ok();
    let printed = match options.format {
        Format::Text => text(&path, loaded, options.print_effective),
        Format::Json => output::print(&format!("{:#}", object(loaded, options.print_effective))),
    };
    if is_sound { printed } else { ExitCode::FAILURE }
}

fn text(path: &Path, loaded: Result<Loaded, Problems>, print_effective: bool) -> ExitCode {
    match loaded {
        Ok(loaded) => {
            output::problems(&loaded.warnings);
            if print_effective {
                return output::print(&config::effective(&loaded.config));
            }
            let warnings = match loaded.warnings.warnings() {
                0 => String::new(),
                count => format!(", {}", counted(count, "warning")),
            };
            output::print(&format!("{}: ok{warnings}", path.display()))
        }
        Err(problems) => {
            output::problems(&problems);
            output::tell(&format!("{}: {}", path.display(), counted(problems.errors(), "error")));
            ExitCode::FAILURE
        }
    }
}

fn object(loaded: Result<Loaded, Problems>, print_effective: bool) -> serde_json::Value {
    let problems = match &loaded {
        Ok(loaded) => &loaded.warnings,
        Err(problems) => problems,
    };
    let mut object = json!({
        "ok": loaded.is_ok(),
        "errors": problems.errors(),
        "warnings": problems.warnings(),
        "problems": problems.to_json(),
    });
    if let Ok(loaded) = &loaded
        && print_effective
    {
        object["effective"] = config::effective_json(&loaded.config);
    }
    object
}

fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
