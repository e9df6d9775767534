//! Why a gateway could not be started.

use std::{fmt, io};

use crate::{
    config::LogTarget,
    listen::{BindProblem, tls},
};

/// Everything that stood in the way of a start; nothing of it is running.
#[derive(Debug)]
pub struct StartProblem {
    /// At least one.
    pub faults: Vec<StartFault>,
}

/// One thing that stood in the way.
#[derive(Debug)]
pub enum StartFault {
    /// A listener that cannot be bound.
    Bind(BindProblem),
    /// A certificate that cannot be used.
    Certificate(tls::Problem),
    /// TLS could not be set up at all.
    Tls(String),
    /// The access log cannot be opened.
    AccessLog(LogTarget, io::Error),
    /// The gateway could not be built from its configuration.
    Gateway(String),
    /// A thread or an event loop could not be started.
    System(io::Error),
}

impl StartFault {
    /// The way out, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bind(problem) => problem.hint(),
            Self::Certificate(problem) => problem.hint(),
            Self::AccessLog(LogTarget::File(_), _) => {
                Some("the directory must exist and be writable for the user that runs the program".to_owned())
            }
            Self::AccessLog(..) | Self::Tls(_) | Self::Gateway(_) | Self::System(_) => None,
        }
    }
}

impl From<StartFault> for StartProblem {
    fn from(fault: StartFault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(problem) => problem.fmt(f),
            Self::Certificate(problem) => problem.fmt(f),
            Self::Tls(reason) => write!(f, "TLS could not be set up: {reason}"),
            // The error names the file.
            Self::AccessLog(LogTarget::File(_), error) => error.fmt(f),
            Self::AccessLog(_, error) => write!(f, "the access log cannot be started: {error}"),
            Self::Gateway(reason) => f.write_str(reason),
            Self::System(error) => write!(f, "a thread of the gateway could not be started: {error}"),
        }
    }
}

/// One line for each fault, and one for its hint.
impl fmt::Display for StartProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "error: {fault}")?;
            if let Some(hint) = fault.hint() {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for StartProblem {}
