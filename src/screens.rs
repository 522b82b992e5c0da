//! The screens of the journey, in its order: what the patient reads, and what they can do.

use alloc::vec::Vec;

use crate::config::Study;
use crate::confirmation::Concern;
use crate::error::Error;
use crate::exchange::deployment::Unit;
use crate::exchange::source::KnownHospital;
use crate::fhir::mark::Day;
use crate::fhir::person::Person;
use crate::import::{
    Ending, Progress, Purpose, RowProgress, RowState, Standing, Verdict, Wait, WayOn,
};
use crate::language::{Message, Text, Value, label};
use crate::oauth::revocation::Revocation;
use crate::remedy::{Remedy, go_on};
use crate::screen::{Act, Part, Screen, Stage, Step};
use crate::session::Connection;
use crate::url::Url;

// Before the hospital.

/// The invitation is redeemed.
pub fn checking() -> Screen {
    Screen::new(
        "checking",
        Stage::Working,
        None,
        Text::CheckingHeading,
        Text::CheckingLead,
    )
}

/// The patient is back from the hospital without an answer.
pub fn returned() -> Screen {
    Screen::new(
        "returned",
        Stage::Asking,
        Some(Step::SignIn),
        Text::ReturnedHeading,
        Text::ReturnedLead,
    )
    .offering(Act::TryAgain, Text::ReturnedAgain)
    .offering(Act::SawError, Text::ReturnedError)
    .offering(Act::NoLogin, Text::ReturnedLogin)
    .offering(Act::GiveUp, Text::ReturnedNo)
}

/// The code of [`error_page`] for the study team: the hospital showed an error page of its own and sent nobody back.
pub const ERROR_PAGE: &str = "authorization.error_page";

/// The patient saw an error at the hospital; `issuer` is for the study team.
pub fn error_page(issuer: &str) -> Screen {
    let detail = [
        "the patient came back without an answer and says that the hospital showed an error: ",
        issuer,
    ];
    let screen = Screen::new(
        "error-page",
        Stage::Asking,
        Some(Step::SignIn),
        Text::ErrorPageHeading,
        Text::ErrorPageLead,
    );
    Screen {
        code: Some(ERROR_PAGE),
        ..screen
    }
    .with(Part::NextStep(Text::ErrorPageDo.into()))
    .offering(Act::TryAgain, Text::TryAgain)
    .with(Part::Help)
    .with(Part::Details(ERROR_PAGE, detail.concat()))
}

/// The patient has no login at the hospital, or does not know it any more.
pub fn no_login() -> Screen {
    Screen::new(
        "no-login",
        Stage::Asking,
        Some(Step::SignIn),
        Text::LoginHeading,
        Text::LoginLead,
    )
    .with(Part::NextStep(Text::LoginDo.into()))
    .offering(Act::TryAgain, Text::TryAgain)
    .with(Part::Help)
}

/// The patient does not go on.
pub fn gave_up() -> Screen {
    Screen::new(
        "gave-up",
        Stage::GivenUp,
        None,
        Text::GaveUpHeading,
        Text::GaveUpLead,
    )
    .with(Part::NextStep(Text::GaveUpDo.into()))
    .with(Part::Help)
}

/// The patient picks a hospital.
pub fn choosing() -> Screen {
    Screen::new(
        "choosing",
        Stage::Choosing,
        Some(Step::Hospital),
        Text::ChoosingHeading,
        Text::ChoosingLead,
    )
}

/// What will be shared, with whom, for which study.
pub struct Sharing<'a> {
    /// What the patient knows the hospital as.
    pub hospital: &'a Value,
    /// The study, as far as it is configured.
    pub study: &'a Study,
    /// Who runs it, where JHE says so.
    pub organization: Option<&'a str>,
    /// The names of the kinds of records.
    pub labels: &'a [&'a str],
    /// Was the hospital picked, so that another one can be?
    pub is_picked: bool,
    /// What the patient shared before.
    pub before: Before<'a>,
}

/// What a patient shared before, of which JHE has sources.
#[derive(Debug, Clone, Copy)]
pub enum Before<'a> {
    /// Nothing of this hospital.
    Nothing,
    /// Records of this hospital.
    This,
    /// Records of all of these, of which one is chosen here.
    OneOf(&'a [KnownHospital]),
}

