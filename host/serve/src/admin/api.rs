//! `/api/tenants`: the content of the page as JSON. The wire types belong to this module alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::UNIX_EPOCH,
};

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use innkeeper_proxy::{
    Rejection, TenantStats,
    core::{CacheStats, Callback, FaultKind, Miss, Role, UpgradeReport},
};
use serde::Serialize;
use tokio::task::block_in_place;

use crate::{
    state::{State, Upgraded},
    tenant_info::{TenantInfo, hex},
    tenants::{self, Standing},
};

#[derive(Serialize)]
struct Tenant {
    name: String,
    server_names: Vec<String>,
    upstream: String,
    /// The guest that serves, if any.
    guest: Option<Guest>,
    connections: u64,
    connections_reserve: u64,
    handshakes: u64,
    resumed: u64,
    failed: u64,
    displaced: u64,
    rejected: BTreeMap<&'static str, u64>,
    bytes_from_clients: u64,
    bytes_from_upstream: u64,
    upstream_connections: u64,
    upstream_failed: u64,
    upstream_handshakes: u64,
    upstream_resumed: u64,
    upstream_handshakes_failed: u64,
    roles: BTreeMap<&'static str, Cache>,
    upgrade_refused: Option<String>,
    trouble: Option<Trouble>,
}

/// A tenant, served or not.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Served(Box<Tenant>),
    NotServed { name: String, trouble: Trouble },
}

