//! How fast a webhook is posted to. Pure: the instants are handed in.
//!
//! The first [`Tempo::burst`] attempts of any hour may follow one another at [`Tempo::gap`]; from
//! then on there is one every [`Tempo::slow_gap`], and what waits meanwhile is told in one digest.
//! With the defaults that is never more than 60 an hour, and a grave breach that comes at the end
//! of a flood waits two minutes rather than the rest of the hour.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Delays and limits of delivery.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// At least so long from one attempt to the next.
    pub gap: Duration,
    /// The same once `burst` attempts were made within `span`.
    pub slow_gap: Duration,
    /// Attempts at the faster pace.
    pub burst: usize,
    /// Attempts within `span`, at most.
    pub most: usize,
    /// The length that `burst` and `most` are counted over.
    pub span: Duration,
    /// The wait after the first failed attempt; it doubles from one to the next.
    pub backoff: Duration,
    /// The longest wait after a failed attempt.
    pub longest_backoff: Duration,
    /// The longest wait that a `Retry-After` can ask for.
    pub longest_asked: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Default for Tempo {
    fn default() -> Tempo {
        Tempo {
            gap: Duration::from_secs(1),
            slow_gap: Duration::from_secs(120),
            burst: 30,
            most: 60,
            span: Duration::from_secs(3600),
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
            longest_asked: Duration::from_secs(300),
            timeout: Duration::from_secs(10),
        }
    }
}

impl Tempo {
    /// The wait after the `attempts`-th failed attempt.
    pub fn backoff_after(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        self.backoff.saturating_mul(1 << doublings).min(self.longest_backoff)
    }
}

/// The attempts of the last `span`.
#[derive(Debug, Default)]
pub struct PostPace {
    attempts: VecDeque<Instant>,
}

impl PostPace {
    /// An attempt begins at `now`.
    pub fn record(&mut self, now: Instant, tempo: &Tempo) {
        self.attempts.push_back(now);
        while self.attempts.len() > tempo.most.max(1) {
            self.attempts.pop_front();
        }
    }

    /// Whether the faster pace is used up at `now`.
    pub fn is_slow(&self, now: Instant, tempo: &Tempo) -> bool {
        let recent = self.attempts.iter().filter(|at| **at + tempo.span > now);
        recent.count() >= tempo.burst
    }

    /// The earliest instant for the next attempt, seen from `now`. In a `hurry` (the program
    /// ends) the slower pace is left out, the limit per `span` is not.
    pub fn turn(&self, now: Instant, tempo: &Tempo, hurry: bool) -> Instant {
        let Some(last) = self.attempts.back() else { return now };
        let gap = if !hurry && self.is_slow(now, tempo) { tempo.slow_gap } else { tempo.gap };
        let after_gap = *last + gap;
        let first = self.attempts.front().filter(|_| self.attempts.len() >= tempo.most);
        first.map_or(after_gap, |first| after_gap.max(*first + tempo.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_more_than_sixty_in_any_hour_nor_two_in_a_second() {
        let tempo = Tempo::default();
        let start = Instant::now();
        let mut pace = PostPace::default();
        let mut now = start;
        let mut sent = Vec::new();
        while now < start + Duration::from_secs(3 * 3600) {
            now = now.max(pace.turn(now, &tempo, false));
            pace.record(now, &tempo);
            sent.push(now);
        }
        for (index, at) in sent.iter().enumerate() {
            let hour = sent[index..].iter().filter(|other| **other < *at + tempo.span).count();
            assert!(hour <= 60, "{hour} from attempt {index} on");
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)));
        assert_eq!(sent[29] - start, Duration::from_secs(29));
        assert_eq!(sent[30] - sent[29], Duration::from_secs(120));
    }

    #[tokio::test]
    async fn a_hurry_shortens_the_gap_but_keeps_the_hourly_limit() {
        let tempo = Tempo::default();
        let start = Instant::now();
        let mut pace = PostPace::default();
        for second in 0..60 {
            pace.record(start + Duration::from_secs(second), &tempo);
        }
        let now = start + Duration::from_secs(60);
        assert_eq!(pace.turn(now, &tempo, true), start + Duration::from_secs(3600));
    }

    #[test]
    fn back_off_doubles_up_to_a_minute() {
        let tempo = Tempo::default();
        let waits: Vec<u64> =
            (1..9).map(|attempt| tempo.backoff_after(attempt).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
