//! The list of hospitals on the connect page, as a patient reads and uses it.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::browser::{Browser, Glance, Key};

/// The field. JHE's page has it ready; on others the page makes one.
const FIELD: &str = ".jc-search";

/// The line above the list until it is known what there is for what was typed. Then the rows change.
const SEARCHING: &str = "Searching…";

/// Reads what is drawn. What is hidden is not read.
const READ: &str = "
    const field = document.querySelector('.jc-search');
    if (!field || !field.getClientRects().length) return null;
    const picker = field.closest('.jc-picker');
    const text = (selector) => picker.querySelector(selector)?.innerText ?? '';
    const rows = [...picker.querySelectorAll('[role=option]')].filter((row) => row.getClientRects().length);
    const marked = document.getElementById(field.getAttribute('aria-activedescendant'));
    return {
        query: field.value,
        is_closed: field.disabled,
        status: text('.jc-found'),
        rows: rows.map((row) => row.innerText),
        marked: marked?.innerText ?? null,
        trouble: text('.jc-trouble'),
        missing: text('.jc-missing'),
        is_missing_told: picker.querySelector('.jc-missing')?.open ?? false,
    };";

/// What the patient sees of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Hospitals {
    /// What is in the field.
    pub query: String,
    /// A hospital was picked, and nothing can be changed any more.
    pub is_closed: bool,
    /// The line above the list.
    pub status: String,
    /// The rows, each with all its lines.
    pub rows: Vec<String>,
    /// The row that the keys have marked.
    pub marked: Option<String>,
    /// What went wrong, if anything did.
    pub trouble: String,
    /// What is offered to who does not find a hospital: the whole text if it is open.
    pub missing: String,
    /// Is it open?
    pub is_missing_told: bool,
}

impl Hospitals {
    /// The number of the first row that names this hospital.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.contains(name))
    }
}

impl Browser {
    /// What the list of hospitals shows now, if there is one.
    pub async fn hospitals_now(&self) -> Result<Option<Hospitals>> {
        self.evaluate(READ).await
    }

    /// What the list of hospitals shows as soon as it is as expected. Fails at once if our page stops.
    pub async fn hospitals_are(
        &self,
        expected: &str,
        is_so: impl Fn(&Hospitals) -> bool,
    ) -> Result<Hospitals> {
        self.until(expected, async || {
            if let Some(screen) = self.screen_now().await?
                && screen.state.is_final()
            {
                return Ok(Glance::Never(format!("our page stopped: {screen}")));
            }
            Ok(match self.hospitals_now().await? {
                Some(hospitals) if is_so(&hospitals) => Glance::Seen(hospitals),
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// The list shows this line above its rows.
    pub async fn hospitals_say(&self, status: &str) -> Result<Hospitals> {
        self.hospitals_are(&format!("the line {status:?}"), |it| it.status == status)
            .await
    }

    /// The search has come to its end, and the list has a row that names this hospital.
    pub async fn hospital_is_listed(&self, name: &str) -> Result<Hospitals> {
        let expected = format!("{name} among the hospitals");
        self.hospitals_are(&expected, |it| {
            it.status != SEARCHING && it.place_of(name).is_some()
        })
        .await
    }

    /// Puts the cursor into the field, as a tap on it does.
    pub async fn tap_search(&self) -> Result<()> {
        self.click(FIELD).await
    }

    /// Types this into the field, in place of what is there.
    pub async fn search_for(&self, name: &str) -> Result<()> {
        self.hospitals_are("the list of hospitals", |it| !it.is_closed)
            .await?;
        self.tap_search().await?;
        let () = self
            .evaluate(&format!("document.querySelector('{FIELD}').select()"))
            .await?;
        match name {
            "" => self.press(&[Key::Backspace]).await,
            name => self.type_text(name).await,
        }
    }

    /// Marks the row of this hospital with the keys.
    pub async fn mark_hospital(&self, name: &str) -> Result<()> {
        let listed = self.hospital_is_listed(name).await?;
        let place = listed.place_of(name).context("a row")?;
        self.press(&vec![Key::Down; place + 1]).await?;
        match self.hospitals_now().await?.and_then(|it| it.marked) {
            Some(marked) if marked.contains(name) => Ok(()),
            other => bail!("expected {name} to be marked, found {other:?}"),
        }
    }

    /// Picks a hospital by its name with the keys alone, and returns when the next page is there.
    pub async fn pick_by_keys(&self, name: &str) -> Result<()> {
        self.search_for(name).await?;
        self.mark_hospital(name).await?;
        self.goes_on_by(async || self.press(&[Key::Enter]).await)
            .await
    }

    /// Taps the row of a hospital that is listed, and returns when the next page is there.
    pub async fn tap_hospital(&self, name: &str) -> Result<()> {
        let listed = self.hospital_is_listed(name).await?;
        let place = listed.place_of(name).context("a row")?;
        let row = format!("#jc-option-{place}");
        self.goes_on_by(async || self.click(&row).await).await
    }

    /// Does what picks a hospital. Who answers by hand is asked first whether to go there.
    async fn goes_on_by(&self, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        if !self.answers_by_hand() {
            return self.leaves_by(act).await;
        }
        act().await?;
        self.until("another page, or another screen", async || {
            if self.screen_now().await?.is_none() {
                return Ok(Glance::Seen(()));
            }
            Ok(match self.hospitals_now().await? {
                Some(hospitals) if !hospitals.is_closed => Glance::NotYet,
                _ => Glance::Seen(()),
            })
        })
        .await
    }
}
