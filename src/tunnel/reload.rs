//! What a new configuration means for the tunnels that are open: pure, over two configurations; and how that is carried out.
//!
//! A tunnel has made its choice of a backend and its handshake; what else its route does to requests is nothing to it. So
//! it is touched only by what it was opened for: which requests, which servers, which terms.

use super::{Drain, Terms, Tunnels};
use crate::config::{Config, OnChange, Route, RouteAction, Upstream};

/// What becomes of a route's tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They notice nothing. Their route stands at this place of the new configuration.
    Keep(usize),
    /// They are told to go, at the drain's pace: there is no such route any more, or it has changed and drains then.
    Drain,
}

/// For each route of `old` what becomes of its tunnels under `new`. Routes are known by their names.
pub fn fates(old: &Config, new: &Config) -> Vec<Fate> {
    old.routes.iter().map(|route| fate(old, route, new)).collect()
}

impl Tunnels {
    /// Carries out what is to become of the tunnels of each route. Says how many are told to go; the others notice nothing.
    pub fn follow(&self, fates: &[Fate], drain: Drain) -> usize {
        let goes = |route: u32| fates.get(route as usize) == Some(&Fate::Drain);
        self.drain(|live| live.is_tunnel() && goes(live.route), |_| drain)
    }
}

fn fate(old: &Config, before: &Route, new: &Config) -> Fate {
    // A redirect may share the name of the route that it leads to.
    let is_heir = |route: &Route| route.name == before.name && matches!(route.action, RouteAction::Forward { .. });
    let Some(index) = new.routes.iter().position(is_heir) else { return Fate::Drain };
    let after = &new.routes[index];
    let drains = after.websocket.on_change == OnChange::Drain && has_changed(old, before, new, after);
    if drains || !after.websocket.enabled { Fate::Drain } else { Fate::Keep(index) }
}

fn has_changed(old: &Config, before: &Route, new: &Config, after: &Route) -> bool {
    let terms = |config: &Config, route: &Route| Terms::new(&route.websocket, &config.timeouts);
    before.matches != after.matches
        || before.strip_prefix != after.strip_prefix
        || before.websocket.origins != after.websocket.origins
        || terms(old, before) != terms(new, after)
        || !leads_to_the_same(upstream(old, before), upstream(new, after))
}

fn upstream<'c>(config: &'c Config, route: &Route) -> Option<&'c Upstream> {
    match route.action {
        RouteAction::Forward { upstream } => config.upstreams.get(upstream),
        RouteAction::RedirectToHttps => None,
    }
}

/// Whether every server that a tunnel may be connected to is still one, and spoken to in the same way. How servers are
/// chosen, and new ones beside them, are nothing to a tunnel that has one.
fn leads_to_the_same(before: Option<&Upstream>, after: Option<&Upstream>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    before.tls == after.tls
        && before.servers.iter().all(|server| after.servers.iter().any(|other| other.address == server.address))
}

#[cfg(test)]
mod tests;
