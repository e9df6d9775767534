//! Which certificate answers for a name: exact before wildcard, the first configured one for the rest.

use std::collections::HashMap;

/// Values by DNS name; several under one name keep their order. `T` is cheap to clone.
#[derive(Debug)]
pub(super) struct Names<T> {
    exact: HashMap<String, Vec<T>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Vec<T>>,
    fallback: Vec<T>,
}

impl<T: Clone> Names<T> {
    /// From the values with their names, in lower case, in configured order. The first value answers where no name
    /// fits, and so do the others that share a name with it (the same site with another kind of key).
    pub(super) fn new(entries: &[(Vec<String>, T)]) -> Self {
        let mut names = Self { exact: HashMap::new(), wildcard: HashMap::new(), fallback: Vec::new() };
        for (own, value) in entries {
            for name in own {
                match name.strip_prefix("*.") {
                    Some(parent) => names.wildcard.entry(parent.to_owned()).or_default().push(value.clone()),
                    None => names.exact.entry(name.clone()).or_default().push(value.clone()),
                }
            }
        }
        if let Some((first, _)) = entries.first() {
            names.fallback = entries
                .iter()
                .enumerate()
                .filter(|(index, (own, _))| *index == 0 || own.iter().any(|name| first.contains(name)))
                .map(|(_, (_, value))| value.clone())
                .collect();
        }
        names
    }

    /// The values that answer for a name, best first. A wildcard stands for exactly one label (RFC 9525 §6.3).
    pub(super) fn find(&self, name: Option<&str>) -> &[T] {
        let Some(name) = name else { return &self.fallback };
        let lower = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || match lower.split_once('.') {
            Some((label, parent)) if !label.is_empty() => self.wildcard.get(parent),
            _ => None,
        };
        self.exact.get(&lower).or_else(wildcard).unwrap_or(&self.fallback)
    }
}

#[cfg(test)]
mod tests;
