//! HTTP/1.1 in front of the routes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::route::{Answer, Call, answer};
use crate::core::Name;
use crate::io::Hub;

/// No request is larger: definitions of a thousand queues take less.
const MAX_BODY: usize = 16 << 20;

/// Serves the API for as long as it is polled; its connections end with it. `amqp` is where AMQP is served.
pub(crate) async fn serve(listener: TcpListener, hub: Arc<Hub>, amqp: SocketAddr) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, Arc::clone(&hub), amqp));
                }
                Err(error) => tracing::warn!(%error, "cannot accept a connection of the management API"),
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, hub: Arc<Hub>, amqp: SocketAddr) {
    let service = service_fn(move |request| {
        let hub = Arc::clone(&hub);
        async move { Ok::<_, Infallible>(respond(&hub, amqp, request).await) }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the management API failed");
    }
}

async fn respond(hub: &Hub, amqp: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(user) = authenticate(hub, &request) else {
        let refused = Answer::error(StatusCode::UNAUTHORIZED, "not_authorised", "Login failed");
        let mut response = render(refused);
        let challenge = hyper::header::HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return render(Answer::bad_request("the body is too large or did not arrive"));
    };
    let body = body.to_bytes();
    let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
    let Ok(body) = body else { return render(Answer::bad_request("body is not valid JSON")) };
    let Some(path) = segments(parts.uri.path()) else { return render(Answer::not_found()) };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = parts.uri.query().unwrap_or_default();
    let call = Call { method: &parts.method, path: &path, query, body: &body, user: &user, amqp };
    render(hub.with(|engine, now| {
        let answered = answer(&mut engine.core, now, &call);
        engine.flush(now);
        answered
    }))
}

/// Returns the user of the request's credentials; only users with a tag may use the API, as on RabbitMQ.
fn authenticate(hub: &Hub, request: &Request<Incoming>) -> Option<Name> {
    let given = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    hub.with(|engine, _| {
        let name = engine.core.authenticate(user, password.as_bytes())?;
        let may = engine.core.users.get(&name).is_some_and(|user| !user.tags.is_empty());
        may.then_some(name)
    })
}

/// Returns the decoded parts of a path under `/api`.
fn segments(path: &str) -> Option<Vec<String>> {
    let rest = path.strip_prefix("/api/")?;
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().map(String::from).ok();
    rest.trim_end_matches('/').split('/').map(decode).collect()
}

fn render(answer: Answer) -> Response<Full<Bytes>> {
    let body = answer.body.map(|value| value.to_string()).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
