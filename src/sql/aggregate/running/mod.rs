//! Running aggregates: states enter a sliding window and leave it, results are read in between.
//!
//! The cost of a slide is that of the panes that come and go and of the groups that are read; the
//! window's length does not matter, but for windows that share no panes: their percentiles are sorted as
//! a whole. A running aggregate reads the same state arrays as DataFusion's
//! accumulator of the function; a function that has none here is merged anew for each window.

pub mod bucket_counts;
pub mod count;
pub mod cuts;
pub mod exact_sum;
pub mod extreme;
pub mod int_sum;
pub mod lists;
pub mod multisets;
pub mod percentile;
pub mod side_by_side;
pub mod sketch;
pub mod sorted_counts;
pub mod sorted_values;
pub mod whole;
pub mod window_lists;

use arrow::array::ArrayRef;
use datafusion::common::Result;

/// One aggregate's states over a sliding window, by dense group number.
pub trait Running: Send {
    /// Makes room for groups below `groups`.
    fn grow(&mut self, groups: usize);

    /// State row `i`, collected in `pane`, enters for `groups[i]`.
    fn add(&mut self, groups: &[u32], states: &[ArrayRef], pane: i64) -> Result<()>;

    /// State row `i`, added before with the same pane, leaves `groups[i]`. The arrays are those that
    /// were added, not others with the same values.
    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], pane: i64) -> Result<()>;

    /// Everything leaves these groups.
    fn reset(&mut self, groups: &[u32]);

    /// Appends the current results of these groups to the outputs.
    fn read(&mut self, groups: &[u32]) -> Result<()>;

    /// The outputs since the last call, one array per output.
    fn take_outputs(&mut self) -> Vec<ArrayRef>;

    /// Bytes held.
    fn size(&self) -> usize;
}
