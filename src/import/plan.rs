//! What a run pulls: searches with their names, in an order, as data that a page configuration can change.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::{Deployment, Unit};
use crate::fhir::search::PATIENT;
use crate::import::progress::Tally;
use crate::import::{PullPoint, Standing};
use crate::json::Json;
use crate::smart::context::{ContextError, LaunchContext, Right, grants};
use crate::text::number;
use crate::texts::digest;

/// Pages that are read of one row, where it says nothing else: at fifty records a page, a hundred thousand records.
const PAGES: u32 = 2_000;

/// What is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rows, in the order in which they are pulled and told.
    pub rows: Vec<Row>,
}

/// One search, or the read of the patient's own resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As in `Labs: 12 records`.
    pub label: String,
    /// The resource type.
    pub resource_type: String,
    /// What is asked of the type beside the patient.
    pub parameters: Vec<(String, String)>,
    /// Is it searched? One that is not only says that its type is written where another search includes it.
    pub is_searched: bool,
    /// Are documents fetched that its records only refer to?
    pub attachments: bool,
    /// So many pages are read at most.
    pub pages: u32,
}

impl Plan {
    /// What a deployment pulls where its page configuration says nothing else.
    pub fn of(deployment: &Deployment) -> Self {
        let mut rows = Vec::new();
        for pull in deployment.pulls {
            let mut row = Row {
                label: pull.label.into(),
                resource_type: pull.resource_type.into(),
                attachments: pull.attachments,
                ..Row::default()
            };
            for (name, value) in pull.parameters {
                row.parameters.push(((*name).into(), (*value).into()));
            }
            rows.push(row);
        }
        Plan { rows }
    }

    /// Reads `plan` of a page configuration: a list of rows. `"default"` among them stands for the deployment's own
    /// rows; a row with the label of an earlier one changes that one, member by member.
    ///
    /// # Errors
    /// [`PlanError`] with the first thing that can't be used.
    pub fn parse(plan: Json<'_>, deployment: &Deployment) -> Result<Self, PlanError> {
        let mut rows: Vec<Row> = Vec::new();
        if !plan.is_list() {
            return Err(PlanError::new(0, "is no list of rows"));
        }
        for (index, entry) in plan.elements().enumerate() {
            let fail = |what: &str| PlanError::new(index + 1, what);
            if entry.text() == "\"default\"" {
                rows.extend(Plan::of(deployment).rows);
                continue;
            }
            let label = entry.get_string("label").filter(|label| !label.is_empty());
            let label = label.ok_or_else(|| fail("has no label"))?;
            let place = rows.iter().position(|row| row.label == label);
            let mut row = match place.and_then(|place| rows.get(place)) {
                Some(row) => row.clone(),
                None => Row {
                    label,
                    ..Row::default()
                },
            };
            for member in entry.members() {
                row.set(member.name, member.value).map_err(fail)?;
            }
            if row.resource_type.is_empty() {
                return Err(fail("has no type"));
            }
            // Where JHE updates nothing, it is known of laboratory results how they are found again.
            if deployment.writing.unit == Unit::Record && row.resource_type != "Observation" {
                return Err(fail("has a type that this deployment does not write"));
            }
            match place.and_then(|place| rows.get_mut(place)) {
                Some(slot) => *slot = row,
                None => rows.push(row),
            }
        }
        match rows.iter().any(|row| row.is_searched) {
            true => Ok(Plan { rows }),
            false => Err(PlanError::new(0, "has no row that is searched")),
        }
    }

    /// What the patient reads for what is searched.
    pub fn labels(&self) -> Vec<&str> {
        self.labels_of(&|_| true)
    }

    /// The labels of what is searched, and is so.
    fn labels_of(&self, is_so: &dyn Fn(&Row) -> bool) -> Vec<&str> {
        let mut labels = Vec::new();
        for row in &self.rows {
            if row.is_searched && is_so(row) {
                labels.push(row.label.as_str());
            }
        }
        labels
    }

