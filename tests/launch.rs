//! A signed and granted agent runs; nothing else does; and the log holds each launch, exit and refusal (I1, I5).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{World, agent, path_text};

/// `kos-run` refused, by signature or by permission.
const REFUSED: i32 = 126;
/// `kos-run` could not do its part.
const HOST_FAILURE: i32 = 125;
/// There is no such agent.
const NO_SUCH_AGENT: i32 = 127;

// [granted: identity.self]
#[test]
fn a_granted_agent_runs_and_the_log_holds_its_launch_and_its_exit() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let ran = world.run(&hello, &[]).succeeded();
    assert!(ran.stdout.contains("did:key:z6Mk"), "{}", ran.stdout);

    let launches = world.entries_of("agent_launch");
    let exits = world.entries_of("agent_exit");
    assert_eq!((launches.len(), exits.len()), (1, 1));
    assert_eq!(launches[0]["details"]["run"], exits[0]["details"]["run"]);
    assert_eq!(exits[0]["details"]["outcome"], "ok");
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn an_agent_keeps_its_identity_between_launches() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let first = world.run(&hello, &[]).succeeded().stdout;
    assert_eq!(world.run(&hello, &[]).succeeded().stdout, first);
}

#[test]
fn an_empty_trust_store_means_nobody() {
    let world = World::trusting_nobody();
    let hello = world.signed("hello");
    world.run(&hello, &[]).ended_with(REFUSED).saying("kos trust add");
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn an_unsigned_component_is_refused_and_the_signing_command_named() {
    let world = World::trusting("trusted");
    world.run(&agent("hello"), &[]).ended_with(REFUSED).saying("kos sign");
}

#[test]
fn an_attacker_who_signs_everything_anew_is_refused() {
    let world = World::trusting("trusted");
    world.granted("hello");
    world.new_author("mallory");
    let forged = world.signed_by("mallory", "hello");
    world.run(&forged, &[]).ended_with(REFUSED).saying("kos trust add");
}

#[test]
fn a_signed_agent_without_a_grant_is_refused_and_the_granting_command_named() {
    let world = World::trusting("trusted");
    let hello = world.signed("hello");
    world.run(&hello, &[]).ended_with(REFUSED).saying("kos grant");
}

#[test]
fn an_interface_that_a_grant_denies_is_not_linked() {
    let world = World::trusting("trusted");
    let hello =
        world.granted_with("hello", "expires = \"1d\"\n[capabilities]\n\"identity.self\" = \"deny\"\n");
    world.run(&hello, &[]).ended_with(REFUSED).saying("identity.self");
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn a_refused_launch_is_in_the_log() {
    let world = World::trusting("trusted");
    let hello = world.signed("hello");
    world.run(&hello, &[]).ended_with(REFUSED);
    let refusals = world.entries_of("permission_denied");
    assert_eq!(refusals.len(), 1);
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn a_flipped_byte_anywhere_in_the_file_starts_nothing() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let bytes = std::fs::read(&hello).unwrap();
    let step = bytes.len() / 97;
    for position in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        let path = world.write("altered.wasm", altered);
        let ended = world.run(&path, &[]);
        assert_eq!(ended.status, REFUSED, "byte {position}: {}", ended.stderr);
        assert!(ended.stdout.is_empty());
    }
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn what_is_no_signed_component_is_refused_by_name() {
    let world = World::trusting("trusted");
    let hello = std::fs::read(world.granted("hello")).unwrap();
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("empty", Vec::new(), "empty"),
        ("text", b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        ("core-module", b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        ("precompiled", [b"\x7fELF\x02\x01\x01".to_vec(), vec![0; 64]].concat(), "precompiled"),
        ("truncated", hello[..hello.len() / 2].to_vec(), ""),
    ];
    for (name, bytes, words) in cases {
        let path = world.write(name, bytes);
        world.run(&path, &[]).ended_with(REFUSED).saying(words);
    }
}

#[test]
fn a_missing_file_is_no_such_agent() {
    let world = World::trusting("trusted");
    world.run(&world.path("nothing.wasm"), &[]).ended_with(NO_SUCH_AGENT).saying("nothing.wasm");
}

#[test]
fn a_missing_home_is_named_with_the_command_that_makes_one() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let mut command = world.kos_run_command();
    command.arg(&hello).env("KOS_HOME", world.path("elsewhere"));
    crate::support::Ended::of(&mut command).ended_with(HOST_FAILURE).saying("kos init");
}

#[test]
fn a_revoked_component_and_a_revoked_author_do_not_run() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let digest = world.kos(&["inspect", path_text(&hello), "--json"]).succeeded().json();
    let digest = digest["digest"].as_str().expect("a digest").to_owned();
    world.kos(&["trust", "revoke", &digest]).succeeded();
    world.run(&hello, &[]).ended_with(REFUSED).saying("revoked");

    let other = World::trusting("trusted");
    let hello = other.granted("hello");
    other.kos(&["trust", "revoke", other.author()]).succeeded();
    other.run(&hello, &[]).ended_with(REFUSED).saying("revoked");
}

#[test]
fn a_detached_signature_is_as_good_as_one_inside() {
    let world = World::trusting("trusted");
    world.granted("hello");
    let plain = world.path("hello.wasm");
    std::fs::copy(agent("hello"), &plain).unwrap();
    let manifest = crate::support::sample_folder("hello").join("agent.toml");
    let signature = world.path("hello.sig.json");
    world
        .kos(&[
            "sign",
            path_text(&plain),
            "--manifest",
            path_text(&manifest),
            "--key",
            "alice",
            "--detached",
            "-o",
            path_text(&signature),
        ])
        .succeeded();
    let mut command = world.kos_run_command();
    command.arg(&plain).arg("--signature").arg(&signature);
    crate::support::Ended::of(&mut command).succeeded();
    world.run(&plain, &[]).ended_with(REFUSED);
}

#[test]
fn a_log_that_cannot_be_written_refuses_the_launch() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let folder = world.home().join("log");
    let blocked = BlockedLog::of(&folder);
    let ended = world.run(&hello, &[]);
    drop(blocked);
    let ended = ended.ended_with(HOST_FAILURE).saying("log");
    assert!(ended.stdout.is_empty(), "the agent ran: {}", ended.stdout);
    world.run(&hello, &[]).succeeded();
    world.kos(&["log", "verify"]).succeeded();
}

