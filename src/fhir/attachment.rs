//! Documents that a DocumentReference refers to: [Attachment](https://hl7.org/fhir/R4/datatypes.html#Attachment) and
//! [Binary](https://hl7.org/fhir/R4/binary.html). They are put into the record, since JHE stores no Binary.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::resource::Record;
use crate::http::{HttpRequest, HttpResponse, status_text};
use crate::json::{Json, quoted};
use crate::oauth::token::AccessToken;
use crate::text::base64_of;
use crate::url::Url;

/// A document that a record refers to, and does not hold.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// Where the attachment's members begin in the record's text.
    place: usize,
    url: String,
    content_type: Option<String>,
    size: Option<u64>,
}

/// Why a document stays where it is: the record keeps its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is not below the FHIR base: the token does not go there.
    Elsewhere,
    /// The record would be too long with it.
    TooLong,
    /// 404, or nothing in it.
    Missing,
    /// 403.
    Forbidden,
    /// Its content is none of the type that the record says, such as a web page in place of a PDF.
    OtherType,
    /// It could not be fetched.
    Failed(String),
}

impl Kept {
    /// For the patient, after `3 × `.
    pub(crate) fn text(&self) -> String {
        match self {
            Kept::Elsewhere => "kept at another server".into(),
            Kept::TooLong => "too long to be copied".into(),
            Kept::Missing => "not found".into(),
            Kept::Forbidden => "not allowed to be read".into(),
            Kept::OtherType => "not of the type that it is said to be".into(),
            Kept::Failed(said) => ["not fetched: ", said].concat(),
        }
    }
}

/// The documents that a record refers to.
pub(crate) fn attachments(record: &Record) -> Vec<Attachment> {
    let attachment = |content: Json<'_>| {
        let attachment = content.get("attachment")?;
        let url = attachment.get_string("url")?;
        if attachment.get("data").is_some() {
            return None;
        }
        // Both are parts of the same text.
        let start = attachment.text().as_ptr() as usize - record.text().as_ptr() as usize;
        Some(Attachment {
            place: start + 1,
            url,
            content_type: attachment.get_string("contentType"),
            size: attachment.get("size").and_then(Json::whole_number),
        })
    };
    let mut attachments = Vec::new();
    for content in record.json().list("content") {
        attachments.extend(attachment(content));
    }
    attachments
}

impl Attachment {
    /// The request for the document, if it may be asked for. `parameters` are those that each query at this server needs,
    /// `room` is how many octets of base64 the record bears.
    ///
    /// # Errors
    /// [`Kept`].
    pub(crate) fn request(
        &self,
        base: &Url,
        parameters: &[(&str, &str)],
        token: &AccessToken,
        room: usize,
    ) -> Result<HttpRequest, Kept> {
        // FHIR R4 §2.24.0.8: a relative one is relative to the base, which is a folder.
        let folder = base.below("").map_err(|_| Kept::Elsewhere)?;
        let mut url = base.confine(&self.url, &folder);
        if let (Ok(confined), [_, ..]) = (&url, parameters) {
            url = Url::parse(&confined.with_parameters(parameters));
        }
        let url = url.map_err(|_| Kept::Elsewhere)?;
        let most = room / 4 * 3;
        if self.size.is_some_and(|size| size > most as u64) {
            return Err(Kept::TooLong);
        }
        // FHIR R4, Binary §2.1.20: what is no FHIR type is asked for as it is; servers that can't do that wrap it, which
        // takes a third more.
        let request = HttpRequest::get(url, "*/*, application/fhir+json;q=0.9");
        let most = (most + WRAPPING) / 3 * 4;
        Ok(token.authorize(request.with_records().with_octets(most)))
    }

