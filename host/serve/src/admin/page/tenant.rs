//! The page of one tenant: its health, its actions, its guest's activity, and its limits.

use std::time::Duration;

use innkeeper_proxy::{
    Rejection, TenantStats, Times,
    core::{CacheStats, Callback, Card, FaultKind, Limit, LimitUnit, Limits, Miss, Recent, Role, Shown, Unit},
};
use maud::{Markup, html};

use super::{layout::Layout, spark};
use crate::{
    admin::{
        action::Action,
        pieces::{Health, ago, bytes, count, fact, fuel_each, mean, number, ratio, since, time, trouble},
    },
    history::Reading,
    state::State,
    tenant_info::{TenantInfo, hex},
    tenants::Standing,
};

/// The server names that are shown at once. More are shown on demand.
const NAMES_SHOWN: usize = 8;

/// The page of one tenant, below the outcome of the last action.
pub(in crate::admin) fn tenant(state: &State, name: &str, said: Option<Result<&str, &str>>) -> Option<Markup> {
    let infos = state.infos();
    let info = infos.iter().find(|info| info.name == name);
    let Some((info, stats)) = info.zip(state.proxy.stats_of(name).ok()) else { return not_served(state, name, said) };
    let (now_ms, recent) = state.proxy.recent(name).ok()?;
    let readings = state.history(name);
    let health = Health::of(state, name, &stats, &readings);
    let can_act = state.admin.as_ref().is_some_and(|admin| admin.token.is_some());
    let main = html! {
        p.crumb { a href="/" { "← All tenants" } }
        div #head data-live { h1 { (name) } (health.badge()) }
        (what_was_said(said))
        div #front data-live { (trouble_of(state, name)) (front(&stats, &readings)) }
        (actions(name, can_act))
        div #caches data-live {
            @for (role, cache) in stats.caches() {
                section aria-labelledby=(role.name()) {
                    h2 id=(role.name()) { (title_of(role)) }
                    div.cards { (sessions(cache)) (lookups(cache)) (guest(cache)) }
                    (calls(cache))
                    @for (own, recent) in &recent { @if *own == role { (recent_of(role, recent, now_ms)) } }
                }
            }
        }
        div #now data-live { (settings(info)) }
    };
    let title = format!("{name}: {}", health.word());
    let from = format!("/tenants/{name}");
    Some(Layout { title: &title, level: health.level, from: Some(&from), search: "" }.around(&main))
}

/// The outcome of an action. It takes the focus, so a screen reader reads it first and the next key goes on from there.
fn what_was_said(said: Option<Result<&str, &str>>) -> Markup {
    html! {
        @match said {
            Some(Ok(done)) => p.said.done role="status" tabindex="-1" autofocus { (done) },
            Some(Err(why)) => p.said.failed role="alert" tabindex="-1" autofocus { strong { "Not done: " } (why) },
            None => {},
        }
    }
}

/// A tenant of the file that is not served.
fn not_served(state: &State, name: &str, said: Option<Result<&str, &str>>) -> Option<Markup> {
    state.trouble(name)?;
    let health = Health::not_served();
    let main = html! {
        p.crumb { a href="/" { "← All tenants" } }
        div #head data-live { h1 { (name) } (health.badge()) }
        (what_was_said(said))
        div #front data-live { (trouble_of(state, name)) }
    };
    let title = format!("{name}: {}", health.word());
    let from = format!("/tenants/{name}");
    Some(Layout { title: &title, level: health.level, from: Some(&from), search: "" }.around(&main))
}

fn trouble_of(state: &State, name: &str) -> Markup {
    html! {
        @if let Some(trouble) = state.trouble(name) {
            @let (what, then) = match trouble.standing {
                Standing::Kept if trouble.is_upgrade => ("Not upgraded, ", "The old guest goes on serving."),
                Standing::Kept => ("Not changed as the configuration says, ", "The tenant is served as before."),
                Standing::WithoutGuest => ("Without a guest, ", "Each handshake is a full one."),
                Standing::NotServed => ("Not served, ", "Its server names are unknown."),
            };
            div.said.failed role="alert" {
                strong { (what) (since(trouble.since)) "." } " " (then)
                @for problem in &trouble.problems { pre { (problem) } }
            }
        }
    }
}

