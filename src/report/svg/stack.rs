//! Series → what lies on what.

/// For each series and place, the bottom and the top of its layer; the first series lies lowest.
/// Negative values count as nothing; shorter series end early.
pub fn stacked(series: &[Vec<f64>]) -> Vec<Vec<(f64, f64)>> {
    let places = series.iter().map(Vec::len).max().unwrap_or(0);
    let mut reached = vec![0.0_f64; places];
    let layer = |values: &Vec<f64>| {
        let lay = |(value, top): (&f64, &mut f64)| {
            let bottom = *top;
            *top += value.max(0.0);
            (bottom, *top)
        };
        values.iter().zip(reached.iter_mut()).map(lay).collect()
    };
    series.iter().map(layer).collect()
}

/// Shares of the whole, added up: the line of a Pareto chart. Nothing where the whole is nothing.
pub fn cumulative(values: &[f64]) -> Vec<f64> {
    let whole: f64 = values.iter().sum();
    if whole <= 0.0 {
        return Vec::new();
    }
    let add = |sum: &mut f64, value: &f64| {
        *sum += value;
        Some(*sum / whole)
    };
    values.iter().scan(0.0, add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_lie_on_one_another() {
        let series = [vec![1.0, 2.0, 0.0], vec![3.0, -1.0], vec![2.0, 5.0, 7.0]];
        let expected = [
            vec![(0.0, 1.0), (0.0, 2.0), (0.0, 0.0)],
            vec![(1.0, 4.0), (2.0, 2.0)],
            vec![(4.0, 6.0), (2.0, 7.0), (0.0, 7.0)],
        ];
        assert_eq!(stacked(&series), expected);
        assert!(stacked(&[]).is_empty());
    }

    #[test]
    fn shares_add_up_to_one() {
        assert_eq!(cumulative(&[5.0, 3.0, 2.0]), [0.5, 0.8, 1.0]);
        assert!(cumulative(&[0.0, 0.0]).is_empty());
    }
}
