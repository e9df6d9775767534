//! A configuration as text: values or problems, never a panic; what is taken can be shown and taken again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::config::{Outside, from_texts};

fuzz_target!(|text: &str| {
    let outside = Outside::nothing();
    match from_texts(&[("fuzz.toml".to_owned(), text.to_owned())], &outside) {
        Ok((config, warnings)) => {
            let _ = (tidegate::config::effective(&config), warnings.to_string());
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
