//! What a Content-Security-Policy lets the pages do (CSP Level 3).

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::text::base64_of;
use crate::url::Url;

/// The policies of one answer: what is done must be allowed by each.
pub(super) struct Policies<'a>(Vec<Policy<'a>>);

/// Directives and their sources, the first of each name (§2.2.1).
struct Policy<'a>(Vec<(String, Vec<&'a str>)>);

impl<'a> Policies<'a> {
    /// Reads the header's value; several are joined by commas.
    pub(super) fn parse(header: &'a str) -> Self {
        let policies = header.split(',').map(Policy::parse);
        Policies(policies.filter(|policy| !policy.0.is_empty()).collect())
    }

    /// May WebAssembly be compiled (§8.2.2)?
    pub(super) fn allow_wasm(&self) -> bool {
        self.0.iter().all(|policy| {
            policy
                .sources(&["script-src", "default-src"])
                .is_none_or(|sources| {
                    let is = |wanted: &str| has_keyword(sources, wanted);
                    is("'wasm-unsafe-eval'") || is("'unsafe-eval'")
                })
        })
    }

    /// May a script be loaded from `url`?
    pub(super) fn allow_script(&self, url: &Url, page: &Url) -> bool {
        self.0.iter().all(|policy| {
            policy
                .sources(&["script-src-elem", "script-src", "default-src"])
                .is_none_or(|sources| {
                    // What a script that was let in loads is let in then; whether ours was, only the page knows.
                    has_keyword(sources, "'strict-dynamic'") || match_any(sources, url, page)
                })
        })
    }

    /// May this script stand in the page?
    pub(super) fn allow_inline(&self, script: &str) -> bool {
        let hash = base64_of(&Sha256::digest(script.as_bytes()));
        let hash = ["'sha256-", &hash, "'"].concat();
        self.0.iter().all(|policy| {
            policy
                .sources(&["script-src-elem", "script-src", "default-src"])
                .is_none_or(|sources| {
                    let is_listed = |it: &str| it == hash || it.starts_with("'nonce-");
                    let is_strict = |it: &str| {
                        ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
                            .iter()
                            .any(|start| it.starts_with(start))
                    };
                    sources.iter().any(|it| is_listed(it))
                        || has_keyword(sources, "'unsafe-inline'")
                            && !sources.iter().any(|it| is_strict(it))
                })
        })
    }

    /// May a style sheet be loaded from `url`?
    pub(super) fn allow_style(&self, url: &Url, page: &Url) -> bool {
        self.allow(&["style-src-elem", "style-src", "default-src"], url, page)
    }

    /// May the page ask `url`?
    pub(super) fn allow_connection(&self, url: &Url, page: &Url) -> bool {
        self.allow(&["connect-src", "default-src"], url, page)
    }

    fn allow(&self, names: &[&str], url: &Url, page: &Url) -> bool {
        let allows = |policy: &Policy<'_>| {
            let sources = policy.sources(names);
            sources.is_none_or(|sources| match_any(sources, url, page))
        };
        self.0.iter().all(allows)
    }
}

impl<'a> Policy<'a> {
    fn parse(policy: &'a str) -> Self {
        let mut directives: Vec<(String, Vec<&str>)> = Vec::new();
        for directive in policy.split(';') {
            let mut words = directive.split_ascii_whitespace();
            let Some(name) = words.next() else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            if !directives.iter().any(|(known, _)| *known == name) {
                directives.push((name, words.collect()));
            }
        }
        Policy(directives)
    }

    /// The sources of the first of these directives that there is.
    fn sources(&self, names: &[&str]) -> Option<&[&'a str]> {
        for name in names {
            let found = self.0.iter().find(|(known, _)| known == name);
            if let Some((_, sources)) = found {
                return Some(sources);
            }
        }
        None
    }
}

fn has_keyword(sources: &[&str], wanted: &str) -> bool {
    sources
        .iter()
        .any(|source| source.eq_ignore_ascii_case(wanted))
}

fn match_any(sources: &[&str], url: &Url, page: &Url) -> bool {
    sources.iter().any(|source| matches(source, url, page))
}

