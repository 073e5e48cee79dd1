//! A launch of `hello` inside a running host, signature and grant judged, its entry durable, against what it cannot do
//! without: wasmtime's own instantiation and one `fdatasync`. Then the same for whole runs, one and 64 at a time.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

mod ratio;
mod raw;
mod world;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use kos_host::Run;
use ratio::Ratio;
use raw::Raw;
use world::{World, quiet};

const ROUNDS: usize = 300;
/// What an entry of a launch has, in bytes.
const ENTRY: usize = 1_100;
const AT_ONCE: usize = 64;

fn main() {
    let bytes = std::fs::read(raw::agent("hello")).unwrap();
    let world = World::new();
    let loaded = world.loaded("hello", &bytes, "\"identity.self\" = {}\n");
    let raw = Raw::new(&bytes);
    let disk = Disk::new();

    Ratio::measure(
        ROUNDS,
        || Begun(Some(world.host.start(&loaded, quiet()).unwrap())),
        || {
            disk.append();
            raw.instantiated()
        },
    )
    .report("launch in a running host, until the entry is durable", 1.2, 1);

    Ratio::measure(
        ROUNDS,
        || drop(world.host.start(&loaded, quiet()).unwrap().wait()),
        || {
            disk.append();
            raw.run();
            disk.append();
        },
    )
    .report("whole run in a running host, both entries durable", 1.2, 1);

    let at_once = || {
        let runs: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..AT_ONCE).map(|_| scope.spawn(|| world.host.start(&loaded, quiet()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        runs.into_iter().for_each(|run| drop(run.wait()));
    };
    let one_by_one = || (0..AT_ONCE).for_each(|_| drop(world.host.start(&loaded, quiet()).unwrap().wait()));
    Ratio::measure(20, at_once, one_by_one).report("64 runs at once against 64 one after the other", 1.0, 64);
}

/// A run that is waited for before the next measurement.
struct Begun(Option<Run>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.take().map(Run::wait);
    }
}

/// A file to which one entry at a time is appended durably.
struct Disk {
    file: File,
    end: std::cell::Cell<u64>,
}

impl Disk {
    fn new() -> Self {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![0; (2 * ROUNDS + 4) * ENTRY * 4], 0).unwrap();
        file.sync_all().unwrap();
        Self { file, end: std::cell::Cell::new(0) }
    }

    fn append(&self) {
        self.file.write_all_at(&[7; ENTRY], self.end.get()).unwrap();
        self.file.sync_data().unwrap();
        self.end.set(self.end.get() + ENTRY as u64);
    }
}