/// The problems of a tenant.
#[derive(Serialize)]
struct Trouble {
    /// The service it still gets: `kept`, `without-guest` or `not-served`.
    standing: &'static str,
    /// The time of the first problem, in seconds since 1970.
    since: u64,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Guest {
    component: String,
    sha256: String,
    size_class: &'static str,
    readers: usize,
}

#[derive(Serialize)]
struct Cache {
    state: &'static str,
    suspended_by_operator: bool,
    rolled_back: bool,
    /// Every statistic that is a single number.
    #[serde(flatten)]
    statistics: BTreeMap<&'static str, u64>,
    misses: BTreeMap<&'static str, u64>,
    fuel: BTreeMap<&'static str, u64>,
    calls: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    lookup_ns_p50: u64,
    lookup_ns_p99: u64,
}

/// Answers with every tenant.
pub(super) async fn tenants(Shared(state): Shared<Arc<State>>) -> Response {
    Json(block_in_place(|| all(&state))).into_response()
}

/// Answers with one tenant.
pub(super) async fn tenant(Shared(state): Shared<Arc<State>>, Path(name): Path<String>) -> Response {
    match shown(&state, &name) {
        Some(shown) => Json(shown).into_response(),
        None => {
            let what = serde_json::json!({ "error": format!("there is no tenant `{name}`") });
            (StatusCode::NOT_FOUND, Json(what)).into_response()
        }
    }
}

fn shown(state: &State, name: &str) -> Option<Shown> {
    let trouble = state.trouble(name);
    let infos = state.infos();
    let info = infos.iter().find(|info| info.name == name);
    match info.zip(state.proxy.stats_of(name).ok()) {
        Some((info, stats)) => Some(Shown::Served(Box::new(Tenant::new(info, &stats, trouble)))),
        None => Some(Shown::NotServed { name: name.to_owned(), trouble: trouble?.into() }),
    }
}

pub(super) fn upgraded(upgraded: &Upgraded) -> serde_json::Value {
    match upgraded {
        Upgraded::Exchanged(report) => {
            let UpgradeReport { instances, sessions, evicted, asked, found, took_ms, .. } = report;
            serde_json::json!({
                "instances": instances, "sessions": sessions, "evicted": evicted, "asked": asked, "found": found,
                "took_ms": took_ms,
            })
        }
        Upgraded::Opened { moved } => serde_json::json!({ "opened": true, "moved": moved }),
    }
}

/// The tenants that are served, and then the others.
fn all(state: &State) -> Vec<Shown> {
    let infos = state.infos();
    let by_name: HashMap<&str, &TenantInfo> = infos.iter().map(|info| (info.name.as_str(), &**info)).collect();
    let mut troubles: HashMap<String, tenants::Trouble> = state.troubles().into_iter().collect();
    let stats = state.proxy.stats();
    let served = stats.iter().filter_map(|(name, stats)| {
        let info = by_name.get(name.as_str())?;
        Some(Shown::Served(Box::new(Tenant::new(info, stats, troubles.remove(name)))))
    });
    let mut all: Vec<Shown> = served.collect();
    let others = troubles.into_iter().filter(|(_, trouble)| trouble.standing == Standing::NotServed);
    let mut others: Vec<(String, tenants::Trouble)> = others.collect();
    others.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.extend(others.into_iter().map(|(name, trouble)| Shown::NotServed { name, trouble: trouble.into() }));
    all
}

impl From<tenants::Trouble> for Trouble {
    fn from(trouble: tenants::Trouble) -> Self {
        let since = trouble.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { standing: trouble.standing.name(), since, problems: trouble.problems }
    }
}

impl Tenant {
    fn new(info: &TenantInfo, stats: &TenantStats, trouble: Option<tenants::Trouble>) -> Self {
        let guest = info.guest.as_ref().map(|guest| Guest {
            component: guest.component.display().to_string(),
            sha256: hex(&guest.digest),
            size_class: guest.class.name(),
            readers: guest.readers,
        });
        let upgrade_refused = trouble.as_ref().filter(|trouble| trouble.is_upgrade);
        let upgrade_refused = upgrade_refused.map(|trouble| trouble.problems.join("\n"));
        Self {
            name: info.name.clone(),
            server_names: info.server_names.clone(),
            upstream: info.upstream.clone(),
            guest,
            connections: stats.connections,
            connections_reserve: stats.reserve,
            handshakes: stats.handshakes,
            resumed: stats.resumed,
            failed: stats.failed,
            displaced: stats.displaced,
            rejected: Rejection::ALL.iter().map(|cause| cause.name()).zip(stats.rejected).collect(),
            bytes_from_clients: stats.bytes_from_clients,
            bytes_from_upstream: stats.bytes_from_upstream,
            upstream_connections: stats.upstream.connections,
            upstream_failed: stats.upstream.failed,
            upstream_handshakes: stats.upstream.handshakes,
            upstream_resumed: stats.upstream.resumed,
            upstream_handshakes_failed: stats.upstream.handshakes_failed,
            roles: stats.caches().map(|(role, cache)| (Role::name(role), Cache::new(cache))).collect(),
            upgrade_refused,
            trouble: trouble.map(Trouble::from),
        }
    }
}

impl Cache {
    fn new(stats: &CacheStats) -> Self {
        Self {
            state: stats.state.name(),
            suspended_by_operator: stats.is_suspended_by_operator,
            rolled_back: stats.is_rolled_back,
            statistics: CacheStats::ALL.iter().map(|statistic| (statistic.name, statistic.of(stats))).collect(),
            misses: Miss::ALL.iter().map(|cause| (cause.name(), stats.misses(*cause))).collect(),
            fuel: Callback::ALL.iter().map(|callback| (callback.name(), stats.fuel(*callback))).collect(),
            calls: Callback::ALL.iter().map(|callback| (callback.name(), stats.calls(*callback))).collect(),
            faults: FaultKind::ALL.iter().map(|kind| (kind.name(), stats.faults(*kind))).collect(),
            lookup_ns_p50: stats.lookup_ns.value_at_quantile(0.5),
            lookup_ns_p99: stats.lookup_ns.value_at_quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statistic_of_the_core_is_in_the_api() {
        let cache = serde_json::to_value(Cache::new(&CacheStats::none())).expect("numbers can be written");
        for statistic in CacheStats::ALL {
            assert!(cache.get(statistic.name).is_some_and(serde_json::Value::is_u64), "{}", statistic.name);
        }
    }
}
