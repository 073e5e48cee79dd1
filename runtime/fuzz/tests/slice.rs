//! The short search, with every test: each target, over seeds that it accepts.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

use kos_fuzz::{Target, Verdict, mutation, seeds, targets};

/// Changed inputs for each target: some seconds in all, without optimisation.
const COUNT: usize = 10_000;

/// Runs `judge` for every target, on every processor; returns what went wrong.
fn for_each(judge: impl Fn(&Target) -> Result<(), String> + Sync + panic::RefUnwindSafe) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(target) = targets::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match panic::catch_unwind(|| judge(target)) {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => wrong.push(format!("{}: {cause}", target.name)),
                Err(_) => wrong.push(format!("{}: it panicked", target.name)),
            }
        }
        wrong
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a judgement is caught")).collect()
    })
}

#[test]
fn every_target_accepts_its_seeds() {
    let wrong = for_each(|target| {
        let seeds = seeds::of(target.name).map_err(|error| error.to_string())?;
        let accepted = seeds.iter().map(|seed| target.check(seed).map_err(|finding| finding.to_string()));
        let accepted = accepted.collect::<Result<Vec<_>, _>>()?;
        if accepted.contains(&Verdict::Accepted) { Ok(()) } else { Err("no seed is accepted".to_owned()) }
    });
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_parser_panics_and_what_is_accepted_comes_out_as_it_must() {
    let count = std::env::var("KOS_FUZZ_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(COUNT);
    let wrong = for_each(|target| {
        let seeds = seeds::of(target.name).map_err(|error| error.to_string())?;
        mutation::search(target, &seeds, count).map(drop).map_err(|finding| finding.to_string())
    });
    assert_eq!(wrong, [""; 0]);
}