impl Sharing<'_> {
    /// The screen.
    pub fn screen(&self) -> Screen {
        let mut facts = Vec::new();
        let organization = self.study.organization.as_deref().or(self.organization);
        for (name, value) in [
            (Text::Study, self.study.name.as_deref()),
            (Text::Organization, organization),
        ] {
            facts.extend(value.map(|value| (name, Value::from(value))));
        }
        let (name, heading, lead) = match self.before {
            Before::Nothing => ("sharing", Text::SharingHeading, Text::SharingLead),
            Before::This => ("welcome", Text::WelcomeHeading, Text::WelcomeLead),
            Before::OneOf(_) => ("connections", Text::WelcomeHeading, Text::WelcomeSeveral),
        };
        if !matches!(self.before, Before::OneOf(_)) {
            facts.push((Text::Hospital, self.hospital.clone()));
        }
        let points = [
            Text::SharingPassword,
            Text::SharingChoice,
            Text::SharingRemoval,
        ];
        let mut screen = Screen::new(name, Stage::Asking, Some(Step::Agree), heading, lead);
        if !facts.is_empty() {
            screen = screen.with(Part::Facts(facts));
        }
        screen = screen
            .saying(Text::SharingRecords.with([listed(self.labels)]))
            .with(Part::List(points.map(Value::from).into()));
        screen = match self.before {
            Before::OneOf(known) => {
                let mut names = Vec::new();
                for hospital in known {
                    let KnownHospital {
                        fhir_base_url,
                        name,
                    } = hospital;
                    names.push(hospital_name(fhir_base_url, name.as_deref()));
                }
                screen.with(Part::Choices(names))
            }
            Before::Nothing | Before::This => screen.offering(Act::Continue, Text::Continue),
        };
        if self.is_picked {
            screen = screen.offering(Act::AnotherHospital, Text::AnotherHospital);
        }
        screen.offering(Act::GiveUp, Text::NotNow).with(Part::Help)
    }
}

/// The names of kinds of records, as the language lists them.
pub fn listed(labels: &[&str]) -> Value {
    Value::Listed(named(labels))
}

fn named(labels: &[&str]) -> Vec<Value> {
    let mut names = Vec::new();
    for name in labels {
        names.push(label(name));
    }
    names
}

/// The page leaves for the hospital.
pub fn leaving() -> Screen {
    Screen::new(
        "leaving",
        Stage::Redirecting,
        Some(Step::SignIn),
        Text::LeavingHeading,
        Text::LeavingLead,
    )
}

// After it.

/// The code is exchanged, and the patient's name is read.
pub fn finishing() -> Screen {
    Screen::new(
        "finishing",
        Stage::Working,
        Some(Step::SignIn),
        Text::FinishingHeading,
        Text::FinishingLead,
    )
}

/// Whose record it is at the hospital, and what makes that doubtful. Nothing was written yet.
pub fn person(person: Option<&Person>, concerns: &[Concern]) -> Screen {
    let unknown = || Value::from(Text::PersonUnknown);
    let name = person.and_then(|person| person.name.as_deref());
    let born = person.and_then(|person| person.birth_date.as_ref());
    let facts = alloc::vec![
        (Text::PersonName, name.map_or_else(unknown, Value::from)),
        (
            Text::PersonBorn,
            born.map_or_else(unknown, |born| Value::Date(born.as_str().into())),
        ),
    ];
    let mut screen = Screen::new(
        "person",
        Stage::Asking,
        Some(Step::Check),
        Text::PersonHeading,
        Text::PersonLead,
    )
    .with(Part::Facts(facts));
    for concern in concerns {
        let text = match concern {
            Concern::OtherPatientThanBefore => Text::PersonOtherBefore,
            Concern::ProxyAccess => Text::PersonProxy,
            Concern::BirthDateDiffers => Text::PersonBirthDate,
        };
        screen = screen.with(Part::Warning(text.into()));
    }
    let yes = match concerns.contains(&Concern::ProxyAccess) {
        true => Text::PersonYesProxy,
        false => Text::PersonYes,
    };
    screen
        .offering(Act::YesMe, yes)
        .offering(Act::NotMe, Text::PersonNo)
        .with(Part::Help)
}

/// The patient said that the record is not theirs.
pub fn not_me() -> Screen {
    Screen::new(
        "not-me",
        Stage::GivenUp,
        Some(Step::Check),
        Text::NotMeHeading,
        Text::NotMeLead,
    )
    .with(Part::NextStep(Text::NotMeDo.into()))
    .with(Part::Help)
}

/// Some of what was asked for was not granted: these kinds of records.
pub fn grants(labels: &[&str]) -> Screen {
    Screen::new(
        "grants",
        Stage::Asking,
        Some(Step::Check),
        Text::GrantsHeading,
        Text::GrantsLead,
    )
    .with(Part::List(named(labels)))
    .offering(Act::AddMore, Text::GrantsAdd)
    .offering(Act::GoOn, Text::GrantsGoOn)
    .with(Part::Help)
}

/// What is needed for a run is loaded, and JHE is told who the patient is at the hospital.
pub fn preparing(purpose: Purpose, goes_on: bool) -> Screen {
    let (step, lead) = match (purpose, goes_on) {
        (Purpose::Review, _) => (Step::Check, Text::ReviewingLead),
        (Purpose::Copy, true) => (Step::Copy, Text::GoingOnLead),
        (Purpose::Copy, false) => (Step::Copy, Text::PreparingLead),
    };
    Screen::new(
        "preparing",
        Stage::Working,
        Some(step),
        Text::PreparingHeading,
        lead,
    )
}

