//! A chart of records by year: what is drawn where. It is drawn elsewhere.
//!
//! All is in whole units of a box that scales; ten of them are a pixel on a narrow phone.

use alloc::string::String;
use alloc::vec::Vec;

use crate::language::{Message, Text, Value};
use crate::text::number;

/// The box: as wide as a page is on a phone 320 pixels wide.
pub const WIDTH: u32 = 2800;
/// Its height.
pub const HEIGHT: u32 = 1400;
/// The size of the letters in it.
pub const LETTERS: u32 = 140;

/// More bars can't be told apart on a phone.
const BARS: u32 = 30;
/// How many years a bar may stand for. Two centuries are the longest span that dates of records have.
const STEPS: [u32; 5] = [1, 2, 5, 10, 100];
/// Left and right of the bars, so that the first and the last year fit below theirs.
const MARGIN: u32 = 210;
/// Where the highest bar ends, below its number.
const TOP: u32 = 200;
/// Where the bars stand.
const BASE: u32 = 1200;
/// The line on which the years are written.
const YEARS: u32 = 1365;
/// Bars of few years would be boxes.
const WIDEST: u32 = 400;
/// What is there is to be seen, however little it is beside the highest.
const LOWEST: u32 = 15;
/// How wide a year is at most, with the sign that some languages add.
const YEAR_WIDTH: u32 = 490;
/// Between two texts.
const GAP: u32 = 60;

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// What each bar stands for, the earliest first.
    pub groups: Vec<Group>,
    /// How many years each bar stands for.
    pub step: u32,
    /// What is drawn.
    pub shapes: Vec<Shape>,
}

/// Years together in one bar, and how many records are of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The first of the years.
    pub first: u32,
    /// The last of them.
    pub last: u32,
    /// The records.
    pub count: u32,
}

/// Something in the box, the origin of which is at its top left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A bar, or the line on which they stand.
    Bar {
        /// Its left side.
        x: u32,
        /// Its upper side.
        y: u32,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A text.
    Text {
        /// Its middle.
        x: u32,
        /// The line on which it is written.
        y: u32,
        /// What it says.
        text: Value,
    },
}

impl Group {
    /// The years in words.
    pub fn years(&self) -> Value {
        match self.first == self.last {
            true => year(self.first),
            false => Text::Years.with([year(self.first), year(self.last)]).into(),
        }
    }
}

/// A year in the way of the language, which is no number with a separator in it.
pub fn year(year: u32) -> Value {
    Value::Date(number(u64::from(year)))
}

impl Chart {
    /// The chart of years with their counts, the earliest first. One year alone is none.
    pub fn of(years: &[(u32, u32)]) -> Option<Self> {
        let ((first, _), (last, _)) = (years.first()?, years.last()?);
        let group_count = |step: u32| (last / step).saturating_sub(first / step) + 1;
        let mut steps = STEPS.into_iter();
        let step = steps.find(|step| group_count(*step) <= BARS)?;
        let count = group_count(step);
        if first == last {
            return None;
        }
        let group = |index: u32| {
            let start = (first / step + index) * step;
            let end = start + step - 1;
            let within = years
                .iter()
                .filter(|(year, _)| (start..=end).contains(year));
            Group {
                // Not longer than what there is: a bar of years to come would make wonder.
                first: start.max(*first),
                last: end.min(*last),
                count: within.map(|(_, count)| count).sum(),
            }
        };
        let groups: Vec<Group> = (0..count).map(group).collect();
        Some(Chart {
            shapes: shapes(&groups),
            groups,
            step,
        })
    }

    /// The bar of most records, the earliest of several.
    pub fn highest(&self) -> Option<&Group> {
        highest(&self.groups)
    }

    /// The chart in words, for who does not see it.
    pub fn text(&self) -> Option<Message> {
        let (first, last) = (self.groups.first()?, self.groups.last()?);
        let highest = self.highest()?;
        Some(Text::ChartText.with([
            year(first.first),
            year(last.last),
            highest.years(),
            Text::Records.counted(highest.count).into(),
        ]))
    }
}

fn highest(groups: &[Group]) -> Option<&Group> {
    // Of equal ones `max_by_key` would give the last.
    groups.iter().rev().max_by_key(|group| group.count)
}

