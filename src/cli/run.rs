//! `tidegate run`: the gateway itself.

use std::process::ExitCode;

use super::{args::Run, config_path, log, output, usage};
use crate::config::{self, Config, Problems};

/// Runs until a signal ends it; 1 if it could not start.
pub(super) fn run(options: Run) -> ExitCode {
    if let Err(error) = log::start(&options.log) {
        output::fail(&error);
        return ExitCode::from(super::USAGE);
    }
    let config = match (options.upstream, config_path(options.config)) {
        (Some(upstream), _) => match config::minimal_with_admin(&options.listen, &upstream, options.admin.as_deref()) {
            Ok(config) => config,
            Err(problems) => return wrong(&problems, super::USAGE),
        },
        (None, Some(path)) => match config::load(&path) {
            Ok(loaded) => {
                output::problems(&loaded.warnings);
                loaded.config
            }
            Err(problems) => return wrong(&problems, FAILED),
        },
        (None, None) => {
            return usage("run", "either --config FILE (or TIDEGATE_CONFIG) or --upstream ADDRESS is required");
        }
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => output::fail(&problem),
    }
}

/// Stands in for the server until it is there.
fn serve(config: Config) -> Result<(), String> {
    Err(format!("this build has no server to run {} listeners with", config.listeners.len()))
}

fn wrong(problems: &Problems, code: u8) -> ExitCode {
    output::problems(problems);
    ExitCode::from(code)
}

const FAILED: u8 = 1;
