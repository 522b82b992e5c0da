//! What a patient reads, in the patient's language: texts by name, and what is filled in.
//!
//! A text is named here and written in `www/languages/`, one file a language, so that no module carries a language and
//! a page loads one only. What is said is a [`Message`] until it is shown: so a screen can be shown again in another
//! language.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::Json;
use crate::text::{capitalized, number};

macro_rules! texts {
    ($($section:ident { $($name:ident)* })*) => {
        /// A text of the language files, where its name is written in lower case with underscores.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "the texts themselves stand in www/languages/en.json, under these names")]
        pub enum Text { $($($name,)*)* }

        /// The texts by sections, as the language files have them.
        pub const SECTIONS: &[(&str, &[(Text, &str)])] = &[
            $((stringify!($section), &[$((Text::$name, stringify!($name)),)*]),)*
        ];
    };
}

texts! {
    labels {
        Labs YourDetails Conditions Medications DispensedMedications Allergies Immunizations Procedures VitalSigns
        Reports ClinicalNotes Visits CarePlans CareTeams Goals Orders Devices Questionnaires YourHospital Study
        Organization Hospital
    }
    shared {
        PageTitle Journey StepHospital StepAgree StepSignIn StepCheck StepCopy Language
        LeavingHeading LeavingLead TryAgain NotNow Help HelpNamed HelpTeam HelpEmail HelpCall
        HelpWeb HelpUnknown HelpSubject Details DetailsSay CopyDetails Copied NotCopied ClosePage YourHospitals
    }
    connect {
        CheckingHeading CheckingLead ReturnedHeading ReturnedLead ReturnedAgain ReturnedError ReturnedLogin ReturnedNo
        ErrorPageHeading ErrorPageLead ErrorPageDo LoginHeading LoginLead LoginDo GaveUpHeading GaveUpLead GaveUpDo
        ChoosingHeading ChoosingLead PickerLabel PickerList PickerSearching PickerEmpty PickerNone PickerFirst
        PickerMany PickerFound PickerMissing PickerMissingTry PickerMissingTeam SharingHeading SharingLead
        SharingRecords SharingPassword SharingChoice SharingRemoval Continue AnotherHospital WelcomeHeading
        WelcomeLead WelcomeSeveral
    }
    callback {
        FinishingHeading FinishingLead PersonHeading PersonLead PersonName PersonBorn PersonUnknown PersonOtherBefore
        PersonProxy PersonBirthDate PersonYes PersonYesProxy PersonNo NotMeHeading NotMeLead NotMeDo GrantsHeading
        GrantsLead GrantsAdd GrantsGoOn
    }
    visit {
        PreparingHeading PreparingLead GoingOnLead ReviewingLead ForgotHere ForgotEhr ForgotEhrNotOffered
        ForgotEhrFailed ForgotJhe ForgotJheFailed
    }
    import {
        ReviewingHeading ReviewHeading ReviewLead ReviewChoose ReviewRow ReviewRowDated ReviewRowOnDay ReviewSend
        ReviewNo ReviewNoneHeading ReviewNoneLead ImportingHeading ImportingLead PausedHeading PausedLead StoppingLead
        Overall OverallOf OverallSoFar OverallFound RowWaiting RowReading RowReadingFirst RowCopying RowDone RowFound
        RowNone RowNotGranted RowFailed RowLimited WaitEhr WaitJhe WaitQuiet Pause Resume Stop SignInAgain DoneHeading
        DoneNoneHeading DoneNoneLead DoneLead DoneNew DoneNothingNew PartlyHeading PartlyNotSaved PartlyNotRead
        StoppedHeading StoppedLead FailedHeading RecalledLead RecalledPartlyLead ChoicesHeading ForgetHeading
        ForgetLead Forget Forgetting ForgotGone RemovalHeading RemovalLead AppHeading AppLead DoneFrom HospitalCopied
        HospitalPartly HospitalSignedOut HospitalStopped TryAgainAt AddHospital AddByLink AccessUntil
    }
    receipt {
        KindsHeading Kind Records NotSaved NotRead NotAllRead More NotToTheEnd And NothingFound NotShared ChartHeading
        ChartText ChartStep ChartOne ChartTable Year Years Count Undated LabsHeading Lab LabCount LabLatest TroubleHeading
        TroubleLead Reason BecauseInvalid BecauseIncomplete BecauseKind BecauseId BecauseTooLarge BecauseLost
        BecauseUnsent BecauseOther BecauseForbidden BecauseSignedOut BecauseEhr BecauseUnreadable BecauseLimited
        BecauseOpen NotesHeading NoteDropped NoteFilled NoteAdjusted NoteRepeated NoteOtherSubject NoteOtherType
        NoteInlined NoteKept ReceiptHeading ReceiptLead ReceiptDate ReceiptStored ReceiptNew ReceiptPrint ReceiptSave
        ReportSave ReportSay KindsFrom ChartOnly
    }
    remedies {
        Config JheSessionExpired JheUnreachable StorageBlocked Offline InsecureContext Interrupted
    }
    loader_remedies {
        NoWebassembly LoadFailed
    }
    connect_remedies {
        InvitationMissing InvitationMalformed InvitationOtherHost InvitationUnknown InvitationUsed InvitationExpired
        InvitationCancelled InvitationNoLogin InvitationRefused JheRefused JheSuperseded JheNotSetUp BrandsRefused
        BrandsUnreachable DiscoveryUnreachable DiscoveryNotReadable DiscoveryUnusable DiscoveryInsecure
        DiscoveryNoS256
    }
    callback_remedies {
        LabResultsNotShared NoPatient Denied ScopeNotEnabled AuthorizationRefused UnknownState Untrusted Expired
        NothingPending OtherPatient NoJheSession SignInRefused SignInUnreachable IdentityForged
    }
    import_remedies {
        OtherTab IdentifierConflict IdentifierRefused NotAPatient SourceNotSetUp SourceRefused NotChecked
        PullSignedOut PullRefused PullTrouble PullUnreadable JheLost JheFailing GoOn
    }
    embed_remedies {
        AlreadyOpen
    }
    demo {
        DemoName DemoNotice DemoBack DemoStartHeading DemoStartLead DemoLinksHeading DemoLinksLead DemoReviews DemoLinkFresh DemoLinkBusy
        DemoLinkSignedOut DemoLinkUsed DemoLinkExpired DemoLinkCancelled DemoLinkUnknown DemoLinkNoLogin DemoLinkDown
        DemoLinkOtherHost DemoLinkDamaged DemoHospitalsHeading DemoHospitalsLead DemoHealthy DemoSlow DemoCors
        DemoNarrowed DemoPerson DemoBusy DemoExpiring DemoOdd DemoStored DemoStoredNone DemoForgetHeading
        DemoForgetLead DemoForget DemoForgot DemoSignInHeading DemoSignInLead DemoPersonas DemoCount DemoFew DemoKinds DemoLarge
        DemoEmpty DemoChild DemoTaken DemoShare DemoDocuments DemoAgree DemoDeny DemoOwnError DemoErrorHeading
        DemoErrorLead DemoNoSignInHeading DemoNoSignInLead
    }
}