fn shapes(groups: &[Group]) -> Vec<Shape> {
    let count = groups.len() as u32;
    let highest = highest(groups).map_or(0, |group| group.count);
    let number_width = number_width(highest);
    let slot = (WIDTH - 2 * MARGIN) / count.max(1);
    let width = (slot * 3 / 4).min(WIDEST);
    let are_all_numbered = number_width + GAP <= slot;
    // The latest year is always named: it is what is looked for first.
    let named_every = (YEAR_WIDTH + GAP).div_ceil(slot).max(1);
    let mut shapes = Vec::new();
    let mut is_numbered = false;
    for (index, group) in (0..count).zip(groups) {
        let middle = MARGIN + index * slot + slot / 2;
        let height = height(group.count, highest);
        let y = BASE - height;
        if height > 0 {
            shapes.push(Shape::Bar {
                x: middle - width / 2,
                y,
                width,
                height,
            });
        }
        let is_highest = group.count == highest && !is_numbered;
        if is_highest || are_all_numbered && group.count > 0 {
            is_numbered = true;
            let margin = number_width / 2;
            shapes.push(Shape::Text {
                x: middle.clamp(margin, WIDTH - margin),
                y: y - GAP / 2,
                text: group.count.into(),
            });
        }
        if (count - 1 - index).is_multiple_of(named_every) {
            shapes.push(Shape::Text {
                x: middle,
                y: YEARS,
                text: year(group.first),
            });
        }
    }
    shapes.push(Shape::Bar {
        x: 0,
        y: BASE,
        width: WIDTH,
        height: 10,
    });
    shapes
}

fn height(count: u32, highest: u32) -> u32 {
    if count == 0 {
        return 0;
    }
    let whole = u64::from(BASE - TOP);
    let height = whole * u64::from(count) / u64::from(highest.max(1));
    u32::try_from(height).unwrap_or_default().max(LOWEST)
}