fn title_of(role: Role) -> &'static str {
    match role {
        Role::Server => "Sessions of clients",
        Role::Client => "Sessions with the upstream",
    }
}

fn front(stats: &TenantStats, readings: &[Reading]) -> Markup {
    let (lately, resumed_lately) = spark::lately(readings);
    let took = |times: &Times| mean(times.sum_us.saturating_mul(1_000), times.count());
    let TenantStats { upstream, .. } = stats;
    html! {
        div.cards.front {
            div.card.drawn {
                h2 { "Resumed" }
                p.large { (ratio(stats.resumed, stats.handshakes)) }
                p.note { (ratio(resumed_lately, lately)) " in the last ten minutes" }
                (spark::resumed(readings))
            }
            div.card.drawn {
                h2 { "Handshakes" }
                p.large { (number(stats.handshakes)) }
                p.note { (number(lately)) " in the last ten minutes" }
                (spark::handshakes(readings))
            }
            dl.card.facts {
                (count("Connections now", stats.connections))
                (count("Kept for this tenant", stats.reserve))
                (trouble("Handshakes failed", stats.failed))
                @if stats.displaced > 0 { (trouble("Silent handshakes ended for others", stats.displaced)) }
                (fact("A full handshake takes", took(&stats.full_times)))
                (fact("A resumed one takes", took(&stats.resumed_times)))
                @for (cause, rejected) in Rejection::ALL.iter().zip(stats.rejected) {
                    @if rejected > 0 { (trouble(&format!("Rejected, {}", cause.name()), rejected)) }
                }
            }
            dl.card.facts {
                (count("Upstream connections", upstream.connections))
                (trouble("Upstream not reached", upstream.failed))
                @if stats.client_cache.is_some() {
                    (fact("Upstream resumed", ratio(upstream.resumed, upstream.handshakes)))
                    (trouble("Upstream handshakes failed", upstream.handshakes_failed))
                }
                (fact("From clients", bytes(stats.bytes_from_clients)))
                (fact("From the upstream", bytes(stats.bytes_from_upstream)))
            }
        }
    }
}

/// The label of an action's button, and its effect.
fn label_of(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Upgrade => {
            ("Upgrade from file", "Reads the component file again and replaces the running guest. Sessions stay.")
        }
        Action::Revoke => ("Revoke all sessions", "Wipes every session. Clients shake hands in full once more."),
        Action::Suspend => {
            ("Suspend the guest", "Stops asking it until you resume it. Clients shake hands in full each time.")
        }
        Action::Resume => ("Resume the guest", "Asks it again, and forgets its faults."),
    }
}

fn actions(name: &str, can_act: bool) -> Markup {
    html! {
        section aria-labelledby="actions" {
            h2 #actions { "Actions" }
            @if can_act {
                form.card.actions method="post" action={ "/tenants/" (name) "/actions" } {
                    // The Enter key in a field presses a form's first button. This one is disabled, so nothing happens.
                    button type="submit" disabled hidden {}
                    // A browser stores the token under a name.
                    input type="text" name="user" value="innkeeper" autocomplete="username" readonly hidden;
                    p.token {
                        label for="token" { "Token" }
                        input #token name="token" type="password" required autocomplete="current-password"
                            aria-describedby="token-is";
                        span.note #token-is { "The one in " code { "admin.token_file" } "." }
                    }
                    ul.choices {
                        @for action in Action::ALL {
                            @let (label, what) = label_of(action);
                            @let id = format!("do-{}", action.name());
                            li {
                                button type="submit" name="action" value=(action.name()) aria-describedby=(id) {
                                    (label)
                                }
                                span.note id=(id) { (what) }
                            }
                        }
                    }
                }
            } @else {
                p.note { "Actions are off: write " code { "admin.token_file" } " in the file and start again." }
            }
        }
    }
}

