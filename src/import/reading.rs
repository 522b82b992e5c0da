//! Reading the EHR's pages: some searches side by side, in turns, and none before the patient's own resource.

use super::advance::Total;
use super::*;

/// So many requests for pages and documents are under way at once.
const SIDE_BY_SIDE: usize = 3;
/// After so many pages a search lets the others go first, so that a long one never keeps them waiting.
const TURN: u32 = 8;
/// So often a search is begun anew: a server that lets each pass come one page farther could go on with it for days.
const RESTARTS: u32 = 50;

impl ImportRun {
    pub(super) fn read(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        for pull in &mut self.pulls {
            match pull.reading {
                Reading::Waiting(_) if self.stop.is_some() || self.wish == Wish::Stop => {
                    pull.reading = Reading::Ended;
                }
                Reading::Waiting(until) if now >= until => pull.reading = Reading::Ready,
                _ => {}
            }
        }
        let is_wanted = self.stop.is_none()
            && self.wish == Wish::GoOn
            && self.renewing.is_none()
            && self.queue.len() + self.errands.len() <= AHEAD_RECORDS
            && self.queue_octets <= AHEAD_OCTETS;
        if !is_wanted {
            return None;
        }
        if let Some(fetched) = self.fetch(now) {
            return Some(fetched);
        }
        while let Some(index) = self.next_pull() {
            if let Some(asked) = self.ask(index, now) {
                return Some(asked);
            }
        }
        None
    }

    /// How many requests to the EHR are under way.
    pub(super) fn under_way(&self) -> usize {
        self.pulls.iter().filter(|pull| pull.is_under_way()).count() + self.fetching.len()
    }

    /// May one more request go to the EHR?
    pub(super) fn has_room(&self) -> bool {
        self.under_way() < SIDE_BY_SIDE
    }

    /// The search whose turn it is.
    fn next_pull(&self) -> Option<usize> {
        let is_patient_first = self.pulls.first().is_some_and(|first| {
            let row = self.plan.rows.get(first.row);
            first.is_under_way() && row.is_some_and(|row| row.resource_type == PATIENT)
        });
        if is_patient_first || !self.has_room() {
            return None;
        }
        let turn = |pull: &Pull| (pull.turns / TURN, pull.row, pull.part);
        let mut next: Option<(usize, &Pull)> = None;
        for (index, pull) in self.pulls.iter().enumerate() {
            let is_sooner = next.is_none_or(|(_, best)| turn(pull) < turn(best));
            if matches!(pull.reading, Reading::Ready) && is_sooner {
                next = Some((index, pull));
            }
        }
        next.map(|(index, _)| index)
    }

    fn ask(&mut self, index: usize, now: u64) -> Option<(TaskId, HttpRequest)> {
        if !self.goes_on(index) {
            return None;
        }
        let pull = self.pulls.get_mut(index)?;
        if !pull.is_renewed
            && let Some(request) = self.ehr.renewal_request(now, self.is_refused)
        {
            // One renewal a page: what a fresh token does not help against, a further one does not either.
            pull.is_renewed = true;
            return Some(self.renew(request));
        }
        let Ok(Some(request)) = pull.pager.next_request(&self.ehr.access_token) else {
            pull.end(Standing::Whole);
            return None;
        };
        self.last_task += 1;
        let task = TaskId(self.last_task);
        pull.reading = Reading::UnderWay(task);
        pull.asked_with = self.renewals;
        pull.turns += 1;
        Some((task, request))
    }

    /// Is there a further page of a search? If not, it ends: as soon as that is known, and not when it is its turn, so
    /// that a run that pauses or ends there knows that it is whole.
    fn goes_on(&mut self, index: usize) -> bool {
        let Some(pull) = self.pulls.get_mut(index) else {
            return false;
        };
        let limit = self.plan.rows.get(pull.row).map_or(0, |row| row.pages);
        if pull.pager.address().is_none() {
            match pull.pager.next_request(&self.ehr.access_token) {
                Err(reason) => pull.fail(reason),
                Ok(_) => pull.end(Standing::Whole),
            }
        } else if pull.pager.pages() >= limit {
            pull.end(Standing::Limited);
        } else {
            return true;
        }
        false
    }

    pub(super) fn renew(&mut self, request: HttpRequest) -> (TaskId, HttpRequest) {
        let task = self.new_task();
        self.renewing = Some(task);
        (task, request)
    }

    pub(super) fn finish_renewal(&mut self, answer: Answer, now: u64) {
        // Without success the old token is used for as long as the EHR takes it.
        self.renewing = None;
        self.is_refused = false;
        let Ok(response) = answer else {
            return;
        };
        match TokenResponse::from_response(&response) {
            Ok(renewed) => self.ehr.renew(renewed, now),
            // RFC 6749 §5.2: an error that is no server's trouble is final.
            Err(TokenError::Refused(_)) if response.status < 500 => self.ehr.refresh_token = None,
            Err(_) => return,
        }
        self.renewals += 1;
    }

