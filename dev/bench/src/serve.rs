//! Listening, and what both servers do with every request before it is looked at.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::world::World;
use crate::{ehr, jhe};

pub(crate) type Reply = Response<Full<Bytes>>;

/// A request, read in full.
pub(crate) struct Asked {
    pub(crate) parts: hyper::http::request::Parts,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: HeaderName) -> &str {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Which of the two a listener is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    Jhe,
    Ehr,
}

/// Serves until the program ends.
pub(crate) async fn serve(server: Server, listener: TcpListener, world: Arc<World>) -> Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(server, &world, request));
            // A browser ends its connections as it likes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

async fn answer(
    server: Server,
    world: &World,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let run = world.run();
    if !run.conduct.latency.is_zero() {
        sleep(run.conduct.latency).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let asked = Asked {
        parts,
        body: body.to_bytes(),
    };
    Ok(match server {
        Server::Jhe => jhe::answer(world, &run, &asked).await,
        Server::Ehr => ehr::answer(world, &run, &asked),
    })
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    content(status, "text/plain", Bytes::new())
}

pub(crate) fn json(status: StatusCode, body: impl ToString) -> Reply {
    content(status, "application/json", Bytes::from(body.to_string()))
}

pub(crate) fn content(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// Sets a header, if its value can be one.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}