    /// Reads the document out of an answer: what is to be put into the record.
    ///
    /// # Errors
    /// [`Kept`].
    pub(crate) fn read(&self, response: &HttpResponse, room: usize) -> Result<Insertion, Kept> {
        match response.status {
            _ if response.is_success() => {}
            404 | 410 => return Err(Kept::Missing),
            403 => return Err(Kept::Forbidden),
            status => return Err(Kept::Failed(status_text(status))),
        }
        let wrapped = match response.body.trim_ascii_start().first() {
            Some(b'{') => response.json(),
            Some(_) => None,
            None => return Err(Kept::Missing),
        };
        let wrapped_type = wrapped.and_then(|json| json.get_string("resourceType"));
        let (data, found) = match (wrapped, wrapped_type.as_deref()) {
            (Some(binary), Some("Binary")) => {
                let data = binary.get_string("data").filter(|data| !data.is_empty());
                let data = data.ok_or(Kept::Missing)?;
                (data, binary.get_string("contentType"))
            }
            (_, Some("OperationOutcome")) => return Err(Kept::Missing),
            _ if response.body.len() > room / 4 * 3 => return Err(Kept::TooLong),
            _ => {
                let found = type_of(&response.body).map(String::from);
                (base64_of(&response.body), found)
            }
        };
        if data.len() > room {
            return Err(Kept::TooLong);
        }
        let said = self.content_type.as_deref();
        if !fits(said.unwrap_or_default(), found.as_deref()) {
            return Err(Kept::OtherType);
        }
        let mut members = String::with_capacity(data.len() + 60);
        if let (None, Some(found)) = (said, &found) {
            members.push_str("\"contentType\":");
            members.push_str(&quoted(found));
            members.push(',');
        }
        members.push_str("\"data\":");
        members.push_str(&quoted(&data));
        members.push(',');
        Ok(Insertion {
            place: self.place,
            members,
        })
    }
}

/// What a FHIR wrapping takes beside its data, and some more.
const WRAPPING: usize = 4_096;

/// Members that are put into a record's text.
#[derive(Debug)]
pub(crate) struct Insertion {
    place: usize,
    members: String,
}

impl Insertion {
    /// How many octets longer the record becomes.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}

/// The text of a record with `insertions`, which are in the order of their places. Every other octet stays.
pub(crate) fn with_insertions(text: &str, insertions: &[Insertion]) -> String {
    let more = insertions.iter().map(Insertion::len).sum::<usize>();
    let mut whole = String::with_capacity(text.len() + more);
    let mut from = 0;
    for insertion in insertions {
        whole.push_str(text.get(from..insertion.place).unwrap_or_default());
        whole.push_str(&insertion.members);
        from = insertion.place;
    }
    whole.push_str(text.get(from..).unwrap_or_default());
    whole
}

/// What a document is by its first octets, as far as it says.
fn type_of(octets: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 9] = [
        (b"%PDF-", "application/pdf"),
        (b"{\\rtf", "text/rtf"),
        (b"\x89PNG", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"<!doctype html", "text/html"),
        (b"<html", "text/html"),
    ];
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let octets = octets.trim_ascii_start();
    let begins_with = |signature: &[u8]| {
        let start = octets.get(..signature.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(signature))
    };
    let known = SIGNATURES
        .iter()
        .find(|(signature, _)| begins_with(signature));
    known.map(|(_, found)| *found)
}

