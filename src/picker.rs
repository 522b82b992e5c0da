//! The patient picks a hospital: what is asked of JHE while they type, what is listed, and which of it is marked.
//!
//! It performs nothing itself: [`Picker::next_action`] says what to do, [`Picker::finish`] takes JHE's answer, and the
//! rest takes what the patient does. Keys work as in the "editable combobox with list autocomplete" of the
//! [ARIA Authoring Practices](https://www.w3.org/WAI/ARIA/apg/patterns/combobox/).

use alloc::rc::Rc;
use alloc::string::String;

use crate::exchange::brands::{Brand, Brands, BrandsError};
use crate::exchange::jhe::JheSession;
use crate::http::{Answer, HttpRequest};
use crate::language::{Message, Text};

/// The patient has stopped typing when no key was pressed for so many milliseconds.
pub const TYPING_MS: u64 = 250;

/// One question to JHE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u32);

/// What the page does next. Whatever question is under way is given up, its request aborted, unless it is
/// [`Action::AwaitAnswer`].
#[derive(Debug)]
pub enum Action {
    /// Send this and hand the answer to [`Picker::finish`]; ask again without waiting for it.
    Ask(Ticket, HttpRequest),
    /// Nothing to do until the question under way is answered, or the patient does something.
    AwaitAnswer,
    /// Nothing to do until this time, in milliseconds since the Unix epoch, or until the patient does something.
    AwaitTime(u64),
    /// Nothing to do until the patient does something.
    AwaitPatient,
    /// The patient has picked, or their session at JHE is over.
    End(Result<Brand, BrandsError>),
}

/// The search for one hospital.
#[derive(Debug)]
pub struct Picker {
    jhe: Rc<JheSession>,
    path: &'static str,
    query: String,
    question: Question,
    last_ticket: u32,
    list: Option<Result<Brands, BrandsError>>,
    revision: u32,
    is_open: bool,
    active: Option<usize>,
    end: Option<Result<Brand, BrandsError>>,
}

/// Where the question for the query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Answered,
    UnderWay(Ticket),
    /// The patient typed at this time.
    Typed(u64),
    Due,
}

impl Picker {
    /// The search at JHE's `path`; it begins at once, with what the patient had typed before they came back.
    pub fn new(jhe: Rc<JheSession>, path: &'static str, query: &str) -> Self {
        Picker {
            jhe,
            path,
            query: normalized(query),
            question: Question::Due,
            last_ticket: 0,
            list: None,
            revision: 0,
            is_open: true,
            active: None,
            end: None,
        }
    }

    // What the patient does.

    /// The patient typed: this is in the field now.
    pub fn type_in(&mut self, text: &str, now: u64) {
        self.open();
        self.active = None;
        let query = normalized(text);
        if query != self.query {
            self.query = query;
            self.question = Question::Typed(now);
        }
    }

    /// The patient pressed the key of this name (UI Events KeyboardEvent key values). `true` if the field is not to see
    /// it.
    pub fn press(&mut self, key: &str) -> bool {
        let count = self.brands().len();
        let last = count.checked_sub(1);
        let first = last.map(|_| 0);
        match (key, self.active) {
            ("Enter", Some(active)) => self.pick(active),
            ("Enter", None) => self.hurry(),
            ("ArrowDown", active) => {
                self.open();
                let next = active.map(|active| active + 1);
                self.active = next.filter(|next| *next < count).or(first);
            }
            ("ArrowUp", active) => {
                self.open();
                self.active = active.and_then(|active| active.checked_sub(1)).or(last);
            }
            ("Home", Some(_)) => self.active = first,
            ("End", Some(_)) => self.active = last,
            ("Escape", _) if self.is_expanded() => {
                self.is_open = false;
                self.active = None;
            }
            // The cursor moves in the text again.
            ("ArrowLeft" | "ArrowRight", _) => {
                self.active = None;
                return false;
            }
            _ => return false,
        }
        true
    }

    /// The patient wants to see the list that they closed.
    pub fn open(&mut self) {
        self.is_open = true;
    }

    /// The patient picks the row with this index.
    pub fn pick(&mut self, row: usize) {
        if let Some(Ok(list)) = &mut self.list
            && row < list.rows.len()
        {
            let brand = list.rows.swap_remove(row);
            self.show(None);
            self.end = Some(Ok(brand));
        }
    }

    /// Does not wait for the end of typing, and asks once more what failed.
    pub fn hurry(&mut self) {
        self.open();
        self.question = match self.question {
            Question::Typed(_) => Question::Due,
            Question::Answered if self.failure().is_some() => Question::Due,
            question => question,
        };
    }