/// How wide a number is at most, with what stands between its thousands.
fn number_width(count: u32) -> u32 {
    let digits: String = number(u64::from(count));
    let digits = digits.len() as u32;
    digits * (LETTERS * 3 / 5) + digits.saturating_sub(1) / 3 * (LETTERS / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::language::testing::english;

    fn chart(years: &[(u32, u32)]) -> Chart {
        Chart::of(years).unwrap()
    }

    fn bars(chart: &Chart) -> Vec<(u32, u32, u32, u32)> {
        let bars = chart.shapes.iter().filter_map(|shape| match shape {
            Shape::Bar {
                x,
                y,
                width,
                height,
            } => Some((*x, *y, *width, *height)),
            Shape::Text { .. } => None,
        });
        bars.collect()
    }

    /// From where to where texts go on each line, from left to right.
    fn texts(chart: &Chart) -> Vec<(u32, i64, i64)> {
        let texts = chart.shapes.iter().filter_map(|shape| match shape {
            Shape::Bar { .. } => None,
            Shape::Text { x, y, text } => {
                let width = match text {
                    Value::Count(count) => number_width(u32::try_from(*count).unwrap()),
                    _ => YEAR_WIDTH,
                };
                let (x, half) = (i64::from(*x), i64::from(width) / 2);
                Some((*y, x - half, x + half))
            }
        });
        texts.collect()
    }

    fn written(chart: &Chart) -> Vec<String> {
        let texts = chart.shapes.iter().filter_map(|shape| match shape {
            Shape::Bar { .. } => None,
            Shape::Text { text, .. } => Some(english(Text::Years.with([text.clone()]))),
        });
        texts
            .map(|text| text.trim_end_matches(" to ").into())
            .collect()
    }

    #[test]
    fn one_year_alone_is_no_chart() {
        assert_eq!(Chart::of(&[]), None);
        assert_eq!(Chart::of(&[(2024, 7)]), None);
    }

    #[test]
    fn a_year_without_records_is_a_gap() {
        let chart = chart(&[(2019, 10), (2021, 5), (2022, 1)]);
        assert_eq!(chart.step, 1);
        assert_eq!(chart.groups.len(), 4);
        let bars = bars(&chart);
        let [first, third, fourth, _base] = bars.as_slice() else {
            panic!("{bars:?}");
        };
        assert_eq!([first.3, third.3, fourth.3], [1000, 500, 100]);
        assert_eq!(third.0 - first.0, 2 * (fourth.0 - third.0));
        assert_eq!(
            written(&chart),
            ["10", "2019", "2020", "5", "2021", "1", "2022"]
        );
    }

    #[test]
    fn of_many_years_the_highest_has_its_number_and_the_latest_its_name() {
        let years: Vec<_> = (1998..=2024).map(|year| (year, year - 1990)).collect();
        let chart = chart(&years);
        assert_eq!(chart.step, 1);
        assert_eq!(written(&chart), ["2003", "2010", "2017", "34", "2024"]);
    }

    #[test]
    fn more_years_than_there_is_room_for_are_put_together() {
        let chart = chart(&[(1951, 1), (1998, 3), (1999, 4), (2024, 2)]);
        assert_eq!(chart.step, 5);
        let groups: Vec<_> = chart
            .groups
            .iter()
            .filter(|group| group.count > 0)
            .collect();
        let all: Vec<_> = groups
            .iter()
            .map(|it| (it.first, it.last, it.count))
            .collect();
        assert_eq!(all, [(1951, 1954, 1), (1995, 1999, 7), (2020, 2024, 2)]);
        assert_eq!(
            english(chart.text().unwrap()),
            "A chart of your records from 1951 to 2024. The highest bar is 1995 to 1999: 7 records."
        );
    }

    #[test]
    fn of_equal_years_the_first_is_the_highest() {
        let chart = chart(&[(2020, 3), (2021, 3), (2022, 1)]);
        assert_eq!(
            english(chart.text().unwrap()),
            "A chart of your records from 2020 to 2022. The highest bar is 2020: 3 records."
        );
    }

    #[test]
    fn what_is_there_is_to_be_seen_however_little_it_is() {
        let chart = chart(&[(2020, 1), (2021, 90_000)]);
        assert_eq!(bars(&chart)[0].3, LOWEST);
    }

    prop_compose! {
        fn any_years()(first in 1900_u32..2030, gaps in prop::collection::vec((1_u32..9, 1_u32..2_000_000), 1..40)) -> Vec<(u32, u32)> {
            let mut year = first;
            let mut years = Vec::new();
            for (gap, count) in gaps {
                years.push((year, count));
                year += gap;
            }
            years
        }
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_box_or_lies_on_another(years in any_years()) {
            prop_assume!(years.len() > 1);
            let chart = chart(&years);
            prop_assert!(chart.groups.len() <= BARS as usize);
            for (x, y, width, height) in bars(&chart) {
                prop_assert!(width > 0 && x + width <= WIDTH && y + height <= HEIGHT);
            }
            let mut bars = bars(&chart);
            bars.pop();
            for pair in bars.windows(2) {
                prop_assert!(pair[0].0 + pair[0].2 < pair[1].0);
            }
            let texts = texts(&chart);
            for (index, (y, left, right)) in texts.iter().enumerate() {
                prop_assert!(*left >= 0 && *right <= i64::from(WIDTH));
                prop_assert!(*y >= LETTERS && *y <= HEIGHT);
                let others = texts.iter().skip(index + 1);
                let others = others.filter(|(line, ..)| line.abs_diff(*y) < LETTERS);
                for (_, other_left, other_right) in others {
                    prop_assert!(right < other_left || other_right < left);
                }
            }
        }

        #[test]
        fn every_record_is_in_a_bar_of_its_height(years in any_years()) {
            prop_assume!(years.len() > 1);
            let chart = chart(&years);
            for (year, _) in &years {
                let mut groups = chart.groups.iter();
                prop_assert!(groups.any(|it| (it.first..=it.last).contains(year) && it.count > 0));
            }
            let sum = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
            prop_assert_eq!(
                sum(&mut years.iter().map(|(_, count)| *count)),
                sum(&mut chart.groups.iter().map(|group| group.count))
            );
            let filled: Vec<_> = chart.groups.iter().filter(|group| group.count > 0).collect();
            let highest = chart.highest().unwrap().count;
            for (group, (_, y, _, height)) in filled.iter().zip(bars(&chart)) {
                prop_assert_eq!(y + height, BASE);
                let share = f64::from(group.count) / f64::from(highest) * 1000.0;
                prop_assert!((f64::from(height) - share).abs() <= 1.0 || height == LOWEST);
            }
        }
    }
}
