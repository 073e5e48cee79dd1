//! After a lock no key of an agent, no secret that it uses, and nothing that leads to one, is in the memory of a running host
//! (R16).

#[path = "../runtime/core/tests/memory/search.rs"]
mod search;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use search::{bytes, count, derived, json, private_halves, root_key};

use crate::support::{World, path_text, permissions};

#[test]
fn a_locked_host_has_no_key_in_memory_but_its_own() {
    let world = World::trusting("trusted");
    let rules =
        "\"crypto.sign\" = { scope = [\"*\"] }\n\"identity.self\" = {}\n\"audit.note\" = { scope = [\"*\"] }";
    let agent = world.probe(rules);
    let mut conversation = world.converse(&agent);
    let signature = conversation.ask("sign receipt text");
    let (home, pid) = (world.home(), conversation.id());
    let (slot, root) = root_key(&home, &world.path("root.key"));
    let artifact = derived(None, &root, "kos/mac/artifact/v1", 32);
    let [host, _] = private_halves(&home, &root, "host/default");
    let [seed, agreement] = private_halves(&home, &root, &agent_key(&home));
    let needles = [&slot, &artifact, &agreement, &root, &seed, &host].map(Vec::as_slice);
    let found = || count(pid, &needles).into_iter().map(|hits| hits > 0).collect::<Vec<_>>();

    let before = found();
    assert!(before[3..].iter().all(|found| *found), "what is there is found: {before:?}");
    world.kos(&["vault", "lock"]).succeeded();
    assert_eq!(conversation.ask("sign receipt text"), "unavailable");
    assert_eq!(found(), [false, false, false, false, false, true], "the log goes on");
    world.kos(&["vault", "unlock"]).succeeded();
    assert_eq!(conversation.ask("sign receipt text"), signature);
    conversation.end().succeeded();
}

/// The one key of an agent in a home, by its role and name.
fn agent_key(home: &Path) -> String {
    let files = std::fs::read_dir(home.join("keys")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut agents =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.strip_prefix("agent-")?.to_owned()));
    format!("agent/{}", agents.next().unwrap())
}

#[test]
fn a_locked_host_has_no_secret_in_memory_that_its_agents_use() {
    let world = World::trusting("trusted");
    let mut secret = vec![0; 32];
    File::open("/dev/urandom").unwrap().read_exact(&mut secret).unwrap();
    let file = world.write("secret", &secret);
    world.kos(&["vault", "put", "api_key/marker", "--from", path_text(&file)]).succeeded();
    let rules = "\"vault.use\" = { scope = [\"api_key/*\"] }\n\"vault.list\" = { scope = [\"api_key/*\"] }\n\
                 \"vault.put\" = { scope = [\"api_key/*\"] }";
    let agent = world.granted_with("probe-vault", &permissions(rules));
    let mut conversation = world.converse(&agent);
    let tag = conversation.ask("mac api_key/marker text");
    let encrypted = conversation.ask("encrypt aes api_key/marker text");
    let uses = [
        "sign api_key/marker text".to_owned(),
        format!("decrypt aes api_key/marker {encrypted}"),
        "encrypt chacha api_key/marker text".to_owned(),
        "derive api_key/marker context 64".to_owned(),
        // Writes the vault anew, and with it the marker's entry.
        "put api_key/other value".to_owned(),
        "list api_key/*".to_owned(),
    ];
    for call in &uses {
        assert!(
            !["denied", "invalid", "limited", "unavailable"].contains(&&*conversation.ask(call)),
            "{call}"
        );
    }
    let (home, pid) = (world.home(), conversation.id());
    let (slot, root) = root_key(&home, &world.path("root.key"));
    let data = data_key(&home, &root);
    let [seed, agreement] = private_halves(&home, &root, &agent_key(&home));
    let needles = [&secret, &data, &root, &slot, &seed, &agreement].map(Vec::as_slice);
    let found = || count(pid, &needles).into_iter().map(|hits| hits > 0).collect::<Vec<_>>();

    let before = found();
    assert!(before[..3].iter().all(|found| *found), "what is there is found: {before:?}");
    world.kos(&["vault", "lock"]).succeeded();
    assert_eq!(found(), [false; 6]);
    for call in &uses {
        assert_eq!(conversation.ask(call), "unavailable", "{call}");
    }
    assert_eq!(found(), [false; 6]);
    world.kos(&["vault", "unlock"]).succeeded();
    assert_eq!(conversation.ask("mac api_key/marker text"), tag);
    conversation.end().succeeded();
}

/// The key under which the vault of the environment `default` is encrypted.
fn data_key(home: &Path, root: &[u8]) -> Vec<u8> {
    let document = json(&home.join("vault/default.json"));
    let sealed = &document["masterKeyDerivation"]["dataKey"];
    let schedule = derived(Some(&bytes(&sealed["salt"])), root, "kos/vault-data-key/v1", 76);
    let id = hex::decode(document["vault"]["id"].as_str().unwrap()).unwrap();
    let associated =
        [&id[..], b"default"].map(|field| [&(field.len() as u64).to_be_bytes()[..], field].concat());
    let ciphertext = [bytes(&sealed["ciphertext"]), bytes(&sealed["tag"])].concat();
    let nonce = Nonce::try_from(&schedule[32..44]).unwrap();
    let cipher = Aes256Gcm::new_from_slice(&schedule[..32]).unwrap();
    cipher.decrypt(&nonce, Payload { msg: &ciphertext, aad: &associated.concat() }).unwrap()
}