// Looking first.

/// A kind of records of which there are some.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its name.
    pub label: &'a str,
    /// How many.
    pub count: u32,
    /// The first and the last date, where they have any.
    pub span: Option<(Day, Day)>,
}

/// What was found, by kind, before anything is sent. `is_choice`: may kinds be left out?
pub fn review(rows: &[Found<'_>], is_choice: bool) -> Screen {
    let mut lines = Vec::new();
    let mut all = 0;
    for row in rows {
        let mut values = alloc::vec![label(row.label), Value::from(row.count)];
        let mut text = Text::ReviewRow;
        if let Some((first, last)) = row.span {
            values.push(Value::Date(first.text()));
            text = Text::ReviewRowOnDay;
            if first != last {
                values.push(Value::Date(last.text()));
                text = Text::ReviewRowDated;
            }
        }
        lines.push(text.with(values));
        all += row.count;
    }
    let screen = Screen::new(
        "review",
        Stage::Asking,
        Some(Step::Check),
        Text::ReviewHeading,
        Text::ReviewLead.counted(all),
    );
    let screen = match is_choice {
        true => screen.saying(Text::ReviewChoose).with(Part::Boxes(lines)),
        false => {
            let mut values = Vec::new();
            for line in lines {
                values.push(Value::from(line));
            }
            screen.with(Part::List(values))
        }
    };
    screen
        .offering(Act::Send, Text::ReviewSend)
        .offering(Act::GiveUp, Text::ReviewNo)
        .with(Part::Help)
}

/// The patient looked, and sends nothing.
pub fn sent_nothing() -> Screen {
    Screen::new(
        "gave-up",
        Stage::GivenUp,
        None,
        Text::ReviewNoneHeading,
        Text::ReviewNoneLead,
    )
    .saying(Text::ClosePage)
    .with(Part::Help)
}

// The import.

/// A run is under way. How far it is stands below.
pub fn importing(purpose: Purpose) -> Screen {
    let (name, step, heading, lead) = match purpose {
        Purpose::Review => (
            "reviewing",
            Step::Check,
            Text::ReviewingHeading,
            Text::ReviewingLead,
        ),
        Purpose::Copy => (
            "importing",
            Step::Copy,
            Text::ImportingHeading,
            Text::ImportingLead,
        ),
    };
    Screen::new(name, Stage::Working, Some(step), heading, lead)
}

/// How far a row is.
pub fn row_line(row: &RowProgress, purpose: Purpose) -> Message {
    let done = row.done;
    match (row.state, purpose) {
        (RowState::NotGranted, _) => Text::RowNotGranted.into(),
        (RowState::Failed, _) => Text::RowFailed.into(),
        (RowState::Waiting, _) => Text::RowWaiting.into(),
        (RowState::Reading, _) if row.found == 0 => Text::RowReadingFirst.into(),
        (RowState::Reading, _) => Text::RowReading.counted(row.found),
        (RowState::Read | RowState::Limited, _) if row.found == 0 => Text::RowNone.into(),
        (RowState::Read | RowState::Limited, Purpose::Review) => Text::RowFound.counted(row.found),
        (RowState::Read | RowState::Limited, Purpose::Copy) if done < row.found => {
            Text::RowCopying.with([Value::from(done), Value::from(row.found)])
        }
        (RowState::Read, Purpose::Copy) => Text::RowDone.counted(done),
        (RowState::Limited, Purpose::Copy) => Text::RowLimited.counted(done),
    }
}

/// How far all of it is.
pub fn overall_line(progress: &Progress, purpose: Purpose) -> Message {
    let sum = |count: fn(&RowProgress) -> u32| progress.rows.iter().map(count).sum();
    match (purpose, progress.whole) {
        (Purpose::Review, _) => Text::OverallFound.counted(sum(|row| row.found)),
        (Purpose::Copy, Some((done, all))) => {
            Text::OverallOf.with([Value::from(done), Value::from(all)])
        }
        (Purpose::Copy, None) => Text::OverallSoFar.counted(sum(|row| row.done)),
    }
}

/// Whom a run waits for, at the time `now`, in milliseconds since the Unix epoch.
pub fn wait_line(wait: Wait, now: u64) -> Message {
    let (until, text) = match wait {
        Wait::Ehr(until) => (until, Text::WaitEhr),
        Wait::Jhe(until) => (until, Text::WaitJhe),
        Wait::Quiet(until) => (until, Text::WaitQuiet),
    };
    text.with([Value::Count(until.saturating_sub(now).div_ceil(1000))])
}

// How it ended.

/// A run has ended; so many hospitals belong to the visit.
pub fn ended(ending: &Ending, unit: Unit, hospitals: usize) -> Screen {
    let (verdict, way_on) = (ending.verdict(), ending.way_on());
    let errors = ending.errors();
    let mut errors = errors.iter().flatten();
    let next_step = || (way_on != WayOn::None).then(go_on);
    if verdict == Verdict::Failed
        && let Some(error) = errors.next()
    {
        let screen = Screen::of_error(error, next_step());
        return with_way_on(screen, way_on);
    }
    let tally = &ending.tally;
    let mut count = counted(tally.stored, tally.already_there, unit);
    if hospitals > 1 && count.text == Text::DoneLead {
        count.text = Text::DoneFrom;
    }
    let (name, stage, heading) = match verdict {
        _ if ending.stopped_by_patient => ("stopped", Stage::Partly, Text::StoppedHeading),
        Verdict::Complete if tally.stored + tally.already_there == 0 => {
            ("done", Stage::Done, Text::DoneNoneHeading)
        }
        Verdict::Complete => ("done", Stage::Done, Text::DoneHeading),
        Verdict::Partly => ("partly", Stage::Partly, Text::PartlyHeading),
        Verdict::Failed => ("failed", Stage::Failed, Text::FailedHeading),
    };
    let mut screen = Screen::new(name, stage, None, heading, count);
    if ending.stopped_by_patient {
        screen = screen.saying(Text::StoppedLead);
    }
    if tally.not_saved() > 0 && !ending.stopped_by_patient {
        screen = screen.with(Part::Warning(
            Text::PartlyNotSaved.counted(tally.not_saved()),
        ));
    }
    let is_cut = |standing: &Standing| matches!(standing, Standing::Failed(_) | Standing::Limited);
    if ending.rows.iter().any(|row| is_cut(&row.standing)) {
        screen = screen.with(Part::Warning(Text::PartlyNotRead.into()));
    }
    // Of several the first one says what to do.
    let mut last: Option<&Error> = None;
    for error in errors {
        screen = screen.with(Part::Warning(Remedy::of(error).explanation));
        last = Some(error);
    }
    match last {
        Some(error) => {
            let usual = Remedy::of(error).next_step;
            screen = screen.after(error, next_step().unwrap_or(usual));
        }
        None if verdict == Verdict::Complete => screen = screen.saying(Text::ClosePage),
        None => screen = screen.with(Part::Help),
    }
    with_way_on(screen, way_on)
}

fn with_way_on(screen: Screen, way_on: WayOn) -> Screen {
    match way_on {
        WayOn::None => screen,
        WayOn::TryAgain => screen.offering(Act::TryAgain, Text::TryAgain),
        WayOn::SignIn => screen.offering(Act::SignInAgain, Text::SignInAgain),
    }
}

/// How many records are at the study now.
fn counted(stored: u32, there: u32, unit: Unit) -> Message {
    match (stored, there) {
        (0, 0) => Text::DoneNoneLead.into(),
        (0, there) => Text::DoneNothingNew.counted(there),
        // These JHEs update what they hold, and say nothing of each.
        (stored, _) if unit == Unit::Batch => Text::DoneLead.counted(stored),
        (stored, 0) => Text::DoneLead.counted(stored),
        (stored, there) => Text::DoneNew.with([Value::from(stored), Value::from(there)]),
    }
}

/// A run that ended before is told of again: `stored` records, `there` which were there before.
pub fn recalled(is_whole: bool, stored: u32, there: u32, unit: Unit) -> Screen {
    let count = counted(stored, there, unit);
    if !is_whole && stored + there == 0 {
        // Of several hospitals none gave anything.
        let (heading, lead) = (Text::FailedHeading, Text::RecalledPartlyLead);
        return Screen::new("failed", Stage::Failed, None, heading, lead).with(Part::Help);
    }
    let (name, stage, heading, lead) = match is_whole {
        true if stored + there == 0 => {
            let heading = Text::DoneNoneHeading;
            ("done", Stage::Done, heading, Text::RecalledLead)
        }
        true => ("done", Stage::Done, Text::DoneHeading, Text::RecalledLead),
        false => (
            "partly",
            Stage::Partly,
            Text::PartlyHeading,
            Text::RecalledPartlyLead,
        ),
    };
    let screen = Screen::new(name, stage, None, heading, count).saying(lead);
    match is_whole {
        true => screen.saying(Text::ClosePage),
        false => screen.with(Part::Help),
    }
}

// Several hospitals in one visit.

/// A hospital of the visit, as the patient reads of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HospitalLine {
    /// What it is called.
    pub name: Value,
    /// What came of it.
    pub state: Message,
    /// Is there something to be tried again?
    pub is_open: bool,
}

