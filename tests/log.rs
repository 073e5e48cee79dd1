//! The log survives a kill at any time, a full disk and several writers, and convinces somebody who has only the
//! folder and a verifier key (I5, I8, I9).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Ended, World, path_text};

/// Insists that each launch has exactly one exit.
#[track_caller]
fn every_launch_has_one_exit(world: &World) {
    let (launches, exits) = (world.runs("agent_launch"), world.runs("agent_exit"));
    let distinct: BTreeSet<&String> = exits.iter().collect();
    assert_eq!(distinct.len(), exits.len(), "an exit stands twice");
    assert_eq!(launches.iter().collect::<BTreeSet<_>>(), distinct);
}

/// A copy of the log folder, away from the home.
fn copied_log(world: &World, name: &str) -> PathBuf {
    let copy = world.path(name);
    let done = Command::new("cp").arg("-r").arg(world.home().join("log")).arg(&copy).status().expect("cp");
    assert!(done.success());
    copy
}

#[test]
fn a_host_killed_in_the_middle_of_a_run_leaves_a_recovered_exit() {
    let world = World::trusting("trusted");
    let rogue = world.granted("rogue");
    let mut running = world
        .kos_run_command()
        .arg(&rogue)
        .args(["--", "sleep-for-a-day"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while world.entries_of("agent_launch").is_empty() {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it was killed");
    }
    running.kill().unwrap();
    running.wait().unwrap();

    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let exits = world.entries_of("agent_exit");
    assert_eq!(exits[0]["details"]["outcome"], "recovered");
    assert_eq!(exits[1]["details"]["outcome"], "ok");
    every_launch_has_one_exit(&world);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn kills_at_any_time_lose_nothing_and_need_no_repair() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    for step in 0..40 {
        let mut running =
            world.kos_run_command().arg(&hello).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 * step));
        // It may have ended by itself: that instant counts too.
        let _ = running.kill();
        running.wait().unwrap();
        if step % 8 == 7 {
            world.kos(&["log", "verify"]).succeeded();
        }
    }
    world.run(&hello, &[]).succeeded();
    every_launch_has_one_exit(&world);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn several_hosts_write_one_log() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let start = || {
        let mut command = world.kos_run_command();
        command.arg(&hello).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for _ in 0..4 {
        let running: Vec<_> = (0..6).map(|_| start()).collect();
        for child in running {
            Ended::from_output("kos-run".to_owned(), child.wait_with_output().unwrap()).succeeded();
        }
    }
    assert_eq!(world.runs("agent_launch").len(), 24);
    every_launch_has_one_exit(&world);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_copied_folder_verifies_with_a_pinned_key_and_without_a_home() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let vkey = world.verifier_key();
    let copy = copied_log(&world, "copy");
    let verify = |directory: &Path, vkey: &str| {
        let mut command = world.kos_command();
        command.env("KOS_HOME", world.path("no-home"));
        command.args(["log", "verify", "--dir", path_text(directory), "--vkey", vkey]);
        Ended::of(&mut command)
    };
    verify(&copy, &vkey).succeeded();

    let stranger = World::trusting_nobody();
    assert_ne!(verify(&copy, &stranger.verifier_key()).status, 0, "another host's key verified the log");
}

#[test]
fn an_inclusion_proof_convinces_without_the_log() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let vkey = world.verifier_key();
    let index = world.entries().len() - 1;
    let (proof, entry) = (world.path("entry.tlog-proof"), world.path("entry.json"));
    let made = ["log", "prove", &index.to_string(), "-o", path_text(&proof), "--entry", path_text(&entry)];
    world.kos(&made).succeeded();
    let check = |proof: &Path| {
        let mut command = world.kos_command();
        command.env("KOS_HOME", world.path("no-home"));
        command.args([
            "log",
            "prove",
            "--verify",
            path_text(proof),
            "--entry",
            path_text(&entry),
            "--vkey",
            &vkey,
        ]);
        Ended::of(&mut command)
    };
    check(&proof).succeeded();

    let text = std::fs::read_to_string(&proof).unwrap();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"), "{text}");
    for position in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[position] ^= 1;
        if position % 7 == 0 {
            assert_ne!(check(&world.write("altered", altered)).status, 0, "byte {position}");
        }
    }
}

#[test]
fn an_altered_or_missing_file_of_the_log_is_seen() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let vkey = world.verifier_key();
    let whole = copied_log(&world, "whole");
    let verify =
        |directory: &Path| world.kos(&["log", "verify", "--dir", path_text(directory), "--vkey", &vkey]);
    verify(&whole).succeeded();
    let size = world.entries().len();
    let published =
        ["checkpoint".to_owned(), format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}")];
    for path in published.map(|name| whole.join(name)) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_ne!(verify(&whole).status, 0, "{} was missing", path.display());
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            std::fs::write(&path, altered).unwrap();
            assert_ne!(verify(&whole).status, 0, "{} was altered at {position}", path.display());
        }
        std::fs::write(&path, bytes).unwrap();
    }
    verify(&whole).succeeded();
}

#[test]
fn a_log_cut_back_is_seen_against_a_kept_checkpoint() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let vkey = world.verifier_key();
    let older = copied_log(&world, "older");
    world.run(&hello, &[]).succeeded();
    let kept = world.path("kept");
    std::fs::copy(world.home().join("log/checkpoint"), &kept).unwrap();
    let verify = |directory: &Path| {
        world.kos(&[
            "log",
            "verify",
            "--dir",
            path_text(directory),
            "--vkey",
            &vkey,
            "--checkpoint",
            path_text(&kept),
        ])
    };
    verify(&copied_log(&world, "newer")).succeeded();
    assert_ne!(verify(&older).status, 0);
}

#[test]
fn a_full_disk_refuses_the_launch_and_loses_nothing() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let Some(disk) = SmallDisk::under(&world.home().join("log")) else {
        println!("not run: mounting a small disk needs root");
        return;
    };
    let filler = disk.mount.join("filler");
    disk.fill(&filler);
    // What the journal had set aside before the disk was full may still be used, and the last run to use it may find
    // no room for its exit.
    let failed = (0..200).map(|_| world.run(&hello, &[])).filter(|ended| ended.status != 0);
    let failed = failed.map(|ended| ended.ended_with(125).saying("log"));
    failed.take(2).find(|ended| ended.stdout.is_empty()).expect("a launch that finds no room");
    std::fs::remove_file(&filler).unwrap();
    world.run(&hello, &[]).succeeded();
    every_launch_has_one_exit(&world);
    world.kos(&["log", "verify"]).succeeded();
}

/// A file system of one mebibyte mounted over a directory, with the directory's content copied onto it.
struct SmallDisk {
    mount: PathBuf,
}

impl SmallDisk {
    fn under(directory: &Path) -> Option<Self> {
        let beside = directory.with_extension("before");
        let sh = |script: &str| {
            Command::new("sh")
                .args(["-c", script, "sh", path_text(directory), path_text(&beside)])
                .stderr(Stdio::null())
                .status()
        };
        let mounted = sh(
            "cp -a \"$1\" \"$2\" && mount -t tmpfs -o size=1m,mode=0700 none \"$1\" && cp -a \"$2/.\" \"$1\"",
        );
        mounted.ok()?.success().then(|| Self { mount: directory.to_owned() })
    }

    fn fill(&self, filler: &Path) {
        // It ends when the disk is full, which is the aim.
        let _ = std::fs::write(filler, vec![0; 2 << 20]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.mount).status();
    }
}