    // What the page does.

    /// What to do now.
    pub fn next_action(&mut self, now: u64) -> Action {
        if let Some(end) = self.end.take() {
            return Action::End(end);
        }
        match self.question {
            // A clock that was set back makes nobody wait.
            Question::Typed(at) if now.wrapping_sub(at) < TYPING_MS => {
                return Action::AwaitTime(at.saturating_add(TYPING_MS));
            }
            Question::UnderWay(_) => return Action::AwaitAnswer,
            Question::Answered => return Action::AwaitPatient,
            Question::Typed(_) | Question::Due => {}
        }
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        self.question = Question::UnderWay(ticket);
        Action::Ask(ticket, Brands::request(&self.jhe, self.path, &self.query))
    }

    /// The answer to a question. One to an earlier question changes nothing.
    pub fn finish(&mut self, ticket: Ticket, answer: Answer) {
        if self.question != Question::UnderWay(ticket) {
            return;
        }
        match Brands::read(answer) {
            Err(BrandsError::SessionExpired) => {
                self.show(None);
                self.end = Some(Err(BrandsError::SessionExpired));
            }
            list => self.show(Some(list)),
        }
    }

    /// Nothing is asked any more that this list would not answer.
    fn show(&mut self, list: Option<Result<Brands, BrandsError>>) {
        self.question = Question::Answered;
        self.active = None;
        self.revision = self.revision.wrapping_add(1);
        self.list = list;
    }

    // What there is to see.

    /// What was asked for, or will be.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The hospitals that were found last.
    pub fn brands(&self) -> &[Brand] {
        match &self.list {
            Some(Ok(list)) => &list.rows,
            _ => &[],
        }
    }

    /// It changes with the list.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Is the list to be seen?
    pub fn is_expanded(&self) -> bool {
        self.is_open && !self.brands().is_empty()
    }

    /// The row that the keys have marked.
    pub fn active(&self) -> Option<usize> {
        self.active
    }

    /// Is it not yet known what there is for the query?
    pub fn is_searching(&self) -> bool {
        self.question != Question::Answered
    }

    /// Was nothing found?
    pub fn found_none(&self) -> bool {
        matches!(&self.list, Some(Ok(list)) if list.rows.is_empty())
    }

    /// Why the last question was not answered.
    pub fn failure(&self) -> Option<&BrandsError> {
        match &self.list {
            Some(Err(error)) => Some(error),
            _ => None,
        }
    }

    /// What there is, in one line.
    pub fn status(&self) -> Option<Message> {
        if self.is_searching() {
            return Some(Text::PickerSearching.into());
        }
        let Some(Ok(list)) = &self.list else {
            return None;
        };
        let count = list.rows.len() as u32;
        Some(match (count, self.query.as_str()) {
            (0, "") => Text::PickerEmpty.into(),
            (0, query) => Text::PickerNone.with([query.into()]),
            (_, "") if list.may_be_more => Text::PickerFirst.counted(count),
            _ if list.may_be_more => Text::PickerMany.counted(count),
            _ => Text::PickerFound.counted(count),
        })
    }
}