/// The names of the kinds of records in the deployments' own plans, each with its text.
const LABELS: [(&str, Text); 18] = [
    ("Labs", Text::Labs),
    ("Your details", Text::YourDetails),
    ("Conditions", Text::Conditions),
    ("Medications", Text::Medications),
    ("Dispensed medications", Text::DispensedMedications),
    ("Allergies", Text::Allergies),
    ("Immunizations", Text::Immunizations),
    ("Procedures", Text::Procedures),
    ("Vital signs", Text::VitalSigns),
    ("Reports", Text::Reports),
    ("Clinical notes", Text::ClinicalNotes),
    ("Visits", Text::Visits),
    ("Care plans", Text::CarePlans),
    ("Care teams", Text::CareTeams),
    ("Goals", Text::Goals),
    ("Orders", Text::Orders),
    ("Devices", Text::Devices),
    ("Questionnaires", Text::Questionnaires),
];

/// Something to be said: a text and what is filled into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text.
    pub text: Text,
    /// Which of its sentences, where it has several: a remedy has three.
    pub part: usize,
    /// What stands for `{0}`, `{1}` and so on. The first number decides between singular and plural.
    pub values: Vec<Value>,
}

/// What is filled into a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A name, or what a server said: as it is.
    Text(String),
    /// A number, as the language writes it.
    Count(u64),
    /// A FHIR date, or the beginning of one: `2026-11-22`, `2026-11`, `2026`; or an instant in UTC (`2026-11-22T09:00:00Z`),
    /// which is told in the patient's own time.
    Date(String),
    /// Another text.
    Said(Message),
    /// Several, as the language lists them.
    Listed(Vec<Value>),
}

