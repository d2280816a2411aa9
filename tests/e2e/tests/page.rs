//! The admin listener: its page in a browser under load, and its answers to programs.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use innkeeper_e2e::{Folder, Served, TOKEN, curl, openssl, run};
use innkeeper_proxy::core::CacheState;
use serde_json::{Value, json};

/// A tenant's name of the largest length.
const QUIET: &str = "a-tenant-whose-name-is-as-long-as-a-name-may-be-63-characters-x";
/// Rounds of load before the browser comes, each a point of the sparklines.
const ROUNDS: usize = 24;
/// The most rounds of load while the browser runs.
const ROUNDS_MAX: usize = 5_000;
/// The rounds for one point of the sparklines, few enough points that the earlier ones stay visible.
const ROUNDS_A_POINT: usize = 8;
const POINTS_MAX: usize = 60;

/// Starts a server with two honest tenants, one whose guest never returns, and one with a long name, many server names
/// and a guest that logs control characters.
fn served() -> Served {
    let mut folder = Folder::new();
    let mut text = Folder::head();
    for (name, guest) in [("shop", "rust-lru"), ("blog", "c-lru"), ("rogue", "spin"), (QUIET, "log-controls")] {
        folder.component(guest);
        folder.certify(name);
        text += &folder.tenant(name, &format!("{guest}.wasm"), "");
    }
    let mut names = String::new();
    (1..=48).for_each(|number| write!(names, "\"branch-{number}.{QUIET}.example\", ").unwrap());
    text = text.replace(&format!("[\"{QUIET}.example\""), &format!("[{names}\"{QUIET}.example\""));
    folder.configure(&text);
    Served::start(folder)
}

