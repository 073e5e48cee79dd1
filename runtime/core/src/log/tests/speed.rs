//! How fast, against the limit measured in the same run: `cargo test -p kos-core --release --lib log::tests::speed --
//! --ignored --nocapture --test-threads 1`. Rounds alternate, as a shared disk drifts by the minute.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use super::*;
use crate::crypto::{Signer, pae};
use crate::log::entry::PAYLOAD_TYPE;
use crate::log::tile::Edge;
use crate::log::tree::leaf_hash;
use crate::log::verify::verify;

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn launch(number: u64) -> Event {
    Event::new(
        EventType::AgentLaunch,
        PartyType::Agent,
        "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
    )
    .on("component", "sha256:7d9bd1a9e1a6b1f9a8f1b6c7d8e9fa0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f")
    .with("run", format!("{number:032x}"))
    .with("host", "2f1c0d3e4b5a69788796a5b4c3d2e1f0")
}

/// The least that a durable, signed, hashed entry costs: leaf, node and signature of each, one `fdatasync` for all.
fn limit(
    file: &File,
    offset: &mut u64,
    edge: &mut Edge,
    entries: &[Vec<u8>],
    signer: &SecretKey,
) -> Duration {
    let start = Instant::now();
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&signer.sign(&pae(PAYLOAD_TYPE, entry)).unwrap());
        bytes.extend_from_slice(entry);
        edge.push(leaf_hash(entry), |_| {});
    }
    file.write_all_at(&bytes, *offset).unwrap();
    file.sync_data().unwrap();
    *offset += bytes.len() as u64;
    start.elapsed()
}

#[test]
#[ignore = "measures"]
fn appending_in_groups_against_the_limit() {
    let folder = tempfile::tempdir_in(
        std::env::var_os("KOS_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into()),
    )
    .unwrap();
    for (group, rounds) in [(1_u64, 400), (64, 60), (256, 40)] {
        let log = open(&folder.path().join(format!("log {group}"))).unwrap();
        let file = File::create(folder.path().join(format!("raw {group}"))).unwrap();
        let (mut offset, mut edge) = (0, Edge::default());
        let entries: Vec<Vec<u8>> = (0..group)
            .map(|number| {
                entry::Entry::seal(launch(number), "0".repeat(32), Timestamp::from_millis(1), &*host(1))
                    .unwrap()
            })
            .collect();
        let (mut ours, mut least, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            least.push(limit(&file, &mut offset, &mut edge, &entries, &host(1)));
            let events: Vec<Event> = (0..group).map(launch).collect();
            let start = Instant::now();
            log.shared.writer().commit(events, Vec::new).unwrap();
            ours.push(start.elapsed());
            let start = Instant::now();
            if group == 1 {
                log.append(launch(0)).unwrap();
            } else {
                std::thread::scope(|scope| {
                    for number in 0..group.min(64) {
                        let log = &log;
                        scope.spawn(move || (0..4).for_each(|_| assert!(log.append(launch(number)).is_ok())));
                    }
                });
            }
            threads.push(start.elapsed());
        }
        let (least, ours, threads) = (median(&mut least), median(&mut ours), median(&mut threads));
        let each = if group == 1 { 1 } else { 4 * group.min(64) };
        println!(
            "group {group}: limit {:.0}/s, batch {:.0}/s (ratio {:.2}); {} appends by threads {:.0}/s; entry {} bytes",
            group as f64 / least.as_secs_f64(),
            group as f64 / ours.as_secs_f64(),
            least.as_secs_f64() / ours.as_secs_f64(),
            each,
            f64::from(u32::try_from(each).unwrap()) / threads.as_secs_f64(),
            entries[0].len(),
        );
    }
}

#[test]
#[ignore = "measures"]
fn opening_closing_and_verifying() {
    let folder = tempfile::tempdir_in(
        std::env::var_os("KOS_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into()),
    )
    .unwrap();
    let mut times: Vec<(Duration, Duration, Duration)> = Vec::new();
    for _ in 0..600 {
        let start = Instant::now();
        let log = Log::open(folder.path(), ORIGIN, host(1), clock()).unwrap();
        let opened = start.elapsed();
        let start = Instant::now();
        log.append(launch(0)).unwrap();
        let appended = start.elapsed();
        let start = Instant::now();
        log.close().unwrap();
        times.push((opened, appended, start.elapsed()));
    }
    let of = |pick: fn(&(Duration, Duration, Duration)) -> Duration| {
        let mut list: Vec<Duration> = times.iter().map(pick).collect();
        (median(&mut list), list.get(list.len() * 99 / 100).copied().unwrap_or_default())
    };
    println!(
        "short process: open {:?}, append {:?}, close {:?} (median, p99)",
        of(|t| t.0),
        of(|t| t.1),
        of(|t| t.2)
    );
    let log = open(folder.path()).unwrap();
    for _ in 0..100 {
        log.shared.writer().commit((0..256).map(launch).collect(), Vec::new).unwrap();
    }
    std::mem::forget(log);
    let start = Instant::now();
    let log = open(folder.path()).unwrap();
    println!("recovery of {} entries in the journal: {:?}", log.shared.writer().held(), start.elapsed());
    log.close().unwrap();
    let start = Instant::now();
    let report = verify(folder.path(), &vkey(), None).unwrap();
    let verified = start.elapsed();
    let size = report.checkpoint.size;
    let reader = reader::LogReader::open(folder.path()).unwrap();
    let entries: Vec<Vec<u8>> = reader.entries(0..size).map(|item| item.unwrap().1).collect();
    let start = Instant::now();
    let did = host(1).did();
    let mut edge = Edge::default();
    for bytes in &entries {
        edge.push(leaf_hash(bytes), |_| {});
        assert!(!did.verify(bytes, &[0; 64]) && !did.verify(bytes, &host(1).sign(b"other").unwrap()));
    }
    println!(
        "verify {size} entries: {verified:?}, of which hashing, one signing and one strict verification take {:?}",
        start.elapsed()
    );
}
