//! The pages: all tenants at a glance, and one of them in full. The server makes them; the script only fetches them
//! again.
//!
//! The script replaces regions marked `data-live` by fresh ones. An operator's input and the outcome of an action are
//! outside of them.

mod layout;
mod spark;
mod tenant;

use std::{collections::HashMap, sync::Arc};

use innkeeper_proxy::{TenantStats, core::Callback};
use maud::{Markup, html};

use self::layout::Layout;
pub(super) use self::tenant::tenant;
use super::pieces::{Health, Level, count, fact, fuel_each, number, ratio, since, time, trouble};
use crate::{
    history::Reading,
    state::State,
    tenant_info::TenantInfo,
    tenants::{Standing, Trouble},
};

/// The rows of a page. Nobody reads more, and they would be slow.
const ROWS_MAX: usize = 200;

/// One line of the overview.
struct Row {
    info: Arc<TenantInfo>,
    health: Health,
    stats: TenantStats,
    readings: Vec<Reading>,
    /// The server name that matched the search, if the tenant's own name did not.
    found_by: Option<String>,
}

/// The page of all tenants, those in trouble first.
pub(super) fn overview(state: &State, search: &str) -> Markup {
    let search = search.trim().to_ascii_lowercase();
    let all = rows(state, &search);
    let not_served = not_served(state);
    let how_many = |level: Level| all.iter().filter(|(row, _)| row.health.level == level).count();
    let tenants = all.len() + not_served.len();
    let (bad, watch) = (how_many(Level::Bad) + not_served.len(), how_many(Level::Watch));
    let mut found: Vec<Row> = all.into_iter().filter(|(_, is_found)| *is_found).map(|(row, _)| row).collect();
    let found_count = found.len();
    found.truncate(ROWS_MAX);
    let main = html! {
        div #verdict data-live { h1 { "Tenants" } (verdict(tenants, bad, watch)) }
        div #totals data-live { (reload(state)) (totals(state)) }
        @if !search.is_empty() {
            p.narrowed {
                (number(found_count as u64)) " of " (number(tenants as u64)) " with “" (search) "” in their names. "
                a href="/" { "Show all" }
            }
        }
        div #refused data-live { (refused(&not_served, &search)) }
        div #tenants data-live {
            @if !found.is_empty() { (table(&found)) }
            @if found_count > ROWS_MAX {
                p.note { "The first " (ROWS_MAX) " of " (number(found_count as u64)) ". Search for the others." }
            }
        }
    };
    let level = if bad > 0 {
        Level::Bad
    } else if watch > 0 {
        Level::Watch
    } else {
        Level::Good
    };
    let title = if bad > 0 { format!("{} in trouble", number(bad as u64)) } else { "Tenants".into() };
    Layout { title: &title, level, from: None, search: &search }.around(&main)
}

/// Every tenant, worst first and then by name, so a line stays in its place. True for those that match the search.
fn rows(state: &State, search: &str) -> Vec<(Row, bool)> {
    let infos = state.infos();
    let infos: HashMap<&str, &Arc<TenantInfo>> = infos.iter().map(|info| (info.name.as_str(), info)).collect();
    let row = |(name, stats): (String, TenantStats)| {
        let info = Arc::clone(infos.get(name.as_str())?);
        let readings = state.history(&name);
        let health = Health::of(state, &name, &stats, &readings);
        let by_name = name.contains(search);
        let found_by = || info.server_names.iter().find(|name| name.contains(search)).cloned();
        let found_by = if by_name { None } else { found_by() };
        let is_found = by_name || found_by.is_some();
        Some((Row { info, health, stats, readings, found_by }, is_found))
    };
    let mut rows: Vec<(Row, bool)> = state.proxy.stats().into_iter().filter_map(row).collect();
    rows.sort_by(|(a, _), (b, _)| (a.health.level, &a.info.name).cmp(&(b.health.level, &b.info.name)));
    rows
}

/// Tenants of the file that are not served.
fn not_served(state: &State) -> Vec<(String, Trouble)> {
    let troubles = state.troubles().into_iter();
    troubles.filter(|(_, trouble)| trouble.standing == Standing::NotServed).collect()
}

fn refused(not_served: &[(String, Trouble)], search: &str) -> Markup {
    let found: Vec<_> = not_served.iter().filter(|(name, _)| name.contains(search)).collect();
    html! {
        @if !found.is_empty() {
            div.said.failed role="alert" {
                strong { "Not served: " (number(found.len() as u64)) "." } " Their server names are unknown."
                ul.names {
                    @for (name, _) in found.iter().take(ROWS_MAX) { li { a href={ "/tenants/" (name) } { (name) } } }
                }
            }
        }
    }
}

