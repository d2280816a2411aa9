//! `/metrics`: every counter in Prometheus's text format. One table defines each metric, its meaning, and the values to
//! worry about. The operator's reference comes from the same table.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use innkeeper_proxy::{
    ProxyStats, Rejection, TenantStats, Times, UpstreamStats,
    core::{CacheState, CacheStats, CallTimes, Callback, FaultKind, Miss, Role, Statistic, StatisticKind, Unit},
};
use prometheus::{
    Encoder as _, TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{
    config::lower_first,
    state::State,
    tenants::{Standing, Trouble},
};

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows, until a restart or a new cache resets it.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of values over buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// The name.
    pub name: &'static str,
    /// The kind of number.
    pub kind: Kind,
    /// The labels.
    pub labels: Vec<&'static str>,
    /// The meaning.
    pub what: Cow<'static, str>,
    /// The sign of trouble, and its usual cause; empty where it informs only.
    pub worry: Cow<'static, str>,
}

macro_rules! metrics {
    ($($place:ident $kind:ident $name:literal [$($label:literal),*] $what:literal, $worry:literal;)*) => {
        /// The metrics that are defined here, as numbers into [`METRICS`].
        #[derive(Clone, Copy)]
        enum Id { $($place),* }

        fn defined_here() -> Vec<Definition> {
            vec![$(Definition {
                name: $name,
                kind: Kind::$kind,
                labels: vec![$($label),*],
                what: $what.into(),
                worry: $worry.into(),
            }),*]
        }
    };
}

/// Every metric: those defined here, and those that the core's statistics make.
pub static METRICS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let mut all = defined_here();
    CacheStats::ALL.iter().for_each(|statistic| add_definition(&mut all, statistic));
    all
});

/// The place of each statistic's metric in [`METRICS`], looked up once and not for each tenant.
static PLACES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let place = |statistic: &Statistic| METRICS.iter().position(|own| own.name == statistic.metric);
    CacheStats::ALL.iter().map(|own| place(own).expect("each statistic's metric is defined")).collect()
});

/// Every statistic, with the place of its metric.
fn statistics() -> impl Iterator<Item = (usize, &'static Statistic)> {
    PLACES.iter().copied().zip(CacheStats::ALL)
}

/// Adds a statistic's metric, or its part of one that is there.
fn add_definition(all: &mut Vec<Definition>, statistic: &Statistic) {
    let Statistic { metric, label, doc, worry, kind, .. } = *statistic;
    let doc = doc.trim();
    let what = label.map_or_else(|| doc.to_owned(), |(_, value)| format!("`{value}`: {}", lower_first(doc)));
    if let Some(own) = all.iter_mut().find(|own| own.name == metric) {
        own.what = format!("{} {what}", own.what).into();
        own.worry = format!("{} {worry}", own.worry).trim().to_owned().into();
        return;
    }
    let kind = match kind {
        StatisticKind::Counter => Kind::Counter,
        StatisticKind::Gauge => Kind::Gauge,
    };
    let labels = ["tenant", "role"].into_iter().chain(label.map(|(name, _)| name)).collect();
    all.push(Definition { name: metric, kind, labels, what: what.into(), worry: worry.into() });
}

