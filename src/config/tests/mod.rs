mod effective;
mod merging;
mod outputs;
mod problems;
mod reading;

use super::*;

/// Reads a text that must be sound.
fn sound(text: &str) -> Config {
    match from_text("tidegate.toml", text, |_| None) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{problems}"),
    }
}

/// Every problem of a text, as people see it.
fn told(text: &str) -> String {
    match from_text("tidegate.toml", text, |_| None) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(problems) => problems.to_string(),
    }
}
