//! Ratios taken in one run: the two sides alternate, so that a machine whose speed drifts slows both.

use std::time::{Duration, Instant};

/// Alternating measurements of one thing and of its limit.
pub(crate) struct Ratio {
    ours: Vec<Duration>,
    limit: Vec<Duration>,
}

impl Ratio {
    /// Measures both sides `rounds` times, after a warm-up round. What a side returns is dropped after its time is taken.
    pub(crate) fn measure<T, L>(
        rounds: usize,
        mut ours: impl FnMut() -> T,
        mut limit: impl FnMut() -> L,
    ) -> Self {
        let mut ratio = Self { ours: Vec::new(), limit: Vec::new() };
        for round in 0..=rounds {
            let times = (time(&mut ours), time(&mut limit));
            if round > 0 {
                ratio.ours.push(times.0);
                ratio.limit.push(times.1);
            }
        }
        ratio
    }

    /// Prints both medians and their ratio; `per` operations were done in each measurement.
    pub(crate) fn report(mut self, name: &str, goal: f64, per: u32) {
        let (ours, limit) = (median(&mut self.ours) / per, median(&mut self.limit) / per);
        let ratio = ours.as_secs_f64() / limit.as_secs_f64();
        let word = if ratio <= goal { "reached" } else { "not reached" };
        println!("{name}: {ours:.2?} against {limit:.2?} = {ratio:.2} × (goal <= {goal:.2}: {word})");
    }
}

fn time<T>(work: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let value = work();
    let time = start.elapsed();
    drop(value);
    time
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