impl Text {
    /// With what is filled in.
    pub fn with(self, values: impl Into<Vec<Value>>) -> Message {
        Message {
            text: self,
            part: 0,
            values: values.into(),
        }
    }

    /// With a number.
    pub fn counted(self, count: u32) -> Message {
        self.with([Value::from(count)])
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        text.with([])
    }
}

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        Value::Said(message)
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Value::Said(text.into())
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Value::Count(u64::from(count))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

/// The name of a kind of records: translated, unless the page configuration brought it.
pub fn label(name: &str) -> Value {
    let known = LABELS.iter().find(|(label, _)| *label == name);
    known.map_or_else(|| name.into(), |(_, text)| (*text).into())
}

/// How a language writes numbers and dates. The browser knows it for all of them.
pub trait Formats {
    /// A number.
    fn number(&self, number: u64) -> String;
    /// A FHIR date, or the beginning of one.
    fn date(&self, date: &str) -> String;
    /// The plural category of a number: `one`, `other`, or another one of CLDR.
    fn category(&self, number: u64) -> String;
    /// Several texts as a list.
    fn list(&self, texts: Vec<String>) -> String;
}

/// Formats that need no browser: those of a log, and of tests.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Formats for Plain {
    fn number(&self, value: u64) -> String {
        number(value)
    }

    fn date(&self, date: &str) -> String {
        date.into()
    }

    fn category(&self, number: u64) -> String {
        if number == 1 { "one" } else { "other" }.into()
    }

    fn list(&self, texts: Vec<String>) -> String {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        crate::text::listed(&texts)
    }
}

/// A language, as far as a page needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Its tag (BCP 47).
    pub tag: String,
    /// Does it run from right to left?
    pub is_right_to_left: bool,
    /// All languages that there are: their tags, and their names in themselves.
    pub choice: Vec<(String, String)>,
    /// The module that these texts are for.
    pub module: String,
    /// Runs of texts, each with the number of the first one. A text is JSON: a string, an object of plural forms, or a
    /// list of sentences.
    runs: Vec<(u64, Vec<String>)>,
}