/// The verdict on all tenants.
fn verdict(tenants: usize, bad: usize, watch: usize) -> Markup {
    let of = |count: usize, rest: &str| format!("{} of {} {rest}", number(count as u64), number(tenants as u64));
    let (level, text) = match (bad, watch) {
        (0, 0) if tenants == 1 => (Level::Good, "The one tenant is well".to_owned()),
        (0, 0) => (Level::Good, format!("All {} are well", number(tenants as u64))),
        (0, watch) => (Level::Watch, of(watch, "to watch")),
        (bad, 0) => (Level::Bad, of(bad, "in trouble")),
        (bad, watch) => (Level::Bad, of(bad, &format!("in trouble, {} to watch", number(watch as u64)))),
    };
    html! {
        p class={ "verdict " (level.class()) } { span.sign aria-hidden="true" { (level.sign()) } (text) }
    }
}

fn reload(state: &State) -> Markup {
    html! {
        @if let Some((when, Err(why))) = state.last_reload() {
            div.said.failed role="alert" {
                strong { "The configuration was not reloaded, " (since(when)) "." }
                " The server goes on with the one before."
                pre { (why) }
            }
        }
    }
}

fn totals(state: &State) -> Markup {
    let totals = state.proxy.totals();
    html! {
        dl.totals {
            (count("Connections", totals.connections))
            (count("Unknown server names", totals.unknown_server_names))
            (count("Without ClientHello", totals.no_hello))
            (trouble("Not accepted", totals.not_accepted))
            (fact("Started", since(state.started)))
        }
    }
}

const COLUMNS: [&str; 9] =
    ["Tenant", "State", "Resumed", "Handshakes", "Failed", "Faults", "Sessions", "Lookup p50, p99", "Fuel a lookup"];

/// The table of tenants. On a narrow screen the stylesheet makes a card of each row; the roles keep it a table.
fn table(rows: &[Row]) -> Markup {
    html! {
        table.tenants.card role="table" {
            caption { "Counted since each tenant was added. Lines show the last ten minutes." }
            thead role="rowgroup" {
                tr role="row" { @for column in COLUMNS { th scope="col" role="columnheader" { (column) } } }
            }
            tbody role="rowgroup" { @for row in rows { (line(row)) } }
        }
    }
}

fn line(row: &Row) -> Markup {
    let Row { info, health, stats, readings, found_by } = row;
    let name = info.name.as_str();
    let cache = &stats.cache;
    let faults: u64 = stats.caches().map(|(_, cache)| cache.faults.iter().sum::<u64>()).sum();
    let sessions: u64 = stats.caches().map(|(_, cache)| cache.sessions).sum();
    let is_asked = !cache.lookup_ns.is_empty();
    let quantile = |of: f64| if is_asked { time(cache.lookup_ns.value_at_quantile(of)) } else { "–".into() };
    let plain = |label: &str, count: u64, class: &str| {
        html! {
            td role="cell" data-label=(label) {
                span class=(if count == 0 { "zero" } else { class }) { (number(count)) }
            }
        }
    };
    html! {
        tr role="row" class=(health.level.class()) {
            th scope="row" role="rowheader" {
                a href={ "/tenants/" (name) } { (name) }
                @if let Some(server_name) = found_by { span.why { (server_name) } }
            }
            td.how role="cell" { (health.badge()) }
            td.drawn role="cell" data-label="Resumed" {
                span.value { (ratio(stats.resumed, stats.handshakes)) } (spark::resumed(readings))
            }
            td.drawn role="cell" data-label="Handshakes" {
                span.value { (number(stats.handshakes)) } (spark::handshakes(readings))
            }
            (plain("Failed", stats.failed, ""))
            (plain("Faults", faults, "watch"))
            (plain("Sessions", sessions, ""))
            td.long role="cell" data-label="Lookup p50, p99" {
                span.pair { (quantile(0.5)) span.then { (quantile(0.99)) } }
            }
            td.long role="cell" data-label="Fuel a lookup" { span { (fuel_each(cache, Callback::Lookup)) } }
        }
    }
}

pub(super) fn not_found(name: &str) -> Markup {
    let main = html! {
        p.crumb { a href="/" { "← All tenants" } }
        h1 { "There is no tenant " code { (name) } }
        p { "It may have been removed from the configuration." }
    };
    Layout { title: "Not found", level: Level::Watch, from: None, search: "" }.around(&main)
}