/// May a document that is said to be of the type `said` be one of the type `found`?
fn fits(said: &str, found: Option<&str>) -> bool {
    let bare = |text: &str| {
        let bare = text.split(';').next().unwrap_or_default().trim();
        bare.to_ascii_lowercase()
    };
    let said = bare(said);
    let ends = |subtype: &str| said.ends_with(subtype);
    match found.map(bare).as_deref() {
        // Text of any kind has no signature; what should have one, and has none, is something else.
        None => !["pdf", "rtf", "png", "jpeg", "gif", "tiff"]
            .iter()
            .any(|it| ends(it)),
        Some(_) if said.is_empty() => true,
        Some("text/html") => ends("html") || ends("xml"),
        Some("text/rtf" | "application/rtf") => ends("rtf"),
        Some(found) => said == found,
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::http::testing::answer;

    fn base() -> Url {
        Url::parse("https://ehr.example/R4").unwrap()
    }

    fn note(attachments: &[&str]) -> Record {
        let contents: Vec<_> = attachments
            .iter()
            .map(|attachment| format!(r#"{{"attachment": {attachment} }}"#))
            .collect();
        Record::for_test(&format!(
            r#"{{"resourceType":"DocumentReference","id":"d","content":[{}],"x":1.50}}"#,
            contents.join(",")
        ))
    }

    fn one(attachment: &str) -> Attachment {
        attachments(&note(&[attachment])).pop().unwrap()
    }

    fn request(url: &str) -> Result<String, Kept> {
        let attachment = one(&format!(r#"{{"url":"{url}"}}"#));
        let request = attachment.request(&base(), &[], &AccessToken::new("T".into()), 1000)?;
        assert_eq!(
            crate::http::testing::header(&request, "Authorization"),
            Some("Bearer T")
        );
        Ok(request.url.into())
    }

    fn read(said: &str, answer: &HttpResponse) -> Result<String, Kept> {
        let said = match said {
            "" => String::new(),
            said => format!(r#","contentType":"{said}""#),
        };
        let record = note(&[&format!(r#"{{"url":"Binary/1"{said}}}"#)]);
        let attachment = attachments(&record).pop().unwrap();
        let insertion = attachment.read(answer, 1000)?;
        let whole = with_insertions(record.text(), &[insertion]);
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let attachment = &whole["content"][0]["attachment"];
        assert_eq!(attachment["url"], "Binary/1");
        let text = |name: &str| attachment[name].as_str().unwrap_or("-").to_owned();
        Ok(format!("{} {}", text("contentType"), text("data")))
    }

    #[test]
    fn only_what_is_referred_to_is_fetched() {
        let record = note(&[
            r#"{"contentType":"text/plain","data":"QQ=="}"#,
            r#"{"title":"nothing"}"#,
            r#"{"url":"Binary/1"}"#,
            r#"{"url":"Binary/2","data":"QQ=="}"#,
        ]);
        let urls: Vec<_> = attachments(&record).into_iter().map(|it| it.url).collect();
        assert_eq!(urls, ["Binary/1"]);
    }

    #[test]
    fn the_token_goes_below_the_fhir_base_only() {
        for (url, asked) in [
            ("Binary/1", "https://ehr.example/R4/Binary/1"),
            (
                "https://ehr.example/R4/Binary/1",
                "https://ehr.example/R4/Binary/1",
            ),
            ("/R4/Binary/1?x=2", "https://ehr.example/R4/Binary/1?x=2"),
        ] {
            assert_eq!(request(url).as_deref(), Ok(asked));
        }
        for url in [
            "https://evil.example/R4/Binary/1",
            "https://ehr.example/DSTU2/Binary/1",
            "../Binary/1",
            "http://ehr.example/R4/Binary/1",
            "//evil.example/R4/Binary/1",
            "urn:uuid:1",
            "#x",
        ] {
            let asked = request(url);
            assert!(
                asked == Err(Kept::Elsewhere) || url == "#x",
                "{url}: {asked:?}"
            );
        }
    }

    #[test]
    fn what_is_said_to_be_too_long_is_not_asked_for() {
        let token = AccessToken::new("T".into());
        let long = one(r#"{"url":"Binary/1","size":751}"#);
        assert_eq!(
            long.request(&base(), &[], &token, 1000).unwrap_err(),
            Kept::TooLong
        );
        let short = one(r#"{"url":"Binary/1","size":750}"#);
        assert!(short.request(&base(), &[], &token, 1000).is_ok());
    }

    #[test]
    fn a_raw_document_is_put_into_the_record() {
        let pdf = answer(200, "application/octet-stream", "%PDF-1.7 x");
        assert_eq!(
            read("application/pdf", &pdf).unwrap(),
            "application/pdf JVBERi0xLjcgeA=="
        );
        // Its type is added where the record does not say it.
        assert_eq!(read("", &pdf).unwrap(), "application/pdf JVBERi0xLjcgeA==");
        let text = answer(200, "text/plain", "all well");
        assert_eq!(
            read("text/plain", &text).unwrap(),
            "text/plain YWxsIHdlbGw="
        );
        assert_eq!(read("", &text).unwrap(), "- YWxsIHdlbGw=");
    }

    #[test]
    fn a_wrapped_document_is_unwrapped() {
        let body = r#"{"resourceType":"Binary","contentType":"application/pdf","data":"JVBERi0="}"#;
        let wrapped = answer(200, "application/fhir+json", body);
        assert_eq!(
            read("application/pdf", &wrapped).unwrap(),
            "application/pdf JVBERi0="
        );
        assert_eq!(read("text/plain", &wrapped), Err(Kept::OtherType));
        for empty in [
            r#"{"resourceType":"Binary","contentType":"application/pdf"}"#,
            r#"{"resourceType":"OperationOutcome","issue":[]}"#,
            "",
        ] {
            let empty = answer(200, "application/fhir+json", empty);
            assert_eq!(read("application/pdf", &empty), Err(Kept::Missing));
        }
    }

    #[test]
    fn a_document_that_begins_with_a_brace_is_no_binary() {
        let rtf = answer(200, "text/rtf", "{\\rtf1 all well}");
        assert!(read("application/rtf", &rtf).is_ok());
        let json = answer(200, "application/json", r#"{"a":1}"#);
        assert!(read("application/json", &json).is_ok());
    }

    #[test]
    fn a_web_page_in_place_of_a_document_is_none() {
        let page = answer(
            200,
            "text/html",
            "\u{feff} <!DOCTYPE html><title>Sign in</title>",
        );
        for said in ["application/pdf", "text/rtf", "image/png", "text/plain"] {
            assert_eq!(read(said, &page), Err(Kept::OtherType), "{said}");
        }
        assert!(read("text/html; charset=utf-8", &page).is_ok());
        assert!(read("application/xhtml+xml", &page).is_ok());
        // Neither is anything without a PDF's signature a PDF.
        let other = answer(200, "application/pdf", "PK..");
        assert_eq!(read("application/pdf", &other), Err(Kept::OtherType));
    }

    #[test]
    fn what_is_not_there_not_allowed_or_too_long_stays_a_reference() {
        let kept = |status| read("text/plain", &answer(status, "text/plain", "x")).unwrap_err();
        assert_eq!(kept(404), Kept::Missing);
        assert_eq!(kept(410), Kept::Missing);
        assert_eq!(kept(403), Kept::Forbidden);
        assert_eq!(kept(500), Kept::Failed("HTTP 500".into()));
        let long = answer(200, "text/plain", &"x".repeat(751));
        assert_eq!(read("text/plain", &long), Err(Kept::TooLong));
        let wrapped = format!(
            r#"{{"resourceType":"Binary","data":"{}"}}"#,
            "A".repeat(1004)
        );
        assert_eq!(
            read("text/plain", &answer(200, "", &wrapped)),
            Err(Kept::TooLong)
        );
    }

    proptest! {
        #[test]
        fn nothing_but_the_data_is_added(
            documents in prop::collection::vec(prop::option::of("[ -~é]{1,40}"), 1..4),
        ) {
            let attachments_text: Vec<String> = documents
                .iter()
                .map(|document| match document {
                    Some(_) => r#"{ "url" : "Binary/1" }"#.into(),
                    None => r#"{"title":"é"}"#.into(),
                })
                .collect();
            let texts: Vec<&str> = attachments_text.iter().map(String::as_str).collect();
            let record = note(&texts);
            let fetched: Vec<&String> = documents.iter().flatten().collect();
            let insertions: Vec<_> = attachments(&record)
                .iter()
                .zip(&fetched)
                .filter_map(|(attachment, text)| attachment.read(&answer(200, "", text), 1000).ok())
                .collect();
            let whole = with_insertions(record.text(), &insertions);
            let mut after: Value = serde_json::from_str(&whole).unwrap();
            let before: Value = serde_json::from_str(record.text()).unwrap();
            let mut found = vec![];
            for content in after["content"].as_array_mut().unwrap() {
                let attachment = content["attachment"].as_object_mut().unwrap();
                attachment.remove("contentType");
                found.extend(attachment.remove("data"));
            }
            prop_assert_eq!(after, before);
            prop_assert_eq!(found.len(), insertions.len());
        }
    }
}