impl Language {
    /// Reads what was made of a language file for a page.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let json = Json::parse(octets)?;
        let (mut runs, mut choice) = (Vec::new(), Vec::new());
        for run in json.list("texts") {
            let mut parts = run.elements();
            let start = parts.next()?.whole_number()?;
            let mut texts = Vec::new();
            for text in parts.next()?.elements() {
                texts.push(text.text().into());
            }
            runs.push((start, texts));
        }
        for pair in json.list("choice") {
            let mut parts = pair.elements();
            choice.push((parts.next()?.string()?, parts.next()?.string()?));
        }
        Some(Language {
            tag: json.get_string("tag")?,
            is_right_to_left: json.get_string("direction")? == "rtl",
            choice,
            module: json.get_string("module")?,
            runs,
        })
    }

    /// A message in words; `portal` is what the patient knows the hospital's portal as. Empty for a text that the page was
    /// not given.
    pub fn say(&self, message: &Message, portal: &Value, formats: &dyn Formats) -> String {
        let text = self.text(message, formats).unwrap_or_default();
        let mut whole = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            whole.push_str(before);
            rest = after;
            let value = match name {
                "portal" => self.value(portal, portal, formats),
                "Portal" => capitalized(&self.value(portal, portal, formats)),
                _ => {
                    let place = crate::text::whole_number(name).unwrap_or(u64::MAX);
                    let place = usize::try_from(place).unwrap_or(usize::MAX);
                    let value = message.values.get(place);
                    value.map_or_else(String::new, |value| self.value(value, portal, formats))
                }
            };
            whole.push_str(&value);
        }
        whole.push_str(rest);
        whole
    }

    /// A value in words.
    pub fn value(&self, value: &Value, portal: &Value, formats: &dyn Formats) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Count(count) => formats.number(*count),
            Value::Date(date) => formats.date(date),
            Value::Said(message) => self.say(message, portal, formats),
            Value::Listed(values) => {
                let mut texts = Vec::new();
                for value in values {
                    texts.push(self.value(value, portal, formats));
                }
                formats.list(texts)
            }
        }
    }

    fn text(&self, message: &Message, formats: &dyn Formats) -> Option<String> {
        let number = message.text as u64;
        let text = self.runs.iter().find_map(|(start, texts)| {
            let place = usize::try_from(number.checked_sub(*start)?).ok()?;
            texts.get(place)
        });
        let text = Json::checked(text?);
        if text.is_list() {
            return text.elements().nth(message.part)?.string();
        }
        if !text.is_object() {
            return text.string();
        }
        let count = message.values.iter().find_map(|value| match value {
            Value::Count(count) => Some(*count),
            _ => None,
        });
        let category = formats.category(count.unwrap_or_default());
        text.get_string(&category)
            .or_else(|| text.get_string("other"))
    }
}

/// Makes of a language file what a page loads: the texts of these sections for this module, and the choice of languages.
/// No page does this; it is done once, when the bundle is built.
///
/// # Errors
/// What the file lacks, or has too much of.
pub fn compiled(
    source: &str,
    tag: &str,
    choice: &[(String, String)],
    module: &str,
    sections: &[&str],
) -> Result<String, String> {
    let file: serde_json::Value =
        serde_json::from_str(source).map_err(|error| [tag, ": ", &error.to_string()].concat())?;
    let mut runs = Vec::new();
    for (section, texts) in SECTIONS {
        let written = file.get(section).and_then(serde_json::Value::as_object);
        let written = written.ok_or_else(|| [tag, " has no section ", section].concat())?;
        let mut run = Vec::new();
        for (_, name) in *texts {
            let key = key(name);
            let text = written.get(&key);
            run.push(text.ok_or_else(|| [tag, ": ", section, " lacks ", &key].concat())?);
        }
        if let Some(unknown) = written.keys().find(|written| {
            let mut texts = texts.iter();
            !texts.any(|(_, name)| key(name) == **written)
        }) {
            return Err([tag, ": ", section, " has the unknown ", unknown].concat());
        }
        if let (true, Some((first, _))) = (sections.contains(section), texts.first()) {
            runs.push(serde_json::json!([*first as u64, run]));
        }
    }
    let compiled = serde_json::json!({
        "tag": tag,
        "direction": file.get("direction"),
        "choice": choice,
        "module": module,
        "texts": runs,
    });
    Ok(compiled.to_string())
}

/// `DoneHeading` as `done_heading`: a text's name as the language files have it.
pub fn key(name: &str) -> String {
    let mut key = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !key.is_empty() {
            key.push('_');
        }
        key.push(letter.to_ascii_lowercase());
    }
    key
}