/// The statistics of one card, in the order of their table.
fn statistics(cache: &CacheStats, card: Card) -> Markup {
    let shown = CacheStats::ALL
        .iter()
        .filter(|own| own.card == card)
        .filter(|own| own.shown != Shown::Trouble || own.of(cache) > 0);
    html! {
        @for own in shown {
            @let value = own.of(cache);
            @match (own.shown, own.unit) {
                (Shown::Watched | Shown::Trouble, _) => (trouble(own.title, value)),
                (Shown::Fact, Unit::Count) => (count(own.title, value)),
                (Shown::Fact, Unit::Bytes) => (fact(own.title, bytes(value))),
                (Shown::Fact, Unit::Ns) => (fact(own.title, time(value))),
            }
        }
    }
}

fn sessions(cache: &CacheStats) -> Markup {
    html! {
        div.card {
            h3 { "Sessions" }
            dl.facts { (statistics(cache, Card::Sessions)) }
        }
    }
}

fn lookups(cache: &CacheStats) -> Markup {
    let missed = Miss::ALL.iter().filter(|cause| cache.misses(**cause) > 0);
    let quantile = |of: f64| time(cache.lookup_ns.value_at_quantile(of));
    html! {
        div.card {
            h3 { "Lookups" }
            dl.facts {
                (statistics(cache, Card::Lookups))
                @for cause in missed {
                    @let label = format!("Missed, {}", cause.name());
                    @match cause {
                        // Normal behaviour of clients.
                        Miss::Absent | Miss::Expired | Miss::Gone => (count(&label, cache.misses(*cause))),
                        _ => (trouble(&label, cache.misses(*cause))),
                    }
                }
                @if !cache.lookup_ns.is_empty() {
                    (fact("Half take at most", quantile(0.5)))
                    (fact("99 of 100 take at most", quantile(0.99)))
                }
            }
        }
    }
}

fn guest(cache: &CacheStats) -> Markup {
    let faulted = FaultKind::ALL.iter().filter(|kind| cache.faults(**kind) > 0);
    html! {
        div.card {
            h3 { "Guest" }
            dl.facts {
                (fact("State", cache.state.name()))
                @for kind in faulted { (trouble(&format!("Faults, {}", kind.name()), cache.faults(*kind))) }
                (statistics(cache, Card::Guest))
            }
        }
    }
}

fn calls(cache: &CacheStats) -> Markup {
    let called = Callback::ALL.iter().filter(|callback| cache.calls(**callback) > 0);
    html! {
        div.card {
            table.numbers {
                caption { "Calls of the guest" }
                thead {
                    tr {
                        th scope="col" { "Callback" }
                        th scope="col" { "Calls" }
                        th scope="col" { "Fuel a call" }
                        th scope="col" { "Mean time" }
                    }
                }
                tbody {
                    @for callback in called {
                        @let times = cache.call_times(*callback);
                        tr {
                            th scope="row" { code { (callback.name()) } }
                            td { (number(cache.calls(*callback))) }
                            td { (fuel_each(cache, *callback)) }
                            td { (mean(times.sum_ns, times.count())) }
                        }
                    }
                }
            }
        }
    }
}