    pub(super) fn finish_read(&mut self, index: usize, task: TaskId, answer: Answer, now: u64) {
        let purpose = self.purpose();
        let Some(pull) = self.pulls.get_mut(index) else {
            return;
        };
        let (address, before) = (
            pull.pager.address().unwrap_or_default().into(),
            pull.pager.pages(),
        );
        pull.reading = Reading::Ready;
        let found = match pull.pager.receive(answer) {
            Ok(found) => found,
            Err(reason) => return self.fail_read(index, reason, now),
        };
        pull.backoff.reset();
        pull.is_renewed = false;
        pull.total.hear(found.total);
        let mut tally = Tally::default();
        if pull.is_first_time(before) {
            tally.pages = 1;
            tally.add_left_out(&found.left_out);
            for outcome in &found.outcomes {
                tally.add_notice(&outcome.text());
            }
        }
        let row = self.plan.rows.get(pull.row);
        let resource_type = row.map_or("", |row| &row.resource_type);
        let mut records = Vec::new();
        for (record, mark) in found.records.into_iter().zip(found.marks) {
            match self.seen.add(record.key(resource_type)) {
                true => {
                    tally.found += 1;
                    self.findings.add(pull.row, mark, now);
                    // In a review it is done with.
                    if purpose == Purpose::Copy {
                        records.push(record);
                    }
                }
                false if pull.restarted_at.is_none() => {
                    tally.found += 1;
                    tally.repeated += 1;
                }
                // Seen in the pass before, and counted there.
                false => {}
            }
        }
        let count = records.len() as u32;
        let page = pull.accounts.open(address, before, count, tally);
        let has_documents = row.is_some_and(|row| row.attachments);
        for record in records {
            let parcel = Parcel {
                record,
                pull: index,
                page,
                tries: 0,
                reason: String::new(),
                is_lost: false,
            };
            match has_documents && parcel.record.is_match() {
                true => self.look_for_documents(parcel),
                false => self.enqueue(parcel),
            }
        }
        self.goes_on(index);
        self.forgive(task);
    }

    /// The token is good: what was refused before this was asked for is asked for once more.
    fn forgive(&mut self, task: TaskId) {
        for pull in &mut self.pulls {
            if pull.refused_after.is_none_or(|refused| refused >= task) {
                continue;
            }
            pull.refused_after = None;
            pull.error = None;
            pull.is_forgiven = true;
            pull.standing = Standing::Open;
            pull.reading = Reading::Ready;
        }
    }

    pub(super) fn enqueue(&mut self, parcel: Parcel) {
        self.queue_octets += parcel.record.text().len();
        self.queue.push_back(parcel);
    }

    fn fail_read(&mut self, index: usize, reason: PageError, now: u64) {
        // Parts of a search have shorter pages, too.
        if matches!(reason, PageError::TooWide(_) | PageError::TooLong) && self.divide(index) {
            return;
        }
        let Some(pull) = self.pulls.get_mut(index) else {
            return;
        };
        let before = pull.pager.pages();
        match &reason {
            // Asked for with an older token.
            PageError::SignedOut if pull.asked_with < self.renewals => return,
            PageError::SignedOut if !pull.is_renewed && self.ehr.refresh_token.is_some() => {
                self.is_refused = true;
                return;
            }
            PageError::SignedOut if pull.is_forgiven && now < self.ehr.expires_at => {
                return pull.fail(PageError::Forbidden("HTTP 401".into()));
            }
            PageError::SignedOut => pull.refused_after = Some(TaskId(self.last_task)),
            // A link that holds for a session only (Epic's do) is over: the search begins anew, as long as each pass
            // comes farther than the one before.
            PageError::Refused(_) | PageError::TooWide(_)
                if before > 0
                    && pull.restarts < RESTARTS
                    && pull.restarted_at.is_none_or(|pages| before > pages) =>
            {
                return self.restart(index, before);
            }
            _ => {}
        }
        let wait = match reason.is_transient() {
            true => pull.backoff.wait(pull.pager.retry_after_ms()),
            false => None,
        };
        match wait {
            Some(wait) => pull.reading = Reading::Waiting(now.saturating_add(wait)),
            None => pull.fail(reason),
        }
    }

    fn restart(&mut self, index: usize, pages_read: u32) {
        let Some(pull) = self.pulls.get_mut(index) else {
            return;
        };
        pull.restarted_at = Some(pages_read);
        pull.restarts += 1;
        pull.total = Total::Unknown;
        pull.pager = pull::pager(
            &self.plan,
            pull.row,
            pull.part,
            &self.ehr,
            &self.included,
            None,
        );
        // The pages before those of this run are read now: their counts are made anew, and what was stored of them is
        // found again among what JHE holds.
        let forgotten = pull.accounts.forget_earlier();
        self.credit += forgotten.stored;
        self.there = self.there.saturating_sub(forgotten.already_there);
    }

    /// Searches the parts of what is too wide, each on its own. `false` where there are none.
    fn divide(&mut self, index: usize) -> bool {
        let pull = self.pulls.get(index);
        let whole = pull.filter(|pull| pull.part.is_none() && pull.pager.pages() == 0);
        let row = whole.and_then(|pull| Some((pull.row, self.plan.rows.get(pull.row)?)));
        let Some((number, row)) = row else {
            return false;
        };
        let Some((name, values)) = divide::parts(&row.resource_type) else {
            return false;
        };
        if row.parameters.iter().any(|(known, _)| known == name) {
            return false;
        }
        if let Some(pull) = self.pulls.get_mut(index) {
            pull.end(Standing::Divided);
        }
        for part in 0..values.len() {
            self.add_pull(PullPoint {
                row: number,
                part: Some(part),
                ..PullPoint::default()
            });
        }
        true
    }

    pub(super) fn add_pull(&mut self, point: PullPoint) {
        let backoff = Backoff::new(self.seed ^ ((1 << 20) + self.pulls.len() as u64));
        let pull = Pull::new(point, &self.plan, &self.ehr, &self.included, backoff);
        self.pulls.push(pull);
    }
}
