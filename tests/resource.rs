//! Files and the network are there as far as they are granted, and not before (I2, I7).

use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::support::{World, permissions};

/// What the probe needs to be started.
const BARE: &str = "\"identity.self\" = {}\n\"crypto.open\" = {}\n\"audit.note\" = { scope = [\"probe\"] }\n";

fn probe_with(world: &World, resources: &str) -> PathBuf {
    world.granted_with("probe", &format!("{}{resources}", permissions(BARE)))
}

#[test]
fn without_a_grant_there_are_no_files_and_no_network() {
    let world = World::trusting("trusted");
    let probe = probe_with(&world, "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut agent = world.converse(&probe);
    assert!(agent.ask("write a 1").starts_with("Err"));
    assert!(agent.ask("read /etc/hostname").starts_with("Err"));
    assert_eq!(agent.ask(&format!("connect {}", listener.local_addr().unwrap())), "Err(PermissionDenied)");
    agent.end().succeeded();
}

#[test]
fn persistent_storage_outlasts_a_run_and_is_the_agents_own() {
    let world = World::trusting("trusted");
    let probe = probe_with(&world, "[resources]\nstorage = \"persistent\"\n");
    assert_eq!(world.run(&probe, &["write", "a", "100"]).succeeded().stdout, "Ok(())\n");
    assert_eq!(world.run(&probe, &["read", "a"]).succeeded().stdout, "Ok(100)\n");
    for outside in ["../a", "../../host.json", "/etc/passwd"] {
        assert!(world.run(&probe, &["read", outside]).succeeded().stdout.starts_with("Err"), "{outside}");
    }
    let bob = world.new_author("bob");
    world.kos(&["trust", "add", &bob, "--level", "trusted"]).succeeded();
    let other = world.signed_by("bob", "probe");
    world.grant(&other, &format!("{}[resources]\nstorage = \"persistent\"\n", permissions(BARE)));
    assert_eq!(world.run(&other, &["read", "a"]).succeeded().stdout, "Err(NotFound)\n");
}

#[test]
fn temporary_storage_ends_with_the_run() {
    let world = World::trusting("partner");
    let probe = probe_with(&world, "[resources]\nstorage = \"temporary\"\n");
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("write a 100"), "Ok(())");
    assert_eq!(agent.ask("read a"), "Ok(100)");
    agent.end().succeeded();
    assert_eq!(world.run(&probe, &["read", "a"]).succeeded().stdout, "Err(NotFound)\n");
    let left = std::fs::read_dir(world.home().join("storage")).unwrap().filter_map(Result::ok);
    assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0);
}

#[test]
fn storage_holds_no_more_than_its_quota() {
    let world = World::trusting("trusted");
    let limits = "[resources]\nstorage = \"persistent\"\n[limits]\nstorage = \"1KiB\"\nfiles = \"2\"\n";
    let probe = probe_with(&world, limits);
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("write a 1000"), "Ok(())");
    assert!(agent.ask("write b 100").starts_with("Err"));
    assert_eq!(agent.ask("write b 24"), "Ok(())");
    assert!(agent.ask("write c 0").starts_with("Err"), "a third file");
    agent.end().succeeded();
    // The quota is of the directory, not of the run.
    assert!(world.run(&probe, &["write", "b", "25"]).succeeded().stdout.starts_with("Err"));
    let stored = std::fs::read_dir(world.home().join("storage")).unwrap().filter_map(Result::ok);
    for directory in stored.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let sizes = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert!(sizes.sum::<u64>() <= 1024);
    }
}

#[test]
fn a_restricted_network_reaches_the_listed_address_and_no_other() {
    let world = World::trusting("partner");
    let (listed, other) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (listed, other) = (
        listed.local_addr().map(|at| (listed, at)).unwrap(),
        other.local_addr().map(|at| (other, at)).unwrap(),
    );
    let resources = format!("[resources]\nnetwork = \"restricted\"\nhosts = [\"{}\"]\n", listed.1);
    let probe = world.signed("probe");
    world.grant(&probe, &permissions(BARE));
    let grant = world.grant(&probe, &format!("{}{resources}", permissions("")));
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask(&format!("connect {}", listed.1)), "Ok(())");
    assert_eq!(agent.ask(&format!("connect {}", other.1)), "Err(PermissionDenied)");
    assert_eq!(agent.ask(&format!("connect localhost:{}", listed.1.port())).get(..3), Some("Err"));
    assert_eq!(agent.ask("say before"), "Ok(())");
    world.kos(&["grants", "revoke", &grant]).succeeded();
    assert_eq!(agent.ask("say after").get(..3), Some("Err"), "what was connected before the grant ended");
    assert_eq!(agent.ask(&format!("connect {}", listed.1)), "Err(PermissionDenied)");
    agent.end().succeeded();
    let mut heard = String::new();
    listed.0.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "before");
}
