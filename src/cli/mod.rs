//! What the operator types.
//!
//! Exit codes: 0 all is well, 1 the thing failed or has problems, 2 the command line is wrong. Results go to standard
//! output, problems and the log to standard error.

mod args;
mod ask;
mod check;
mod connections;
mod demo;
mod documents;
mod drain;
mod explain;
mod healthcheck;
mod kick;
mod log;
mod output;
mod purge;
mod run;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, error::ErrorKind};

use args::{Arguments, Command};

/// Does what the process's command line says.
pub fn main() -> ExitCode {
    main_with(env::args_os())
}

/// Does what this command line says; the first word is the program's own name.
pub fn main_with(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    match Arguments::try_parse_from(words) {
        Ok(arguments) => dispatch(arguments.command),
        Err(error) => told(&error),
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(options) => run::run(options),
        Command::Check(options) => check::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Healthcheck(options) => healthcheck::run(options),
        Command::Purge(options) => purge::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Connections(options) => connections::run(options),
        Command::Kick(options) => kick::run(options),
        Command::Drain(options) => drain::run(options),
        Command::Version(options) => documents::version(options.json),
        Command::Completions(options) => documents::completions(options.shell),
        Command::Man(options) => documents::man(options.directory.as_deref()),
        Command::Schema => documents::schema(),
        Command::Reference => documents::reference(),
    }
}

/// The file of the command line, or of the environment.
fn config_path(written: Option<PathBuf>) -> Option<PathBuf> {
    written.or_else(|| env::var_os(args::CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// A command line that parses, but lacks something.
fn usage(subcommand: &str, message: &str) -> ExitCode {
    let mut command = Arguments::command();
    command.build();
    let command = command.find_subcommand_mut(subcommand).map(|found| found.clone()).unwrap_or(command);
    told(&command.clone().error(ErrorKind::MissingRequiredArgument, message))
}

/// Help goes to standard output and is no failure; a wrong command line goes to standard error.
fn told(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if the terminal has gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// The command line is wrong.
const USAGE: u8 = 2;
