//! URLs: one type with two bodies, the browser's own parser in the page and the `url` crate natively. Both obey the
//! WHATWG URL standard; the native one would cost a patient 80 kB and more.

use alloc::string::String;
use core::fmt;

use crate::text::{contains, without_last_slashes};

/// An absolute `http:` or `https:` URL without user information, as its parser normalised it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    href: String,
    protocol: String,
    host: String,
    path: String,
    search: String,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// [`UrlError`] if it is none, is neither `http:` nor `https:`, or carries user information.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::from_parts(sys::parse(text, None))
    }

    /// Reads a URL that may be relative to this one.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn join(&self, text: &str) -> Result<Self, UrlError> {
        Self::from_parts(sys::parse(text, Some(&self.href)))
    }

    fn from_parts(parts: Option<sys::Parts>) -> Result<Self, UrlError> {
        let parts = parts.ok_or(UrlError::NotAUrl)?;
        if parts.protocol != "https:" && parts.protocol != "http:" {
            return Err(UrlError::NotHttp);
        }
        if parts.has_credentials {
            return Err(UrlError::Credentials);
        }
        Ok(Url {
            href: parts.href,
            protocol: parts.protocol,
            host: parts.host,
            path: parts.path,
            search: parts.search,
        })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.href
    }

    /// Host and port, the port only where it is not the scheme's own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path, always with a leading `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query with its `?`, or nothing.
    pub fn query(&self) -> &str {
        &self.search
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        [&self.protocol, "//", &self.host].concat()
    }

    /// Scheme, host, port and path: the form that may be logged or shown, as a query can hold a code.
    pub fn without_query(&self) -> String {
        [self.origin().as_str(), &self.path].concat()
    }

    /// Is this host the device itself? The only place where `http:` is as safe as `https:`.
    pub fn is_loopback(&self) -> bool {
        let name = match self.host.strip_prefix("[::1]") {
            Some(_) => return true,
            None => self.host.split(':').next().unwrap_or(""),
        };
        name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.")
    }

    /// May a token or a code be sent there from a page at `page`? SMART App Launch 2.2, app protection: TLS only; the
    /// device itself is exempt where the page comes from there as well.
    pub fn is_protected(&self, page: &Url) -> bool {
        self.protocol == "https:" || (self.is_loopback() && page.is_loopback())
    }

    /// This URL with parameters added to its query, and without a fragment. RFC 6749 §3.1: a query that an endpoint
    /// already has is kept.
    #[must_use]
    pub fn with_parameters(&self, pairs: &[(&str, &str)]) -> String {
        let separator = match self.search.as_str() {
            "" => "?",
            _ => "&",
        };
        let base = [self.without_query().as_str(), &self.search].concat();
        [&base, separator, &crate::text::form_encode(pairs)].concat()
    }

    /// The URL of something below this one: `path` is appended to the path, whether that ends in `/` or not, and
    /// query and fragment go.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn below(&self, path: &str) -> Result<Self, UrlError> {
        let base = self.without_query();
        Self::parse(&[without_last_slashes(&base), "/", path].concat())
    }

    /// Reads `link`, found in a document that came from `found_at`, and lets it pass only if it leads to the same
    /// origin as this base URL and to the base path itself or below it.
    ///
    /// RFC 9700 §4.9 and SMART App Launch: a bearer token goes only where it was issued for. Origins are compared as
    /// parsed, since `https://ehr.example.evil` starts with `https://ehr.example`.
    ///
    /// # Errors
    /// [`UrlError::Elsewhere`], or as [`Url::parse`].
    pub fn confine(&self, link: &str, found_at: &Url) -> Result<Self, UrlError> {
        let url = found_at.join(link)?;
        let base_path = without_last_slashes(&self.path);
        let below = url.path.strip_prefix(base_path);
        let confined = match below {
            Some("") => true,
            Some(rest) => rest.starts_with('/') && !has_hidden_separator(rest),
            None => false,
        };
        match confined && url.protocol == self.protocol && url.host == self.host {
            true => Ok(url),
            false => Err(UrlError::Elsewhere),
        }
    }
}

/// An encoded `/`, `\` or `.` may become a step upwards in a server that decodes before it routes.
fn has_hidden_separator(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    ["%2f", "%5c", "%2e"]
        .iter()
        .any(|hidden| contains(&lower, hidden))
}

impl From<Url> for String {
    fn from(url: Url) -> String {
        url.href
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_query())
    }
}

/// Why a text is no URL that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// It does not parse.
    NotAUrl,
    /// Its scheme is neither `http:` nor `https:`.
    NotHttp,
    /// It carries a user name or a password.
    Credentials,
    /// It leads to another origin, or out of the base path.
    Elsewhere,
}

#[cfg(not(target_arch = "wasm32"))]
mod sys {
    use alloc::string::{String, ToString};

    pub(super) struct Parts {
        pub(super) href: String,
        pub(super) protocol: String,
        pub(super) host: String,
        pub(super) path: String,
        pub(super) search: String,
        pub(super) has_credentials: bool,
    }

    pub(super) fn parse(text: &str, base: Option<&str>) -> Option<Parts> {
        let base = match base {
            Some(base) => Some(url::Url::parse(base).ok()?),
            None => None,
        };
        let url = url::Url::options()
            .base_url(base.as_ref())
            .parse(text)
            .ok()?;
        let quirks_host = url::quirks::host(&url).to_string();
        Some(Parts {
            protocol: url::quirks::protocol(&url).to_string(),
            host: quirks_host,
            path: url::quirks::pathname(&url).to_string(),
            search: url::quirks::search(&url).to_string(),
            has_credentials: !url.username().is_empty() || url.password().is_some(),
            href: url.into(),
        })
    }
}

