//! Points → path data.

use super::push_point;

/// Runs of neighbouring points as lines: a gap in the values is a gap in the line. A point without
/// neighbours becomes a line without length, which round caps show as a dot.
pub fn lines(runs: &[Vec<(f64, f64)>]) -> String {
    let mut data = String::new();
    for run in runs {
        for (place, point) in run.iter().enumerate() {
            push_point(&mut data, if place == 0 { 'M' } else { 'L' }, *point);
        }
        if let [only] = run.as_slice() {
            push_point(&mut data, 'L', *only);
        }
    }
    data
}

/// The area between two lines over the same places, run by run.
pub fn bands(tops: &[Vec<(f64, f64)>], bottoms: &[Vec<(f64, f64)>]) -> String {
    let mut data = String::new();
    for (top, bottom) in tops.iter().zip(bottoms) {
        let around = top.iter().chain(bottom.iter().rev());
        for (place, point) in around.enumerate() {
            push_point(&mut data, if place == 0 { 'M' } else { 'L' }, *point);
        }
        if !top.is_empty() {
            data.push('Z');
        }
    }
    data
}

/// Parts values at places where the next is more than `step` further.
pub fn runs<T>(
    values: impl IntoIterator<Item = T>,
    at: impl Fn(&T) -> i64,
    step: i64,
) -> Vec<Vec<T>> {
    let mut runs: Vec<Vec<T>> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| at(&value) - at(last) <= step) => {
                run.push(value);
            }
            Some(_) | None => runs.push(vec![value]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_parts_a_line() {
        let parts = runs([1, 2, 3, 5, 9, 10], |value| *value, 1);
        assert_eq!(parts, [vec![1, 2, 3], vec![5], vec![9, 10]]);
        let points = [vec![(0.0, 1.0), (2.0, 3.5)], vec![(4.0, 4.0)]];
        assert_eq!(lines(&points), "M0 1L2 3.5M4 4L4 4");
    }

    #[test]
    fn a_band_goes_there_above_and_back_below() {
        let data = bands(&[vec![(0.0, 1.0), (2.0, 2.0)]], &[vec![(0.0, 5.0), (2.0, 6.0)]]);
        assert_eq!(data, "M0 1L2 2L2 6L0 5Z");
    }
}
