//! Operators: a host that is governed from elsewhere, keys that move, and ways to unlock (I1, I2).

use std::path::Path;

use crate::support::{Ended, World, path_text, permissions};

/// `kos-run` refused, by signature or by permission.
const REFUSED: i32 = 126;

/// A host without an operator's key, in the folder of the operator's world.
struct Board<'a> {
    world: &'a World,
    home: std::path::PathBuf,
}

impl<'a> Board<'a> {
    /// Governed by these operators, all of whom must sign.
    fn governed_by(world: &'a World, operators: &[&str]) -> Self {
        let board = Self { world, home: world.path("board") };
        let key = world.path("board.key");
        let count = operators.len().to_string();
        let mut init = vec!["init", "--key-file", path_text(&key), "--threshold", &count];
        operators.iter().for_each(|operator| init.extend(["--operator", operator]));
        board.kos(&init).succeeded();
        board
    }

    fn kos(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.world.kos_command().env("KOS_HOME", &self.home).args(arguments))
    }

    fn run(&self, agent: &Path) -> Ended {
        Ended::of(self.world.kos_run_command().env("KOS_HOME", &self.home).arg(agent))
    }
}

fn operator_of(world: &World) -> String {
    let key = world.kos(&["key", "export", "operator/default", "--json"]).succeeded().json();
    key["did"].as_str().expect("a DID").to_owned()
}

/// Signs the grant of hello's one capability into a file.
fn grant_file(world: &World, hello: &Path, name: &str) -> String {
    let file = path_text(&world.path(name)).to_owned();
    let text = world.write("permissions.toml", permissions("\"identity.self\" = {}"));
    world.kos(&["grant", path_text(hello), path_text(&text), "-o", &file]).succeeded();
    file
}

#[test]
fn a_host_is_governed_from_another_machine() {
    let world = World::trusting("trusted");
    let board = Board::governed_by(&world, &[&operator_of(&world)]);
    let hello = world.signed("hello");
    board.run(&hello).ended_with(REFUSED);
    let store = world.home().join("trust/store.json");
    board.kos(&["trust", "install", path_text(&store)]).succeeded();
    board.run(&hello).ended_with(REFUSED).saying("kos grant");
    let grant = grant_file(&world, &hello, "grant.json");
    assert_eq!(world.kos(&["grants", "list", "--json"]).succeeded().json(), serde_json::json!([]));
    board.kos(&["grant", "--install", &grant]).succeeded();
    board.run(&hello).succeeded();
    board.kos(&["log", "verify"]).succeeded();

    // It decides nothing by itself.
    let text = world.write("permissions.toml", permissions(""));
    board.kos(&["grant", path_text(&hello), path_text(&text)]).ended_with(1).saying("-o FILE");
    board.kos(&["trust", "remove", world.author()]).ended_with(1).saying("-o FILE");
    board.run(&hello).succeeded();
}

#[test]
fn a_grant_is_revoked_from_another_machine_and_stays_so() {
    let world = World::trusting("trusted");
    let board = Board::governed_by(&world, &[&operator_of(&world)]);
    board.kos(&["trust", "install", path_text(&world.home().join("trust/store.json"))]).succeeded();
    let hello = world.signed("hello");
    let grant = grant_file(&world, &hello, "grant.json");
    let installed = board.kos(&["grant", "--install", &grant, "--json"]).succeeded().json();
    let id = installed["grant"].as_str().expect("a grant");
    board.run(&hello).succeeded();
    board.kos(&["grants", "revoke", id]).ended_with(1).saying("-o FILE");
    board.run(&hello).succeeded();
    let list = world.path("revoked.json");
    world.kos(&["grants", "revoke", id, "-o", path_text(&list)]).succeeded();
    board.kos(&["grants", "install", path_text(&list)]).succeeded();
    board.run(&hello).ended_with(REFUSED);
    board.kos(&["grant", "--install", &grant]).ended_with(1).saying("revoked");
    board.run(&hello).ended_with(REFUSED);
    board.kos(&["log", "verify"]).succeeded();
}