/// The recent events of a guest. The text of the guest is isolated in direction, so it moves nothing around it.
fn recent_of(role: Role, recent: &Recent, now_ms: u64) -> Markup {
    let passed = |at_ms: u64| ago(Duration::from_millis(now_ms.saturating_sub(at_ms)));
    let faults = recent.faults.iter().rev();
    let lines = recent.lines.iter().rev();
    let id = |of: &str| format!("{of}-{}", role.name());
    html! {
        div.cards.two {
            div.card {
                h3 id=(id("faults")) { "Last faults" }
                @if recent.faults.is_empty() { p.note { "None." } }
                @else {
                    ol.lines id=(id("fault-lines")) tabindex="0" aria-labelledby=(id("faults")) {
                        @for fault in faults {
                            li {
                                span.when { (passed(fault.at_ms)) } " "
                                b { (fault.callback.name()) } " " bdi { (fault.text) }
                            }
                        }
                    }
                }
            }
            div.card {
                h3 id=(id("log")) { "The guest's log" }
                @if recent.lines.is_empty() { p.note { "Nothing." } }
                @else {
                    ol.lines id=(id("log-lines")) tabindex="0" aria-labelledby=(id("log")) {
                        @for line in lines {
                            li {
                                span.when { (passed(line.at_ms)) } " "
                                b class=(line.level.name()) { (line.level.name()) } " " bdi { (line.text) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn settings(info: &TenantInfo) -> Markup {
    html! {
        section aria-labelledby="settings" {
            h2 #settings { "Settings" }
            dl.card.facts.written {
                div { dt { "Server names" } dd { (server_names(&info.server_names)) } }
                (fact("Client certificates", format!("{:?}", info.client_auth).to_lowercase()))
                div { dt { "Upstream" } dd { (info.upstream) @if info.is_upstream_tls { " (TLS)" } } }
                @if let Some(guest) = &info.guest {
                    (fact("Component", guest.component.display().to_string()))
                    div { dt { "SHA-256" } dd { code { (hex(&guest.digest)) } } }
                    (fact("Size class", guest.class.name()))
                    (fact("Readers", guest.readers))
                    @for property in &guest.properties {
                        div { dt { "Property " code { (property.name) } } dd { bdi { (property.value) } } }
                    }
                }
            }
            @if let Some(guest) = &info.guest { (limits(&guest.limits)) }
        }
    }
}

fn server_names(names: &[String]) -> Markup {
    let list = |names: &[String]| html! { ul.names { @for name in names { li { (name) } } } };
    let (shown, others) = names.split_at(names.len().min(NAMES_SHOWN));
    html! {
        (list(shown))
        @if !others.is_empty() {
            details #more-names { summary { (number(others.len() as u64)) " more" } (list(others)) }
        }
    }
}

fn limits(limits: &Limits) -> Markup {
    let grants = [
        ("lookup, select-session, size", limits.read),
        ("update, delete", limits.write),
        ("init", limits.init),
        ("foldl, terminate", limits.whole),
    ];
    html! {
        div.cards.two {
            div.card {
                table.numbers {
                    caption { "Limits of a call" }
                    thead {
                        tr { th scope="col" { "Callback" } th scope="col" { "Fuel" } th scope="col" { "Time" } }
                    }
                    tbody {
                        @for (calls, grant) in grants {
                            tr {
                                th scope="row" { code { (calls) } }
                                td { (number(grant.fuel)) }
                                td { (number(u64::try_from(grant.time.as_millis()).unwrap_or(u64::MAX))) " ms" }
                            }
                        }
                    }
                }
            }
            div.card {
                h3 { "Limits of the tenant" }
                dl.facts {
                    @for limit in of_the_tenant() {
                        (fact(limit.name, in_unit(limit.unit, limit.of(limits))))
                    }
                    // The configuration has that beside the limits, in seconds.
                    (fact("lifetime_s", format!("{} s", number(limits.lifetime.as_secs()))))
                }
            }
        }
    }
}

/// The limits that bound more than one call, and have the same name in a configuration.
fn of_the_tenant() -> impl Iterator<Item = &'static Limit> {
    Limits::ALL.iter().filter(|limit| !limit.name.contains('.') && limit.name != "lifetime_ms")
}

fn in_unit(unit: LimitUnit, value: u64) -> String {
    match unit {
        LimitUnit::Bytes => bytes(value),
        LimitUnit::Ms => format!("{} ms", number(value)),
        LimitUnit::Fuel | LimitUnit::Count => number(value),
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_proxy::core::SizeClass;

    use super::*;

    #[test]
    fn every_statistic_and_limit_of_the_core_is_on_the_page() {
        let stats = CacheStats::none();
        let page = [sessions(&stats), lookups(&stats), guest(&stats)].map(Markup::into_string).concat();
        let is_there = |page: &str, title: &str| page.contains(&format!("<dt>{title}</dt>"));
        for statistic in CacheStats::ALL {
            let title = html! { (statistic.title) }.into_string();
            assert_eq!(is_there(&page, &title), statistic.shown != Shown::Trouble, "{title}");
        }
        let page = limits(&Limits::new(SizeClass::Small)).into_string();
        of_the_tenant().for_each(|limit| assert!(is_there(&page, limit.name), "{}", limit.name));
    }
}
