//! Writing to JHE: one record a request, or many.

use super::*;

impl ImportRun {
    pub(super) fn write(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        let is_check_near = match self.check {
            Check::Idle => false,
            Check::Due(at) => now >= at || !self.is_checked,
            Check::UnderWay(..) => true,
        };
        let is_paused = !self.is_counting() && (self.failed_in_a_row >= LOST_IN_A_ROW);
        if self.stop.is_some()
            || self.wish != Wish::GoOn
            || is_check_near
            || is_paused
            || now < self.hold
            || self.writing.len() >= self.pace.limit()
        {
            return None;
        }
        let (parcels, octets) = match self.is_counting() {
            true => self.next_batch()?,
            false => self.next_record()?,
        };
        let target = self.target.as_ref()?;
        let identity = self.deployment.identity;
        let request = match (self.is_counting(), parcels.first()) {
            (false, Some(parcel)) => {
                let body = identity.outgoing(&parcel.record, self.ehr.issuer.as_str());
                let row = self.pulls.get(parcel.pull).map_or(0, |pull| pull.row);
                let row = self.plan.rows.get(row);
                let resource_type = row.map_or("", |row| &row.resource_type);
                write_request(&target.jhe, resource_type, target.source, body)
            }
            _ => {
                let records = parcels.iter().map(|parcel| parcel.record.text());
                batch_request(&target.jhe, target.source, records, octets)
            }
        };
        let task = self.new_task();
        self.writing.push(Flight {
            task,
            parcels,
            octets,
            sent_at: now,
        });
        Some((task, request))
    }

    /// The next record that JHE does not hold.
    fn next_record(&mut self) -> Option<(Vec<Parcel>, usize)> {
        loop {
            let parcel = self.pop()?;
            if !self.held.has(&parcel.record, self.ehr.issuer.as_str()) {
                return Some((alloc::vec![parcel], 0));
            }
            let is_own = self.credit > 0;
            let is_earlier = !is_own && self.there < self.held_before.unwrap_or(u32::MAX);
            self.credit = self.credit.saturating_sub(1);
            self.there += u32::from(is_earlier);
            self.close(&parcel, &|tally| match (is_own, is_earlier) {
                // Stored by this run before it was cut off,
                (true, _) => tally.stored += 1,
                // or by an earlier one,
                (_, true) => tally.already_there += 1,
                // or listed again, and counted where it was listed first.
                _ => tally.repeated += 1,
            });
        }
    }

    /// A full batch, or what there is if nothing more is to be expected soon.
    fn next_batch(&mut self) -> Option<(Vec<Parcel>, usize)> {
        let is_more_to_come = self.is_more_to_come();
        let is_full =
            self.queue.len() >= self.batch_records || self.queue_octets >= self.batch_octets;
        if is_more_to_come && !is_full {
            return None;
        }
        let mut parcels = Vec::new();
        let mut octets = 0;
        while parcels.len() < self.batch_records
            && let Some(next) = self.queue.front()
            && (parcels.is_empty() || octets + next.record.text().len() <= self.batch_octets)
            && let Some(parcel) = self.pop()
        {
            octets += parcel.record.text().len();
            parcels.push(parcel);
        }
        (!parcels.is_empty()).then_some((parcels, octets))
    }

    /// Is a further record to be expected soon?
    fn is_more_to_come(&self) -> bool {
        let mut pulls = self.pulls.iter();
        let is_reading =
            |pull: &Pull| matches!(pull.reading, Reading::Ready | Reading::UnderWay(_));
        pulls.any(is_reading) || !self.fetching.is_empty()
    }

    fn pop(&mut self) -> Option<Parcel> {
        let parcel = self.queue.pop_front()?;
        self.queue_octets -= parcel.record.text().len();
        Some(parcel)
    }

    pub(super) fn requeue(&mut self, parcels: Vec<Parcel>) {
        for parcel in parcels.into_iter().rev() {
            self.queue_octets += parcel.record.text().len();
            self.queue.push_front(parcel);
        }
    }

