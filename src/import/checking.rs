//! Reading back what JHE holds: before the first write, after writes of which the answer was lost, and at the end.

use super::*;

impl ImportRun {
    pub(super) fn check(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        if !self.may_check(now) {
            return None;
        }
        let is_over = self.pulls.iter().all(Pull::has_ended)
            && self.errands.is_empty()
            && self.fetching.is_empty()
            && self.queue.is_empty()
            && self.writing.is_empty()
            && self.unsettled.is_empty();
        let is_last = is_over && self.is_checked && self.is_counting() && self.is_fruitful;
        match self.check {
            Check::Idle if is_last && self.wish != Wish::Stop => {}
            Check::Due(at) if now >= at && self.writing.is_empty() => {}
            Check::UnderWay(..) => {}
            _ => return None,
        }
        let target = self.target.as_ref()?;
        if !matches!(self.check, Check::UnderWay(..)) {
            let inventory = Inventory::new(
                Rc::clone(&target.jhe),
                self.deployment.writing.unit,
                Rc::clone(&self.included),
                self.ehr.issuer.as_str().into(),
                target.sources.clone(),
            );
            self.check = Check::UnderWay(Box::new(inventory), None);
        }
        let task = TaskId(self.last_task + 1);
        if let Check::UnderWay(inventory, under_way) = &mut self.check
            && let Some(request) = inventory.next_request()
        {
            self.last_task = task.0;
            *under_way = Some(task);
            return Some((task, request));
        }
        None
    }

    /// Does JHE recognise records itself, so that there is nothing but their number to be asked for?
    pub(super) fn is_counting(&self) -> bool {
        self.deployment.writing.unit == Unit::Batch
    }

    pub(super) fn finish_check(&mut self, answer: Answer, now: u64) {
        let Check::UnderWay(mut inventory, _) = core::mem::replace(&mut self.check, Check::Idle)
        else {
            return;
        };
        inventory.receive(answer);
        if !inventory.is_at_end() {
            self.check = Check::UnderWay(inventory, None);
            return;
        }
        match inventory.finish() {
            Ok(held) => {
                self.check_backoff.reset();
                self.take_stock(held);
            }
            Err(error) => self.fail_check(error, now),
        }
    }

    fn fail_check(&mut self, error: InventoryError, now: u64) {
        let wait = match error {
            InventoryError::Failing(_) | InventoryError::Transport(_) => {
                self.check_backoff.wait(None)
            }
            _ => None,
        };
        match (wait, error) {
            (Some(wait), _) => self.check = Check::Due(now.saturating_add(wait)),
            (None, InventoryError::SessionExpired) => self.stop = Some(Stop::JheSessionExpired),
            // Then nobody knows how many rows are new: that is all that is lost.
            (None, _) if self.is_counting() => {
                self.is_checked = true;
                self.is_fruitful = false;
            }
            (None, error) => self.stop = Some(Stop::NotChecked(error)),
        }
    }

    fn take_stock(&mut self, held: Held) {
        if !self.is_checked {
            self.is_checked = true;
            let stored = self.settled_stored();
            // Once something was written, what was there before can't be asked any more.
            if stored == 0 {
                self.held_before.get_or_insert(held.count());
            }
            let before = self.held_before.unwrap_or(held.count());
            let known = before + stored + self.credit;
            self.credit += held.count().saturating_sub(known);
            self.held = held;
        } else if self.is_counting() {
            let before = self.held_before;
            self.new_rows = before.map(|before| held.count().saturating_sub(before));
            self.is_fruitful = false;
        } else {
            self.held = held;
            self.settle();
        }
    }

    /// Every write of which the answer was lost is now known to have arrived, or not to.
    fn settle(&mut self) {
        let mut missing = Vec::new();
        for parcel in core::mem::take(&mut self.unsettled) {
            if self.held.has(&parcel.record, self.ehr.issuer.as_str()) {
                self.is_fruitful = true;
                self.close(&parcel, &|tally| tally.stored += 1);
            } else if parcel.tries >= TRIES {
                self.refuse(&parcel, &parcel.reason);
            } else {
                missing.push(parcel);
            }
        }
        self.fruitless_checks = match self.is_fruitful {
            true => 0,
            false => self.fruitless_checks + 1,
        };
        self.is_fruitful = false;
        self.failed_in_a_row = 0;
        if self.fruitless_checks >= FRUITLESS_CHECKS
            && let Some(parcel) = missing.first()
        {
            self.stop = Some(Stop::JheFailing(parcel.reason.clone()));
        }
        self.requeue(missing);
    }

    fn settled_stored(&self) -> u32 {
        let settled = self.pulls.iter().map(|pull| pull.accounts.settled().stored);
        settled.sum()
    }
}
