//! The hospitals that JHE knows, for the patient to pick one.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::jhe::JheSession;
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
use crate::text::{contains, form_encode};
use crate::url::Url;

/// JHE gives no more rows than these, and does not say whether there are more.
const MOST_ROWS: usize = 25;
/// And never more than a hundred, however it is asked: no more are compared with each other.
const READ_ROWS: usize = 100;

/// One place of one hospital, as the patient reads it, and where its records are. Never without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// The name of the hospital or of the health system that it belongs to.
    pub name: String,
    /// The name of the place; empty where it is the same.
    pub facility: String,
    /// The address, with the city.
    pub address: String,
    /// The FHIR base URL, verbatim: many end in `/`, and it is compared byte for byte.
    pub fhir_base_url: String,
}

impl Brand {
    /// Hospital and place in one line.
    pub fn full_name(&self) -> String {
        joined(&[&self.name, &self.facility], ", ")
    }

    /// The place, or the hospital where that is the same.
    pub fn place_name(&self) -> &str {
        match self.facility.as_str() {
            "" => &self.name,
            place => place,
        }
    }

    /// `None` where there is nothing to go to, or no name to know it by.
    fn read(row: Json<'_>) -> Option<Self> {
        let fhir_base_url = row.get_string("fhirBaseUrl")?;
        Url::parse(&fhir_base_url).ok()?;
        let text = |name| row.get_string(name).unwrap_or_default();
        let (mut name, mut facility) = (text("brandName"), text("facilityName"));
        let (address, city) = (text("addressText"), text("city"));
        let (state, postal_code) = (text("state"), text("postalCode"));
        if name.trim().is_empty() || name == facility {
            name = core::mem::take(&mut facility);
        }
        let address = match address.is_empty() || !(city.is_empty() || contains(&address, &city)) {
            true => joined(
                &[&address, &city, &joined(&[&state, &postal_code], " ")],
                ", ",
            ),
            false => address,
        };
        (!name.trim().is_empty()).then_some(Brand {
            name,
            facility,
            address,
            fhir_base_url,
        })
    }
}

