//! Links: the invitation's, and those that lead from one page of records to the next.

use jhe_connect::exchange::invitation::{Invitation, InvitationError, redeem_request};
use jhe_connect::text::{form_decode, percent_decode};
use jhe_connect::url::Url;

use crate::lines;

/// The page's host, and the query that it was opened with.
pub(crate) fn invitation_link(input: &[u8]) {
    let ([page_host], rest) = lines(input);
    let Ok(query) = std::str::from_utf8(rest) else {
        return;
    };
    let jhe = Url::parse("https://jhe.example/base/").expect("a URL");
    match Invitation::parse(query, page_host) {
        Ok(invitation) => {
            // The link's host is the page's: no other ever sees the token.
            let pairs = form_decode(query);
            let mut codes = pairs.iter().filter(|(name, _)| name == "code");
            let (_, code) = codes.next().expect("a code");
            assert!(codes.next().is_none(), "of two codes one was taken");
            let (host, token) = code.rsplit_once('_').expect("a host and a token");
            assert!(percent_decode(host).eq_ignore_ascii_case(page_host));
            assert!(!page_host.is_empty() && !page_host.contains('@'));

            let request = redeem_request(&jhe, &invitation);
            let path = format!("/base/api/v1/invitation/{token}");
            assert_eq!(
                request.url.as_str(),
                format!("https://jhe.example{path}"),
                "the token led elsewhere"
            );
            assert_eq!(request.url.path(), path);
            assert!(request.body.is_none());
            assert_eq!(format!("{invitation:?}"), "Invitation(..)");
        }
        Err(InvitationError::OtherHost { invitation, page }) => {
            assert!(!invitation.eq_ignore_ascii_case(&page) && page == page_host);
        }
        Err(InvitationError::Missing | InvitationError::Malformed) => {}
        Err(other) => panic!("not an error of a link: {other:?}"),
    }
}

/// A base, where a link was found, and the link.
pub(crate) fn confine(input: &[u8]) {
    let ([base, found_at], link) = lines(input);
    let Ok(link) = std::str::from_utf8(link) else {
        return;
    };
    let Ok(base) = Url::parse(base) else {
        return;
    };
    prints_as_it_reads(&base);
    let Ok(found_at) = base.join(found_at) else {
        return;
    };
    if let Ok(below) = base.below("Patient/e1") {
        assert!(base.confine(below.as_str(), &base).is_ok());
    }
    let Ok(confined) = base.confine(link, &found_at) else {
        return;
    };
    prints_as_it_reads(&confined);

    // Judged by the whole address as a browser would send it, and not by the parts that were compared.
    let (base, sent) = (parsed(base.as_str()), parsed(confined.as_str()));
    assert_eq!(base.origin(), sent.origin());
    assert!(sent.username().is_empty() && sent.password().is_none());
    let folder = |url: &url::Url| -> Vec<String> {
        let segments = url.path().split('/').filter(|it| !it.is_empty());
        segments.map(str::to_owned).collect()
    };
    let (base, sent) = (folder(&base), folder(&sent));
    assert!(sent.starts_with(&base), "{sent:?} is not below {base:?}");
    for segment in &sent[base.len()..] {
        let decoded = percent_decode(segment);
        assert!(
            decoded != ".." && !decoded.contains(['/', '\\']),
            "{segment}"
        );
    }
}

fn parsed(text: &str) -> url::Url {
    url::Url::parse(text).expect("it was parsed before")
}

/// What was read once reads the same again, and goes only where http goes.
pub(crate) fn prints_as_it_reads(url: &Url) {
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url));
    let text = url.as_str();
    assert!(text.starts_with("https://") || text.starts_with("http://"));
    assert!(text.starts_with(&url.origin()));
    assert_eq!(
        url.without_query(),
        format!("{}{}", url.origin(), url.path())
    );
    let longer = url.with_parameters(&[("a&b", "c=d #"), ("é", "")]);
    let longer = Url::parse(&longer).expect("it was a URL");
    assert_eq!(longer.without_query(), url.without_query());
    assert!(longer.query().starts_with(url.query()));
    assert!(longer.query().ends_with("a%26b=c%3Dd%20%23&%C3%A9="));
}
