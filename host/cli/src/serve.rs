//! `innkeeper serve`: the proxy that an operator runs.

use std::{collections::HashSet, io::Write as _, net::TcpListener, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use innkeeper_program::{
    compiler,
    table::{self, Column},
};
use innkeeper_proxy::core::Clock;
use innkeeper_serve::{
    Life, ServeError, Server, ServerConfig,
    config::{self, ListenAt, Overrides, Part, Settings, TenantProblems, file::LogFormat, reference},
    listenfd::ListenFd,
    log::{self, Log},
    metrics,
    system::Demand,
    try_out,
};

use crate::settings;

/// Serves the tenants of a configuration file until SIGTERM; SIGHUP reads the file again.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The configuration file, in TOML.
    #[arg(long, env = settings::CONFIG, value_name = "FILE", required_unless_present_any = ["schema", "reference"])]
    config: Option<PathBuf>,
    /// Check the configuration, try every guest, print the result, and end: with 0 if all is well, 1 if nothing would
    /// run, 2 if only the named tenants fail.
    #[arg(long)]
    check: bool,
    /// Print the configuration's JSON schema, for editors, and end.
    #[arg(long)]
    schema: bool,
    /// Print the reference of the configuration or of the metrics, as Markdown, and end.
    #[arg(long, value_name = "OF")]
    reference: Option<Reference>,
    /// The admin listener's address; overrides `admin.address`.
    #[arg(long, env = settings::ADMIN, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The events that are logged; overrides `log.filter`.
    #[arg(long, env = settings::LOG, value_name = "FILTER")]
    log: Option<String>,
    /// The format of the log; overrides `log.format`.
    #[arg(long, env = settings::LOG_FORMAT, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// The folder that keeps compiled code; overrides `guests.compile_cache`. Anyone who can write there runs code in
    /// this process.
    #[arg(long, env = settings::COMPILE_CACHE, value_name = "FOLDER")]
    compile_cache: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Reference {
    Configuration,
    Metrics,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if options.schema {
        write!(out, "{}", reference::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(of) = options.reference {
        let text = match of {
            Reference::Configuration => reference::markdown(),
            Reference::Metrics => metrics::markdown(),
        };
        write!(out, "{text}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = options.config.clone().context("no configuration file\nhint: innkeeper serve --config FILE")?;
    let overrides = Overrides {
        compilation: compiler::apart(),
        admin_address: options.admin.clone(),
        log_format: options.log_format.map(|format| match format {
            Format::Human => LogFormat::Human,
            Format::Json => LogFormat::Json,
        }),
        log_filter: options.log.clone(),
        // A flag's path is relative to this folder, one in the file to the file's.
        compile_cache: options.compile_cache.as_ref().map(std::path::absolute).transpose()?,
    };
    let settings = match config::check(&path, &overrides) {
        Ok(settings) => settings,
        Err(problems) => return Ok(complain(&ServeError::from(problems), &mut std::io::stderr())),
    };
    if options.check {
        let troubled = match try_out(&settings) {
            Ok(troubled) => troubled,
            Err(error) => return Ok(complain(&error, &mut std::io::stderr())),
        };
        show(&settings, &troubled, &mut out)?;
        return Ok(if troubled.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(PARTLY) });
    }
    let log = log::start(&settings.log)?;
    for warning in Demand::of(&settings).prepare() {
        tracing::warn!("{warning}");
    }
    let served = serve(ServerConfig { path, overrides, clock: Clock::system() }, settings, &log);
    // From here on only the log waits for standard error.
    Ok(served.unwrap_or_else(|error| {
        print(&mut log.writer(), &format!("{error:#}"));
        ExitCode::FAILURE
    }))
}

fn serve(config: ServerConfig, settings: Settings, log: &Log) -> anyhow::Result<ExitCode> {
    // First, since it changes the environment, which the runtime's threads may read.
    let mut passed = ListenFd::from_env();
    let sockets = (0..passed.len()).map(|number| {
        let socket = passed.take_tcp_listener(number).ok().flatten();
        socket.with_context(|| format!("socket {number} of systemd is not a TCP listener\nhint: use `ListenStream=`"))
    });
    let sockets = sockets.collect::<anyhow::Result<Vec<TcpListener>>>()?;
    let runtime = compiler::runtime()?;
    let served = runtime.block_on(async {
        // First, so that no signal ends the process halfway.
        let mut life = Life::new().context("cannot listen for signals")?;
        // In a task of its own: compiling guests takes time, and the process may be told to end meanwhile.
        let start = tokio::spawn(Server::start(config, settings, sockets));
        let started = tokio::select! {
            started = start => started.context("the start panicked")?,
            () = life.end() => return Ok(ExitCode::SUCCESS),
        };
        let server = match started {
            Ok(server) => server,
            Err(error) => return Ok(complain(&error, &mut log.writer())),
        };
        for address in server.addresses() {
            tracing::info!(%address, "listening");
        }
        if let Some(address) = server.admin_address() {
            tracing::info!("admin page on http://{address}/");
        }
        server.run(&mut life).await;
        Ok(ExitCode::SUCCESS)
    });
    // Every task has been told to end.
    runtime.shutdown_background();
    served
}

/// Prints problems, each with its own place and hint.
fn complain(error: &ServeError, out: &mut impl std::io::Write) -> ExitCode {
    match error {
        ServeError::Problems(problems) => problems.iter().for_each(|problem| print(out, &problem.to_string())),
        error => print(out, &error.to_string()),
    }
    ExitCode::FAILURE
}

/// Prints one error in one write. If nobody reads it, the exit code tells.
fn print(out: &mut impl std::io::Write, error: &str) {
    let _ = out.write_all(format!("error: {error}\n").as_bytes());
}

/// The exit code of `--check` where only some tenants fail.
const PARTLY: u8 = 2;

const COLUMNS: [Column; 9] = [
    ("tenant", false),
    ("server names", false),
    ("guest", false),
    ("class", false),
    ("readers", true),
    ("client certificates", false),
    ("upstream", false),
    ("sessions", true),
    ("lifetime s", true),
];

/// Prints the settings that would run.
fn show(settings: &Settings, troubled: &[TenantProblems], out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let row = |tenant: &config::TenantSettings| {
        let upstream = if tenant.upstream.tls.is_some() { " (TLS)" } else { "" };
        let is_tried = !troubled.iter().any(|troubled| troubled.tenant == tenant.name);
        let guest = tenant.guest.as_ref().filter(|_| is_tried);
        let of_guest = |tell: &dyn Fn(&config::GuestSettings) -> String| guest.map_or_else(|| "-".to_owned(), tell);
        vec![
            tenant.name.clone(),
            tenant.server_names.join(", "),
            of_guest(&|guest| guest.path.display().to_string()),
            of_guest(&|guest| guest.class.name().to_owned()),
            of_guest(&|guest| guest.readers.to_string()),
            format!("{:?}", tenant.tls.client_auth).to_lowercase(),
            format!("{}{upstream}", tenant.upstream.address),
            of_guest(&|guest| guest.limits.sessions.to_string()),
            of_guest(&|guest| guest.limits.lifetime.as_secs().to_string()),
        ]
    };
    let rows: Vec<Vec<String>> = settings.tenants.iter().map(row).collect();
    write!(out, "{}", table::table(&COLUMNS, &rows))?;
    writeln!(out)?;
    for (listen_at, listener) in &settings.listeners {
        let at = match listen_at {
            ListenAt::Address(address) => address.to_string(),
            ListenAt::Systemd(number) => format!("socket {number} of systemd"),
        };
        let proxied = if listener.proxy_protocol { ", PROXY protocol" } else { "" };
        let default =
            listener.default_server_name.as_ref().map(|name| format!(", `{name}` for clients without a name"));
        writeln!(out, "listens on {at}{proxied}{}", default.unwrap_or_default())?;
    }
    match &settings.admin {
        Some(admin) if admin.token.is_some() => writeln!(out, "admin page on http://{}/, with actions", admin.address)?,
        Some(admin) => writeln!(out, "admin page on http://{}/, without actions", admin.address)?,
        None => writeln!(out, "no admin page")?,
    }
    let demand = Demand::of(settings);
    let Demand { files, memory_bytes, connections, connections_there, reserve_least, .. } = demand;
    writeln!(out, "at most {files} file descriptors, and {} MiB for guests and vaults", memory_bytes >> 20)?;
    let each = format!("at least {reserve_least} are reserved for each");
    match connections > connections_there {
        true => writeln!(
            out,
            "the tenants may reach {connections} connections, more than the limit of {connections_there}; {each}"
        )?,
        false => writeln!(out, "the tenants may reach {connections} connections of {connections_there}; {each}")?,
    }
    demand.prepare().iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
    writeln!(out)?;
    if troubled.is_empty() {
        writeln!(out, "configuration OK")?;
        return Ok(());
    }
    for TenantProblems { tenant, part, problems } in troubled {
        let what = match part {
            Part::Front => "not served at a start; a running server keeps it as it was",
            Part::Guest => "served without a guest at a start; a running server keeps its guest",
        };
        writeln!(out, "tenant `{tenant}`: {what}")?;
        problems.iter().try_for_each(|problem| writeln!(out, "error: {problem}"))?;
        writeln!(out)?;
    }
    let mut names: HashSet<&str> = troubled.iter().map(|own| own.tenant.as_str()).collect();
    let with_errors = names.len();
    // A tenant that would not be served is not among the settings.
    names.extend(settings.tenants.iter().map(|tenant| tenant.name.as_str()));
    writeln!(out, "configuration not OK: {with_errors} of {} tenants have errors", names.len())?;
    Ok(())
}
