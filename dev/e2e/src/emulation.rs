//! The circumstances in which a patient reads a page: the device, what its settings ask for, the language, how fast it is.

use anyhow::Result;
use serde_json::{Value, json};

use crate::browser::{Browser, Capability, Engine};
use crate::{chromium, firefox, webkit};

/// A screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The width, in CSS pixels.
    pub width: u32,
    /// The height.
    pub height: u32,
    /// Pixels of the screen for one of CSS.
    pub ratio: u32,
    /// Is it held in a hand, and touched?
    pub is_mobile: bool,
}

impl Device {
    /// A phone of today.
    pub const PHONE: Self = Self::of(390, 844, 2, true);
    /// The narrowest that WCAG 1.4.10 asks for.
    pub const NARROW: Self = Self::of(320, 640, 2, true);
    /// A window on a desktop.
    pub const DESKTOP: Self = Self::of(1280, 900, 1, false);

    const fn of(width: u32, height: u32, ratio: u32, is_mobile: bool) -> Self {
        Self {
            width,
            height,
            ratio,
            is_mobile,
        }
    }

    /// As this device shows a page that is zoomed to twice its size: half as many CSS pixels, each twice as large.
    pub const fn zoomed(self) -> Self {
        Self::of(
            self.width / 2,
            self.height / 2,
            self.ratio * 2,
            self.is_mobile,
        )
    }
}

/// `prefers-color-scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    #[default]
    Light,
    /// Light on dark.
    Dark,
}

/// `prefers-reduced-motion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Motion {
    /// As pages like it.
    #[default]
    Any,
    /// As little as possible.
    Reduced,
}

/// `prefers-contrast`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contrast {
    /// As pages like it.
    #[default]
    Any,
    /// More than that.
    More,
    /// Less.
    Less,
}

/// `forced-colors`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// The page's own.
    #[default]
    Own,
    /// Those of the system, as in Windows' high-contrast mode.
    Forced,
}

/// The language that the browser is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// American English.
    #[default]
    English,
    /// Spanish as in the United States, then any, then English.
    Spanish,
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The screen.
    pub device: Device,
    /// The colours that the patient prefers.
    pub scheme: Scheme,
    /// How much may move.
    pub motion: Motion,
    /// How much colours have to differ.
    pub contrast: Contrast,
    /// Whose colours are shown.
    pub colors: Colors,
    /// The language.
    pub language: Language,
    /// How many times slower than this machine the device is.
    pub slowness: u32,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self {
            device: Device::PHONE,
            scheme: Scheme::default(),
            motion: Motion::default(),
            contrast: Contrast::default(),
            colors: Colors::default(),
            language: Language::default(),
            slowness: 1,
        }
    }
}

impl Circumstances {
    /// What the settings ask for, as names and values of `@media`.
    pub(crate) fn media(&self) -> Vec<Value> {
        let features = [
            (
                "prefers-color-scheme",
                match self.scheme {
                    Scheme::Light => "light",
                    Scheme::Dark => "dark",
                },
            ),
            (
                "prefers-reduced-motion",
                match self.motion {
                    Motion::Any => "no-preference",
                    Motion::Reduced => "reduce",
                },
            ),
            (
                "prefers-contrast",
                match self.contrast {
                    Contrast::Any => "no-preference",
                    Contrast::More => "more",
                    Contrast::Less => "less",
                },
            ),
            (
                "forced-colors",
                match self.colors {
                    Colors::Own => "none",
                    Colors::Forced => "active",
                },
            ),
        ];
        let features = features.map(|(name, value)| json!({ "name": name, "value": value }));
        features.into()
    }
}

impl Browser {
    /// Shows pages in these circumstances from now on, the one that is open at once. Only the language waits for the next page.
    pub async fn emulate(&self, circumstances: Circumstances) -> Result<()> {
        match self.engine() {
            Engine::Chromium => chromium::emulate(self, circumstances).await?,
            Engine::Firefox => {
                if circumstances.contrast != Contrast::Any {
                    self.leaves_out(Capability::Contrast);
                }
                firefox::emulate(self, circumstances).await?;
            }
            Engine::WebKit => webkit::emulate(self, circumstances).await?,
        }
        if circumstances.slowness > 1 {
            self.leaves_out(Capability::Slowness);
        }
        self.remember(circumstances);
        Ok(())
    }
}
