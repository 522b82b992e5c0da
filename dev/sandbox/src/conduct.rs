//! What every request goes through, around its handler: the log, latency, JHE's workers, faults and
//! the headers that a whole server has in common.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, DATE, HeaderName, LOCATION, TRANSFER_ENCODING,
};
use axum::http::{Extensions, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};

use crate::Shared;
use crate::ehr::cors;
use crate::exchange::{Incoming, StopAfter, content, empty, set};
use crate::faults::{Fault, Server};
use crate::instrument::Instrument;
use crate::jhe::{self, django};
use crate::serve::Hangup;

/// The control API's place; requests to it are neither logged nor disturbed.
pub(crate) const CONTROL: &str = "/_sandbox/";

/// The middleware around one server's routes.
pub(crate) async fn conduct(
    State((shared, server)): State<(Shared, Server)>,
    request: Request,
    next: Next,
) -> Response {
    if server == Server::Jhe && request.uri().path().starts_with(CONTROL) {
        return next.run(request).await;
    }
    let request = match shared.instrument.answer(request).await {
        Ok(answered) => return answered,
        Err(request) => request,
    };
    let (head, body) = request.into_parts();
    let mut routed = head.clone();
    let incoming = match Incoming::from_request(Request::from_parts(head, body), &()).await {
        Ok(incoming) => incoming,
        Err(broken) => return broken,
    };
    let is_page = (shared.instrument).is_for(&incoming, &mut routed.headers);
    let arrival = Arrival::note(&shared, server, &incoming);
    pause(arrival.travel_ms).await;

    let mut response = match arrival.answer_instead(server, &incoming) {
        Some(instead) => instead,
        None => {
            routed.extensions.extend(arrival.stop());
            if arrival.faults.contains(&Fault::Uncompressed) {
                routed.headers.remove(ACCEPT_ENCODING);
            }
            let request = Request::from_parts(routed, Body::from(incoming.body.clone()));
            let work = |delay| {
                work(
                    shared.clone(),
                    arrival.workers.clone(),
                    delay,
                    request,
                    next,
                )
            };
            match arrival.late_commit() {
                Some(delay) => {
                    tokio::spawn(work(delay));
                    return hang_up();
                }
                None => work(0).await,
            }
        }
    };
    if is_page {
        response = Instrument::begin(response).await;
    }
    match server {
        Server::Jhe => {
            django::add_common_headers(&mut response);
            let version = shared.world().settings.jhe.version;
            jhe::add_cors(version, &incoming.path, &mut response);
        }
        Server::Ehr if !arrival.faults.contains(&Fault::NoCors) => {
            cors::add_headers(&shared.world().settings.ehr, &incoming, &mut response);
        }
        Server::Ehr | Server::Evil => {}
    }
    // By the server's own clock, which may go wrong. Without it hyper takes the machine's.
    let date = shared.world().now().with_http_date();
    set(&mut response, DATE, &date);
    arrival.change_headers(&mut response);
    if arrival.faults.contains(&Fault::LoseAnswer) {
        response = hang_up();
    } else if arrival.faults.contains(&Fault::CutOff) {
        response = cut_off(response).await;
    }
    if response.extensions().get::<Hangup>().is_none() {
        let status = response.status().as_u16();
        shared.world().log_status(arrival.serial, status);
    }
    response
}

/// What is decided about a request as it comes in.
struct Arrival {
    /// Its number in the log.
    serial: u64,
    faults: Vec<Fault>,
    /// How long it was on its way.
    travel_ms: u64,
    /// JHE's workers; the EHR has as many as it needs.
    workers: Option<Arc<Semaphore>>,
    max_body_bytes: Option<usize>,
}

impl Arrival {
    fn note(shared: &Shared, server: Server, incoming: &Incoming) -> Self {
        let mut world = shared.world();
        let (method, target) = (incoming.method.as_str(), incoming.target());
        let faults = world.faults_for(server, method, &target);
        let serial = world.log_request(server, method, target, &incoming.headers, &incoming.body);
        let latency = match server {
            Server::Jhe => world.settings.jhe.latency_ms,
            Server::Ehr => world.settings.ehr.latency_ms,
            Server::Evil => 0,
        };
        let delays = faults.iter().map(|fault| match fault {
            Fault::Delay { millis } => *millis,
            _ => 0,
        });
        Self {
            serial,
            travel_ms: latency + delays.sum::<u64>(),
            workers: (server == Server::Jhe).then(|| world.jhe_workers()),
            max_body_bytes: match server {
                Server::Jhe => world.settings.jhe.max_body_bytes,
                Server::Ehr | Server::Evil => None,
            },
            faults,
        }
    }

    /// The answer if the routes are not to be asked.
    fn answer_instead(&self, server: Server, incoming: &Incoming) -> Option<Response> {
        if let Some(faulty) = self.faults.iter().find_map(replacement) {
            return Some(faulty);
        }
        if self
            .max_body_bytes
            .is_some_and(|max| incoming.body.len() > max)
        {
            return Some(django::too_large());
        }
        (server == Server::Jhe).then(|| django::wrong_host(incoming))?
    }