/// The texts that are not empty.
fn joined(texts: &[&str], separator: &str) -> String {
    let mut out = String::new();
    for text in texts {
        if !out.is_empty() && !text.is_empty() {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    out
}

/// What JHE found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brands {
    /// In JHE's order, each once.
    pub rows: Vec<Brand>,
    /// May there be more than these?
    pub may_be_more: bool,
}

impl Brands {
    /// The request for the hospitals with `query` in their name, the name of a place of theirs, or its city; for an
    /// empty one JHE lists what it has.
    pub fn request(jhe: &JheSession, path: &str, query: &str) -> HttpRequest {
        jhe.get(&[path, "?", &form_encode(&[("q", query)])].concat())
    }

    /// The request for as many hospitals as JHE gives at once.
    pub fn all_request(jhe: &JheSession, path: &str) -> HttpRequest {
        jhe.get(&[path, "?q=&limit=100"].concat())
    }

    /// What the hospital with this FHIR base URL is called: the place, or what several places at it belong to.
    pub fn name_of(&self, fhir_base_url: &str) -> Option<&str> {
        let mut rows = self.rows.iter();
        let first = rows.find(|row| row.fhir_base_url == fhir_base_url)?;
        match rows.any(|row| row.fhir_base_url == fhir_base_url) {
            true => Some(&first.name),
            false => Some(first.place_name()),
        }
    }

    /// Reads what came back for it.
    ///
    /// # Errors
    /// [`BrandsError`].
    pub fn read(answer: Answer) -> Result<Self, BrandsError> {
        Self::from_response(&answer.map_err(BrandsError::Transport)?)
    }

    fn from_response(response: &HttpResponse) -> Result<Self, BrandsError> {
        // No session is not "none found".
        if response.status == 401 {
            return Err(BrandsError::SessionExpired);
        }
        let results = response.json().filter(|_| response.is_success());
        let results = results.and_then(|found| found.get("results"));
        let Some(results) = results.filter(|results| results.is_list()) else {
            return Err(BrandsError::Refused(response.describe()));
        };
        let mut brands = Brands::default();
        let mut count = 0;
        for row in results.elements() {
            count += 1;
            if brands.rows.len() < READ_ROWS
                && let Some(brand) = Brand::read(row)
                && !brands.rows.contains(&brand)
            {
                brands.rows.push(brand);
            }
        }
        brands.may_be_more = count >= MOST_ROWS;
        Ok(brands)
    }
}

/// Why there is no list of hospitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrandsError {
    /// 401.
    SessionExpired,
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::exchange::deployment::PATIENT_ACCESS;
    use crate::exchange::jhe::testing::jhe;
    use crate::http::testing::{answer, json};

    fn brands(body: &str) -> Brands {
        Brands::from_response(&json(200, body)).unwrap()
    }

    fn row(members: &[(&str, &str)]) -> serde_json::Value {
        let mut row = serde_json::json!({
            "facilityName": "Mount Sinai West", "addressText": "1000 10th Ave, New York, NY 10019",
            "city": "New York", "state": "NY", "postalCode": "10019",
            "brandName": "Mount Sinai Health System", "fhirBaseUrl": "https://fhirpoc.mountsinai.org/fhirproxy/r4/",
        });
        for (name, value) in members {
            row[*name] = (*value).into();
        }
        row
    }

    fn read(rows: &[serde_json::Value]) -> Brands {
        brands(&serde_json::json!({ "results": rows }).to_string())
    }

    fn first(members: &[(&str, &str)]) -> Brand {
        read(&[row(members)]).rows.remove(0)
    }

    #[test]
    fn the_query_is_one_parameter_whatever_is_in_it() {
        let path = PATIENT_ACCESS.brands_path.unwrap();
        let url = |query| String::from(Brands::request(&jhe(), path, query).url);
        let base = "https://jhe.example/api/v1/patient-access/brands";
        assert_eq!(url(""), [base, "?q="].concat());
        assert_eq!(url("san jose"), [base, "?q=san%20jose"].concat());
        assert_eq!(
            url("a&limit=1#?+%_é"),
            [base, "?q=a%26limit%3D1%23%3F%2B%25_%C3%A9"].concat()
        );
    }

    #[test]
    fn a_row_is_read_with_its_base_url_byte_for_byte() {
        assert_eq!(
            read(&[row(&[])]),
            Brands {
                rows: alloc::vec![Brand {
                    name: "Mount Sinai Health System".into(),
                    facility: "Mount Sinai West".into(),
                    address: "1000 10th Ave, New York, NY 10019".into(),
                    fhir_base_url: "https://fhirpoc.mountsinai.org/fhirproxy/r4/".into(),
                }],
                may_be_more: false,
            }
        );
        for base in [
            "https://ehr.example/R4",
            "https://EHR.example:443/R4/",
            "http://ehr.example/R4",
        ] {
            assert_eq!(first(&[("fhirBaseUrl", base)]).fhir_base_url, base);
        }
    }

    #[test]
    fn rows_that_lead_nowhere_or_have_no_name_are_dropped() {
        let mut without = row(&[]);
        without["fhirBaseUrl"] = serde_json::Value::Null;
        let mut rows = alloc::vec![without, "no row".into()];
        for base in ["", "/R4", "javascript:alert(1)", "https://a:b@ehr.example/"] {
            rows.push(row(&[("fhirBaseUrl", base)]));
        }
        rows.push(row(&[("brandName", " "), ("facilityName", "")]));
        assert_eq!(read(&rows).rows, []);
    }

    #[test]
    fn a_base_has_the_name_of_its_place_or_of_what_its_places_belong_to() {
        let one = read(&[row(&[])]);
        let base = "https://fhirpoc.mountsinai.org/fhirproxy/r4/";
        assert_eq!(one.name_of(base), Some("Mount Sinai West"));
        let two = read(&[
            row(&[]),
            row(&[("facilityName", "The Mount Sinai Hospital")]),
        ]);
        assert_eq!(two.name_of(base), Some("Mount Sinai Health System"));
        assert_eq!(two.name_of(base.trim_end_matches('/')), None);
    }

    #[test]
    fn equal_rows_are_listed_once() {
        let rows = [
            row(&[]),
            row(&[("facilityName", "The Mount Sinai Hospital")]),
            row(&[]),
            row(&[("fhirBaseUrl", "https://fhirpoc.mountsinai.org/fhirproxy/r4")]),
        ];
        assert_eq!(read(&rows).rows.len(), 3);
    }

    #[test]
    fn a_name_is_not_told_twice_and_a_place_can_stand_for_its_hospital() {
        let same = first(&[("facilityName", "Mount Sinai Health System")]);
        assert_eq!(same.full_name(), "Mount Sinai Health System");
        assert_eq!(same.place_name(), "Mount Sinai Health System");
        let nameless = first(&[("brandName", "")]);
        assert_eq!(nameless.full_name(), "Mount Sinai West");
        assert_eq!(first(&[]).place_name(), "Mount Sinai West");
        assert_eq!(
            first(&[]).full_name(),
            "Mount Sinai Health System, Mount Sinai West"
        );
    }

    #[test]
    fn the_city_is_always_part_of_the_address() {
        let address = |members: &[(&str, &str)]| first(members).address;
        assert_eq!(
            address(&[("addressText", "1000 10th Ave")]),
            "1000 10th Ave, New York, NY 10019"
        );
        assert_eq!(address(&[("addressText", "")]), "New York, NY 10019");
        let unknown = [("addressText", ""), ("state", ""), ("postalCode", "")];
        assert_eq!(address(&unknown), "New York");
        assert_eq!(
            address(&[("city", "")]),
            "1000 10th Ave, New York, NY 10019"
        );
    }

    #[test]
    fn a_full_list_may_not_be_all_whatever_of_it_is_shown() {
        let rows = |count| alloc::vec![row(&[]); count];
        assert!(!read(&rows(24)).may_be_more);
        let full = read(&rows(25));
        assert!(full.may_be_more && full.rows.len() == 1);
        assert_eq!(brands(r#"{"results":[]}"#), Brands::default());
    }

    #[test]
    fn no_session_and_no_list_are_no_empty_list() {
        let error = |response| Brands::read(response).unwrap_err();
        assert_eq!(error(Ok(json(401, "{}"))), BrandsError::SessionExpired);
        for refused in [
            json(200, "{}"),
            json(200, r#"{"results":4}"#),
            json(403, r#"{"detail":"no"}"#),
            json(500, r#"{"results":[]}"#),
            answer(200, "text/html", "<html>"),
        ] {
            assert!(matches!(error(Ok(refused)), BrandsError::Refused(_)));
        }
        assert_eq!(
            error(Err(TransportError::CutOff)),
            BrandsError::Transport(TransportError::CutOff)
        );
    }
}