    /// The rows that are wanted, given with their places. One that is not searched stays: what is wanted may include it.
    pub fn keep(&self, is_wanted: &dyn Fn(usize, &Row) -> bool) -> Self {
        let mut rows = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            if !row.is_searched || is_wanted(index, row) {
                rows.push(row.clone());
            }
        }
        Plan { rows }
    }

    /// The resource types, each once.
    pub fn types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !types.contains(&row.resource_type.as_str()) {
                types.push(&row.resource_type);
            }
        }
        types
    }

    /// Checks that a granted scope allows any of it.
    ///
    /// # Errors
    /// [`ContextError::NotGranted`].
    pub fn require_grant(&self, ehr: &LaunchContext) -> Result<(), ContextError> {
        let mut searched = self.rows.iter().filter(|row| row.is_searched);
        match searched.any(|row| allows_pull(&ehr.scope, &row.resource_type)) {
            true => Ok(()),
            false => Err(ContextError::NotGranted(ehr.scope.clone())),
        }
    }

    /// The types that are pulled and that a scope says nothing of: none of their records will come.
    pub fn not_in_scope(&self, scope: &str) -> Vec<&str> {
        let mut types = Vec::new();
        for row in self.rows.iter().filter(|row| row.is_searched) {
            let resource_type = row.resource_type.as_str();
            if !types.contains(&resource_type) && !allows_pull(scope, resource_type) {
                types.push(resource_type);
            }
        }
        types
    }

    /// The labels of what is searched that the scope `asked` for and the granted one does not allow.
    pub fn not_granted(&self, granted: &LaunchContext, asked: &str) -> Vec<&str> {
        self.labels_of(&|row| {
            let resource_type = &row.resource_type;
            allows_pull(asked, resource_type) && !allows_pull(&granted.scope, resource_type)
        })
    }

    /// Its searches, before any of them is begun.
    pub(crate) fn points(&self) -> Vec<PullPoint> {
        let mut points = Vec::new();
        for (row, _) in self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.is_searched)
        {
            points.push(PullPoint {
                row,
                ..PullPoint::default()
            });
        }
        points
    }

    /// The searches row by row, the parts of one together, in the plan's order.
    pub fn sums(&self, points: &[PullPoint]) -> Vec<RowTally> {
        let mut sums = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut tally = Tally::default();
            let mut standing: Option<Standing> = None;
            for point in points.iter().filter(|point| point.row == index) {
                tally.add(&point.tally);
                // The parts stand for what was divided; among them the worst stands for all.
                let is_worse = standing
                    .as_ref()
                    .is_none_or(|worst| weight(&point.standing) > weight(worst));
                if is_worse {
                    standing = Some(point.standing.clone());
                }
            }
            sums.extend(standing.map(|standing| RowTally {
                label: row.label.clone(),
                tally,
                standing,
            }));
        }
        sums
    }

    /// What tells it from another one: what was noted of the rows of one plan says nothing of another's.
    pub(crate) fn mark(&self) -> u64 {
        let mut mark = 0_u64;
        for row in &self.rows {
            let mut add = |text: &str| {
                mark = mark.rotate_left(7) ^ digest(text.bytes()) as u64;
            };
            add(&row.label);
            add(&row.resource_type);
            for (name, value) in &row.parameters {
                add(name);
                add(value);
            }
        }
        // As a number in JSON it has to stay exact in every reader.
        mark >> 12
    }
}

/// The counts of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTally {
    /// Its label.
    pub label: String,
    /// The counts.
    pub tally: Tally,
    /// How its search stands.
    pub standing: Standing,
}

/// How much less than the whole it is.
fn weight(standing: &Standing) -> u8 {
    match standing {
        Standing::Divided => 0,
        Standing::Whole => 1,
        Standing::NotGranted => 2,
        Standing::Limited => 3,
        Standing::Open => 4,
        Standing::Failed(_) => 5,
    }
}

/// Does a scope allow to pull a type? The patient's own resource is read, all others are searched.
pub(crate) fn allows_pull(scope: &str, resource_type: &str) -> bool {
    let right = match resource_type {
        PATIENT => Right::Read,
        _ => Right::Search,
    };
    grants(scope, resource_type, right)
}

/// What the patient decides about, and what is about the form of the answer.
const RESERVED: [&str; 7] = [
    "patient",
    "subject",
    "_id",
    "_format",
    "_summary",
    "_elements",
    "_contained",
];

impl Default for Row {
    /// A row as it is where a configuration says nothing.
    fn default() -> Self {
        Row {
            label: String::new(),
            resource_type: String::new(),
            parameters: Vec::new(),
            is_searched: true,
            attachments: false,
            pages: PAGES,
        }
    }
}

