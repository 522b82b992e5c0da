//! Documents that records refer to are fetched and put into them before they are written.

use super::*;

/// So often a document is asked for.
const DOCUMENT_TRIES: u32 = 3;

/// A record on its way whose documents are fetched first.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) parcel: Parcel,
    /// Those that were not asked for yet.
    wanted: VecDeque<Attachment>,
    insertions: Vec<Insertion>,
    /// How many octets longer the record may become.
    room: usize,
    tries: u32,
    asked_with: u32,
    is_renewed: bool,
}

impl ImportRun {
    /// Sends a record on, by way of the documents that it refers to if there are any.
    pub(super) fn look_for_documents(&mut self, parcel: Parcel) {
        let wanted = attachments(&parcel.record);
        if !self.ehr.grants_documents() {
            for _ in &wanted {
                self.keep_reference(&parcel, &Kept::Forbidden);
            }
            return self.enqueue(parcel);
        }
        if wanted.is_empty() {
            return self.enqueue(parcel);
        }
        self.errands.push_back(Errand {
            room: BATCH_OCTETS.saturating_sub(parcel.record.text().len()),
            parcel,
            wanted: wanted.into(),
            insertions: Vec::new(),
            tries: 0,
            asked_with: 0,
            is_renewed: false,
        });
    }

    pub(super) fn fetch(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        while now >= self.errands_hold
            && !self.is_signed_out
            && self.has_room()
            && let Some(mut errand) = self.errands.pop_front()
        {
            let Some(attachment) = errand.wanted.front() else {
                self.deliver(errand);
                continue;
            };
            if !errand.is_renewed
                && let Some(request) = self.ehr.renewal_request(now, self.is_refused)
            {
                errand.is_renewed = true;
                self.errands.push_front(errand);
                return Some(self.renew(request));
            }
            let practice = self.ehr.practice_reference();
            let practice: Vec<_> = practice.iter().map(|it| (PRACTICE, it.as_str())).collect();
            let base = self.ehr.issuer.base();
            let token = &self.ehr.access_token;
            match attachment.request(base, &practice, token, errand.room) {
                Ok(request) => {
                    errand.asked_with = self.renewals;
                    let task = self.new_task();
                    self.fetching.push((task, errand));
                    return Some((task, request));
                }
                Err(kept) => {
                    self.give_up(&mut errand, &kept);
                    self.errands.push_front(errand);
                }
            }
        }
        None
    }

    pub(super) fn finish_fetch(&mut self, mut errand: Errand, answer: Answer, now: u64) {
        let is_over = matches!(&answer, Ok(response) if response.status == 401);
        if is_over {
            return self.fetch_with_another_token(errand, now);
        }
        errand.is_renewed = false;
        let (failure, asked_ms) = match &answer {
            Ok(response) if response.status == 429 || response.status >= 500 => {
                (Some(status_text(response.status)), response.retry_after_ms)
            }
            Ok(_) | Err(TransportError::TooLong) => (None, None),
            Err(error) => (Some(error.detail().into()), None),
        };
        if let Some(failure) = failure {
            errand.tries += 1;
            if errand.tries < DOCUMENT_TRIES
                && let Some(wait) = self.errands_backoff.wait(asked_ms)
            {
                self.errands_hold = now.saturating_add(wait);
            } else {
                self.give_up(&mut errand, &Kept::Failed(failure));
            }
            return self.errands.push_front(errand);
        }
        self.errands_backoff.reset();
        let Some(attachment) = errand.wanted.front() else {
            return self.deliver(errand);
        };
        let read = match answer {
            Ok(response) => attachment.read(&response, errand.room),
            Err(_) => Err(Kept::TooLong),
        };
        match read {
            Ok(insertion) => {
                errand.room = errand.room.saturating_sub(insertion.len());
                errand.insertions.push(insertion);
                errand.wanted.pop_front();
                errand.tries = 0;
                self.note_of(&errand.parcel, &|tally| tally.inlined += 1);
            }
            Err(kept) => self.give_up(&mut errand, &kept),
        }
        match errand.wanted.is_empty() {
            true => self.deliver(errand),
            false => self.errands.push_front(errand),
        }
    }

    /// The EHR did not accept the access token.
    fn fetch_with_another_token(&mut self, mut errand: Errand, now: u64) {
        if errand.asked_with == self.renewals {
            match self.ehr.refresh_token {
                Some(_) if !errand.is_renewed => self.is_refused = true,
                // It holds, and for this document it does not.
                _ if now < self.ehr.expires_at => self.give_up(&mut errand, &Kept::Forbidden),
                // The patient has to sign in again: what was not fetched yet stays where it is.
                _ => {
                    self.is_signed_out = true;
                    if let Some(pull) = self.pulls.get_mut(errand.parcel.pull)
                        && pull.error.is_none()
                    {
                        pull.fail(PageError::SignedOut);
                    }
                }
            }
        }
        self.errands.push_front(errand);
    }

    /// The first of the wanted documents stays where it is.
    fn give_up(&mut self, errand: &mut Errand, kept: &Kept) {
        errand.wanted.pop_front();
        errand.tries = 0;
        self.keep_reference(&errand.parcel, kept);
    }

    fn keep_reference(&mut self, parcel: &Parcel, kept: &Kept) {
        self.note_of(parcel, &|tally| tally.add_kept(&kept.text()));
    }

    fn note_of(&mut self, parcel: &Parcel, count: &dyn Fn(&mut Tally)) {
        if let Some(pull) = self.pulls.get_mut(parcel.pull) {
            pull.accounts.note(parcel.page, count);
        }
    }

    fn deliver(&mut self, errand: Errand) {
        let Errand {
            mut parcel,
            insertions,
            ..
        } = errand;
        if !insertions.is_empty() {
            let text = with_insertions(parcel.record.text(), &insertions);
            parcel.record = parcel.record.with_text(text);
        }
        self.enqueue(parcel);
    }
}
