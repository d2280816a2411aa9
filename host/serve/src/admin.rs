//! The admin listener: metrics, health, the page, and actions, over HTTP.
//!
//! It shows names and counters, and nothing secret. Anybody who can connect may read; actions need the token. Other
//! sites' pages cannot read it through a name of their own, since it answers only to addresses, `localhost` and
//! configured names.

mod action;
mod api;
mod listener;
mod page;
mod pieces;
mod spares;
mod visit;

use std::{net::SocketAddr, sync::Arc, sync::atomic::Ordering};

use axum::{
    Extension, Form, Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Path, Query, Request, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinHandle, block_in_place},
};
use zeroize::Zeroizing;

use self::{
    action::Action,
    listener::Listener,
    visit::{Stage, Visit},
};
use crate::{
    error::{ActionError, ServeError},
    metrics,
    running::with_causes,
    state::State,
};

/// A running admin listener, until it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The longest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

pub(crate) async fn listen(address: SocketAddr, state: &Arc<State>) -> Result<Listening, ServeError> {
    let failed = |source| ServeError::Admin { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let listener = Listener::new(listener, router(Arc::clone(state))).map_err(failed)?;
    Ok(Listening { address, task: tokio::spawn(listener.run()) })
}

/// Pages that are made at a time. Each takes a thread for as long as it lists tenants.
const PAGES_AT_ONCE: usize = 2;

fn router(state: Arc<State>) -> Router {
    let pages = Router::new()
        .route("/", get(overview))
        .route("/tenants/{tenant}", get(tenant))
        .route("/api/tenants", get(api::tenants))
        .route("/api/tenants/{tenant}", get(api::tenant))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(PAGES_AT_ONCE)), in_turn));
    pages
        .route("/tenants/{tenant}/actions", post(act_by_form))
        .route("/api/tenants/{tenant}/{action}", post(act_by_api))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/style.css", get(|| file("text/css; charset=utf-8", include_str!("admin/style.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("admin/page.js"))))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard))
        .with_state(state)
}

const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Waits for the turn of a page. Health checks and actions skip this.
async fn in_turn(Shared(pages): Shared<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    // Nobody closes this semaphore.
    let _turn = pages.acquire().await;
    next.run(request).await
}

/// Turns away requests for foreign names, and sets the headers of every answer. Reads the whole request first: until
/// then others may displace the client.
async fn guard(
    Shared(state): Shared<Arc<State>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match is_own_host(&head.headers, &state) {
        true => match to_bytes(body, BODY_BYTES_MAX).await {
            Ok(body) => {
                let stage = if head.method == Method::POST { Stage::Acting } else { Stage::Reading };
                let _busy = visit.enter(stage);
                next.run(Request::from_parts(head, Body::from(body))).await
            }
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too long\n").into_response(),
        },
        false => {
            let what = "this listener is asked by an address, `localhost`, or a name from `admin.hosts`\n";
            (StatusCode::MISDIRECTED_REQUEST, what).into_response()
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_own_host(headers: &HeaderMap, state: &State) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let is_address =
        host.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let is_named = || state.admin.as_ref().is_some_and(|admin| admin.hosts.contains(&name));
    is_address || name == "localhost" || is_named()
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], block_in_place(|| metrics::text(&state))).into_response()
}

async fn readyz(Shared(state): Shared<Arc<State>>) -> Response {
    match state.is_draining.load(Ordering::Acquire) {
        false => "ready\n".into_response(),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
    }
}

/// The search for tenants to show.
#[derive(Deserialize)]
struct Search {
    /// A part of the name.
    #[serde(default)]
    q: String,
}

async fn overview(Shared(state): Shared<Arc<State>>, Query(search): Query<Search>) -> Response {
    block_in_place(|| page::overview(&state, &search.q)).into_response()
}

/// The last action, which the page reports.
#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn tenant(Shared(state): Shared<Arc<State>>, Path(tenant): Path<String>, Query(done): Query<Done>) -> Response {
    let said = Action::parse(&done.done).map(|action| Ok(action.done()));
    match block_in_place(|| page::tenant(&state, &tenant, said)) {
        Some(page) => page.into_response(),
        None => (StatusCode::NOT_FOUND, page::not_found(&tenant)).into_response(),
    }
}

/// The refusal of an action.
#[derive(Debug)]
struct Forbidden(StatusCode, &'static str);

fn check_token(state: &State, token: Option<&str>) -> Result<(), Forbidden> {
    let own = state.admin.as_ref().and_then(|admin| admin.token.as_ref());
    let Some(own) = own else {
        return Err(Forbidden(StatusCode::FORBIDDEN, "actions are off; write `admin.token_file` and start again"));
    };
    match token {
        Some(token) if bool::from(own.as_bytes().ct_eq(token.trim().as_bytes())) => Ok(()),
        Some(_) => {
            tracing::warn!("an action with a wrong token was refused");
            Err(Forbidden(StatusCode::FORBIDDEN, "the token is not the one in `admin.token_file`"))
        }
        None => {
            Err(Forbidden(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer` and the token in `admin.token_file`"))
        }
    }
}

fn status_of(error: &ActionError) -> StatusCode {
    match error {
        ActionError::Tenant(innkeeper_proxy::TenantError::Unknown(_)) => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    }
}

async fn act_by_api(
    Shared(state): Shared<Arc<State>>,
    Path((tenant, action)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let error =
        |status: StatusCode, what: &str| (status, axum::Json(serde_json::json!({ "error": what }))).into_response();
    let Some(action) = Action::parse(&action) else {
        return error(StatusCode::NOT_FOUND, "unknown action; the actions are upgrade, revoke, suspend and resume");
    };
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Err(Forbidden(status, what)) = check_token(&state, token) {
        return error(status, what);
    }
    match action.perform(&state, &tenant).await {
        Ok(done) => axum::Json(done).into_response(),
        Err(failed) => error(status_of(&failed), &with_causes(&failed)),
    }
}

/// The page's form. It has the token each time, so no other site can act in the operator's name.
#[derive(Deserialize)]
struct ActionForm {
    action: String,
    token: String,
}

async fn act_by_form(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    Form(form): Form<ActionForm>,
) -> Response {
    let refuse =
        |status: StatusCode, what: String| match block_in_place(|| page::tenant(&state, &tenant, Some(Err(&what)))) {
            Some(page) => (status, page).into_response(),
            None => (StatusCode::NOT_FOUND, page::not_found(&tenant)).into_response(),
        };
    let Some(action) = Action::parse(&form.action) else {
        return refuse(StatusCode::BAD_REQUEST, "unknown action".into());
    };
    let token = Zeroizing::new(form.token);
    if let Err(Forbidden(status, what)) = check_token(&state, Some(&token)) {
        return refuse(status, what.into());
    }
    match action.perform(&state, &tenant).await {
        // The name of a tenant needs no escaping in a path.
        Ok(_) => Redirect::to(&format!("/tenants/{tenant}?done={}", action.name())).into_response(),
        Err(failed) => refuse(status_of(&failed), with_causes(&failed)),
    }
}
