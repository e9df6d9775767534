//! Words to the terminal or the pipe.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use crate::config::Problems;

/// Prints a result. Whoever closes the pipe has seen enough.
pub(super) fn print(text: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
        true => output.flush(),
        false => output.write_all(b"\n").and_then(|()| output.flush()),
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format!("could not write the output: {error}")),
    }
}

/// Tells why the command failed.
pub(super) fn fail(message: &str) -> ExitCode {
    tell(&format!("error: {message}"));
    ExitCode::FAILURE
}

/// Tells of problems, with colours on a terminal.
pub(super) fn problems(problems: &Problems) {
    if !problems.is_empty() {
        tell(&problems.render(colour()));
        tell("");
    }
}

/// One line, or several, to standard error.
pub(super) fn tell(text: &str) {
    // With standard error gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard error is a terminal whose owner has nothing against colours (no-color.org).
pub(super) fn colour() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