#[cfg(target_arch = "wasm32")]
mod sys {
    use alloc::string::String;

    pub(super) struct Parts {
        pub(super) href: String,
        pub(super) protocol: String,
        pub(super) host: String,
        pub(super) path: String,
        pub(super) search: String,
        pub(super) has_credentials: bool,
    }

    pub(super) fn parse(text: &str, base: Option<&str>) -> Option<Parts> {
        let url = match base {
            Some(base) => web_sys::Url::new_with_base(text, base),
            None => web_sys::Url::new(text),
        }
        .ok()?;
        Some(Parts {
            href: url.href(),
            protocol: url.protocol(),
            host: url.host(),
            path: url.pathname(),
            search: url.search(),
            has_credentials: !url.username().is_empty() || !url.password().is_empty(),
        })
    }
}

/// What both parsers have to agree on; each is held to it where it runs.
#[cfg(any(test, target_arch = "wasm32"))]
#[allow(clippy::unwrap_used, reason = "a suite of tests")]
pub mod suite {
    use super::{Url, UrlError};

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// Links within the base path pass, links to another origin or path do not.
    pub fn links_are_confined() {
        let base = url("https://ehr.example/api/FHIR/R4/");
        let page = url("https://ehr.example/api/FHIR/R4/Observation?patient=p");
        for link in [
            "https://ehr.example/api/FHIR/R4",
            "https://ehr.example/api/FHIR/R4?page=2",
            "https://ehr.example:443/api/FHIR/R4/Observation?sessionID=17-A",
            "Observation?sessionID=17-B",
            "?page=2",
            "/api/FHIR/R4/Observation?x=%2F..%2F",
        ] {
            assert!(base.confine(link, &page).is_ok(), "{link}");
        }
        for link in [
            "https://ehr.example.evil/api/FHIR/R4/Observation",
            "https://evil.example/api/FHIR/R4",
            "http://ehr.example/api/FHIR/R4/Observation",
            "https://ehr.example:8443/api/FHIR/R4/Observation",
            "//evil.example/api/FHIR/R4",
            "https://ehr.example/api/FHIR/R40/Observation",
            "https://ehr.example/api/FHIR/R4/../../admin",
            "https://ehr.example/api/FHIR/R4/%2e%2e/admin",
            "https://ehr.example/api/FHIR/R4/..%2fadmin",
            "https://ehr.example/api/FHIR/R4/..%5Cadmin",
            "/other",
        ] {
            assert_eq!(
                base.confine(link, &page),
                Err(UrlError::Elsewhere),
                "{link}"
            );
        }
        assert_eq!(
            base.confine("https://a:b@ehr.example/api/FHIR/R4", &page),
            Err(UrlError::Credentials)
        );
        assert_eq!(
            base.confine("javascript:alert(1)", &page),
            Err(UrlError::NotHttp)
        );
    }

    /// Plain http counts as protected only between loopback addresses.
    pub fn only_loopback_may_be_unprotected() {
        let local = url("http://localhost:8010/");
        let public = url("https://jhe.example/");
        assert!(url("http://localhost:8020/").is_protected(&local));
        assert!(url("http://127.0.0.1:8020/").is_protected(&local));
        assert!(url("http://[::1]:8020/").is_protected(&local));
        assert!(!url("http://localhost:8020/").is_protected(&public));
        assert!(!url("http://localhost.evil.example/").is_protected(&local));
        assert!(!url("http://ehr.example/").is_protected(&local));
        assert!(url("https://ehr.example/").is_protected(&public));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_native_parser_passes_the_suite() {
        suite::links_are_confined();
        suite::only_loopback_may_be_unprotected();
    }

    #[test]
    fn an_endpoint_keeps_the_query_that_it_has() {
        let endpoint = url("https://ehr.example/authorize?tenant=7#top");
        assert_eq!(
            endpoint.with_parameters(&[("scope", "a b")]),
            "https://ehr.example/authorize?tenant=7&scope=a%20b"
        );
        assert_eq!(
            url("https://ehr.example/authorize").with_parameters(&[("a", "1")]),
            "https://ehr.example/authorize?a=1"
        );
    }

    #[test]
    fn debug_leaves_the_query_out() {
        let text = alloc::format!("{:?}", url("https://jhe.example/cb?code=SECRET"));
        assert_eq!(text, "https://jhe.example/cb");
    }

    #[test]
    fn below_treats_a_base_with_and_without_slash_alike() {
        for base in ["https://ehr.example/R4", "https://ehr.example/R4/"] {
            let below = url(base).below(".well-known/smart-configuration").unwrap();
            assert_eq!(
                below.as_str(),
                "https://ehr.example/R4/.well-known/smart-configuration"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_confined_leaves_the_origin_or_the_path(link in "(https?:)?(//)?[a-z.:@/%\\\\?#]{0,30}") {
            let base = url("https://ehr.example/api");
            if let Ok(confined) = base.confine(&link, &url("https://ehr.example/api/x")) {
                prop_assert_eq!(confined.origin(), "https://ehr.example");
                prop_assert!(confined.path() == "/api" || confined.path().starts_with("/api/"));
            }
        }
    }
}
