//! The route table: hosts to candidates, candidates in the order in which they win.

use std::{cell::LazyCell, collections::HashMap, ops::Deref};

use crate::{
    config::{HostPattern, Route, RouteAction, RouteMatch},
    wire::{RequestHead, Scheme},
};

/// All routes, ready to be asked.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Vec<Candidate>>,
    /// Longest suffix first.
    suffixes: Vec<(String, Vec<Candidate>)>,
    any: Vec<Candidate>,
}

/// One route in one host's list.
#[derive(Clone, Debug)]
struct Candidate {
    route: usize,
    matches: RouteMatch,
    /// Sends plain requests to https: one that came by https is none of its business.
    redirects: bool,
}

/// Whether a route would take a request, and if not, the first thing that stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would, unless another is more specific.
    Fits,
    /// It is for other hosts.
    Host,
    /// It is for another path.
    Path,
    /// It redirects, and the request came by https.
    Https,
    /// It is for other methods.
    Method,
    /// A field is missing, or has another value.
    Field,
}

impl RouteTable {
    /// Sorts the routes; what `find` gives are indices into `routes`.
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let redirects = matches!(route.action, RouteAction::RedirectToHttps);
            let candidate = Candidate { route: index, matches: route.matches.clone(), redirects };
            if route.matches.hosts.is_empty() {
                table.any.push(candidate.clone());
            }
            for host in &route.matches.hosts {
                table.list(host).push(candidate.clone());
            }
        }
        table.exact.values_mut().for_each(|list| sort(list));
        table.suffixes.iter_mut().for_each(|(_, list)| sort(list));
        table.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        sort(&mut table.any);
        table
    }

    /// The route that takes this request.
    pub fn find(&self, request: &RequestHead) -> Option<usize> {
        let path = LazyCell::new(|| request.path());
        let fits = |list: &[Candidate]| {
            list.iter().find(|candidate| candidate.fits(&path, request)).map(|candidate| candidate.route)
        };
        if self.exact.is_empty() && self.suffixes.is_empty() {
            return fits(&self.any);
        }
        // One dot at the end names the same host (RFC 1034 §3.1).
        let host = request.host();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.exact
            .get(&host)
            .and_then(|list| fits(list))
            .or_else(|| {
                self.suffixes.iter().filter(|(suffix, _)| is_below(&host, suffix)).find_map(|(_, list)| fits(list))
            })
            .or_else(|| fits(&self.any))
    }

    /// Every route whose host and path fit, whatever else it asks for: those that may have answered for a URL. In the order
    /// in which they win.
    pub fn on_path(&self, host: &str, path: &str) -> Vec<usize> {
        let fitting = self.on_host(host).filter(|candidate| path_begins_with(path, &candidate.matches.path));
        fitting.map(|candidate| candidate.route).collect()
    }

    /// What this route says to a request.
    pub fn verdict(&self, route: usize, request: &RequestHead) -> Verdict {
        let own = self.on_host(request.host()).find(|candidate| candidate.route == route);
        own.map_or(Verdict::Host, |candidate| candidate.verdict(&&request.path(), request))
    }

    fn on_host(&self, host: &str) -> impl Iterator<Item = &Candidate> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let exact = self.exact.get(&host).into_iter();
        let suffixes = self.suffixes.iter().filter(move |(suffix, _)| is_below(&host, suffix)).map(|(_, list)| list);
        exact.chain(suffixes).chain([&self.any]).flatten()
    }

    fn list(&mut self, host: &HostPattern) -> &mut Vec<Candidate> {
        match host {
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Suffix(suffix) => {
                let place = self.suffixes.iter().position(|(known, _)| known == suffix).unwrap_or_else(|| {
                    self.suffixes.push((suffix.clone(), Vec::new()));
                    self.suffixes.len() - 1
                });
                &mut self.suffixes[place].1
            }
        }
    }
}

impl Candidate {
    fn fits<'r>(&self, path: &impl Deref<Target = &'r str>, request: &RequestHead) -> bool {
        self.verdict(path, request) == Verdict::Fits
    }

    /// `path` is the request's; a route for all of them does not look at it.
    fn verdict<'r>(&self, path: &impl Deref<Target = &'r str>, request: &RequestHead) -> Verdict {
        let matches = &self.matches;
        if matches.path != "/" && !path_begins_with(path, &matches.path) {
            return Verdict::Path;
        }
        if self.redirects && request.scheme == Scheme::Https {
            return Verdict::Https;
        }
        if !matches.methods.is_empty() && !matches.methods.contains(&request.method) {
            return Verdict::Method;
        }
        let has_fields = matches.fields.iter().all(|wanted| match &wanted.value {
            Some(value) => request.fields.all(&wanted.name).any(|given| given == value.as_bytes()),
            None => request.fields.contains(&wanted.name),
        });
        if has_fields { Verdict::Fits } else { Verdict::Field }
    }
}

/// Whether a host is one of the names below a suffix such as `.example.com`.
fn is_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

/// Whether `prefix` is the front of `path`, ending at a segment's border: `/app` covers `/app` and `/app/x`, not `/apple`.
pub(crate) fn path_begins_with(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix == "/",
        // `*` of OPTIONS has no path: the route of `/` takes it.
        None => prefix == "/",
    }
}

/// Longest path first, then the most conditions (redirecting counts as one: it takes plain requests only); the file's
/// order stays between equals.
fn sort(list: &mut [Candidate]) {
    list.sort_by_key(|candidate| {
        let conditions = candidate.matches.fields.len()
            + usize::from(!candidate.matches.methods.is_empty())
            + usize::from(candidate.redirects);
        (std::cmp::Reverse(candidate.matches.path.len()), std::cmp::Reverse(conditions))
    });
}

#[cfg(test)]
mod tests;
