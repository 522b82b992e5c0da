//! Middle and range of a few numbers.

/// What is told of a number of measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Spread {
            median,
            least,
            most,
        })
    }

    /// How the middles compare.
    pub(crate) fn ratio(self, to: Spread) -> Option<f64> {
        (to.median > 0.0).then(|| self.median / to.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        let spread = Spread::of([9.0, 1.0, 4.0]).expect("numbers");
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 4.0, 9.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(
            Spread::of([4.0, 1.0, 3.0, 90.0]).map(|it| it.median),
            Some(3.5)
        );
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_those_of_the_medians() {
        let ours = Spread::of([1.0, 2.0, 30.0]).expect("numbers");
        let peer = Spread::of([4.0]).expect("a number");
        assert_eq!(ours.ratio(peer), Some(0.5));
        assert_eq!(ours.ratio(Spread::of([0.0]).expect("a number")), None);
    }
}