/// What a hospital is called: as it was picked, or by its address.
pub fn hospital_name(issuer: &str, name: Option<&str>) -> Value {
    match (name, Url::parse(issuer)) {
        (Some(name), _) => name.into(),
        (None, Ok(issuer)) => issuer.host().into(),
        (None, Err(_)) => issuer.into(),
    }
}

/// The hospitals of the visit.
pub fn hospitals(visit: &[Connection]) -> Vec<HospitalLine> {
    let mut lines = Vec::new();
    for connection in visit {
        lines.push(HospitalLine {
            name: hospital_name(&connection.issuer, connection.hospital.as_deref()),
            state: state_of(connection),
            is_open: !connection.is_whole(),
        });
    }
    lines
}

fn state_of(connection: &Connection) -> Message {
    let run = &connection.run;
    let tally = run.checkpoint.tally();
    let there = tally.stored + tally.already_there;
    let text = match (run.is_finished, there) {
        (true, 0) if connection.is_whole() => Text::RowNone,
        (true, 0) => Text::RowFailed,
        (true, _) if connection.is_whole() => Text::HospitalCopied,
        (true, _) => Text::HospitalPartly,
        (false, _) if run.needs_sign_in => Text::HospitalSignedOut,
        (false, _) => Text::HospitalStopped,
    };
    text.counted(there)
}