metrics! {
    BuildInfo Gauge "innkeeper_build_info" ["version"]
        "Always 1; the version is in the label.",
        "";
    StartTime Gauge "process_start_time_seconds" []
        "The start of the process, in seconds since 1970.",
        "It moves: the process was restarted, and every session is gone.";
    ResidentMemory Gauge "process_resident_memory_bytes" []
        "Resident memory of the process.",
        "It grows for hours while the number of tenants and sessions does not.";
    OpenFiles Gauge "process_open_fds" []
        "Open file descriptors of the process.",
        "It comes near the limit; see `connections.max`.";
    LogLinesLost Counter "innkeeper_log_lines_lost_total" []
        "Log lines that were lost: nobody reads the log, or its disk is full. The server does not wait for its log.",
        "It grows: check the log's reader, and its disk.";
    ReloadOk Gauge "innkeeper_config_last_reload_successful" []
        "1 if the last configuration that was read was applied, in whole or without the tenants that have errors; 0 \
         if not.",
        "0: the file is broken, and the server goes on with the one before. The log names the error.";
    ReloadResult Gauge "innkeeper_config_last_reload_result" ["result"]
        "1 for the result of the last reload, 0 for the others: `all` was applied, `partly` since some tenants have \
         errors, or `refused`.",
        "`partly` is 1: see `innkeeper_tenant_trouble`. `refused` is 1: nothing was applied.";
    ReloadTime Gauge "innkeeper_config_last_reload_timestamp_seconds" []
        "The time of the last reload, in seconds since 1970.",
        "";
    Trouble Gauge "innkeeper_tenant_trouble" ["tenant", "kind"]
        "1 for the state of a tenant with errors, 0 for the others: `kept` as it was, served `without-guest`, or \
         `not-served`.",
        "It is 1: the configuration, a certificate or the component of that tenant is broken. The log and the \
         tenant's page name the error.";
    Tenants Gauge "innkeeper_tenants" []
        "Tenants that are served.",
        "";
    TenantsWithout Gauge "innkeeper_tenants_without_metrics" []
        "Tenants beyond `admin.metrics_tenants`, which have no metrics of their own.",
        "It is not 0, and each tenant is to be watched.";
    Connections Gauge "innkeeper_connections" []
        "Connections now, with those whose tenant is not known yet.",
        "It stays at `connections.max`: clients wait to be accepted.";
    BeforeHello Gauge "innkeeper_connections_before_hello" []
        "Connections now whose ClientHello has not come.",
        "It stays at `connections.hello_max`: a flood of silent connections. Newcomers take the places of the oldest \
         ones.";
    Displaced Counter "innkeeper_connections_displaced_total" []
        "Connections closed before their ClientHello, since a newcomer needed their place.",
        "It grows: a flood of silent connections, or many clients behind one address, for which \
         `connections.hello_per_peer` is too low.";
    NoHello Counter "innkeeper_connections_without_hello_total" []
        "Connections without a ClientHello in time, or with one that cannot be read.",
        "It grows fast: a scan, a flood of silent connections, or a load balancer that does not speak the PROXY \
         protocol as configured.";
    UnknownNames Counter "innkeeper_connections_unknown_server_name_total" []
        "ClientHellos without a server name, or with one that no tenant serves.",
        "It grows after a change of `server_names`.";
    NotAccepted Counter "innkeeper_connections_not_accepted_total" []
        "Connections that the system failed to accept.",
        "It grows: the process is out of file descriptors.";
    TenantConnections Gauge "innkeeper_tenant_connections" ["tenant"]
        "A tenant's connections now.",
        "It stays at the tenant's `connections.max`.";
    TenantReserve Gauge "innkeeper_tenant_connections_reserve" ["tenant"]
        "Connections that no other tenant can use up.",
        "It is less than the tenant needs, where `too-many-of-all` grows in `innkeeper_rejected_total`.";
    Rejected Counter "innkeeper_rejected_total" ["tenant", "cause"]
        "Connections closed before their handshake.",
        "It grows: the tenant has too many connections, or its handshakes come faster than `handshakes_per_s`. \
         `too-many-of-peer`: one address has `per_peer` of them; if it is a load balancer, raise that. \
         `too-many-of-all`: the tenant has used up its `reserve`, and all tenants the rest.";
    Bytes Counter "innkeeper_bytes_total" ["tenant", "from"]
        "Bytes forwarded.",
        "";
    UpstreamConnections Counter "innkeeper_upstream_connections_total" ["tenant"]
        "Connections begun to the upstream.",
        "";
    UpstreamFailed Counter "innkeeper_upstream_failed_total" ["tenant"]
        "Connections to the upstream that failed. Handshakes that fail afterwards are among \
         `innkeeper_handshakes_total` in the role `client`.",
        "It grows: the upstream is down or too slow.";
    Handshakes Counter "innkeeper_handshakes_total" ["tenant", "role", "result"]
        "Handshakes, with clients in the role `server` and with upstreams in the role `client`, by result: `full`, \
         `resumed`, `failed`, and in the role `server` `displaced`, where one waited for its client and a new \
         connection needed its place.",
        "`displaced` grows: a flood of handshakes whose clients stop halfway. `failed` grows faster than clients \
         break off; or `resumed` falls beside `full` though clients return.";
    HandshakeSeconds Histogram "innkeeper_handshake_seconds" ["tenant", "role", "result"]
        "Times of completed handshakes. In the role `client`, full and resumed ones together.",
        "The upper buckets fill: the machine is short of cores, or the guest of a tenant is slow.";
    Lookups Counter "innkeeper_lookups_total" ["tenant", "role"]
        "Sessions that were asked for.",
        "";
    Misses Counter "innkeeper_lookup_misses_total" ["tenant", "role", "cause"]
        "Lookups without a session, by cause.",
        "`fault`, `down` or `busy`: the guest is in trouble. `false-claim`: it lies. `over-budget`: it burns more \
         fuel than it may. `over-time`: it takes more time on a core than it may. `declined`: it forgets. `absent` \
         and `expired` depend on clients.";
    Fuel Counter "innkeeper_fuel_total" ["tenant", "role", "callback"]
        "Fuel that the guest burned.",
        "Fuel a call, `rate(innkeeper_fuel_total) / rate(innkeeper_calls_total)`, grows with the number of sessions: \
         the guest does not scale.";
    Calls Counter "innkeeper_calls_total" ["tenant", "role", "callback"]
        "Calls into the guest.",
        "";
    CallSeconds Histogram "innkeeper_call_seconds" ["tenant", "role", "callback"]
        "Times of calls into the guest. For `lookup`, of one in sixteen that a reader waited for, with the wait for a \
         free instance.",
        "`lookup` takes longer than the handshake saves.";
    Faults Counter "innkeeper_faults_total" ["tenant", "role", "kind"]
        "Calls of the guest that failed.",
        "It grows: the tenant's page shows the last ones.";
    StateOf Gauge "innkeeper_state" ["tenant", "role", "state"]
        "1 for the state of the cache, 0 for the others.",
        "`suspended` is 1: the guest is not asked; see the playbook.";
}