    /// Gives the answer the headers that its faults name.
    fn change_headers(&self, response: &mut Response) {
        for fault in &self.faults {
            let Fault::Header { name, value } = fault else {
                continue;
            };
            let Ok(name) = name.parse::<HeaderName>() else {
                continue;
            };
            match value {
                Some(value) => set(response, name, value),
                None => drop(response.headers_mut().remove(name)),
            }
        }
    }

    /// How much later the request is processed, if nobody waits for it.
    fn late_commit(&self) -> Option<u64> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::LateCommit { millis } => Some(*millis),
            _ => None,
        })
    }

    /// Where the processing breaks off.
    fn stop(&self) -> Extensions {
        let mut extensions = Extensions::new();
        for fault in &self.faults {
            if let Fault::PartialBatch { entries } = fault {
                extensions.insert(StopAfter(*entries));
            }
        }
        extensions
    }
}

/// Has the routes answer, once a worker is free.
async fn work(
    shared: Shared,
    workers: Option<Arc<Semaphore>>,
    delay_ms: u64,
    request: Request,
    next: Next,
) -> Response {
    let writes_record = request.method() == Method::POST
        && request
            .uri()
            .path()
            .to_ascii_lowercase()
            .starts_with("/fhir/r5/");
    // In a task of its own: a worker finishes what it has begun although the client went away.
    let work = tokio::spawn(async move {
        let _worker = match &workers {
            Some(workers) => workers.acquire().await.ok(),
            None => None,
        };
        pause(delay_ms).await;
        if writes_record {
            let busy = shared.world().settings.jhe.time_per_record_ms;
            pause(busy).await;
        }
        next.run(request).await
    });
    work.await
        .unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

pub(crate) async fn pause(millis: u64) {
    if millis > 0 {
        sleep(Duration::from_millis(millis)).await;
    }
}

/// What a fault answers in the server's place, if it does.
fn replacement(fault: &Fault) -> Option<Response> {
    match fault {
        Fault::DropConnection => Some(hang_up()),
        Fault::Status {
            status,
            content_type,
            body,
            headers,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = content(status, content_type, body.clone());
            for (name, value) in headers {
                if let Ok(name) = name.parse() {
                    set(&mut response, name, value);
                }
            }
            Some(response)
        }
        Fault::Long {
            content_type,
            start,
            repeated,
            times,
            end,
        } => {
            let body = Body::new(Long::new(start, repeated, *times, end));
            Some(content(StatusCode::OK, content_type, body))
        }
        Fault::Redirect { location } => {
            let mut response = empty(StatusCode::FOUND);
            set(&mut response, LOCATION, location);
            Some(response)
        }
        _ => None,
    }
}

fn hang_up() -> Response {
    let mut response = empty(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(Hangup);
    response
}

/// The answer with the length that it should have, and half of its bytes.
async fn cut_off(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let whole = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.insert(CONTENT_LENGTH, whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    Response::from_parts(
        head,
        Body::new(Broken {
            left: Some(half),
            flushed: false,
        }),
    )
}

/// A body that is made while it is sent: nobody has it as a whole. It comes as fast as over a good network and not as fast as
/// within one machine: WebKit takes all that is sent, however slowly the page reads, and would keep gigabytes.
struct Long {
    start: Option<Bytes>,
    /// As many of what is repeated as make up a piece,
    piece: Bytes,
    /// and so many pieces.
    pieces: u64,
    rest: Option<Bytes>,
    /// How much was sent without a break,
    without_break: usize,
    /// and the break.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Long {
    const PIECE: usize = 64 * 1024;
    /// With the break after it: 50 megabytes in a second.
    const BEFORE_BREAK: usize = 1_000_000;
    const BREAK: Duration = Duration::from_millis(20);

    fn new(start: &str, repeated: &str, times: u64, end: &str) -> Self {
        let in_a_piece = (Self::PIECE / repeated.len().max(1)).max(1);
        let (pieces, left) = (times / in_a_piece as u64, times % in_a_piece as u64);
        let rest = repeated.repeat(usize::try_from(left).unwrap_or_default()) + end;
        Self {
            start: Some(start.to_owned().into()),
            piece: repeated.repeat(in_a_piece).into(),
            pieces,
            rest: Some(rest.into()),
            without_break: 0,
            pause: None,
        }
    }
}

impl HttpBody for Long {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let next = if let Some(start) = self.start.take() {
            Some(start)
        } else if self.pieces > 0 {
            self.pieces -= 1;
            Some(self.piece.clone())
        } else {
            self.rest.take()
        };
        self.without_break += next.as_ref().map_or(0, Bytes::len);
        if self.without_break >= Self::BEFORE_BREAK {
            self.without_break = 0;
            self.pause = Some(Box::pin(sleep(Self::BREAK)));
        }
        Poll::Ready(next.map(|data| Ok(Frame::data(data))))
    }
}

/// A body that breaks after its data.
struct Broken {
    left: Option<Bytes>,
    flushed: bool,
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.left.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.flushed {
            // The server sends what it has while it waits, and nothing more after an error.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other(
            "the sandbox cuts the answer off",
        ))))
    }
}