// Afterwards.

/// What the page still has access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Both servers' tokens are in the page.
    Held,
    /// None is.
    Gone,
}

/// The three ways to take it back: the access, the records at the study, the app at the hospital.
///
/// `until`: when the access ends at the hospital, by its own word, as FHIR writes an instant.
pub fn choices(access: Access, until: Option<&str>) -> Vec<Part> {
    let access = match access {
        Access::Held => alloc::vec![
            Part::Paragraph(Text::ForgetLead.into()),
            Part::Button(Act::Forget, Text::Forget),
        ],
        Access::Gone => alloc::vec![Part::Paragraph(Text::ForgotGone.into())],
    };
    let until = until.map(|until| Value::Date(until.into()));
    let until = until.map(|until| Part::Paragraph(Text::AccessUntil.with([until])));
    let mut parts = alloc::vec![Part::Heading(Text::ChoicesHeading)];
    parts.extend(until);
    parts.extend([
        Part::Fold(Text::ForgetHeading, access),
        Part::Fold(
            Text::RemovalHeading,
            alloc::vec![Part::Paragraph(Text::RemovalLead.into()), Part::Help],
        ),
        Part::Fold(
            Text::AppHeading,
            alloc::vec![Part::Paragraph(Text::AppLead.into())],
        ),
    ]);
    parts
}

