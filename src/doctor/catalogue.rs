//! What the doctor looks at, and which of it answers each trouble that JHE's own documents list.

/// One line of the doctor's sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each has its title in the table below")]
pub enum Check {
    SecureContext,
    TabStorage,
    Clock,
    ConnectPage,
    CallbackPage,
    Configuration,
    SamePages,
    OwnScript,
    LaunchScope,
    PulledScopes,
    ScopeForm,
    Files,
    ContentTypes,
    Compression,
    Caching,
    Policy,
    JheInvitations,
    JheTokens,
    JheApi,
    JheWriting,
    JheHospitals,
    DataSource,
    SiteUrl,
    StudySignIn,
    InvitationLink,
    InvitationHost,
    InvitationPage,
    Redemption,
    TokenExchange,
    Participant,
    Revocation,
    FhirBase,
    Discovery,
    FhirServer,
    S256,
    Endpoints,
    Capabilities,
    ListedScopes,
    TokenEndpoint,
    RedirectUri,
    ClientId,
    EnabledApis,
    SignInPage,
    EhrClock,
    LongIds,
    RefusedRecords,
}

/// What lines stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The browser that the doctor runs in.
    Browser,
    /// The two pages that patients open.
    Pages,
    /// The files that they load.
    Bundle,
    /// JHE.
    Jhe,
    /// An invitation, if one was given.
    Invitation,
    /// The EHR.
    Hospital,
    /// What becomes of records.
    Records,
}

impl Group {
    /// All, in their order.
    pub const ALL: [Group; 7] = [
        Group::Browser,
        Group::Pages,
        Group::Bundle,
        Group::Jhe,
        Group::Invitation,
        Group::Hospital,
        Group::Records,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Browser => "This browser",
            Group::Pages => "The patients’ pages",
            Group::Bundle => "The bundle",
            Group::Jhe => "JupyterHealth Exchange (JHE)",
            Group::Invitation => "An invitation",
            Group::Hospital => "The hospital",
            Group::Records => "Records",
        }
    }
}

/// Each line: what it is, its name in the page and in reports, where it stands, what it is called.
pub const CHECKS: &[(Check, &str, Group, &str)] = &[
    (
        Check::SecureContext,
        "secure-context",
        Group::Browser,
        "Secure context",
    ),
    (
        Check::TabStorage,
        "tab-storage",
        Group::Browser,
        "Storage of this tab",
    ),
    (
        Check::Clock,
        "clock",
        Group::Browser,
        "This computer’s clock and JHE’s",
    ),
    (
        Check::ConnectPage,
        "connect-page",
        Group::Pages,
        "Connect page",
    ),
    (
        Check::CallbackPage,
        "callback-page",
        Group::Pages,
        "Callback page",
    ),
    (
        Check::Configuration,
        "configuration",
        Group::Pages,
        "Page configuration",
    ),
    (
        Check::SamePages,
        "same-pages",
        Group::Pages,
        "Both pages have the same configuration",
    ),
    (
        Check::OwnScript,
        "own-script",
        Group::Pages,
        "The pages load jhe-connect",
    ),
    (
        Check::LaunchScope,
        "launch-scope",
        Group::Pages,
        "launch/patient in the scopes",
    ),
    (
        Check::PulledScopes,
        "pulled-scopes",
        Group::Pages,
        "A scope for each type that is pulled",
    ),
    (
        Check::ScopeForm,
        "scope-form",
        Group::Pages,
        "Form of the scopes",
    ),
    (
        Check::Files,
        "files",
        Group::Bundle,
        "All files are there, unchanged",
    ),
    (
        Check::ContentTypes,
        "content-types",
        Group::Bundle,
        "Content types",
    ),
    (
        Check::Compression,
        "compression",
        Group::Bundle,
        "Compression",
    ),
    (Check::Caching, "caching", Group::Bundle, "Caching"),
    (
        Check::Policy,
        "policy",
        Group::Bundle,
        "Content-Security-Policy of the pages",
    ),
    (
        Check::JheInvitations,
        "jhe-invitations",
        Group::Jhe,
        "Invitations",
    ),
    (Check::JheTokens, "jhe-tokens", Group::Jhe, "Token endpoint"),
    (
        Check::JheApi,
        "jhe-api",
        Group::Jhe,
        "Profile, identifier and sources",
    ),
    (
        Check::JheWriting,
        "jhe-writing",
        Group::Jhe,
        "Where records are written",
    ),
    (
        Check::JheHospitals,
        "jhe-hospitals",
        Group::Jhe,
        "List of hospitals",
    ),
    (Check::DataSource, "data-source", Group::Jhe, "DataSource"),
    (Check::SiteUrl, "site-url", Group::Jhe, "site.url and port"),
    (
        Check::StudySignIn,
        "study-sign-in",
        Group::Jhe,
        "The study team’s own sign-in at JHE",
    ),
    (
        Check::InvitationLink,
        "invitation-link",
        Group::Invitation,
        "Invitation link",
    ),
    (
        Check::InvitationHost,
        "invitation-host",
        Group::Invitation,
        "Host in the link",
    ),
    (
        Check::InvitationPage,
        "invitation-page",
        Group::Invitation,
        "Page that the link opens",
    ),
    (
        Check::Redemption,
        "redemption",
        Group::Invitation,
        "Redemption",
    ),
    (
        Check::TokenExchange,
        "token-exchange",
        Group::Invitation,
        "JHE’s token for the invitation",
    ),
    (
        Check::Participant,
        "participant",
        Group::Invitation,
        "The account is a patient’s",
    ),
    (
        Check::Revocation,
        "revocation",
        Group::Invitation,
        "The token is ended",
    ),
    (
        Check::FhirBase,
        "fhir-base",
        Group::Hospital,
        "FHIR base URL (iss)",
    ),
    (
        Check::Discovery,
        "discovery",
        Group::Hospital,
        "Discovery document, readable from this page (CORS)",
    ),
    (
        Check::FhirServer,
        "fhir-server",
        Group::Hospital,
        "FHIR server, readable from this page (CORS)",
    ),
    (Check::S256, "s256", Group::Hospital, "PKCE with S256"),
    (
        Check::Endpoints,
        "endpoints",
        Group::Hospital,
        "Authorization and token endpoint",
    ),
    (
        Check::Capabilities,
        "capabilities",
        Group::Hospital,
        "Capabilities",
    ),
    (
        Check::ListedScopes,
        "listed-scopes",
        Group::Hospital,
        "Scopes that the hospital lists",
    ),
    (
        Check::TokenEndpoint,
        "token-endpoint",
        Group::Hospital,
        "Token endpoint, readable from this page (CORS)",
    ),
    (
        Check::RedirectUri,
        "redirect-uri",
        Group::Hospital,
        "Redirect URI to register",
    ),
    (Check::ClientId, "client-id", Group::Hospital, "Client id"),
    (
        Check::EnabledApis,
        "enabled-apis",
        Group::Hospital,
        "APIs that are enabled for the app",
    ),
    (
        Check::SignInPage,
        "sign-in-page",
        Group::Hospital,
        "The hospital’s sign-in page",
    ),
    (
        Check::EhrClock,
        "ehr-clock",
        Group::Hospital,
        "The hospital’s clock",
    ),
    (
        Check::LongIds,
        "long-ids",
        Group::Records,
        "Ids over 64 characters",
    ),
    (
        Check::RefusedRecords,
        "refused-records",
        Group::Records,
        "Records that JHE refuses",
    ),
];

