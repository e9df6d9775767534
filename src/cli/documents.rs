//! What the program can say about itself: version, completions, manual, schema, reference.

use std::{env::consts, fs, io, path::Path, process::ExitCode};

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use super::{args::Arguments, output};
use crate::config;

pub(super) fn version(as_json: bool) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    if !as_json {
        return output::print(&format!("tidegate {version}"));
    }
    let object = json!({
        "name": "tidegate",
        "version": version,
        "os": consts::OS,
        "arch": consts::ARCH,
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    output::print(&object.to_string())
}

pub(super) fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tidegate", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// The page of the whole program, or one for each command into a directory.
pub(super) fn man(directory: Option<&Path>) -> ExitCode {
    match directory {
        None => match page() {
            Ok(page) => output::print(&String::from_utf8_lossy(&page)),
            Err(error) => output::fail(&format!("could not make the manual page: {error}")),
        },
        Some(directory) => {
            let written =
                fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Arguments::command(), directory));
            match written {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => output::fail(&format!("could not write to `{}`: {error}", directory.display())),
            }
        }
    }
}

pub(super) fn schema() -> ExitCode {
    output::print(&format!("{:#}", config::schema()))
}

pub(super) fn reference() -> ExitCode {
    output::print(&config::reference())
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    Ok(page)
}