    pub(super) fn finish_write(&mut self, flight: Flight, answer: &Answer, now: u64) {
        let Flight {
            parcels,
            octets,
            sent_at,
            ..
        } = flight;
        let count = parcels.len();
        match Outcome::of(answer, self.is_counting(), count) {
            Outcome::Each(written) => {
                self.pace.answered(now.saturating_sub(sent_at));
                self.write_backoff.reset();
                self.failed_in_a_row = 0;
                self.batch_records = (self.batch_records.max(count) * 2).min(BATCH_RECORDS);
                for (parcel, written) in parcels.into_iter().zip(written) {
                    self.note(&parcel, &written);
                }
            }
            Outcome::SessionExpired => {
                self.requeue(parcels);
                self.stop = Some(Stop::JheSessionExpired);
            }
            Outcome::TooLarge(reason) if count == 1 => self.refuse_all(&parcels, &reason),
            Outcome::TooLarge(_) => {
                self.batch_octets = octets / 2;
                self.requeue(parcels);
            }
            // Sent before the wait began, it says nothing new.
            Outcome::Busy(..) if now < self.hold => self.requeue(parcels),
            Outcome::Busy(asked_ms, reason) => {
                self.pace.congested();
                self.requeue(parcels);
                match self.write_backoff.wait(asked_ms) {
                    Some(wait) => self.hold = now.saturating_add(wait),
                    None => self.stop = Some(Stop::JheFailing(reason)),
                }
            }
            Outcome::Unsettled(reason, error) => {
                self.pace.congested();
                self.failed_in_a_row += 1;
                match self.is_counting() {
                    true => self.repeat(parcels, reason, error, now),
                    false => self.unsettle(parcels, &reason, error, now),
                }
            }
        }
    }

    /// The answer to a batch was lost. JHE updates what it holds, so that the same records may be sent again: fewer at
    /// once, since a time-out may be the reason, and one of them may be what JHE fails at.
    fn repeat(
        &mut self,
        parcels: Vec<Parcel>,
        reason: String,
        error: Option<TransportError>,
        now: u64,
    ) {
        let count = parcels.len();
        let tries = parcels.first().map_or(0, |parcel| parcel.tries);
        let wait = match error {
            None if count > 1 => Some(0),
            _ => self.write_backoff.wait(None),
        };
        match (wait, error) {
            _ if self.failed_in_a_row >= FAILED_IN_A_ROW => {
                self.stop = Some(Stop::JheFailing(reason));
            }
            (_, None) if count == 1 && tries + 1 >= TRIES => {
                self.write_backoff.reset();
                return self.refuse_all(&parcels, &reason);
            }
            (Some(wait), _) => self.hold = now.saturating_add(wait),
            (None, Some(error)) => self.stop = Some(Stop::JheUnreachable(error)),
            (None, None) => self.stop = Some(Stop::JheFailing(reason)),
        }
        self.batch_records = (count / 2).max(1);
        let is_alone = count == 1;
        let again = parcels.into_iter().map(|parcel| Parcel {
            tries: parcel.tries + u32::from(is_alone),
            is_lost: true,
            ..parcel
        });
        self.requeue(again.collect());
    }

    /// The answer to the write of one record was lost. It is not sent again before it is known that it did not arrive.
    fn unsettle(
        &mut self,
        parcels: Vec<Parcel>,
        reason: &str,
        error: Option<TransportError>,
        now: u64,
    ) {
        for parcel in parcels {
            self.unsettled.push(Parcel {
                record: parcel.record.alone(),
                // A network that fails says nothing against the record.
                tries: parcel.tries + u32::from(error.is_none()),
                reason: reason.into(),
                ..parcel
            });
        }
        if error == Some(TransportError::Offline) {
            self.failed_in_a_row = LOST_IN_A_ROW;
        }
        self.check = Check::Due(now.saturating_add(self.quiet_ms));
    }

    fn note(&mut self, parcel: &Parcel, written: &Written) {
        if !matches!(written, Written::Refused(_)) {
            self.is_fruitful = true;
        }
        self.close(parcel, &|tally| match written {
            Written::Stored => tally.stored += 1,
            Written::Adjusted(change) => tally.add_adjusted(change),
            Written::Refused(reason) => tally.add_refused(reason),
        });
    }

    pub(super) fn refuse(&mut self, parcel: &Parcel, reason: &str) {
        self.note(parcel, &Written::Refused(reason.into()));
    }

    fn refuse_all(&mut self, parcels: &[Parcel], reason: &str) {
        for parcel in parcels {
            self.refuse(parcel, reason);
        }
    }

    /// A record is done with; `count` counts it.
    pub(super) fn close(&mut self, parcel: &Parcel, count: &dyn Fn(&mut Tally)) {
        if let Some(pull) = self.pulls.get_mut(parcel.pull) {
            pull.accounts.close(parcel.page, count);
        }
    }
}