impl Row {
    /// Takes over one member of a row of the configuration.
    fn set(&mut self, name: &str, value: Json<'_>) -> Result<(), &'static str> {
        match name {
            "label" => {}
            "type" => {
                let is_type = |text: &String| {
                    text.bytes().all(|byte| byte.is_ascii_alphabetic())
                        && text.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
                };
                let text = value.string().filter(is_type);
                self.resource_type = text.ok_or("has a type that is no resource type of FHIR")?;
            }
            "parameters" => {
                self.parameters.clear();
                if !value.is_object() {
                    return Err("has parameters that are no object");
                }
                for member in value.members() {
                    self.add(member.name, member.value)?;
                }
            }
            "search" => {
                self.is_searched = switch(value).ok_or("has a search that is no boolean")?
            }
            "attachments" => {
                self.attachments = switch(value).ok_or("has attachments that are no boolean")?;
            }
            "pages" => {
                let pages = value.whole_number().and_then(|it| u32::try_from(it).ok());
                let pages = pages.filter(|pages| *pages > 0);
                self.pages = pages.ok_or("has pages that are no number from 1 on")?;
            }
            _ => return Err("has a member that is none of a row"),
        }
        Ok(())
    }

    /// Adds a parameter with its value, its number, or each of its values.
    fn add(&mut self, name: &str, value: Json<'_>) -> Result<(), &'static str> {
        if RESERVED.contains(&name) {
            return Err("has a parameter that is not to be set");
        }
        let mut push = |value: Json<'_>| {
            let number = value.whole_number().map(number);
            let text = value
                .string()
                .or(number)
                .ok_or("has a parameter without a text")?;
            self.parameters.push((name.into(), text));
            Ok(())
        };
        match value.is_list() {
            true => value.elements().try_for_each(push),
            false => push(value),
        }
    }
}

fn switch(value: Json<'_>) -> Option<bool> {
    match value.text() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// What is wrong with a plan, as in `the plan's row 3 has no label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError(String);

impl PlanError {
    fn new(row: usize, what: &str) -> Self {
        PlanError(match row {
            0 => ["plan ", what].concat(),
            row => ["plan: row ", &number(row as u64), " ", what].concat(),
        })
    }

    /// The whole sentence.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::deployment::{MYCHART, PATIENT_ACCESS};

    fn parse(plan: &str) -> Result<Plan, PlanError> {
        Plan::parse(Json::parse(plan.as_bytes()).unwrap(), &PATIENT_ACCESS)
    }

    fn labels(plan: &Plan) -> Vec<&str> {
        plan.rows.iter().map(|row| row.label.as_str()).collect()
    }

    fn row<'a>(plan: &'a Plan, label: &str) -> &'a Row {
        plan.rows.iter().find(|row| row.label == label).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn patient_access_pulls_eighteen_kinds_beginning_with_the_patient() {
        let plan = Plan::of(&PATIENT_ACCESS);
        assert_eq!(plan.rows.len(), 18);
        assert_eq!(plan.rows[0].resource_type, "Patient");
        // Observations are searched by two categories.
        assert_eq!(plan.types().len(), 17);
        let parameters = |label| row(&plan, label).parameters.clone();
        assert_eq!(
            parameters("Clinical notes"),
            [pair("category", "clinical-note")]
        );
        assert_eq!(parameters("Care plans"), [pair("category", "assess-plan")]);
        assert_eq!(parameters("Care teams"), [pair("status", "active")]);
    }

    #[test]
    fn a_type_or_a_category_is_added_to_the_default() {
        let plan = parse(
            r#"["default", {"label":"Imaging","type":"Observation","parameters":{"category":"imaging"}},
            {"label":"Consents","type":"Consent"}]"#,
        )
        .unwrap();
        assert_eq!(plan.rows.len(), 20);
        assert_eq!(
            row(&plan, "Imaging").parameters,
            [pair("category", "imaging")]
        );
        assert!(plan.types().contains(&"Consent"));
    }

