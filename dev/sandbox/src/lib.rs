//! Stand-ins for the two servers that jhe-connect talks to: JupyterHealth Exchange (JHE) and an
//! Epic-like EHR with its "MyChart" sign-in, which plays hospitals of other vendors too. One process,
//! an origin for each (and one that no token should ever reach).
//!
//! Tests start one with [`Sandbox::start`] and look into it through [`Sandbox::world`]; a browser or
//! a person uses it over HTTP only. `README.md` beside this crate describes both.

#![allow(clippy::result_large_err)] // the Err of a handler is a ready HTTP reply, made once per request

mod clock;
mod conduct;
mod control;
mod ehr;
mod evil;
mod exchange;
mod faults;
mod instrument;
mod jhe;
mod json;
mod random;
mod sample;
mod serve;
mod settings;
mod statics;
mod world;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use clock::Timestamp;
pub use ehr::cors::ALLOWED_HEADERS as EHR_ALLOWED_HEADERS;
pub use ehr::{
    ATHENA_PRACTICE, EhrPatient, EhrState, FHIR_BASE, Guardian, IdentityFault, PULLED_TYPES,
    Signing, Vendor, verifies,
};
pub use faults::{Fault, Match, Server};
pub use instrument::Instrument;
pub use jhe::{Brand, FhirSource, Identifier, Invitation, JhePatient, JheState, Row, Rows, User};
pub use sample::{Binary, NoteKind, Packing, Peculiarity, lab, peculiar_lab};
pub use settings::{
    AuthorizeError, Broken, Cors, Discovery, Document, EHR_CLIENT_ID, EhrClient, EhrSettings,
    IdentitySettings, JheSettings, JheVersion, NextLink, PATIENT_ACCESS_SCOPES, PageConfig,
    RefreshTokens, SEED_SCOPES, Settings, Total,
};
pub use world::{
    FIRST_PATIENT, Layout, LoggedRequest, Origins, PATIENT_WITHOUT_LOGIN, SECOND_PATIENT, World,
};

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct Options {
    /// JHE's port; 0 takes a free one.
    pub jhe_port: u16,
    /// The EHR's port; 0 takes a free one.
    pub ehr_port: u16,
    /// The built bundle (`dist/`), served as JHE would.
    pub bundle: Option<PathBuf>,
    /// Sends the pages with a strict Content-Security-Policy.
    pub content_security_policy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jhe_port: 0,
            ehr_port: 0,
            bundle: None,
            content_security_policy: true,
        }
    }
}

/// The running servers. They end when this is dropped.
pub struct Sandbox {
    shared: Shared,
    origins: Origins,
    tasks: [JoinHandle<()>; 4],
}

impl Sandbox {
    /// Binds the ports and starts serving, on tasks of the current tokio runtime.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (jhe, jhe_origin) = bind(options.jhe_port).await?;
        let (ehr, ehr_origin) = bind(options.ehr_port).await?;
        let (authorization, authorization_origin) = bind(0).await?;
        let (evil, evil_origin) = bind(0).await?;
        let origins = Origins {
            jhe: jhe_origin,
            ehr: ehr_origin,
            authorization: authorization_origin,
            evil: evil_origin,
        };
        let shared = Shared(Arc::new(Inner {
            world: Mutex::new(World::seeded(origins.clone())),
            bundle: options.bundle,
            content_security_policy: options.content_security_policy,
            instrument: Instrument::default(),
        }));

        let jhe_routes = jhe::router()
            .merge(statics::router())
            .merge(control::router())
            .fallback(async |request: exchange::Incoming| jhe::django::unmatched(&request));
        let tasks = [
            (jhe, Server::Jhe, jhe_routes),
            (ehr, Server::Ehr, ehr::router()),
            (authorization, Server::Ehr, ehr::authorization_router()),
            (evil, Server::Evil, evil::router()),
        ]
        .map(|(listener, server, routes)| {
            let conduct = from_fn_with_state((shared.clone(), server), conduct::conduct);
            let app: Router = routes.layer(conduct).with_state(shared.clone());
            tokio::spawn(serve::serve(listener, app))
        });
        Ok(Self {
            shared,
            origins,
            tasks,
        })
    }

    /// JHE's origin, without a trailing slash.
    pub fn jhe(&self) -> &str {
        &self.origins.jhe
    }

    /// The EHR's origin.
    pub fn ehr(&self) -> &str {
        &self.origins.ehr
    }

    /// The origin that no token should reach. It logs what comes, and answers with an empty Bundle.
    pub fn evil(&self) -> &str {
        &self.origins.evil
    }

    /// The FHIR base of the main hospital.
    pub fn iss(&self) -> String {
        self.origins.iss()
    }

    /// The FHIR base of a hospital, without a slash at its end.
    pub fn iss_of(&self, vendor: Vendor) -> String {
        self.origins.iss_of(vendor)
    }

    /// The state of both servers. They wait while the guard is held: don't keep it over an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// What the pages of all servers begin with, if a browser needs it.
    pub fn instrument(&self) -> Instrument {
        self.shared.instrument.clone()
    }

    /// Mints an invitation for the first JHE patient, and returns its link.
    pub fn invitation_link(&self, layout: Layout) -> String {
        let mut world = self.world();
        let token = world.mint_invitation(FIRST_PATIENT);
        world.invitation_link(&token, layout)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn bind(port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let origin = format!("http://localhost:{}", listener.local_addr()?.port());
    Ok((listener, origin))
}

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

pub(crate) struct Inner {
    world: Mutex<World>,
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) content_security_policy: bool,
    pub(crate) instrument: Instrument,
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A test that panics while it holds the guard must not take the servers with it.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