/// What was done about the access, and what could not be.
pub fn forgot(ehr: &Revocation, jhe: &Revocation) -> Vec<Part> {
    let ehr = match ehr {
        Revocation::Revoked => Text::ForgotEhr,
        Revocation::NotOffered => Text::ForgotEhrNotOffered,
        Revocation::Failed(_) => Text::ForgotEhrFailed,
    };
    let jhe = match jhe {
        Revocation::Revoked => Text::ForgotJhe,
        Revocation::NotOffered | Revocation::Failed(_) => Text::ForgotJheFailed,
    };
    let said = |text: Text| Part::Paragraph(text.into());
    alloc::vec![said(Text::ForgotHere), said(ehr), said(jhe)]
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::fhir::date::Date;
    use crate::fhir::pager::PageError;
    use crate::import::plan::RowTally;
    use crate::import::progress::Tally;
    use crate::import::{PullError, PullPoint, Stop};
    use crate::language::Plain;
    use crate::language::testing::{english, language};
    use crate::session::RunRecord;

    /// All that a screen says, line by line, without what is folded.
    fn said(screen: &Screen) -> Vec<String> {
        let english = language("en");
        let say = |value: &Value| english.value(value, &"MyChart".into(), &Plain);
        let mut lines = alloc::vec![say(&screen.heading.clone().into())];
        for part in &screen.parts {
            match part {
                Part::Paragraph(text) | Part::NextStep(text) | Part::Warning(text) => {
                    lines.push(say(&text.clone().into()));
                }
                Part::Facts(facts) => lines.extend(
                    (facts.iter())
                        .map(|(name, value)| [&say(&(*name).into()), ": ", &*say(value)].concat()),
                ),
                Part::List(values) => lines.extend(values.iter().map(say)),
                Part::Boxes(texts) => {
                    lines.extend(texts.iter().map(|text| say(&text.clone().into())));
                }
                Part::Heading(text) | Part::Button(_, text) | Part::Fold(text, _) => {
                    lines.push(say(&(*text).into()));
                }
                Part::Choices(names) => lines.extend(names.iter().map(say)),
                Part::Help | Part::Details(..) => {}
            }
        }
        lines
    }

    fn offers(screen: &Screen) -> Vec<&'static str> {
        let acts = screen.parts.iter().filter_map(|part| match part {
            Part::Button(act, _) => Some(act.name()),
            _ => None,
        });
        acts.collect()
    }

    fn leads_to_a_person(screen: &Screen) -> bool {
        screen.parts.contains(&Part::Help)
    }

    fn ending(tally: Tally) -> Ending {
        Ending {
            rows: alloc::vec![],
            points: alloc::vec![],
            new_rows: None,
            pull_errors: alloc::vec![],
            stop: None,
            stopped_by_patient: false,
            purpose: Purpose::Copy,
            tally,
        }
    }

    fn stored(stored: u32, there: u32) -> Ending {
        ending(Tally {
            stored,
            already_there: there,
            found: stored + there,
            ..Tally::default()
        })
    }

    #[test]
    fn before_the_hospital_the_patient_reads_what_is_shared_with_whom_and_for_what() {
        let study = Study {
            name: Some("Heart Study".into()),
            ..Study::default()
        };
        let sharing = Sharing {
            hospital: &"Mount Sinai".into(),
            study: &study,
            organization: Some("Example University"),
            labels: &["Labs", "Goals"],
            is_picked: true,
            before: Before::Nothing,
        };
        let screen = sharing.screen();
        let said = said(&screen);
        for line in [
            "Study: Heart Study",
            "Run by: Example University",
            "Hospital: Mount Sinai",
            "These records will be copied: Labs, Goals.",
        ] {
            assert!(said.contains(&line.into()), "{said:?}");
        }
        assert_eq!(offers(&screen), ["continue", "another-hospital", "give-up"]);
        assert!(leads_to_a_person(&screen));
    }

    #[test]
    fn without_a_study_or_a_choice_nothing_is_claimed_of_them() {
        let sharing = Sharing {
            hospital: &"ehr.example".into(),
            study: &Study::default(),
            organization: None,
            labels: &["Labs"],
            is_picked: false,
            before: Before::Nothing,
        };
        let screen = sharing.screen();
        assert!(!said(&screen).iter().any(|line| line.starts_with("Study:")));
        assert_eq!(offers(&screen), ["continue", "give-up"]);
    }

    #[test]
    fn who_comes_back_without_an_answer_has_a_way_on_from_every_answer() {
        let screens = [returned(), error_page("https://ehr.example/R4"), no_login()];
        for screen in &screens {
            assert!(offers(screen).contains(&"try-again"), "{}", screen.name);
        }
        assert!(leads_to_a_person(&screens[1]) && leads_to_a_person(&screens[2]));
        assert_eq!(screens[1].code, Some(ERROR_PAGE));
    }

    #[test]
    fn the_person_is_named_with_what_makes_it_doubtful() {
        let camila = Person {
            name: Some("Camila Lopez".into()),
            birth_date: Date::parse("1987-09-12"),
        };
        let plain = person(Some(&camila), &[]);
        let lines = said(&plain);
        assert!(lines.contains(&"Name: Camila Lopez".into()), "{lines:?}");
        assert!(lines.contains(&"Born: 1987-09-12".into()), "{lines:?}");
        assert_eq!(offers(&plain), ["yes-me", "not-me"]);
        let proxy = person(None, &[Concern::ProxyAccess, Concern::BirthDateDiffers]);
        let lines = said(&proxy);
        assert!(lines.contains(&"Name: The hospital did not say".into()));
        assert!(
            lines
                .iter()
                .any(|line| line.contains("someone you care for"))
        );
        assert!(lines.iter().any(|line| line.contains("another birth date")));
        assert!(lines.contains(&"Yes, share this person's records".into()));
    }

    #[test]
    fn what_was_left_unticked_is_listed_with_a_way_back() {
        let screen = grants(&["Labs", "Goals"]);
        let said = said(&screen);
        assert!(said.contains(&"Labs".into()) && said.contains(&"Goals".into()));
        assert_eq!(offers(&screen), ["add-more", "go-on"]);
    }

    #[test]
    fn a_review_counts_what_is_there_and_says_from_when_it_is() {
        let rows = [
            Found {
                label: "Labs",
                count: 12,
                span: Day::read("2019-02-03").zip(Day::read("2026-05-06")),
            },
            Found {
                label: "Visits",
                count: 2,
                span: Day::read("2020-02-03").map(|day| (day, day)),
            },
            Found {
                label: "Goals",
                count: 1,
                span: None,
            },
        ];
        let lines = said(&review(&rows, false));
        assert!(lines.contains(&"15 records are ready. Nothing was sent yet.".into()));
        assert!(lines.contains(&"Labs: 12 records, 2019-02-03 to 2026-05-06".into()));
        assert!(lines.contains(&"Visits: 2 records, 2020-02-03".into()));
        assert!(lines.contains(&"Goals: 1 record".into()));
        let boxes = review(&rows, true).parts;
        assert!(
            boxes
                .iter()
                .any(|part| matches!(part, Part::Boxes(boxes) if boxes.len() == 3))
        );
    }

    #[test]
    fn each_row_says_how_far_it_is() {
        let line = |state, found, done, purpose| {
            let row = RowProgress {
                row: 0,
                state,
                found,
                done,
                all: None,
            };
            english(row_line(&row, purpose))
        };
        for (state, found, done, expected) in [
            (RowState::Waiting, 0, 0, "Waiting"),
            (RowState::Reading, 0, 0, "Looking"),
            (RowState::Reading, 50, 20, "50 found so far"),
            (RowState::Read, 0, 0, "Nothing found"),
            (RowState::Read, 50, 20, "20 of 50 copied"),
            (RowState::Read, 50, 50, "50 copied"),
            (RowState::Limited, 50, 50, "50 copied, there are more"),
            (RowState::NotGranted, 0, 0, "Left out"),
            (RowState::Failed, 50, 20, "Could not be read"),
        ] {
            assert_eq!(line(state, found, done, Purpose::Copy), expected);
        }
        assert_eq!(line(RowState::Read, 50, 0, Purpose::Review), "50 found");
    }

    #[test]
    fn a_denominator_is_told_only_where_it_is_known() {
        let row = RowProgress {
            row: 0,
            state: RowState::Reading,
            found: 50,
            done: 20,
            all: None,
        };
        let mut progress = Progress {
            rows: alloc::vec![row, row],
            whole: None,
        };
        let line = |progress: &Progress, purpose| english(overall_line(progress, purpose));
        assert_eq!(line(&progress, Purpose::Copy), "40 records copied so far");
        assert_eq!(line(&progress, Purpose::Review), "100 records found so far");
        progress.whole = Some((40, 120));
        assert_eq!(line(&progress, Purpose::Copy), "40 of 120 records copied");
    }

    #[test]
    fn a_wait_is_counted_down_in_seconds() {
        let line = |wait| english(wait_line(wait, 1_000));
        assert_eq!(
            line(Wait::Ehr(3_500)),
            "MyChart does not answer right now. We try again in 3 s."
        );
        assert!(line(Wait::Jhe(2_000)).contains("busy right now"));
        assert!(line(Wait::Quiet(0)).contains("in 0 s"));
    }

    #[test]
    fn what_arrived_is_told_in_one_sentence() {
        let lead = |ending: &Ending, unit| said(&ended(ending, unit, 1)).swap_remove(1);
        let record = Unit::Record;
        assert_eq!(
            lead(&stored(12, 0), record),
            "12 records are now at the study."
        );
        assert_eq!(lead(&stored(1, 0), record), "1 record is now at the study.");
        assert_eq!(
            lead(&stored(2, 10), record),
            "2 new records were added. 10 were there before."
        );
        assert!(lead(&stored(0, 10), record).starts_with("All of your 10 records were there"));
        assert_eq!(
            lead(&stored(12, 0), Unit::Batch),
            "12 records are now at the study."
        );
    }

    #[test]
    fn a_chart_without_records_is_no_failure() {
        let screen = ended(&stored(0, 0), Unit::Record, 1);
        assert_eq!((screen.name, screen.stage), ("done", Stage::Done));
        assert_eq!(said(&screen)[0], "No records were found");
        assert!(offers(&screen).is_empty());
    }

    #[test]
    fn a_count_is_never_shown_without_its_failures() {
        let ending = ending(Tally {
            found: 5,
            stored: 3,
            refused: 2,
            ..Tally::default()
        });
        let screen = ended(&ending, Unit::Record, 1);
        assert_eq!((screen.name, screen.stage), ("partly", Stage::Partly));
        let lines = said(&screen);
        assert!(lines.contains(&"2 records could not be saved. They are listed below.".into()));
        assert!(leads_to_a_person(&screen));
    }

    #[test]
    fn a_run_that_broke_off_can_go_on() {
        let mut broken = stored(3, 0);
        broken.stop = Some(Stop::JheFailing("HTTP 503".into()));
        let screen = ended(&broken, Unit::Record, 1);
        assert_eq!(screen.code, Some("jhe.failing"));
        assert_eq!(offers(&screen), ["try-again"]);
        assert!(
            said(&screen)
                .iter()
                .any(|line| line.starts_with("The button below goes on"))
        );
        let signed_out = PullError {
            page: 2,
            reason: PageError::SignedOut,
        };
        let mut broken = stored(3, 0);
        broken.pull_errors.push(("Labs".into(), signed_out));
        let screen = ended(&broken, Unit::Record, 1);
        assert_eq!(offers(&screen), ["sign-in-again"]);
    }

    #[test]
    fn kinds_that_were_not_read_to_the_end_are_told_of() {
        let mut limited = stored(3, 0);
        limited.rows.push(RowTally {
            label: "Goals".into(),
            standing: Standing::Limited,
            tally: Tally::default(),
        });
        let lines = said(&ended(&limited, Unit::Batch, 1));
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("Not all of your records could be read"))
        );
    }

    #[test]
    fn who_stopped_is_told_what_stays_and_can_go_on() {
        let stopped = Ending {
            stopped_by_patient: true,
            ..stored(3, 0)
        };
        let screen = ended(&stopped, Unit::Record, 1);
        assert_eq!((screen.name, screen.stage), ("stopped", Stage::Partly));
        assert_eq!(offers(&screen), ["try-again"]);
        assert_eq!(said(&screen)[1], "3 records are now at the study.");
    }

    #[test]
    fn a_run_that_is_told_again_says_that_nothing_was_sent() {
        let whole = recalled(true, 12, 0, Unit::Record);
        assert_eq!(whole.stage, Stage::Done);
        assert!(
            said(&whole)
                .iter()
                .any(|line| line.contains("Nothing was sent again"))
        );
        let partly = recalled(false, 12, 0, Unit::Record);
        assert_eq!(partly.stage, Stage::Partly);
        assert!(leads_to_a_person(&partly));
    }

    #[test]
    fn who_shared_before_is_welcomed_and_reads_that_only_new_records_are_added() {
        let sharing = |before| {
            let sharing = Sharing {
                hospital: &"Harbor Light".into(),
                study: &Study::default(),
                organization: None,
                labels: &["Labs"],
                is_picked: true,
                before,
            };
            sharing.screen()
        };
        let screen = sharing(Before::This);
        assert_eq!(screen.name, "welcome");
        let lines = said(&screen);
        assert_eq!(lines[0], "Welcome back");
        assert!(
            lines[1].contains("before") && lines[1].contains("new"),
            "{lines:?}"
        );
        assert!(lines.contains(&"These records will be copied: Labs.".into()));
        assert_eq!(offers(&screen), ["continue", "another-hospital", "give-up"]);

        let known = |name: Option<&str>| KnownHospital {
            fhir_base_url: "https://ehr.example/R4".into(),
            name: name.map(String::from),
        };
        let known = [known(Some("Orchard Valley")), known(None)];
        let screen = sharing(Before::OneOf(&known));
        let lines = said(&screen);
        assert_eq!(screen.name, "connections");
        assert!(!lines.iter().any(|line| line.starts_with("Hospital:")));
        assert!(lines.contains(&"Orchard Valley".into()), "{lines:?}");
        assert!(lines.contains(&"ehr.example".into()), "{lines:?}");
        assert_eq!(offers(&screen), ["another-hospital", "give-up"]);
    }

    #[test]
    fn each_hospital_of_a_visit_has_its_state() {
        let connection = |run: RunRecord, stored| {
            let mut run = run;
            run.checkpoint.pulls.push(PullPoint {
                standing: Standing::Whole,
                tally: Tally {
                    stored,
                    ..Tally::default()
                },
                ..PullPoint::default()
            });
            Connection {
                issuer: "https://ehr.example/R4".into(),
                hospital: None,
                run,
            }
        };
        let finished = |code: Option<&str>| RunRecord {
            is_finished: true,
            code: code.map(String::from),
            ..RunRecord::default()
        };
        let signed_out = RunRecord {
            needs_sign_in: true,
            ..RunRecord::default()
        };
        let failed = Some("pull.forbidden");
        for (connection, state, is_open) in [
            (connection(finished(None), 12), "12 records copied", false),
            (connection(finished(None), 0), "Nothing found", false),
            (
                connection(finished(failed), 12),
                "12 records copied, but not all",
                true,
            ),
            (connection(finished(failed), 0), "Could not be read", true),
            (
                connection(RunRecord::default(), 1),
                "Not finished: 1 record copied",
                true,
            ),
            (
                connection(signed_out, 3),
                "Signed out: 3 records copied",
                true,
            ),
        ] {
            let lines = hospitals(&[connection]);
            assert_eq!(english(lines[0].state.clone()), state);
            assert_eq!(
                (&lines[0].name, lines[0].is_open),
                (&"ehr.example".into(), is_open)
            );
        }
    }

    #[test]
    fn among_several_hospitals_it_is_told_from_which_the_records_are() {
        let lead = |hospitals| said(&ended(&stored(12, 0), Unit::Batch, hospitals)).swap_remove(1);
        assert_eq!(lead(1), "12 records are now at the study.");
        assert_eq!(lead(2), "12 records from MyChart are now at the study.");
    }

    #[test]
    fn what_could_not_be_ended_is_told_as_that() {
        let lines = |ehr, jhe| {
            let screen = Screen {
                parts: forgot(&ehr, &jhe),
                ..checking()
            };
            said(&screen).concat()
        };
        let both = lines(Revocation::Revoked, Revocation::Revoked);
        assert!(both.contains("MyChart has ended its key") && both.contains("server has ended"));
        let failed = Revocation::Failed("HTTP 503".into());
        let neither = lines(Revocation::NotOffered, failed);
        assert!(neither.contains("no way to end") && neither.contains("could not be reached"));
    }
}