    #[test]
    fn a_row_with_a_known_label_is_changed_and_keeps_its_place() {
        let plan = parse(
            r#"["default", {"label":"Labs","parameters":{"category":"laboratory","date":"ge2020-01-01","_count":200}},
            {"label":"Medications","parameters":{"_include":["MedicationRequest:medication","MedicationRequest:requester"]}},
            {"label":"Devices","search":false}, {"label":"Clinical notes","attachments":false,"pages":3}]"#,
        )
        .unwrap();
        assert_eq!(labels(&plan), labels(&Plan::of(&PATIENT_ACCESS)));
        assert_eq!(
            row(&plan, "Labs").parameters,
            [
                pair("category", "laboratory"),
                pair("date", "ge2020-01-01"),
                pair("_count", "200")
            ]
        );
        assert_eq!(row(&plan, "Medications").parameters.len(), 2);
        assert!(!row(&plan, "Devices").is_searched);
        let notes = row(&plan, "Clinical notes");
        assert_eq!((notes.attachments, notes.pages), (false, 3));
        assert_eq!(notes.parameters, [pair("category", "clinical-note")]);
    }

    #[test]
    fn without_the_default_there_is_nothing_but_what_is_named() {
        let plan = parse(
            r#"[{"label":"Labs","type":"Observation","parameters":{"category":"laboratory"}}]"#,
        );
        assert_eq!(labels(&plan.unwrap()), ["Labs"]);
    }

    #[test]
    fn what_can_not_be_used_is_named_with_its_row() {
        for (plan, said) in [
            ("{}", "plan is no list of rows"),
            ("[]", "plan has no row that is searched"),
            (
                r#"[{"label":"A","type":"Goal","search":false}]"#,
                "plan has no row that is searched",
            ),
            (r#"["defaults"]"#, "plan: row 1 has no label"),
            (r#"["default",{"type":"Goal"}]"#, "plan: row 2 has no label"),
            (r#"[{"label":"A"}]"#, "plan: row 1 has no type"),
            (
                r#"[{"label":"A","type":"goal"}]"#,
                "plan: row 1 has a type that is no resource type of FHIR",
            ),
            (
                r#"[{"label":"A","type":"Goal?x"}]"#,
                "plan: row 1 has a type that is no resource type of FHIR",
            ),
            (
                r#"[{"label":"A","type":""}]"#,
                "plan: row 1 has a type that is no resource type of FHIR",
            ),
            (
                r#"[{"label":"A","type":"Goal","paramters":{}}]"#,
                "plan: row 1 has a member that is none of a row",
            ),
            (
                r#"[{"label":"A","type":"Goal","parameters":"a=b"}]"#,
                "plan: row 1 has parameters that are no object",
            ),
            (
                r#"[{"label":"A","type":"Goal","parameters":{"a":{}}}]"#,
                "plan: row 1 has a parameter without a text",
            ),
            (
                r#"[{"label":"A","type":"Goal","parameters":{"patient":"e2"}}]"#,
                "plan: row 1 has a parameter that is not to be set",
            ),
            (
                r#"[{"label":"A","type":"Goal","pages":0}]"#,
                "plan: row 1 has pages that are no number from 1 on",
            ),
            (
                r#"[{"label":"A","type":"Goal","search":"no"}]"#,
                "plan: row 1 has a search that is no boolean",
            ),
            (
                r#"[{"label":"A","type":"Goal","attachments":1}]"#,
                "plan: row 1 has attachments that are no boolean",
            ),
        ] {
            assert_eq!(parse(plan).unwrap_err().as_str(), said, "{plan}");
        }
    }

    #[test]
    fn what_the_scope_says_nothing_of_is_named() {
        let plan = parse(
            r#"[{"label":"You","type":"Patient"},{"label":"Labs","type":"Observation"},
            {"label":"Goals","type":"Goal"},{"label":"Drugs","type":"Medication","search":false}]"#,
        )
        .unwrap();
        let scope = "launch/patient patient/Patient.r patient/Observation.rs";
        assert_eq!(plan.not_in_scope(scope), ["Goal"]);
        assert!(plan.not_in_scope("patient/*.read").is_empty());
    }

    #[test]
    fn where_jhe_updates_nothing_only_observations_are_pulled() {
        let parse = |plan: &str| Plan::parse(Json::parse(plan.as_bytes()).unwrap(), &MYCHART);
        let vitals = r#"["default",{"label":"Vital signs","type":"Observation","parameters":{"category":"vital-signs"}}]"#;
        assert_eq!(labels(&parse(vitals).unwrap()), ["Labs", "Vital signs"]);
        let error = parse(r#"[{"label":"Goals","type":"Goal"}]"#).unwrap_err();
        assert_eq!(
            error.as_str(),
            "plan: row 1 has a type that this deployment does not write"
        );
    }

    #[test]
    fn a_patient_who_leaves_out_a_row_gets_a_plan_of_the_others() {
        let plan = parse(
            r#"[{"label":"Labs","type":"Observation"},{"label":"Drugs","type":"Medication","search":false},
            {"label":"Goals","type":"Goal"},{"label":"Visits","type":"Encounter"}]"#,
        )
        .unwrap();
        let kept = plan.keep(&|index, row| index != 0 && row.label != "Visits");
        assert_eq!(labels(&kept), ["Drugs", "Goals"]);
        // With the same choice it is the same plan, with another one it is not.
        let again = plan.keep(&|index, _| index == 2);
        assert_eq!(kept.mark(), again.mark());
        assert_ne!(kept.mark(), plan.mark());
        assert_eq!(plan.keep(&|_, _| true), plan);
    }

    #[test]
    fn another_plan_has_another_mark() {
        let plan = Plan::of(&PATIENT_ACCESS);
        let mut other = plan.clone();
        assert_eq!(plan.mark(), other.mark());
        other.rows[7].parameters.push(pair("_count", "50"));
        assert_ne!(plan.mark(), other.mark());
        other.rows.swap(3, 4);
        assert_ne!(plan.mark(), other.mark());
    }

    proptest! {
        #[test]
        fn no_plan_panics(plan in "[\\[\\]{}\",:a-z0-9 ]{0,80}") {
            if let Some(json) = Json::parse(plan.as_bytes()) {
                let _ = Plan::parse(json, &PATIENT_ACCESS);
            }
        }
    }
}
