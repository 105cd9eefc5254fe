//! Refuses windows that would be recomputed too often.

use datafusion::common::{Result, plan_err};

use super::query::Way;
use crate::flow::Span;

/// The most windows that one row may be in where windows are recomputed: each holds the row and runs
/// the whole query over it again. A day every five minutes has 288.
pub const MOST_RECOMPUTED: i64 = 288;

/// Refuses a recomputed window that overlaps more of its like than [`MOST_RECOMPUTED`].
pub fn refuse_long_recompute(way: &Way, table: &str, size: Span, slide: Span) -> Result<()> {
    let Way::Recompute(reason) = way else { return Ok(()) };
    let overlap = size.0 / slide.0.max(1);
    if overlap <= MOST_RECOMPUTED {
        return Ok(());
    }
    let longer = Span((size.0 + MOST_RECOMPUTED - 1) / MOST_RECOMPUTED);
    plan_err!(
        "{table} is computed anew for every window, because {reason}, and each row is in {overlap} \
         windows of {size} every {slide}; at most {MOST_RECOMPUTED} are recomputed: slide by \
         {longer} or more, or write the query so that it is computed incrementally \
         (`turnaround explain`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_window_is_recomputed_only_so_often() {
        let way = Way::Recompute("it joins two relations".to_owned());
        let minutes = |minutes: i64| Span(minutes * Span::MINUTE.0);
        let day = minutes(24 * 60);
        refuse_long_recompute(&way, "t", day, minutes(5)).expect("288 are let through");
        let refused = refuse_long_recompute(&way, "t_30d", minutes(30 * 24 * 60), minutes(60));
        let told = refused.expect_err("720 are not").to_string();
        // A 288th of 30 days is two hours and a half.
        for part in ["t_30d", "it joins two relations", "720 windows", "slide by 150m or more"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