/// Does an expression match a URL (§6.7.2.8)?
fn matches(expression: &str, url: &Url, page: &Url) -> bool {
    let source = expression.to_ascii_lowercase();
    if source == "*" {
        return true;
    }
    if source == "'self'" {
        return url.origin() == page.origin();
    }
    if source.starts_with('\'') {
        return false;
    }
    let scheme = url.as_str().split(':').next().unwrap_or_default();
    // http: in a policy lets https: through, too.
    let is_scheme = |wanted: &str| wanted == scheme || (wanted == "http" && scheme == "https");
    if let Some(wanted) = source.strip_suffix(':') {
        return is_scheme(wanted);
    }
    let (wanted, rest) = match source.split_once("://") {
        Some((wanted, rest)) => (wanted, rest),
        None => (
            page.as_str().split(':').next().unwrap_or_default(),
            source.as_str(),
        ),
    };
    if !is_scheme(wanted) {
        return false;
    }
    let place = rest.split('/').next().unwrap_or_default();
    // Of a path, other than of a host, the case counts.
    let path = expression.split_once("://").map_or(expression, |it| it.1);
    let path = path.split_once('/').map(|(_, path)| path);
    let (host, port) = name_and_port(place);
    let (own_host, own_port) = name_and_port(url.host());
    let is_host = match host.strip_prefix("*.") {
        Some(parent) => own_host
            .strip_suffix(parent)
            .is_some_and(|child| child.ends_with('.')),
        None => host == own_host,
    };
    let is_port = port == Some("*")
        || port == own_port
        || (own_port.is_none() && port == default_port(scheme));
    let is_path = path.is_none_or(|path| {
        let own = url.path().trim_start_matches('/');
        path.is_empty() || own == path || (path.ends_with('/') && own.starts_with(path))
    });
    is_host && is_port && is_path
}

fn name_and_port(place: &str) -> (&str, Option<&str>) {
    match place.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (place, None),
    }
}

fn default_port(scheme: &str) -> Option<&'static str> {
    Some(if scheme == "https" { "443" } else { "80" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn page() -> Url {
        url("https://jhe.example/clients/mychart/")
    }

    const GOOD: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
        connect-src 'self' https://ehr.example";

    #[test]
    fn the_policy_of_the_documents_allows_all_that_the_pages_do() {
        let policies = Policies::parse(GOOD);
        let own = url("https://jhe.example/static/x.js");
        assert!(policies.allow_wasm());
        assert!(policies.allow_script(&own, &page()) && policies.allow_style(&own, &page()));
        assert!(policies.allow_connection(&own, &page()));
        assert!(policies.allow_connection(&url("https://ehr.example/R4/metadata"), &page()));
        assert!(!policies.allow_connection(&url("https://ehr.example.evil/R4"), &page()));
        assert!(!policies.allow_connection(&url("https://other.example/R4"), &page()));
        assert!(!policies.allow_inline("go()"));
    }

    #[test]
    fn without_a_policy_everything_is_allowed() {
        let policies = Policies::parse("");
        assert!(policies.allow_wasm() && policies.allow_inline("go()"));
        assert!(policies.allow_connection(&url("https://ehr.example/"), &page()));
    }

    #[test]
    fn wasm_needs_its_keyword_and_each_policy_counts() {
        assert!(!Policies::parse("script-src 'self'").allow_wasm());
        assert!(!Policies::parse("default-src 'self'").allow_wasm());
        assert!(Policies::parse("script-src 'unsafe-eval'").allow_wasm());
        let both = [GOOD, ", script-src 'self'"].concat();
        assert!(!Policies::parse(&both).allow_wasm());
    }

    #[test]
    fn sources_match_by_scheme_host_port_and_path() {
        let allows = |source: &str, address: &str| {
            let policy = ["connect-src ", source].concat();
            Policies::parse(&policy).allow_connection(&url(address), &page())
        };
        for (source, address) in [
            ("*", "https://a.example/"),
            ("https:", "https://a.example/"),
            ("http:", "https://a.example/"),
            ("*.example", "https://a.example/"),
            ("a.example", "https://a.example/"),
            ("https://a.example:443", "https://a.example/"),
            ("https://a.example:*", "https://a.example:8443/"),
            ("https://a.example/R4/", "https://a.example/R4/metadata"),
        ] {
            assert!(allows(source, address), "{source} {address}");
        }
        for (source, address) in [
            ("https:", "http://a.example/"),
            ("*.example", "https://example/"),
            ("https://a.example", "https://a.example:8443/"),
            ("https://a.example/R4", "https://a.example/R4/metadata"),
            ("'none'", "https://a.example/"),
        ] {
            assert!(!allows(source, address), "{source} {address}");
        }
    }

    #[test]
    fn an_inline_script_needs_its_hash_or_a_policy_that_asks_for_none() {
        let script = "go()";
        let hash = base64_of(&Sha256::digest(script.as_bytes()));
        let policy = ["script-src 'self' 'unsafe-inline' 'sha256-", &hash, "'"].concat();
        assert!(Policies::parse(&policy).allow_inline(script));
        assert!(!Policies::parse(&policy).allow_inline("stop()"));
        assert!(Policies::parse("script-src 'unsafe-inline'").allow_inline(script));
    }
}
