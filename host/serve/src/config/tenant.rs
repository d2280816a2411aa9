//! The check of tenants: names, files, addresses, limits, each alone and all against each other.

use std::{collections::HashMap, num::NonZeroU32, path::Path, time::Duration};

use innkeeper_proxy::{
    Certificate, Certificates, ClientAuth, ProxyProtocol, TenantBounds, TenantTls, Upstream, UpstreamTls, Wasi,
    core::{CacheConfig, LimitError, Limits, Overflow, Property, SizeClass},
    is_dns_name, is_server_name,
};

use super::{
    document::At,
    file::{self, File},
    files::{Digest, Files, digest_of},
    problem::{Notes, Part, TenantProblems},
    settings::{GuestSettings, TenantSettings},
};

/// Checks every tenant. Returns the tenants that can be served, and the problems of each.
pub(super) fn check_tenants(
    file: &File,
    files: &mut Files,
    notes: &mut Notes<'_>,
) -> (Vec<TenantSettings>, Vec<TenantProblems>) {
    let all = At::top().key("tenants");
    if file.tenants.is_empty() {
        notes.add(&all, "the table is empty, so no tenant is served", "write at least one `[tenants.NAME]`");
    }
    let claims = claims(file);
    let (mut tenants, mut troubled) = (Vec::new(), Vec::new());
    for (name, written) in &file.tenants {
        let at = all.key(name);
        check_name(name, &at, notes);
        let mut check = Check { files: &mut *files, notes: notes.fresh(), digests: Vec::new() };
        let front = check.front(name, written, &claims, &at);
        let front_problems = std::mem::replace(&mut check.notes, notes.fresh()).finish();
        let guest = check.guest(written, &file.maxima, &at);
        let guest_problems = check.notes.finish();
        let (part, problems) = match (front_problems, guest_problems) {
            (Ok(()), Ok(())) => (None, None),
            (Ok(()), Err(problems)) => (Some(Part::Guest), Some(problems)),
            (Err(problems), Ok(())) => (Some(Part::Front), Some(problems)),
            (Err(problems), Err(others)) => (Some(Part::Front), Some(problems.and(others))),
        };
        let is_front_good = part != Some(Part::Front);
        troubled.extend(part.zip(problems).map(|(part, problems)| TenantProblems {
            tenant: name.clone(),
            part,
            problems,
        }));
        tenants.extend(front.filter(|_| is_front_good).map(|front| TenantSettings { guest, ..front }));
    }
    (tenants, troubled)
}

/// The tenants that claim each server name, in lower case, in the order of the file.
fn claims(file: &File) -> HashMap<String, Vec<&str>> {
    let mut claims: HashMap<String, Vec<&str>> = HashMap::new();
    for (name, written) in &file.tenants {
        for server_name in &written.server_names {
            let claimants = claims.entry(server_name.to_ascii_lowercase()).or_default();
            if !claimants.contains(&name.as_str()) {
                claimants.push(name);
            }
        }
    }
    claims
}

fn check_name(name: &str, at: &At, notes: &mut Notes<'_>) {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    if name.len() > 63 || !begins_well || !name.bytes().all(is_plain) {
        let fix = "write 1 to 63 lower-case letters, digits, `-`, `_` or `.`, beginning with a letter or a digit";
        notes.add(at, "invalid name of a tenant", fix);
    }
}

/// The most early data that a client may be promised. Of early data that is not accepted the TLS library skips as much,
/// even if less is allowed later.
const EARLY_DATA_BYTES_MAX: u32 = 1 << 20;

/// The check of one tenant.
struct Check<'a, 'b> {
    files: &'a mut Files,
    notes: Notes<'b>,
    /// The digests of the files that the tenant's front depends on.
    digests: Vec<Digest>,
}

impl Check<'_, '_> {
    /// Checks a tenant's settings, its guest aside.
    fn front(
        &mut self,
        name: &str,
        written: &file::Tenant,
        claims: &HashMap<String, Vec<&str>>,
        at: &At,
    ) -> Option<TenantSettings> {
        // Check each, so that every problem is reported.
        let server_names = self.server_names(&written.server_names, &at.key("server_names"));
        self.check_claims(name, &written.server_names, claims, &at.key("server_names"));
        let tls = self.tls(written, server_names.as_deref(), at);
        let upstream = self.upstream(&written.upstream, &at.key("upstream"));
        let bounds = self.bounds(&written.connections, &at.key("connections"));
        Some(TenantSettings {
            name: name.to_owned(),
            server_names: server_names?,
            tls: tls?,
            upstream: upstream?,
            bounds: bounds?,
            guest: None,
            digest: digest_with(written, &self.digests),
        })
    }