/// What a person needs to be sure that a text is there, and says what it should.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) const FILES: [(&str, &str); 2] = [
        ("en", include_str!("../www/languages/en.json")),
        ("es", include_str!("../www/languages/es.json")),
    ];

    /// A whole language.
    pub(crate) fn language(tag: &str) -> Language {
        let (_, source) = FILES.iter().find(|(file, _)| *file == tag).unwrap();
        let sections: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        let compiled = compiled(source, tag, &[], "", &sections).unwrap();
        Language::parse(compiled.as_bytes()).unwrap()
    }

    /// In English, without a browser.
    pub(crate) fn english(message: impl Into<Message>) -> String {
        language("en").say(&message.into(), &"MyChart".into(), &Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{english, language};
    use super::*;

    #[test]
    fn values_are_filled_in_where_the_text_has_a_place_for_them() {
        let message = Text::OverallOf.with([Value::from(3), Value::from(12)]);
        assert_eq!(english(message), "3 of 12 records copied");
    }

    #[test]
    fn the_first_number_decides_between_singular_and_plural() {
        assert_eq!(english(Text::Records.counted(1)), "1 record");
        assert_eq!(english(Text::Records.counted(0)), "0 records");
        let dated = Text::ReviewRow.with([label("Labs"), Value::from(1)]);
        assert_eq!(english(dated), "Labs: 1 record");
    }

    #[test]
    fn the_portal_has_its_name_in_a_sentence_and_at_its_beginning() {
        let english = language("en");
        let say = |text: Text| english.say(&text.into(), &Text::YourHospital.into(), &Plain);
        assert_eq!(say(Text::LeavingHeading), "Taking you to your hospital");
        assert!(say(Text::PersonLead).starts_with("Your hospital says"));
    }

    #[test]
    fn a_name_that_looks_like_a_place_is_not_filled_in_again() {
        let message = Text::PickerNone.with(["{portal} {0} {".into()]);
        assert_eq!(english(message), "No hospital found for “{portal} {0} {”.");
    }

    #[test]
    fn a_kind_of_records_of_the_configurations_own_keeps_its_name() {
        assert_eq!(label("Heart rate"), Value::Text("Heart rate".into()));
        assert_eq!(label("Labs"), Text::Labs.into());
    }

    #[test]
    fn a_text_that_the_page_was_not_given_is_empty() {
        let (_, source) = testing::FILES[0];
        let compiled = compiled(source, "en", &[], "m", &["shared"]).unwrap();
        let shared = Language::parse(compiled.as_bytes()).unwrap();
        assert_eq!(shared.say(&Text::Labs.into(), &"x".into(), &Plain), "");
        assert_eq!(
            shared.say(&Text::TryAgain.into(), &"x".into(), &Plain),
            "Try again"
        );
    }

    /// All sentences of a language file that a patient reads, each with its section and name.
    fn sentences(tag: &str) -> Vec<(String, String)> {
        let (_, source) = testing::FILES
            .iter()
            .find(|(file, _)| *file == tag)
            .unwrap();
        let file: serde_json::Value = serde_json::from_str(source).unwrap();
        let mut sentences = Vec::new();
        for (section, _) in SECTIONS {
            for (name, text) in file[section].as_object().unwrap() {
                let place = [section, ".", name].concat();
                let texts: Vec<_> = match text {
                    serde_json::Value::Array(texts) => texts.iter().collect(),
                    serde_json::Value::Object(forms) => forms.values().collect(),
                    text => alloc::vec![text],
                };
                let texts = texts.into_iter().map(|text| text.as_str().unwrap());
                sentences.extend(texts.map(|text| (place.clone(), text.into())));
            }
        }
        sentences
    }

    #[test]
    fn every_language_has_every_text_with_the_same_gaps() {
        let gaps = |text: &str| {
            let mut gaps: Vec<String> = (text.split('{').skip(1))
                .filter_map(|rest| Some(rest.split_once('}')?.0.to_lowercase()))
                .collect();
            gaps.sort_unstable();
            gaps.dedup();
            gaps
        };
        for (tag, source) in testing::FILES {
            let sections: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
            compiled(source, tag, &[], "m", &sections).unwrap();
            let texts = sentences(tag);
            let english = sentences("en");
            for (name, _) in &english {
                let of_both = [&english, &texts].map(|texts| {
                    let mut all: Vec<_> = (texts.iter())
                        .filter(|(other, _)| other == name)
                        .flat_map(|(_, text)| gaps(text))
                        .collect();
                    all.sort_unstable();
                    all.dedup();
                    all
                });
                assert_eq!(of_both[0], of_both[1], "{tag}: {name}");
            }
        }
    }

    #[test]
    fn patients_are_told_nothing_in_the_words_of_engineers() {
        for (tag, _) in testing::FILES {
            for (name, text) in sentences(tag) {
                for jargon in [
                    "OAuth", "oken", "PKCE", "HTTP", "JHE", "FHIR", "SMART", "scope", "  ",
                ] {
                    assert!(!text.contains(jargon), "{tag}: {name}: {text}");
                }
            }
        }
    }

    /// The Flesch-Kincaid grade of some sentences, with syllables counted as runs of vowels.
    fn grade(text: &str) -> f64 {
        let is_end = |letter: &char| ".!?:".contains(*letter);
        let sentences = text.chars().filter(is_end).count().max(1) as f64;
        let words: Vec<_> = text.split_whitespace().collect();
        let syllables: usize = words.iter().map(|word| syllables(word)).sum();
        let count = words.len() as f64;
        0.39 * count / sentences + 11.8 * syllables as f64 / count - 15.59
    }

    fn syllables(word: &str) -> usize {
        let word: String = word
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphabetic())
            .collect();
        let is_vowel = |letter: char| "aeiouy".contains(letter);
        let mut count = 0;
        let mut before = false;
        for letter in word.chars() {
            count += usize::from(is_vowel(letter) && !before);
            before = is_vowel(letter);
        }
        // A last e is silent, but in -le.
        let is_silent = word.ends_with('e') && !word.ends_with("le") || word.ends_with("ed");
        (count - usize::from(is_silent && count > 1)).max(1)
    }

    #[test]
    fn the_formula_gives_known_texts_their_grade() {
        assert!(grade("The cat sat on the mat.") < 1.0);
        let hard = "The configuration of this authorization infrastructure necessitates administrative intervention.";
        assert!(grade(hard) > 20.0);
    }

    #[test]
    fn every_text_reads_at_grade_eight_or_below() {
        // A short text has no grade by itself: a single long word is a tenth of it.
        let mut worst = Vec::new();
        for (name, text) in sentences("en") {
            let text = text
                .replace("{Portal}", "MyChart")
                .replace("{portal}", "MyChart");
            if text.split_whitespace().count() >= 8 && grade(&text) > 8.0 {
                worst.push((name, grade(&text), text));
            }
        }
        assert!(worst.is_empty(), "{worst:#?}");
        // A remedy is read as a whole.
        let (_, source) = testing::FILES[0];
        let file: serde_json::Value = serde_json::from_str(source).unwrap();
        for section in [
            "remedies",
            "loader_remedies",
            "embed_remedies",
            "connect_remedies",
            "callback_remedies",
            "import_remedies",
        ] {
            for (name, texts) in file[section].as_object().unwrap() {
                let texts: Vec<_> = texts
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(|it| it.as_str())
                    .collect();
                let whole = texts
                    .join(". ")
                    .replace("{Portal}", "MyChart")
                    .replace("{portal}", "MyChart");
                assert!(grade(&whole) <= 8.0, "{name}: {}", grade(&whole));
            }
        }
    }

    #[test]
    fn a_file_that_lacks_a_text_or_has_an_unknown_one_is_refused() {
        let (_, source) = testing::FILES[0];
        for (text, other, fault) in [
            ("\"try_again\"", "\"try_agin\"", "lacks try_again"),
            (
                "\"try_again\"",
                "\"extra\": \"x\", \"try_again\"",
                "unknown extra",
            ),
        ] {
            let source = source.replacen(text, other, 1);
            let error = compiled(&source, "en", &[], "m", &[]).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }
}
