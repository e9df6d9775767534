//! The log of the process itself: `tracing` to standard error.

use std::io;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    args::{Log, LogFormat},
    output,
};

/// Starts the log; an error says which part of the level is wrong.
pub(super) fn start(options: &Log) -> Result<(), String> {
    // `EnvFilter` takes a lone word that is no level for the name of a module, and then nothing is logged.
    let stray = options
        .log_level
        .split(',')
        .map(str::trim)
        .find(|part| !part.is_empty() && !part.contains(['=', '[', ':']) && part.parse::<LevelFilter>().is_err());
    if let Some(stray) = stray {
        return Err(format!(
            "`--log-level {}`: `{stray}` is not a level; expected off, error, warn, info, debug or trace, or a module with \
             one, as in `info,tidegate::cache=debug`",
            options.log_level
        ));
    }
    // The default directive is for an empty text, such as an empty variable.
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(&options.log_level)
        .map_err(|error| format!("`--log-level {}`: {error}", options.log_level))?;
    let is_wanted = options.log_level.contains(TALKATIVE) || filter.max_level_hint() <= Some(LevelFilter::ERROR);
    let filter = match format!("{TALKATIVE}=error").parse() {
        Ok(directive) if !is_wanted => filter.add_directive(directive),
        _ => filter,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(output::colour());
    let started = match options.log_format {
        LogFormat::Human => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("could not start the log: {error}"))
}

/// It warns of frames that clients send, as often as they send them. Who wants to read that names it.
const TALKATIVE: &str = "h2";
