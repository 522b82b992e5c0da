//! Faults: what goes wrong on the way, for requests that a test names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which listener a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// The stand-in for JupyterHealth Exchange.
    Jhe,
    /// The stand-in for the hospital's EHR.
    Ehr,
    /// The listener that no token should ever reach. It logs, and answers with an empty Bundle.
    Evil,
}

/// Which requests a fault hits. The default hits every request but CORS preflights.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Only this server's requests.
    pub server: Option<Server>,
    /// Only this method. `None` is every method except `OPTIONS`, so that the request is hit and
    /// not its preflight.
    pub method: Option<String>,
    /// Only targets (path and query) that contain this text.
    pub path: Option<String>,
    /// How many matching requests pass first.
    pub after: usize,
    /// How many are hit then; `None` is all of them.
    pub times: Option<usize>,
}

impl Match {
    /// Requests to this server.
    pub fn on(server: Server) -> Self {
        Self {
            server: Some(server),
            ..Self::default()
        }
    }

    /// Requests with this method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Requests whose target (path and query) contains this text.
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Lets the first `passing` matching requests pass.
    pub fn after(mut self, passing: usize) -> Self {
        self.after = passing;
        self
    }

    /// Hits one request only.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Hits this many requests.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    fn fits(&self, server: Server, method: &str, target: &str) -> bool {
        self.server.is_none_or(|wanted| wanted == server)
            && match &self.method {
                Some(wanted) => wanted.eq_ignore_ascii_case(method),
                None => method != "OPTIONS",
            }
            && self
                .path
                .as_ref()
                .is_none_or(|part| target.contains(part.as_str()))
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// This answer instead of the server's own. The request is not processed.
    Status {
        /// HTTP status.
        status: u16,
        /// `Content-Type` of the body.
        #[serde(default = "plain_text")]
        content_type: String,
        /// The body.
        #[serde(default)]
        body: String,
        /// Further headers, such as `retry-after`. A browser shows it to a page of another origin
        /// only if `access-control-expose-headers` is among them and names it.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// A success as long as anybody wants, sent piece by piece, without its length, at 50 megabytes a second. The request is not
    /// processed.
    Long {
        /// `Content-Type` of the body.
        #[serde(default = "plain_text")]
        content_type: String,
        /// How it begins.
        start: String,
        /// What follows, again and again.
        repeated: String,
        /// So often.
        times: u64,
        /// How it ends.
        end: String,
    },
    /// A `302` to this address. The request is not processed.
    Redirect {
        /// The `Location`.
        location: String,
    },
    /// The request is processed, but only half of the answer arrives.
    CutOff,
    /// The connection is closed without an answer; the request is not processed.
    DropConnection,
    /// The request is processed, then the connection is closed without an answer.
    LoseAnswer,
    /// The connection is closed without an answer at once, and the request is processed that much
    /// later: a worker goes on after its client went away. Meanwhile that worker is busy.
    LateCommit {
        /// Milliseconds.
        millis: u64,
    },
    /// Of a Bundle at `/fhir-import/R4/`, the first entries are stored, then the worker is aborted:
    /// the answer is the 500 page. Other requests are not disturbed.
    PartialBatch {
        /// How many entries are stored.
        entries: usize,
    },
    /// Everything takes this much longer.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// The answer lacks its CORS headers.
    NoCors,
    /// A header of the answer is another one, or missing.
    Header {
        /// The header's name.
        name: String,
        /// Its value; `None` takes it out.
        #[serde(default)]
        value: Option<String>,
    },
    /// The request arrives without its `Accept-Encoding`, as through a proxy that drops it.
    Uncompressed,
}

impl Fault {
    /// An answer with this status, type and body.
    pub fn status(status: u16, content_type: &str, body: &str) -> Self {
        Self::Status {
            status,
            content_type: content_type.to_owned(),
            body: body.to_owned(),
            headers: BTreeMap::new(),
        }
    }

    /// A Bundle, or anything else of FHIR, in which `repeated` stands so often between its start and its end.
    pub fn long(start: &str, repeated: &str, times: u64, end: &str) -> Self {
        Self::Long {
            content_type: "application/fhir+json".to_owned(),
            start: start.to_owned(),
            repeated: repeated.to_owned(),
            times,
            end: end.to_owned(),
        }
    }

    /// The server's own answer, with this value in a header.
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }
    }

    /// The same answer with one more header; any other fault as it is.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Status { headers, .. } = &mut self {
            headers.insert(name.to_owned(), value.to_owned());
        }
        self
    }
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// The faults that are set, with what they have seen so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

#[derive(Debug)]
struct Armed {
    hits: Match,
    fault: Fault,
    seen: usize,
}

impl Faults {
    pub(crate) fn add(&mut self, hits: Match, fault: Fault) {
        self.0.push(Armed {
            hits,
            fault,
            seen: 0,
        });
    }

    /// Counts the request, and tells which faults hit it.
    pub(crate) fn meet(&mut self, server: Server, method: &str, target: &str) -> Vec<Fault> {
        let mut met = Vec::new();
        for armed in &mut self.0 {
            if armed.hits.fits(server, method, target) {
                let turn = armed.seen.checked_sub(armed.hits.after);
                armed.seen += 1;
                if turn.is_some_and(|turn| armed.hits.times.is_none_or(|times| turn < times)) {
                    met.push(armed.fault.clone());
                }
            }
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_turn_and_then_ends() {
        let mut faults = Faults::default();
        faults.add(
            Match::on(Server::Ehr).path("Observation").after(1).once(),
            Fault::CutOff,
        );
        let mut hit = |method, target| !faults.meet(Server::Ehr, method, target).is_empty();
        assert!(!hit("GET", "/R4/Observation?patient=1"));
        assert!(!hit("GET", "/R4/Patient/1"), "another path does not count");
        assert!(
            !hit("OPTIONS", "/R4/Observation?sessionID=17-1"),
            "a preflight does not count"
        );
        assert!(hit("GET", "/R4/Observation?sessionID=17-1"));
        assert!(!hit("GET", "/R4/Observation?sessionID=17-2"));
    }
}