    /// Notes server names that another tenant claims too. Neither gets such a name.
    fn check_claims(&mut self, own: &str, written: &[String], claims: &HashMap<String, Vec<&str>>, at: &At) {
        for (number, server_name) in written.iter().enumerate() {
            let claimants = claims.get(&server_name.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
            if let Some(other) = claimants.iter().find(|claimant| **claimant != own) {
                let what = format!("tenant `{other}` has this name too");
                self.notes.add(&at.number(number), what, "leave it out of one of the two");
            }
        }
    }

    fn server_names(&mut self, written: &[String], at: &At) -> Option<Vec<String>> {
        if written.is_empty() {
            return self.notes.none(
                at,
                "the list is empty, so no connection would reach the tenant",
                "write at least one server name",
            );
        }
        let mut are_all_good = true;
        let mut names: Vec<String> = Vec::new();
        for (number, name) in written.iter().enumerate() {
            let (at, name) = (at.number(number), name.to_ascii_lowercase());
            let host = name.strip_prefix("*.").unwrap_or(&name);
            // Clients send names only: RFC 6066, section 3.
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            if is_address || !is_dns_name(host) || host.ends_with('.') {
                let fix =
                    "write a host's name such as `www.shop.example`, or `*.shop.example` for all names one label below";
                self.notes.add(&at, "not a server name", fix);
                are_all_good = false;
            } else if names.contains(&name) {
                self.notes.add(&at, "duplicate name", "leave one of the two out");
                are_all_good = false;
            }
            names.push(name);
        }
        are_all_good.then_some(names)
    }

    fn tls(&mut self, written: &file::Tenant, server_names: Option<&[String]>, at: &At) -> Option<TenantTls> {
        let at_all = at.key("certificates");
        if written.certificates.is_empty() {
            let fix = "write at least one `{ chain = …, key = … }`";
            self.notes.add(&at_all, "the tenant has no certificate", fix);
        }
        let pairs = written.certificates.iter().enumerate();
        let certificates: Vec<_> = pairs.map(|(number, pair)| self.certificate(pair, &at_all.number(number))).collect();
        let client_auth = self.client_auth(&written.client_auth, &at.key("client_auth"));
        let alpn = self.alpn(&written.alpn, &at.key("alpn"));
        let certificates = certificates.into_iter().collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?;
        for (number, name) in server_names.unwrap_or_default().iter().enumerate() {
            // Clients may use only some names of a wildcard.
            let is_for = |certificate: &Certificate| certificate.is_for(name);
            if !name.starts_with("*.") && !certificates.iter().any(is_for) {
                let at = at.key("server_names").number(number);
                let fix = "add a certificate that is for it to `certificates`, or leave the name out";
                self.notes.add(&at, "none of the tenant's certificates is for this name", fix);
            }
        }
        let early_data_bytes = written.early_data_bytes;
        if early_data_bytes > EARLY_DATA_BYTES_MAX {
            // The TLS library keeps as much for each connection until the upstream takes it.
            let fix = format!("write at most {EARLY_DATA_BYTES_MAX}; a request is shorter");
            self.notes.add(&at.key("early_data_bytes"), "too much memory for one client", fix);
        }
        let (client_auth, client_roots) = client_auth?;
        Some(TenantTls { certificates, client_auth, client_roots: client_roots.into(), alpn: alpn?, early_data_bytes })
    }

    fn certificate(&mut self, written: &file::Certificate, at: &At) -> Option<Certificate> {
        let chain = self.certificates(&written.chain, &at.key("chain"));
        let key = match self.files.key(&written.key) {
            Ok((key, digest)) => {
                self.digests.push(digest);
                Some(key)
            }
            Err(what) => self.notes.none(&at.key("key"), what, "name the PEM file with the key of the chain's leaf"),
        };
        match Certificate::new(chain?, key?) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                let what = format!("it does not fit the chain: {error}");
                let fix = "name the key of the chain's first certificate";
                self.notes.none(&at.key("key"), what, fix)
            }
        }
    }

    fn certificates(&mut self, path: &Path, at: &At) -> Option<Certificates> {
        match self.files.certificates(path) {
            Ok((certificates, digest)) => {
                self.digests.push(digest);
                Some(certificates)
            }
            Err(what) => self.notes.none(at, what, "name a PEM file with certificates"),
        }
    }

    fn roots(&mut self, path: &Path, at: &At) -> Option<Certificates> {
        let roots = self.certificates(path, at)?;
        match roots.check_roots() {
            Ok(()) => Some(roots),
            Err(error) => self.notes.none(at, format!("a root is invalid: {error}"), "leave that root out of the file"),
        }
    }

    fn client_auth(&mut self, written: &file::ClientAuth, at: &At) -> Option<(ClientAuth, Certificates)> {
        let mode = match written.mode {
            file::ClientAuthMode::None => ClientAuth::None,
            file::ClientAuthMode::Optional => ClientAuth::Optional,
            file::ClientAuthMode::Required => ClientAuth::Required,
        };
        match (&written.roots, mode) {
            (None, ClientAuth::None) => Some((mode, Certificates::default())),
            (Some(_), ClientAuth::None) => self.notes.none(
                &at.key("roots"),
                "the mode is `none`, so no client is asked for a certificate",
                "write `mode = \"required\"` or `\"optional\"` beside it, or leave the roots out",
            ),
            (None, _) => self.notes.none(
                &at.key("roots"),
                "missing, so no client could show a trusted certificate",
                "write `roots = FILE`, the roots that clients' certificates must come from",
            ),
            (Some(path), _) => Some((mode, self.roots(path, &at.key("roots"))?)),
        }
    }

    fn alpn(&mut self, written: &[String], at: &At) -> Option<Vec<Vec<u8>>> {
        let mut are_all_good = true;
        for (number, name) in written.iter().enumerate() {
            // RFC 7301, section 3.1.
            if !(1..=255).contains(&name.len()) {
                let fix = "write 1 to 255 bytes, such as `h2` or `http/1.1`";
                self.notes.add(&at.number(number), "invalid length of a protocol name", fix);
                are_all_good = false;
            } else if written[..number].contains(name) {
                self.notes.add(&at.number(number), "duplicate protocol", "leave one of the two out");
                are_all_good = false;
            }
        }
        are_all_good.then(|| written.iter().map(|name| name.clone().into_bytes()).collect())
    }

    fn upstream(&mut self, written: &file::Upstream, at: &At) -> Option<Upstream> {
        let host = host_of(&written.address);
        if host.is_none() {
            let fix = "write it as HOST:PORT, such as `10.0.0.7:8080`, `[::1]:8080` or `app.internal:8080`";
            self.notes.add(&at.key("address"), "not a host and a port", fix);
        }
        let tls = match &written.tls {
            None => Some(None),
            Some(tls) => self.upstream_tls(tls, host, &at.key("tls")).map(Some),
        };
        let proxy_protocol = written.proxy_protocol.map(|version| match version {
            file::ProxyProtocol::V1 => ProxyProtocol::V1,
            file::ProxyProtocol::V2 => ProxyProtocol::V2,
        });
        host?;
        Some(Upstream { address: written.address.clone(), tls: tls?, proxy_protocol })
    }

    fn upstream_tls(&mut self, written: &file::UpstreamTls, host: Option<&str>, at: &At) -> Option<UpstreamTls> {
        let name = written.server_name.as_deref().or(host)?;
        let named = match UpstreamTls::new(name) {
            Ok(named) => Some(named),
            Err(_) => {
                let what = format!("no certificate could be for `{name}`");
                self.notes.none(&at.key("server_name"), what, "write a host's name or an IP address")
            }
        };
        let roots = match &written.roots {
            Some(path) => self.roots(path, &at.key("roots")),
            None => self.system_roots(&at.key("roots")),
        };
        let certificate = match &written.certificate {
            Some(pair) => Some(self.certificate(pair, &at.key("certificate"))?),
            None => None,
        };
        Some(UpstreamTls { roots: roots?.into(), certificate, ..named? })
    }

    fn system_roots(&mut self, at: &At) -> Option<Certificates> {
        let roots = self.files.system_roots();
        if roots.is_empty() {
            let fix = "write `roots = FILE`, or install the system's, such as Debian's package `ca-certificates`";
            return self.notes.none(at, "the system has no roots to trust", fix);
        }
        self.digests.extend(roots.iter().map(digest_of));
        Some(roots)
    }

    fn bounds(&mut self, written: &file::TenantConnections, at: &At) -> Option<TenantBounds> {
        let file::TenantConnections { max, reserve, per_peer, handshakes, handshakes_per_peer, .. } = *written;
        let file::TenantConnections { threads, handshakes_per_s, handshakes_burst, .. } = *written;
        let numbers = [
            ("max", max),
            ("per_peer", per_peer.unwrap_or(1)),
            ("handshakes", handshakes),
            ("handshakes_per_peer", handshakes_per_peer.unwrap_or(1)),
            ("threads", threads),
            ("handshakes_burst", handshakes_burst as usize),
            ("handshakes_per_s", handshakes_per_s.map_or(1, |per_s| per_s as usize)),
        ];
        let mut are_all_good = true;
        for (name, _) in numbers.into_iter().filter(|(_, value)| *value == 0) {
            self.notes.add(&at.key(name), "no connection would be served", "write at least 1, or leave it out");
            are_all_good = false;
        }
        let parts = [("reserve", reserve, "max", max), ("per_peer", per_peer, "max", max)];
        let part = ("handshakes_per_peer", handshakes_per_peer, "handshakes", handshakes);
        for (name, part, whole, most) in parts.into_iter().chain([part]) {
            if part.is_some_and(|part| part > most) {
                let what = format!("exceeds `{whole}`, which is {most}");
                self.notes.add(&at.key(name), what, format!("write at most {most}, or raise `{whole}`"));
                are_all_good = false;
            }
        }
        are_all_good.then_some(TenantBounds {
            connections: max,
            reserve,
            per_peer,
            handshakes,
            handshakes_per_peer,
            threads,
            handshakes_per_s: handshakes_per_s.and_then(NonZeroU32::new),
            handshakes_burst: NonZeroU32::new(handshakes_burst)?,
        })
    }

    fn limits(&mut self, written: &file::Tenant, maxima: &file::Maxima, at: &At) -> Option<Limits> {
        let class = class_of(written.guest.size_class);
        let mut limits = Limits::new(class);
        written.guest.limits.put_into(&mut limits);
        limits.lifetime = Duration::from_secs(written.lifetime_s);
        if let Err(error) = limits.check() {
            return self.limit_error(error, "", at);
        }
        let most_readers = CacheConfig::READERS_MAX;
        if !(1..=most_readers).contains(&written.guest.readers) {
            let fix = format!("write 1 to {most_readers}");
            return self.notes.none(&at.keys("guest.readers"), "out of range", fix);
        }
        let of_class = match class {
            SizeClass::Small => &maxima.small,
            SizeClass::Large => &maxima.large,
        };
        // A limit without a maximum is bounded by itself.
        let mut most = limits.clone();
        of_class.put_into(&mut most);
        most.lifetime = maxima.lifetime_s.map_or(most.lifetime, Duration::from_secs);
        match limits.check_within(&most) {
            Ok(()) => Some(limits),
            Err(error) => self.limit_error(error, "above what `maxima` allows: ", at),
        }
    }

    fn limit_error<T>(&mut self, error: LimitError, why: &str, at: &At) -> Option<T> {
        let LimitError { name, value, least, most } = error;
        let (at, value, least, most) = match name {
            "lifetime_ms" => (at.key("lifetime_s"), value / 1_000, least.div_ceil(1_000), most / 1_000),
            name => (at.key("guest").key("limits").keys(name), value, least, most),
        };
        let fix = match least <= most {
            true => format!("write {least} to {most}"),
            false => "raise the maximum, or leave the tenant out".into(),
        };
        self.notes.none(&at, format!("{why}{value} is out of range"), fix)
    }

    fn guest(&mut self, written: &file::Tenant, maxima: &file::Maxima, at: &At) -> Option<GuestSettings> {
        let limits = self.limits(written, maxima, at);
        let (own, at) = (&written.guest, at.key("guest"));
        let bytes_max = limits.as_ref()?.component_bytes;
        let component = match self.files.component(&own.component, bytes_max) {
            Ok(component) => component,
            Err(what) => {
                let fix =
                    "name the component that `innkeeper build` has made; a large one wants `size_class = \"large\"`";
                return self.notes.none(&at.key("component"), what, fix);
            }
        };
        if component.bytes.len() > bytes_max {
            let what = format!("the file has {} bytes, but `component_bytes` is {bytes_max}", component.bytes.len());
            return self.notes.none(&at.key("component"), what, "raise `guest.limits.component_bytes`");
        }
        let properties = own.properties.iter();
        let properties = properties.map(|(name, value)| Property { name: name.clone(), value: value.to_string() });
        Some(GuestSettings {
            path: self.files.path(&own.component),
            class: class_of(own.size_class),
            wasi: match own.wasi {
                file::Wasi::None => Wasi::None,
                file::Wasi::Closed => Wasi::Closed,
            },
            limits: limits?,
            overflow: match written.overflow {
                file::Overflow::EvictOldest => Overflow::EvictOldest,
                file::Overflow::InvalidateAll => Overflow::InvalidateAll,
            },
            properties: properties.collect(),
            readers: own.readers,
            idle: Some(Duration::from_secs(own.idle_s)).filter(|idle| !idle.is_zero()),
            digest: digest_with(written, &[component.digest]),
            component,
        })
    }
}

/// The digest of a tenant's table and of files.
fn digest_with(written: &file::Tenant, files: &[Digest]) -> Digest {
    let mut all = serde_json::to_vec(written).expect("a tenant can be written as JSON");
    all.extend(files.iter().flatten());
    digest_of(&all)
}

fn class_of(written: file::SizeClass) -> SizeClass {
    match written {
        file::SizeClass::Small => SizeClass::Small,
        file::SizeClass::Large => SizeClass::Large,
    }
}

/// The host of `HOST:PORT`, an IPv6 address without its brackets.
fn host_of(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_good = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_server_name(host) && !host.contains(':'),
    };
    (port > 0 && is_good).then_some(bare.unwrap_or(host))
}
