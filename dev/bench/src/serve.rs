//! Listening, and what both servers do with every request before it is looked at.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use crate::soak::mishap::{Mishap, Place};
use crate::world::{Run, World};
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
            // A browser ends its connections as it likes.
            let _ = match world.run().trouble {
                Some(_) => converse_once(server, world, connection).await,
                None => {
                    let service = service_fn(|request| answer(server, &world, request));
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service)
                        .await
                        .map_err(anyhow::Error::from)
                }
            };
        });
    }
}

/// One request a connection, as JHE's stock server has it: if one that was kept is reset, Chromium sends the request again
/// by itself, and the page does not hear of it.
async fn converse_once(server: Server, world: Arc<World>, connection: TcpStream) -> Result<()> {
    let service = service_fn(|request| Box::pin(answer(server, &world, request)));
    let mut conversation = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service);
    let result = poll_fn(|context| conversation.poll_without_shutdown(context)).await;
    let mut connection = conversation.into_parts().io.into_inner();
    match result {
        Ok(()) => connection.shutdown().await?,
        // A reset, and not only an end.
        Err(_) => connection.set_zero_linger()?,
    }
    Ok(())
}

/// An answer on its way.
type Sent = Response<BoxBody<Bytes, io::Error>>;

async fn answer(
    server: Server,
    world: &Arc<World>,
    request: Request<Incoming>,
) -> io::Result<Sent> {
    let run = world.run();
    if !run.conduct.latency.is_zero() {
        sleep(run.conduct.latency).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(whole(empty(StatusCode::BAD_REQUEST)));
    };
    let asked = Asked {
        parts,
        body: body.to_bytes(),
    };
    let place = match server {
        Server::Jhe => jhe::place(&asked),
        Server::Ehr => ehr::is_page(&asked).then_some(Place::Page),
    };
    if let (Some(trouble), Some(place)) = (&run.trouble, place) {
        let held = run.ledger().held();
        if let Some((mishap, delay)) = trouble.meet(place, held) {
            return spoil(server, world, &run, asked, mishap, delay).await;
        }
    }
    Ok(whole(reply(server, world, &run, &asked).await))
}

async fn reply(server: Server, world: &World, run: &Run, asked: &Asked) -> Reply {
    match server {
        Server::Jhe => jhe::answer(world, run, asked).await,
        Server::Ehr => ehr::answer(world, run, asked),
    }
}

/// Lets something go wrong with a request. An error resets the connection.
async fn spoil(
    server: Server,
    world: &Arc<World>,
    run: &Arc<Run>,
    asked: Asked,
    mishap: Mishap,
    delay: Duration,
) -> io::Result<Sent> {
    if mishap.loses_the_answer() && matches!(server, Server::Jhe) {
        let numbers = run.chart.numbers_in(&asked.body);
        run.ledger().lose(&numbers);
    }
    let page = |status| content(status, "text/html", "<h1>Error</h1>".into());
    let mut reply = match mishap {
        Mishap::Busy => {
            let mut reply = page(StatusCode::TOO_MANY_REQUESTS);
            set(&mut reply, RETRY_AFTER, "1");
            set(&mut reply, ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After");
            reply
        }
        Mishap::Failing => page(StatusCode::SERVICE_UNAVAILABLE),
        Mishap::ResetBefore => return Err(reset()),
        Mishap::ResetAfter => {
            reply(server, world, run, &asked).await;
            return Err(reset());
        }
        Mishap::Late => {
            let (world, late) = (Arc::clone(world), Arc::clone(run));
            if let Some(trouble) = &run.trouble {
                trouble.go_on(async move {
                    sleep(delay).await;
                    reply(server, &world, &late, &asked).await;
                });
            }
            return Err(reset());
        }
        Mishap::GaveUp => {
            reply(server, world, run, &asked).await;
            page(StatusCode::GATEWAY_TIMEOUT)
        }
        Mishap::CutOff => return Ok(half(reply(server, world, run, &asked).await).await),
        Mishap::Slow => {
            let reply = reply(server, world, run, &asked).await;
            sleep(delay).await;
            reply
        }
    };
    if matches!(server, Server::Ehr) {
        ehr::allow(&asked, &mut reply);
    }
    Ok(whole(reply))
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

fn whole(reply: Reply) -> Sent {
    reply.map(|body| body.map_err(|never| match never {}).boxed())
}

/// Half of an answer that says how long it was to be.
async fn half(reply: Reply) -> Sent {
    let (mut parts, body) = reply.into_parts();
    let Ok(body) = body.collect().await;
    let body = body.to_bytes();
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = Half {
        piece: Some(body.slice(..body.len() / 2)),
        // So that what is there is sent first.
        end: Box::pin(sleep(Duration::from_millis(50))),
    };
    Response::from_parts(parts, half.boxed())
}

/// A body that breaks off.
struct Half {
    piece: Option<Bytes>,
    end: Pin<Box<Sleep>>,
}

impl Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        self.end.as_mut().poll(context).map(|()| Some(Err(reset())))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_of_an_answer_announces_the_whole_and_breaks_off() {
        let sent = half(json(StatusCode::OK, "0123456789")).await;
        assert_eq!(sent.headers()[CONTENT_LENGTH], "10");
        let mut body = sent.into_body();
        let piece = body.frame().await.expect("a piece").expect("its bytes");
        assert_eq!(piece.into_data().expect("data"), "01234");
        let end = body.frame().await.expect("an end").unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_whole_answer_arrives_as_it_is() {
        let body = whole(json(StatusCode::OK, "0123456789")).into_body();
        let body = body.collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "0123456789");
    }
}