/// The samples, grouped by metric.
struct Page(Vec<MetricFamily>);

impl Page {
    fn new() -> Self {
        let family = |definition: &Definition| {
            let mut family = MetricFamily::default();
            family.set_name(definition.name.to_owned());
            family.set_help(definition.what.to_string());
            family.set_field_type(match definition.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family
        };
        Self(METRICS.iter().map(family).collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
    fn add(&mut self, id: Id, labels: &[&str], value: u64) {
        self.add_f64(id as usize, labels, value as f64);
    }

    /// Adds a statistic of a tenant's cache to its metric.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
    fn add_statistic(&mut self, place: usize, statistic: &Statistic, [tenant, role]: [&str; 2], stats: &CacheStats) {
        let value = statistic.of(stats);
        let value = match statistic.unit {
            Unit::Ns => Duration::from_nanos(value).as_secs_f64(),
            Unit::Count | Unit::Bytes => value as f64,
        };
        match statistic.label {
            Some((_, part)) => self.add_f64(place, &[tenant, role, part], value),
            None => self.add_f64(place, &[tenant, role], value),
        }
    }

    fn add_f64(&mut self, place: usize, labels: &[&str], value: f64) {
        let mut metric = labelled(place, labels);
        match METRICS[place].kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.0[place].mut_metric().push(metric);
    }

    /// Adds a histogram. `bounds` are in seconds; the last of `counts` is for values above all bounds.
    fn add_histogram(&mut self, id: Id, labels: &[&str], bounds: &[f64], counts: &[u64], sum_s: f64) {
        let mut below = 0;
        let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(below);
            bucket.set_upper_bound(*bound);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum_s);
        let mut metric = labelled(id as usize, labels);
        metric.set_histogram(histogram);
        self.0[id as usize].mut_metric().push(metric);
    }

    fn into_text(self) -> String {
        let families: Vec<MetricFamily> = self.0.into_iter().filter(|family| !family.get_metric().is_empty()).collect();
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).expect("memory can be written to, and no family is empty");
        String::from_utf8(text).expect("the text format is UTF-8")
    }
}

fn labelled(place: usize, values: &[&str]) -> Metric {
    let names = &METRICS[place].labels;
    debug_assert_eq!(names.len(), values.len(), "a value for each label");
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(names.iter().zip(values).map(pair).collect())
}

/// All metrics in Prometheus's text format. Costs microseconds for each tenant, and asks no guest.
pub(crate) fn text(state: &State) -> String {
    let mut page = Page::new();
    add_process(&mut page, state);
    let stats = state.proxy.stats();
    let with = state.admin.as_ref().map_or(usize::MAX, |admin| admin.metrics_tenants);
    page.add(Id::Tenants, &[], stats.len() as u64);
    page.add(Id::TenantsWithout, &[], stats.len().saturating_sub(with) as u64);
    add_totals(&mut page, state.proxy.totals());
    add_troubles(&mut page, state, &stats, with);
    for (tenant, stats) in stats.iter().take(with) {
        add_tenant(&mut page, tenant, stats);
        add_upstream(&mut page, tenant, &stats.upstream, stats.client_cache.is_some());
        for (role, cache) in stats.caches() {
            add_cache(&mut page, tenant, role, cache);
        }
    }
    page.into_text()
}

fn add_process(page: &mut Page, state: &State) {
    let seconds =
        |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    page.add(Id::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1);
    page.add_f64(Id::StartTime as usize, &[], seconds(state.started));
    if let Some(bytes) = resident_bytes() {
        page.add(Id::ResidentMemory, &[], bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.add(Id::OpenFiles, &[], files.count() as u64);
    }
    page.add(Id::LogLinesLost, &[], crate::log::lines_lost());
    let (when, is_ok) = state.last_reload().map_or((state.started, true), |(when, what)| (when, what.is_ok()));
    page.add(Id::ReloadOk, &[], is_ok.into());
    page.add_f64(Id::ReloadTime as usize, &[], seconds(when));
    let result = match (is_ok, state.troubles().is_empty()) {
        (false, _) => "refused",
        (true, false) => "partly",
        (true, true) => "all",
    };
    for own in ["all", "partly", "refused"] {
        page.add(Id::ReloadResult, &[own], (own == result).into());
    }
}

/// Adds the problems of tenants: those that are served first, and then as many others as have metrics.
fn add_troubles(page: &mut Page, state: &State, stats: &[(String, TenantStats)], with: usize) {
    let troubles: HashMap<String, Trouble> = state.troubles().into_iter().collect();
    let mut add = |tenant: &str, trouble: Option<&Trouble>| {
        for standing in Standing::ALL {
            let is_so = trouble.is_some_and(|trouble| trouble.standing == standing);
            page.add(Id::Trouble, &[tenant, standing.name()], is_so.into());
        }
    };
    stats.iter().take(with).for_each(|(tenant, _)| add(tenant, troubles.get(tenant)));
    let mut others: Vec<_> = troubles.iter().filter(|(_, own)| own.standing == Standing::NotServed).collect();
    others.sort_by_key(|(tenant, _)| *tenant);
    others.into_iter().take(with).for_each(|(tenant, trouble)| add(tenant, Some(trouble)));
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn add_totals(page: &mut Page, totals: ProxyStats) {
    let ProxyStats { connections, no_hello, unknown_server_names, not_accepted, before_hello, displaced, .. } = totals;
    page.add(Id::Connections, &[], connections);
    page.add(Id::BeforeHello, &[], before_hello);
    page.add(Id::Displaced, &[], displaced);
    page.add(Id::NoHello, &[], no_hello);
    page.add(Id::UnknownNames, &[], unknown_server_names);
    page.add(Id::NotAccepted, &[], not_accepted);
}

fn add_tenant(page: &mut Page, tenant: &str, stats: &TenantStats) {
    page.add(Id::TenantConnections, &[tenant], stats.connections);
    page.add(Id::TenantReserve, &[tenant], stats.reserve);
    for (cause, count) in Rejection::ALL.iter().zip(stats.rejected) {
        page.add(Id::Rejected, &[tenant, cause.name()], count);
    }
    page.add(Id::Bytes, &[tenant, "client"], stats.bytes_from_clients);
    page.add(Id::Bytes, &[tenant, "upstream"], stats.bytes_from_upstream);
    let full = stats.handshakes.saturating_sub(stats.resumed);
    let results =
        [("full", full), ("resumed", stats.resumed), ("failed", stats.failed), ("displaced", stats.displaced)];
    for (result, count) in results {
        page.add(Id::Handshakes, &[tenant, "server", result], count);
    }
    for (result, times) in [("full", &stats.full_times), ("resumed", &stats.resumed_times)] {
        add_times(page, &[tenant, "server", result], times);
    }
}

fn add_upstream(page: &mut Page, tenant: &str, stats: &UpstreamStats, is_tls: bool) {
    page.add(Id::UpstreamConnections, &[tenant], stats.connections);
    page.add(Id::UpstreamFailed, &[tenant], stats.failed);
    if !is_tls {
        return;
    }
    let full = stats.handshakes.saturating_sub(stats.resumed);
    for (result, count) in [("full", full), ("resumed", stats.resumed), ("failed", stats.handshakes_failed)] {
        page.add(Id::Handshakes, &[tenant, "client", result], count);
    }
    add_times(page, &[tenant, "client", "all"], &stats.handshake_times);
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
fn add_times(page: &mut Page, labels: &[&str], times: &Times) {
    let bounds = Times::BOUNDS_US.map(|us| us as f64 / 1e6);
    page.add_histogram(Id::HandshakeSeconds, labels, &bounds, &times.counts, times.sum_us as f64 / 1e6);
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
fn add_cache(page: &mut Page, tenant: &str, role: Role, stats: &CacheStats) {
    let role = role.name();
    let own = [tenant, role];
    let with = |label| [tenant, role, label];
    page.add(Id::Lookups, &own, stats.hits + stats.misses.iter().sum::<u64>());
    Miss::ALL.iter().for_each(|cause| page.add(Id::Misses, &with(cause.name()), stats.misses(*cause)));
    statistics().for_each(|(place, statistic)| page.add_statistic(place, statistic, own, stats));
    let bounds = CallTimes::BOUNDS_NS.map(|ns| ns as f64 / 1e9);
    // Callbacks without calls are left out.
    for callback in Callback::ALL.into_iter().filter(|callback| stats.calls(*callback) > 0) {
        page.add(Id::Fuel, &with(callback.name()), stats.fuel(callback));
        page.add(Id::Calls, &with(callback.name()), stats.calls(callback));
        let times = stats.call_times(callback);
        let sum_s = times.sum_ns as f64 / 1e9;
        page.add_histogram(Id::CallSeconds, &with(callback.name()), &bounds, &times.counts, sum_s);
    }
    FaultKind::ALL.iter().for_each(|kind| page.add(Id::Faults, &with(kind.name()), stats.faults(*kind)));
    CacheState::ALL.iter().for_each(|state| page.add(Id::StateOf, &with(state.name()), (stats.state == *state).into()));
}

/// The reference of all metrics, as Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\nGenerated from the definitions by `innkeeper serve --reference metrics`. The role `server` is for clients \
         that connect, the role `client` for upstreams that speak TLS.\n\n",
    );
    for Definition { name, kind, labels, what, worry } in METRICS.iter() {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels = labels.iter().map(|label| format!(", `{label}`")).collect::<String>();
        let worry = if worry.is_empty() { String::new() } else { format!(" *Worry:* {worry}") };
        text += &format!("- `{name}` ({kind}{labels}): {what}{worry}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statistic_of_the_core_is_a_metric_or_a_part_of_one() {
        let reference = markdown();
        let mut page = Page::new();
        for (place, statistic) in statistics() {
            page.add_statistic(place, statistic, ["shop", "server"], &CacheStats::none());
            assert!(reference.contains(&format!("- `{}` (", statistic.metric)), "{}", statistic.metric);
        }
        let text = page.into_text();
        for Statistic { metric, label, .. } in CacheStats::ALL {
            let label = label.map(|(name, value)| format!("{name}=\"{value}\"")).unwrap_or_default();
            let start = format!("{metric}{{");
            let is_there = text.lines().any(|line| line.starts_with(&start) && line.contains(&label));
            assert!(is_there, "{metric} with {label} is missing in {text}");
        }
    }

    #[test]
    fn parts_of_one_metric_agree_in_their_kind_and_label() {
        for one in CacheStats::ALL {
            for other in CacheStats::ALL.iter().filter(|other| other.metric == one.metric) {
                let label = |of: &Statistic| of.label.map(|(name, _)| name);
                assert_eq!((one.kind, label(one)), (other.kind, label(other)), "{}", one.metric);
                assert!(one.name == other.name || one.label != other.label, "{} twice", one.metric);
            }
        }
    }
}