#[test]
fn an_older_trust_store_is_not_put_back() {
    let world = World::trusting("trusted");
    let board = Board::governed_by(&world, &[&operator_of(&world)]);
    let store = world.home().join("trust/store.json");
    let old = world.path("old.json");
    std::fs::copy(&store, &old).unwrap();
    let install = |file: &Path| board.kos(&["trust", "install", path_text(file)]);
    install(&old).succeeded();
    let hello = world.signed("hello");
    board.kos(&["grant", "--install", &grant_file(&world, &hello, "grant.json")]).succeeded();
    board.run(&hello).succeeded();
    world.kos(&["trust", "revoke", world.author()]).succeeded();
    install(&store).succeeded();
    board.run(&hello).ended_with(REFUSED).saying("revoked");
    install(&old).ended_with(1).saying("version");
    // Nor by putting the file there by hand.
    std::fs::copy(&old, board.home.join("trust/store.json")).unwrap();
    let ended = board.run(&hello);
    assert!(ended.status != 0 && ended.stdout.is_empty(), "{}", ended.stderr);
}

#[test]
fn what_a_stranger_signed_is_not_installed() {
    let world = World::trusting("trusted");
    let stranger = World::trusting("trusted");
    let board = Board::governed_by(&world, &[&operator_of(&world)]);
    board.kos(&["trust", "install", path_text(&stranger.home().join("trust/store.json"))]).ended_with(1);
    board.kos(&["trust", "install", path_text(&world.home().join("trust/store.json"))]).succeeded();
    let hello = stranger.signed("hello");
    board.kos(&["grant", "--install", &grant_file(&stranger, &hello, "grant.json")]).ended_with(1);
    // A trust store is no grant, and a grant no trust store.
    board.kos(&["grant", "--install", path_text(&world.home().join("trust/store.json"))]).ended_with(1);
    let hello = world.signed("hello");
    board.kos(&["trust", "install", &grant_file(&world, &hello, "grant.json")]).ended_with(1);
    board.run(&hello).ended_with(REFUSED);
}

#[test]
fn where_two_operators_must_sign_one_does_not_suffice() {
    let world = World::trusting("trusted");
    let second = world.kos(&["key", "new", "second", "--role", "operator", "--json"]).succeeded().json();
    let second = second["did"].as_str().expect("a DID");
    let board = Board::governed_by(&world, &[&operator_of(&world), second]);
    board
        .kos(&["trust", "install", path_text(&world.home().join("trust/store.json"))])
        .ended_with(1)
        .saying("2");
    assert!(!board.home.join("trust/store.json").exists());
}

#[test]
fn a_key_moves_to_another_home_under_a_passphrase() {
    let world = World::trusting("trusted");
    let passphrase = world.write("passphrase", "correct horse\n");
    let wrong = world.write("wrong", "correct house\n");
    let file = world.path("alice.key");
    let (file, passphrase) = (path_text(&file), path_text(&passphrase));
    let export = ["key", "export", "alice", "--private", file, "--export-passphrase-file", passphrase];
    world.kos(&export).succeeded();
    world.kos(&export).ended_with(1).saying("not overwritten");
    let other = World::trusting_nobody();
    let import = |name: &str, passphrase: &str| {
        other.kos(&["key", "import", file, name, "--export-passphrase-file", passphrase, "--json"])
    };
    import("moved", path_text(&wrong)).ended_with(1);
    assert_eq!(import("moved", passphrase).succeeded().json()["did"], *world.author());
    let hello = other.signed_by("moved", "hello");
    world.grant(&hello, &permissions("\"identity.self\" = {}"));
    world.run(&hello, &[]).succeeded();
}

#[test]
fn a_home_is_unlocked_by_each_of_its_slots_and_keeps_the_last() {
    let world = World::trusting_nobody();
    let passphrase = world.write("passphrase", "correct horse\n");
    let passphrase = path_text(&passphrase);
    let added = world.kos(&["slot", "add", "passphrase", "--from", passphrase, "--kdf", "board", "--json"]);
    let added = added.succeeded().json();
    let slots = world.kos(&["slot", "list", "--json"]).succeeded().json();
    let ids: Vec<&str> =
        slots.as_array().expect("slots").iter().filter_map(|slot| slot["id"].as_str()).collect();
    let first = *ids.iter().find(|id| **id != added["id"]).expect("the key file's slot");
    assert_eq!(ids.len(), 2);
    world.kos(&["key", "list", "--passphrase-file", passphrase]).succeeded();
    world.kos(&["slot", "remove", first]).succeeded();
    world.kos(&["key", "list"]).ended_with(1).saying("--passphrase-file");
    let key = world.path("root.key");
    world.kos(&["key", "list", "--key-file", path_text(&key)]).ended_with(1).saying("cannot be unlocked");
    let last = added["id"].as_str().expect("the slot");
    world.kos(&["slot", "remove", last, "--passphrase-file", passphrase]).ended_with(1);
    world.kos(&["key", "list", "--passphrase-file", passphrase]).succeeded();
    world.kos(&["log", "verify"]).succeeded();
}
