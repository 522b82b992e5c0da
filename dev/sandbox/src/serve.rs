//! The accept loop: one task per connection, all of them gone when the loop is.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service;

/// Put into a reply's extensions: close the connection instead of sending it.
#[derive(Clone, Copy)]
pub(crate) struct Hangup;

/// Serves `app` until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let app = app.clone();
                connections.spawn(async move {
                    // An error here is the other side's doing (it went away) or a fault that a
                    // test has asked for.
                    let _ = http1::Builder::new()
                        // Every reply of JHE closes its connection. The EHR does so
                        // too: a browser repeats a request silently if a kept connection breaks,
                        // which would hide a fault from the page.
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service_fn(|request| answer(app.clone(), request)))
                        .await;
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(mut app: Router, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let reply: Result<Response<Body>, Infallible> = app.call(request.map(Body::new)).await;
    let Ok(reply) = reply;
    if reply.extensions().get::<Hangup>().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the sandbox hangs up",
        ));
    }
    Ok(reply)
}