/// A query as JHE compares it: it looks for exactly these letters. Keyboards of phones add a space behind a word, and
/// make a typographic apostrophe of the one in `St. Mary's`.
fn normalized(text: &str) -> String {
    let straight = |letter| match letter {
        '\u{2018}' | '\u{2019}' => '\'',
        letter => letter,
    };
    text.trim().chars().map(straight).collect()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::exchange::deployment::PATIENT_ACCESS;
    use crate::exchange::jhe::testing::jhe;
    use crate::http::TransportError;
    use crate::http::testing::json;
    use crate::language::testing::english;

    const NOW: u64 = 1_790_000_000_000;

    fn picker() -> Picker {
        with_query("")
    }

    fn with_query(query: &str) -> Picker {
        let path = PATIENT_ACCESS.brands_path.unwrap();
        Picker::new(Rc::new(jhe()), path, query)
    }

    /// What JHE is asked for, if it is asked anything now.
    fn asked(picker: &mut Picker, now: u64) -> Option<(Ticket, String)> {
        match picker.next_action(now) {
            Action::Ask(ticket, request) => {
                let (_, query) = request.url.as_str().split_once("?q=").unwrap();
                Some((ticket, crate::text::percent_decode(query)))
            }
            _ => None,
        }
    }

    /// So many hospitals, called by this name.
    fn found(name: &str, count: usize) -> Answer {
        let row = |number| {
            serde_json::json!({
                "brandName": name, "facilityName": alloc::format!("Place {number}"),
                "fhirBaseUrl": "https://ehr.example/R4/",
            })
        };
        let rows: Vec<_> = (0..count).map(row).collect();
        Ok(json(
            200,
            &serde_json::json!({ "results": rows }).to_string(),
        ))
    }

    fn failed() -> Answer {
        Err(TransportError::Unreachable)
    }

    /// A search that is answered so.
    fn answered(answer: Answer) -> Picker {
        let mut picker = picker();
        let (ticket, _) = asked(&mut picker, NOW).unwrap();
        picker.finish(ticket, answer);
        picker
    }

    fn names(picker: &Picker) -> Vec<&str> {
        let brands = picker.brands().iter();
        brands.map(|brand| brand.name.as_str()).collect()
    }

    #[test]
    fn the_list_is_asked_for_at_once_with_what_was_typed_before() {
        assert_eq!(asked(&mut picker(), NOW).unwrap().1, "");
        assert_eq!(asked(&mut with_query(" mount "), NOW).unwrap().1, "mount");
    }

    #[test]
    fn jhe_is_asked_when_the_patient_has_stopped_typing() {
        let mut picker = answered(found("All", 2));
        picker.type_in("m", NOW);
        assert!(matches!(picker.next_action(NOW), Action::AwaitTime(at) if at == NOW + TYPING_MS));
        picker.type_in("mo", NOW + 200);
        assert_eq!(asked(&mut picker, NOW + 449), None);
        assert_eq!(asked(&mut picker, NOW + 450).unwrap().1, "mo");
        assert!(matches!(picker.next_action(NOW + 451), Action::AwaitAnswer));
        assert_eq!(names(&picker), ["All", "All"]);
    }

    #[test]
    fn a_question_that_is_superseded_is_given_up_and_its_answer_changes_nothing() {
        let mut picker = picker();
        let (first, _) = asked(&mut picker, NOW).unwrap();
        picker.type_in("m", NOW);
        assert!(matches!(picker.next_action(NOW), Action::AwaitTime(_)));
        picker.finish(first, found("Late", 1));
        let (second, _) = asked(&mut picker, NOW + TYPING_MS).unwrap();
        picker.finish(first, found("Late", 1));
        assert!(picker.brands().is_empty() && picker.is_searching());
        picker.finish(second, found("Newest", 1));
        picker.finish(first, found("Late", 1));
        assert_eq!(names(&picker), ["Newest"]);
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
    }

    #[test]
    fn a_space_behind_a_word_is_no_other_question() {
        let mut picker = answered(found("All", 1));
        picker.type_in("  ", NOW);
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
        picker.type_in("mount", NOW);
        picker.type_in("mount ", NOW + 100);
        assert_eq!(asked(&mut picker, NOW + 250).unwrap().1, "mount");
    }

    #[test]
    fn a_typographic_apostrophe_is_asked_for_as_a_straight_one() {
        assert_eq!(with_query("St. Mary\u{2019}s").query(), "St. Mary's");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait() {
        let mut picker = answered(found("All", 1));
        picker.type_in("m", NOW);
        assert!(asked(&mut picker, NOW - 3_600_000).is_some());
    }

    #[test]
    fn enter_without_a_marked_row_asks_at_once_and_picks_nothing() {
        let mut picker = answered(found("All", 1));
        assert!(picker.press("Enter"));
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
        picker.type_in("m", NOW);
        assert!(picker.press("Enter"));
        assert_eq!(asked(&mut picker, NOW).unwrap().1, "m");
        assert!(picker.press("Enter"));
        assert!(matches!(picker.next_action(NOW), Action::AwaitAnswer));
    }

    #[test]
    fn a_row_is_picked_with_keys_or_by_its_place() {
        let picked = |mut picker: Picker| match picker.next_action(NOW) {
            Action::End(Ok(brand)) => brand.facility,
            other => panic!("{other:?}"),
        };
        let mut picker = answered(found("All", 3));
        picker.press("ArrowDown");
        picker.press("ArrowDown");
        picker.press("Enter");
        // What comes after counts no more.
        picker.pick(0);
        assert!(picker.brands().is_empty());
        assert_eq!(picked(picker), "Place 1");
        let mut picker = answered(found("All", 3));
        picker.pick(7);
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
        picker.pick(2);
        assert_eq!(picked(picker), "Place 2");
    }

    #[test]
    fn the_keys_move_as_in_the_authoring_practices() {
        let mut picker = answered(found("All", 3));
        let mut marked = |keys: &str| -> Vec<_> {
            let press = |key: &str| (picker.press(key), picker.is_expanded(), picker.active());
            keys.split(' ').map(press).collect()
        };
        let open = |active| (true, true, Some(active));
        assert_eq!(marked("Home End a Tab"), [(false, true, None); 4]);
        assert_eq!(
            marked("ArrowDown ArrowDown ArrowDown ArrowDown"),
            [0, 1, 2, 0].map(open)
        );
        assert_eq!(marked("ArrowUp Home End ArrowUp"), [2, 0, 2, 1].map(open));
        // The field sees the keys that move its cursor.
        assert_eq!(marked("ArrowLeft"), [(false, true, None)]);
        assert_eq!(
            marked("ArrowUp Escape Escape"),
            [open(2), (true, false, None), (false, false, None)]
        );
        assert_eq!(
            marked("ArrowDown Escape ArrowUp"),
            [open(0), (true, false, None), open(2)]
        );
    }

    #[test]
    fn what_is_typed_opens_the_list_again_and_marks_nothing() {
        let mut picker = answered(found("All", 3));
        picker.press("ArrowDown");
        picker.type_in("m", NOW);
        assert_eq!((picker.is_expanded(), picker.active()), (true, None));
        picker.press("Escape");
        picker.type_in("mo", NOW);
        assert!(picker.is_expanded());
        picker.press("Escape");
        picker.open();
        assert!(picker.is_expanded());
    }

    #[test]
    fn a_list_that_was_closed_stays_so_when_it_changes() {
        let mut picker = answered(found("All", 3));
        picker.type_in("m", NOW);
        let (ticket, _) = asked(&mut picker, NOW + TYPING_MS).unwrap();
        picker.press("Escape");
        picker.finish(ticket, found("New", 3));
        assert!(!picker.is_expanded());
    }

    #[test]
    fn what_failed_can_be_tried_again_and_is_not_none_found() {
        let mut picker = answered(failed());
        let error = BrandsError::Transport(TransportError::Unreachable);
        assert_eq!(picker.failure(), Some(&error));
        assert!(!picker.found_none() && !picker.is_expanded());
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
        picker.hurry();
        let (ticket, query) = asked(&mut picker, NOW).unwrap();
        assert_eq!(query, "");
        // Once is enough.
        picker.hurry();
        assert!(matches!(picker.next_action(NOW), Action::AwaitAnswer));
        picker.finish(ticket, found("All", 0));
        assert_eq!(picker.failure(), None);
        assert!(picker.found_none());
        picker.hurry();
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
    }

    #[test]
    fn no_session_ends_the_search() {
        let mut picker = answered(Ok(json(401, "{}")));
        assert!(!picker.found_none());
        let Action::End(Err(error)) = picker.next_action(NOW) else {
            panic!("it goes on");
        };
        assert_eq!(error, BrandsError::SessionExpired);
        assert!(matches!(picker.next_action(NOW), Action::AwaitPatient));
    }

    fn said(picker: &Picker) -> String {
        picker.status().map(english).unwrap_or_default()
    }

    #[test]
    fn one_line_tells_what_there_is() {
        let status = |query, answer| {
            let mut picker = with_query(query);
            let (ticket, _) = asked(&mut picker, NOW).unwrap();
            assert_eq!(said(&picker), "Searching…");
            picker.finish(ticket, answer);
            said(&picker)
        };
        assert_eq!(status("", found("All", 4)), "4 hospitals found.");
        assert_eq!(status("a", found("All", 1)), "1 hospital found.");
        assert_eq!(status("zz", found("All", 0)), "No hospital found for “zz”.");
        assert!(status("", found("All", 0)).contains("no hospital"));
        assert!(status("", found("All", 25)).contains("Type a part of"));
        assert!(status("a", found("All", 25)).contains("type more of its name"));
        assert_eq!(status("a", failed()), "");
    }

    /// What happens on the page.
    #[derive(Debug, Clone)]
    enum Happening {
        Type(&'static str),
        Press(&'static str),
        Pass(u64),
        /// The answer to one of the questions so far, the newest being 0.
        Finish(usize, Result<usize, ()>),
        Pick(usize),
        TryAgain,
    }

    fn any_happening() -> impl Strategy<Value = Happening> {
        let keys: &'static [_] = &[
            "ArrowDown",
            "ArrowUp",
            "Home",
            "End",
            "Enter",
            "Escape",
            "ArrowLeft",
            "x",
        ];
        prop_oneof![
            3 => prop::sample::select(&["", "m", "m ", "mo", "x"]).prop_map(Happening::Type),
            3 => prop::sample::select(keys).prop_map(Happening::Press),
            3 => (0_u64..400).prop_map(Happening::Pass),
            3 => (0_usize..3, prop_oneof![3 => (0_usize..30).prop_map(Ok), 1 => Just(Err(()))])
                .prop_map(|(which, what)| Happening::Finish(which, what)),
            1 => (0_usize..4).prop_map(Happening::Pick),
            1 => Just(Happening::TryAgain),
        ]
    }

    /// The rules again, as plain as can be.
    #[derive(Debug)]
    struct Model {
        query: &'static str,
        typed_at: u64,
        /// Is a question to be asked?
        is_owed: bool,
        /// Need it not wait for the end of typing?
        is_hurried: bool,
        /// Does the newest of the questions still count?
        counts: bool,
        asked: Vec<(Ticket, String)>,
        /// The newest answer to a question that counted when it came.
        shown: Option<(String, Result<usize, ()>)>,
    }

    impl Model {
        fn hurry(&mut self) {
            let has_failed = matches!(self.shown, Some((_, Err(()))));
            self.is_owed |= has_failed && !self.counts;
            self.is_hurried |= self.is_owed;
        }
    }

    fn name(query: &str) -> String {
        ["Found for «", query, "»"].concat()
    }

    proptest! {
        #[test]
        fn only_the_newest_question_counts_and_none_is_asked_twice(
            happenings in prop::collection::vec(any_happening(), 0..60),
        ) {
            let (mut picker, mut now) = (picker(), NOW);
            let mut model = Model {
                query: "",
                typed_at: 0,
                is_owed: true,
                is_hurried: true,
                counts: false,
                asked: Vec::new(),
                shown: None,
            };
            for happening in happenings {
                let marked = picker.active();
                match happening {
                    Happening::Type(text) => {
                        picker.type_in(text, now);
                        prop_assert_eq!(picker.active(), None);
                        if text.trim() != model.query {
                            (model.query, model.typed_at) = (text.trim(), now);
                            (model.is_owed, model.is_hurried, model.counts) = (true, false, false);
                        }
                    }
                    Happening::Press(key) => {
                        picker.press(key);
                        if key == "Enter" && marked.is_none() {
                            model.hurry();
                        }
                    }
                    Happening::Pass(time) => now += time,
                    Happening::Finish(which, what) => {
                        let place = model.asked.len().checked_sub(1 + which);
                        let Some((ticket, query)) = place.map(|place| model.asked[place].clone()) else {
                            continue;
                        };
                        picker.finish(ticket, what.map_or_else(|()| failed(), |count| found(&name(&query), count)));
                        if which == 0 && model.counts {
                            model.shown = Some((query, what));
                            model.counts = false;
                        }
                    }
                    Happening::Pick(row) => picker.pick(row),
                    Happening::TryAgain => {
                        picker.hurry();
                        model.hurry();
                    }
                }
                let is_due = model.is_hurried || now >= model.typed_at + TYPING_MS;
                match picker.next_action(now) {
                    Action::Ask(ticket, request) => {
                        prop_assert!(model.is_owed && is_due);
                        prop_assert!(request.url.as_str().ends_with(&["?q=", model.query].concat()));
                        prop_assert!(model.asked.iter().all(|(earlier, _)| *earlier != ticket));
                        model.asked.push((ticket, model.query.to_string()));
                        (model.is_owed, model.is_hurried, model.counts) = (false, false, true);
                    }
                    Action::AwaitTime(until) => {
                        prop_assert!(model.is_owed && !is_due);
                        prop_assert_eq!(until, model.typed_at + TYPING_MS);
                    }
                    Action::AwaitAnswer => prop_assert!(model.counts && !model.is_owed),
                    Action::AwaitPatient => prop_assert!(!model.counts && !model.is_owed),
                    Action::End(end) => {
                        let (query, _) = model.shown.unwrap();
                        prop_assert_eq!(end.unwrap().name, name(&query));
                        return Ok(());
                    }
                }
                let rows = match &model.shown {
                    Some((query, Ok(count))) => alloc::vec![name(query); *count],
                    _ => Vec::new(),
                };
                prop_assert_eq!(names(&picker), rows);
                prop_assert_eq!(picker.is_searching(), model.counts || model.is_owed);
                prop_assert_eq!(picker.failure().is_some(), matches!(model.shown, Some((_, Err(())))));
                let is_marked_in_the_list = |active| picker.is_expanded() && active < picker.brands().len();
                prop_assert!(picker.active().is_none_or(is_marked_in_the_list));
            }
        }
    }
}
