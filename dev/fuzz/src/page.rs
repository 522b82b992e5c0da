//! The page's configuration, which the study's server writes.

use jhe_connect::config::{AuthorizeOptions, PageConfig};
use jhe_connect::url::Url;

use crate::links::prints_as_it_reads;

/// The JSON in the page.
pub(crate) fn page_configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let page = Url::parse("https://jhe.example/clients/patient-access/").expect("a URL");
    let _ = AuthorizeOptions::parse(text, &page);
    let Ok(config) = PageConfig::parse(text, &page) else {
        return;
    };
    // A token of JHE's goes to the page's own origin only.
    assert_eq!(config.jhe.origin(), page.origin());
    let study = &config.study;
    if let Some(logo) = &study.logo {
        prints_as_it_reads(logo);
        assert!(logo.as_str().starts_with("https://"));
    }
    if let Some(url) = &study.contact.url {
        prints_as_it_reads(url);
    }
    if let Some(link) = study.contact.mail_link() {
        let link = url::Url::parse(&link).expect("a link");
        assert_eq!((link.scheme(), link.query()), ("mailto", None));
        assert!(!link.path().contains([',', ';', '%']));
    }
    if let Some(link) = study.contact.phone_link() {
        let number = link.strip_prefix("tel:").expect("a telephone's link");
        assert!(
            number
                .bytes()
                .all(|byte| byte == b'+' || byte.is_ascii_digit())
        );
    }
    if let Some(accent) = &study.accent {
        assert!(accent.starts_with('#') && matches!(accent.len(), 4 | 7));
        assert!(accent[1..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(study.on_accent().is_some());
    }
    if let Some(language) = &config.language {
        assert!(
            language
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
        );
    }
    assert!(!config.plan.labels().is_empty());
    assert_eq!(config.plan, config.plan.keep(&|_, _| true));
    for row in &config.plan.rows {
        assert!(
            row.resource_type
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic())
        );
        assert!(row.pages > 0);
        assert!(row.parameters.iter().all(|(name, _)| name != "patient"));
    }
    let options = config.sign_in("https://ehr.example/R4");
    assert!(Url::parse(&options.redirect_uri).is_ok());
}