/// A log directory in which nothing can be written. Modes do not bind root, so each file is made immutable where
/// that is possible, and otherwise loses its write bits.
pub(crate) struct BlockedLog<'a> {
    directory: &'a Path,
    immutable: bool,
}

impl<'a> BlockedLog<'a> {
    pub(crate) fn of(directory: &'a Path) -> Self {
        let immutable = Self::chattr(directory, "+i");
        if !immutable {
            Self::each(directory, &|path, is_directory| {
                std::fs::set_permissions(
                    path,
                    std::fs::Permissions::from_mode(if is_directory { 0o500 } else { 0o400 }),
                )
                .unwrap();
            });
        }
        Self { directory, immutable }
    }

    fn chattr(directory: &Path, flag: &str) -> bool {
        std::process::Command::new("chattr")
            .args(["-R", flag, path_text(directory)])
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn each(path: &Path, change: &dyn Fn(&Path, bool)) {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                Self::each(&entry, change);
            } else {
                change(&entry, false);
            }
        }
        change(path, true);
    }
}

impl Drop for BlockedLog<'_> {
    fn drop(&mut self) {
        if self.immutable {
            Self::chattr(self.directory, "-i");
        } else {
            std::fs::set_permissions(self.directory, std::fs::Permissions::from_mode(0o700)).unwrap();
            Self::each(self.directory, &|path, is_directory| {
                std::fs::set_permissions(
                    path,
                    std::fs::Permissions::from_mode(if is_directory { 0o700 } else { 0o600 }),
                )
                .unwrap();
            });
        }
    }
}
