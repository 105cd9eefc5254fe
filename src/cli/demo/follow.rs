//! A progress bar over event time: the feed's length is known in days, not in records.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::flow::{Span, Timestamp};
use crate::pipeline::progress::Progress;
use crate::report::charts::ShownPeriod;
use crate::report::words;

const PAUSE: Duration = Duration::from_millis(100);

/// A bar that follows a run through the period until its task is aborted.
pub fn follow(progress: Arc<Progress>, period: ShownPeriod) -> (ProgressBar, JoinHandle<()>) {
    let bar = ProgressBar::new(minutes(period.from, period.to));
    let shape = "{spinner} {bar:40} {percent:>3} %  {msg}";
    if let Ok(style) = ProgressStyle::with_template(shape) {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let task = tokio::spawn(async move {
        loop {
            let watermark = Timestamp(progress.watermark.load(Ordering::Relaxed));
            let reached = watermark.max(period.from).min(period.to);
            let records = progress.records.load(Ordering::Relaxed);
            shown.set_position(minutes(period.from, reached));
            shown.set_message(format!(
                "{}, {} records",
                words::moment(reached, chrono_tz::Tz::UTC),
                words::grouped(records)
            ));
            shown.tick();
            tokio::time::sleep(PAUSE).await;
        }
    });
    (bar, task)
}

fn minutes(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.0 - from.0) / Span::MINUTE.0).unwrap_or(0)
}