impl Check {
    fn row(self) -> Option<&'static (Check, &'static str, Group, &'static str)> {
        CHECKS.iter().find(|(check, ..)| *check == self)
    }

    /// Its name in the page and in reports, which never changes its meaning.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.1)
    }

    /// Where it stands.
    pub fn group(self) -> Group {
        self.row().map_or(Group::Browser, |row| row.2)
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        self.row().map_or("", |row| row.3)
    }
}

/// What people see who set up JHE's MyChart client, and the lines that find its cause or say how to look for it. The first
/// seven are the symptoms of JHE's own document on that client, the other five its lessons.
pub const TROUBLES: &[(&str, &[Check])] = &[
    (
        "The hospital shows “redirect_uri mismatch”, or the callback page is never reached",
        &[
            Check::RedirectUri,
            Check::SignInPage,
            Check::ClientId,
            Check::SiteUrl,
        ],
    ),
    (
        "“No invitation code in URL”",
        &[Check::InvitationLink, Check::InvitationPage],
    ),
    (
        "Redeeming an invitation is answered with 400, by another server",
        &[Check::InvitationHost, Check::SiteUrl, Check::JheInvitations],
    ),
    (
        "“Failed to exchange invitation for JHE token”",
        &[Check::TokenExchange, Check::JheTokens],
    ),
    (
        "Nothing, or no patient context, after the sign-in at the hospital",
        &[Check::LaunchScope, Check::Capabilities, Check::EnabledApis],
    ),
    (
        "“(N records could not be saved)”",
        &[Check::RefusedRecords, Check::LongIds],
    ),
    (
        "The hospital says “invalid scope”",
        &[
            Check::EnabledApis,
            Check::PulledScopes,
            Check::ListedScopes,
            Check::ScopeForm,
        ],
    ),
    (
        "JHE was seeded for another port than it is served on; the study team’s sign-in says “Mismatching redirect URI”",
        &[Check::StudySignIn, Check::SiteUrl],
    ),
    (
        "site.url is not the host that serves the pages",
        &[Check::InvitationHost, Check::SiteUrl],
    ),
    (
        "The client id is another app’s: Epic shows error=4, “the request is invalid”",
        &[Check::ClientId, Check::SignInPage],
    ),
    (
        "JHE answers {\"dataSource\":[\"This field is required.\"]}",
        &[Check::DataSource, Check::Configuration],
    ),
    (
        "Epic’s ids are longer than the 64 characters that FHIR allows",
        &[Check::LongIds],
    ),
];