/// Makes six handshakes, five of which resume if the guest lets them, and returns the sessions' ids.
fn reconnects(served: &Served, name: &str) -> Vec<String> {
    let ended = openssl(served, &format!("{name}.example"), &["-tls1_2", "-no_ticket", "-reconnect"]);
    assert_eq!(ended.count("New, ") + ended.count("Reused, "), 6, "{name}: {}", ended.output);
    let ids = ended.output.lines().filter_map(|line| line.trim().strip_prefix("Session-ID: "));
    ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// Makes one round of load.
fn load(served: &Served, tenants: &[&str], round: usize) -> Vec<String> {
    std::thread::scope(|scope| {
        let visits = tenants.iter().map(|name| {
            scope.spawn(move || match (round + name.len()) % 3 {
                // Without a session to resume.
                0 => {
                    let ended = curl(served, &format!("{name}.example"), 1 + round % 4, &["--no-sessionid"]);
                    assert!(ended.is_success, "{}", ended.output);
                    Vec::new()
                }
                _ => reconnects(served, name),
            })
        });
        let visits: Vec<_> = visits.collect();
        visits.into_iter().flat_map(|visit| visit.join().unwrap()).collect()
    })
}

/// Makes load until the browser is done.
fn load_on(served: &Served, is_done: &AtomicBool) -> Vec<String> {
    let mut ids = Vec::new();
    for round in (0..ROUNDS_MAX).take_while(|_| !is_done.load(Ordering::Acquire)) {
        ids.extend(load(served, &["shop", "blog"], round));
        if round % ROUNDS_A_POINT == 0 && round / ROUNDS_A_POINT < POINTS_MAX {
            served.server.tick();
        }
    }
    ids
}

/// Drives the guest that never returns into its suspension.
fn suspend_the_rogue(served: &Served) {
    let mut visits = 0;
    while served.settled("rogue").cache.state != CacheState::Suspended {
        reconnects(served, "rogue");
        // Past any wait except that of a suspended cache.
        served.clock.advance(1_000);
        visits += 1;
        assert!(visits < 1_000, "it is suspended after some faults");
    }
}

fn browser() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Runs the script that clicks through the page. Returns its report, and the HTML of every page.
fn click_through(served: &Served, folder: &Path) -> (Value, String) {
    let script = browser().join("page.mjs");
    assert!(browser().join("node_modules/playwright-core").is_dir(), "`npm install` in tests/e2e/browser comes first");
    let tenants = json!({ "busy": "shop", "acted": "blog", "quiet": QUIET, "bad": "rogue" }).to_string();
    let mut node = Command::new("node");
    node.arg(script).arg(format!("http://{}", served.admin())).arg(TOKEN).arg(folder).arg(tenants);
    let output = node.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pages = (1..=seen["pages"].as_u64().unwrap()).map(|page| folder.join(format!("{page}.html")));
    (seen, pages.map(|page| fs::read_to_string(page).unwrap()).collect())
}

#[test]
fn an_operator_sees_and_acts_on_the_page_under_load() {
    let served = served();
    suspend_the_rogue(&served);
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        ids.extend(load(&served, &["shop", "blog", QUIET], round));
        served.server.tick();
    }
    served.settled(QUIET);
    // The pictures stay there for inspection.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder).unwrap();
    let is_done = AtomicBool::new(false);
    let (seen, html) = std::thread::scope(|scope| {
        let loads = scope.spawn(|| load_on(&served, &is_done));
        // A failure of the browser ends the load as well.
        let clicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| click_through(&served, &folder)));
        is_done.store(true, Ordering::Release);
        ids.extend(loads.join().unwrap());
        clicked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    overview(&seen["overview"]);
    search(&seen["search"]);
    tenants(&seen["quiet"], &seen["bad"]);
    refresh(&seen["refresh"], &seen["hold"]);
    actions(&seen["actions"]);
    without_script(&seen["withoutScript"]);
    keyboard(&seen["keyboard"]);
    guises(&seen["guises"]);
    assert_eq!(seen["widths"], json!([]), "nothing scrolls sideways at any width");
    assert_eq!(seen["complaints"], json!([]), "the browser has nothing to complain of");
    nothing_secret(&served, &html, &ids);
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn has(list: &Value, part: &str) -> bool {
    texts(list).iter().any(|text| text.contains(part))
}

/// Parses a number with separated thousands.
fn number(text: &Value) -> u64 {
    text.as_str().unwrap().replace('\u{202f}', "").parse().unwrap()
}

fn overview(seen: &Value) {
    assert_eq!((&seen["status"], &seen["title"]), (&json!(200), &json!("1 in trouble · Innkeeper")));
    assert_eq!(seen["verdict"], json!(["✕1 of 4 in trouble"]));
    let rows = seen["rows"].as_array().unwrap();
    let named: Vec<_> =
        rows.iter().map(|row| (row["name"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    let well = "✓ running";
    assert_eq!(named, [("rogue", "✕ suspended after faults"), (QUIET, well), ("blog", well), ("shop", well)]);
    assert_eq!(rows[0]["resumed"], "0 %", "its guest never answered");
    for row in &rows[1..] {
        let ratio: u64 = row["resumed"].as_str().unwrap().strip_suffix(" %").unwrap().parse().unwrap();
        assert!((50..=90).contains(&ratio), "five of six resume, and with some visits none: {row}");
        assert!(number(&row["handshakes"]) as usize > ROUNDS, "{row}");
        let points: Vec<u64> = row["points"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
        assert!(points.iter().all(|points| *points as usize >= ROUNDS - 1), "a point for each reading: {row}");
        let in_words = texts(&row["words"]);
        assert!(in_words[0].contains("resumed in the last ten minutes"), "{row}");
        assert!(in_words[1].contains("handshakes in the last ten minutes"), "{row}");
    }
}

fn search(seen: &Value) {
    assert_eq!(seen["byName"], json!(["shop"]));
    assert_eq!(seen["byLoudName"], json!(["shop"]), "the case and blanks around do not matter");
    let [by_server_name] = texts(&seen["byServerName"])[..] else { panic!("{seen}") };
    assert_eq!(by_server_name, format!("{QUIET}branch-7.{QUIET}.example"), "it says what was found");
    assert_eq!(seen["nobody"], json!([]));
    assert_eq!(seen["all"].as_array().unwrap().len(), 4);
}

fn tenants(quiet: &Value, bad: &Value) {
    assert_eq!((&quiet["heading"], &quiet["state"]), (&json!([QUIET]), &json!(["✓ running"])));
    for section in ["Actions", "Sessions of clients", "Settings"] {
        assert!(has(&quiet["sections"], section), "{section}");
    }
    assert_eq!(quiet["serverNames"], 50, "the more there are, the more are shown on demand");
    assert!(quiet["component"].as_str().unwrap().ends_with("/log-controls.wasm"), "{quiet}");
    assert!(number(&quiet["fuel"]) > 0);
    for row in ["lookup, select-session, size", "update, delete", "init", "foldl, terminate"] {
        assert!(has(&quiet["limits"], row), "{row}");
    }
    assert!(has(&quiet["calls"], "lookup") && has(&quiet["calls"], "update"));
    assert!(has(&quiet["log"], "another tenant's line\\r\\n") && has(&quiet["log"], "\\u{1b}[2J"), "it is escaped");
    assert_eq!(bad["state"], json!(["✕ suspended after faults"]));
    assert_eq!(bad["faults"].as_array().unwrap().len(), 8, "so many suspend it");
    assert!(texts(&bad["faults"]).iter().all(|fault| fault.contains("lookup out of fuel")), "{bad}");
}

fn refresh(seen: &Value, hold: &Value) {
    assert!(number(&seen["after"]) > number(&seen["before"]), "the numbers go on: {seen}");
    assert_eq!(seen["isSame"], true, "the page was not loaded again");
    assert_eq!((&seen["focus"], &seen["link"]), (&json!("← All tenants"), &json!("shop")), "the focus stays");
    assert_eq!((&hold["whileWritten"], &hold["token"]), (&json!(0), &json!("half a tok")));
    assert_eq!(hold["says"], json!(["Paused while you write or select"]));
    assert!(hold["afterwards"].as_u64() > Some(0), "it goes on: {hold}");
    assert_eq!(hold["whileSelected"], 0);
    assert!(has(&hold["lost"], "Not up to date") && has(&hold["lost"], "the server does not answer"), "{hold}");
    assert_eq!(hold["isStillStale"], false);
}

fn actions(seen: &Value) {
    assert_eq!((&seen["byEnter"], &seen["withoutToken"]), (&json!(0), &json!(0)), "nothing is done by mistake");
    let wrong = &seen["wrong"];
    assert_eq!(wrong["status"], 403);
    assert!(wrong["says"].as_str().unwrap().starts_with("Not done: the token is not the one"), "{wrong}");
    assert_eq!((&wrong["api"]["state"], &wrong["api"]["suspended_by_operator"]), (&json!("running"), &json!(false)));
    assert_eq!(wrong["focus"], "said failed", "it is heard first");
    assert_eq!(wrong["reloaded"], json!(["/tenants/blog", 0]), "it is said once");
    let suspend = &seen["suspend"];
    assert_eq!(suspend["state"], json!(["✕ suspended by an operator"]));
    assert_eq!(
        (&suspend["api"]["state"], &suspend["api"]["suspended_by_operator"]),
        (&json!("suspended"), &json!(true))
    );
    assert_eq!(seen["resume"]["api"]["state"], "running");
    assert_eq!(seen["upgrade"]["upgrades"], json!(["1", 1]));
    let sessions = &seen["revoke"]["sessions"];
    assert!(number(&sessions[0]) > 0, "{sessions}");
    assert_eq!((&sessions[1], &sessions[2]), (&json!("0"), &json!(0)));
    for (action, says) in
        [("suspend", "not asked any more"), ("resume", "asked again"), ("revoke", "wiped"), ("upgrade", "upgraded")]
    {
        let done = &seen[action];
        assert!(done["status"] == 303 && done["says"].as_str().unwrap().contains(says), "{done}");
    }
}

fn without_script(seen: &Value) {
    assert_eq!(seen["rows"].as_array().unwrap().len(), 4);
    assert_eq!((&seen["pulse"], &seen["found"]), (&json!(false), &json!(["blog"])));
    assert_eq!(seen["suspend"]["state"], json!(["✕ suspended by an operator"]));
    assert!(seen["resume"]["says"].as_str().unwrap().contains("asked again"), "{seen}");
}

fn keyboard(seen: &Value) {
    let names = |list: &Value| {
        let stops = list.as_array().unwrap();
        assert!(stops.iter().all(|stop| stop["isSeen"] == true), "each has an outline, on the screen: {list}");
        stops.iter().map(|stop| stop["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let around = ["Skip to content", "Innkeeper", "Find a tenant", "Find"];
    let below = ["Metrics", "JSON"];
    let expected = [&around[..], &["rogue", QUIET, "blog", "shop"], &below].concat();
    assert_eq!(names(&seen["overview"]), expected);
    assert_eq!((&seen["skippedTo"], &seen["firstLink"]), (&json!("main"), &json!("rogue")));
    let actions = ["Upgrade from file", "Revoke all sessions", "Suspend the guest", "Resume the guest"];
    let expected = [&around[..], &["← All tenants", "Token"], &actions, &below].concat();
    assert_eq!(names(&seen["tenant"]), expected);
    assert!(has(&seen["done"], "not asked any more") && has(&seen["done"], "suspended by an operator"), "{seen}");
}

fn guises(seen: &Value) {
    assert_eq!(seen["violations"], json!([]));
    assert_eq!(seen["sideways"], json!([]));
    assert_eq!(seen["checked"], 15, "five pages in three guises");
    assert!(seen["passes"].as_u64() > Some(15 * 20), "the rules were applied: {}", seen["passes"]);
    assert_eq!((&seen["statuses"]["tenant"], &seen["statuses"]["missing"]), (&json!(200), &json!(404)));
}

/// Checks that no page and no answer contains the token, a session's id or a tenant's key.
fn nothing_secret(served: &Served, html: &str, ids: &[String]) {
    let told = ["/api/tenants", "/metrics"].map(|path| ask(served, path, &[]).1).concat() + html;
    let told = told.to_ascii_lowercase();
    assert!(told.contains("innkeeper_handshakes_total") && told.contains("<h1>shop</h1>"), "something is told at all");
    assert!(!told.contains(TOKEN), "the token");
    assert!(ids.len() > ROUNDS);
    assert!(ids.iter().all(|id| id.len() == 64 && !told.contains(&id.to_ascii_lowercase())), "a session's id");
    let keys = fs::read_to_string(served.folder.file("shop.key")).unwrap();
    let lines: Vec<&str> = keys.lines().filter(|line| !line.starts_with("-----")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| !told.contains(&line.to_ascii_lowercase())), "a key");
}

/// The admin listener's answer: status and headers, and the body.
fn ask(served: &Served, path: &str, args: &[&str]) -> (String, String) {
    let url = format!("http://{}{path}", served.admin());
    let all = [&["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "30", &url], args].concat();
    let ended = run("curl", &all, "");
    assert!(ended.is_success, "{path}: {}", ended.output);
    let (head, body) = ended.output.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn status(served: &Served, path: &str, args: &[&str]) -> u16 {
    let (head, _) = ask(served, path, args);
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Starts a server with one tenant, for tests without load.
fn small() -> Served {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    folder.configure(
        &(Folder::head().replace("token_file", "hosts = [\"Admin.Example\"]\ntoken_file")
            + &folder.tenant("shop", "rust-lru.wasm", "")),
    );
    Served::start(folder)
}

#[test]
fn only_own_names_are_answered_to() {
    let served = small();
    let port = served.admin().port();
    for path in ["/", "/tenants/shop", "/api/tenants", "/metrics", "/healthz", "/style.css", "/nowhere"] {
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "evil.example:80"] {
            let header = if host.is_empty() { "Host;".to_owned() } else { format!("Host: {host}") };
            assert_eq!(status(&served, path, &["--header", &header]), 421, "{path} as `{host}`");
        }
    }
    for host in [
        format!("localhost:{port}"),
        format!("admin.example:{port}"),
        "[::1]".into(),
        "ADMIN.example".into(),
        "LOCALHOST".into(),
    ] {
        assert_eq!(status(&served, "/", &["--header", &format!("Host: {host}")]), 200, "{host}");
    }
}

#[test]
fn an_action_wants_the_token_and_a_post() {
    let served = small();
    let right = format!("Authorization: Bearer {TOKEN}");
    let state = || served.settled("shop").cache.state;
    let post = |path: &str, args: &[&str]| status(&served, path, &[&["--request", "POST"], args].concat());
    for action in ["suspend", "resume", "revoke", "upgrade"] {
        let path = format!("/api/tenants/shop/{action}");
        assert_eq!(post(&path, &[]), 401, "{action}");
        assert_eq!(status(&served, &path, &["--header", &right]), 405, "{action}");
        for wrong in [
            "Bearer",
            "Bearer x",
            &format!("Basic {TOKEN}"),
            &format!("Bearer {TOKEN}x"),
            &format!("Bearer {}", &TOKEN[1..]),
        ] {
            let answer = post(&path, &["--header", &format!("Authorization: {wrong}")]);
            assert!([401, 403].contains(&answer), "{action} with `{wrong}`: {answer}");
        }
        assert_eq!(post(&format!("/api/tenants/nobody/{action}"), &["--header", &right]), 404, "{action}");
        assert_eq!(post(&format!("/api/tenants/nobody/{action}"), &[]), 401, "a stranger learns no names");
    }
    assert_eq!(post("/api/tenants/shop/suspend", &["--header", "Authorization: Bearer x"]), 403);
    assert_eq!(post("/api/tenants/shop/explode", &["--header", &right]), 404);
    assert_eq!(status(&served, "/tenants/shop/actions", &[]), 405);
    let form = |fields: &str| status(&served, "/tenants/shop/actions", &["--data", fields]);
    assert_eq!(form("action=suspend&token=x"), 403);
    assert_eq!(form(&format!("action=explode&token={TOKEN}")), 400);
    assert_eq!(form("action=suspend"), 422);
    let large = format!("action=suspend&token={}", "x".repeat(20 << 10));
    assert_eq!(form(&large), 413);
    assert_eq!(state(), CacheState::Running, "nothing was done");
    assert_eq!(post("/api/tenants/shop/suspend", &["--header", &right]), 200);
    assert_eq!(state(), CacheState::Suspended);
}

#[test]
fn every_answer_has_its_headers_and_nothing_that_was_asked_is_markup() {
    let served = small();
    let with_header =
        ["/", "/tenants/shop", "/tenants/nobody", "/api/tenants", "/metrics", "/healthz", "/page.js", "/nowhere"];
    for path in with_header {
        let (head, _) = ask(&served, path, &[]);
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "x-frame-options: deny",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {head}");
        }
    }
    let (head, body) = ask(&served, "/api/tenants", &[]);
    let all: Value = serde_json::from_str(&body).unwrap();
    assert!(head.contains("content-type: application/json") && all[0]["name"] == "shop", "{head}");
    assert_eq!(status(&served, "/tenants/nobody", &[]), 404);
    assert_eq!(status(&served, "/api/tenants/nobody", &[]), 404);
    // Requests are shown as text.
    for path in ["/tenants/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
        let (_, body) = ask(&served, path, &[]);
        assert!(body.contains("&lt;script&gt;") && !body.contains("<script>"), "{path}: {body}");
    }
    for path in ["/", "/tenants/shop"] {
        let (_, body) = ask(&served, path, &[]);
        assert!(!body.contains(" style=") && !body.contains(" onclick="), "the policy would forbid it");
    }
}

/// The line of the overview, or of the tenant's page, with a tenant's state.
fn state_of(served: &Served, tenant: &str) -> String {
    let (_, html) = ask(served, "/", &[]);
    let row = html.split("<tr").find(|row| row.contains(&format!("href=\"/tenants/{tenant}\""))).unwrap();
    let (_, page) = ask(served, &format!("/tenants/{tenant}"), &[]);
    let state = |html: &str| {
        let (_, from) = html.split_once("class=\"badge ").unwrap();
        let (class, rest) = from.split_once("\">").unwrap();
        let text: String = rest.split('<').skip(1).map(|part| part.split_once('>').unwrap().1).take(4).collect();
        format!("{class}: {}", text.trim())
    };
    assert_eq!(state(row), state(&page), "both pages say the same");
    state(row)
}

#[test]
fn what_is_wrong_is_told_on_both_pages() {
    let mut folder = Folder::new();
    ["rust-lru", "liar"].iter().for_each(|guest| folder.component(guest));
    ["good", "liar", "lost"].iter().for_each(|name| folder.certify(name));
    // The address is closed.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = Folder::head()
        + &folder.tenant("good", "rust-lru.wasm", "")
        + &folder.tenant("liar", "liar.wasm", "")
        + &folder.tenant("lost", "rust-lru.wasm", &format!("upstream = {{ address = \"{gone}\" }}\n"));
    folder.configure(&text);
    let served = Served::start(folder);
    assert!(ask(&served, "/", &[]).1.contains("All 3 are well"));
    served.server.tick();
    ["good", "liar", "lost"].iter().for_each(|name| drop(reconnects(&served, name)));
    served.server.tick();
    assert_eq!(state_of(&served, "good"), "good: ✓ running");
    let liar = state_of(&served, "liar");
    assert!(liar.starts_with("watch: ! running ") && liar.ends_with(" false claims lately"), "{liar}");
    assert_eq!(state_of(&served, "lost"), "watch: ! running upstream fails");
    assert!(ask(&served, "/", &[]).1.contains("2 of 3 to watch"));
    // The same settings, and a guest that forgets: the canary detects it.
    served.folder.component_as("forgets", "rust-lru.wasm");
    served.runtime.block_on(served.server.reload()).unwrap();
    assert_eq!(state_of(&served, "good"), "bad: ✕ upgrade refused the old guest serves");
    assert!(ask(&served, "/tenants/good", &[]).1.contains("The old guest goes on serving."));
    served.reload("[admin").unwrap_err();
    let (_, html) = ask(&served, "/", &[]);
    assert!(html.contains("The configuration was not reloaded") && html.contains("innkeeper.toml:1"), "{html}");
}

#[test]
fn health_is_told_and_readiness_ends_with_the_drain() {
    let served = small();
    assert_eq!(ask(&served, "/healthz", &[]).1, "ok\n");
    assert_eq!(ask(&served, "/readyz", &[]).1, "ready\n");
    served.runtime.block_on(served.server.shutdown());
    assert_eq!(ask(&served, "/healthz", &[]).1, "ok\n");
    let (head, body) = ask(&served, "/readyz", &[]);
    assert!(head.starts_with("http/1.1 503") && body == "draining\n", "{head}");
}
