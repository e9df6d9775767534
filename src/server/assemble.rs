//! The gateway and the admin, put together from a server's parts.

use std::sync::Arc;

use super::{AdminTask, Assembly, Handler, Lifecycle, Parts, Phase};
use crate::{
    admin::{self, AdminState, DrainPace, Readiness},
    config::Config,
    gateway::Gateway,
    net::{ClientInfo, Stream},
    tunnel::{Part, Tunnels},
};

impl Handler for Gateway {
    fn serve(self: Arc<Self>, stream: Stream, client: ClientInfo) -> impl Future<Output = ()> + Send {
        Gateway::serve(self, stream, client)
    }

    fn drain(&self) {
        Gateway::drain(self);
    }

    fn cut(&self) {
        Gateway::cut(self);
    }

    fn hand_on(&self) {
        Gateway::hand_on(self);
    }
}

/// Builds what a server runs; an error says what of the configuration can't be used.
///
/// # Errors
/// An upstream's TLS settings that can't be used.
pub fn assemble(parts: Parts) -> Result<Assembly<Gateway>, String> {
    let hosts = admin_names(&parts.config);
    let drain = DrainPace { rate: parts.config.limits.drain_rate, within: parts.config.timeouts.tunnel_drain };
    let handler = Gateway::new(parts.config, &parts.registry, parts.access_log)?;
    handler.take_over();
    let lifecycle = parts.lifecycle;
    let ended = lifecycle.clone();
    let (of_bases, of_explain, of_ready) = (handler.clone(), handler.clone(), handler.tunnels().clone());
    let state = AdminState {
        registry: parts.registry,
        ready: Arc::new(move || readiness(&lifecycle, &of_ready)),
        hosts,
        cache: handler.cache().clone(),
        bases: Arc::new(move |url| of_bases.bases_of(url)),
        explain: Arc::new(move |request, answer| of_explain.explain(request, answer)),
        tunnels: handler.tunnels().clone(),
        upstreams: handler.upstreams().to_vec(),
        draining: Arc::default(),
        drain,
        info: vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
    };
    let admin: AdminTask = Box::new(move |listener| {
        Box::pin(async move { admin::serve(listener, state, ended.reached(Phase::Stopped)).await })
    });
    Ok(Assembly { handler, admin })
}

/// Names under which a scraper finds this machine or container: those of the configuration, its host name, and the
/// service's name in a compose file.
fn admin_names(config: &Config) -> Vec<String> {
    let mut names = vec![rustix::system::uname().nodename().to_string_lossy().into_owned(), "tidegate".to_owned()];
    names.extend(config.admin.iter().flat_map(|admin| admin.hosts.iter().cloned()));
    names
}

fn readiness(lifecycle: &Lifecycle, tunnels: &Tunnels) -> Readiness {
    match lifecycle.phase() {
        Phase::Starting => Readiness::Starting,
        Phase::Ready if tunnels.drained().contains(&Part::All) => Readiness::Drained,
        Phase::Ready => Readiness::Ready,
        Phase::Draining | Phase::Stopped => Readiness::Draining,
    }
}
