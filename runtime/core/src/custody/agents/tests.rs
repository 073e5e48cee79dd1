use std::fs;
use std::sync::Arc;
use std::thread;

use super::super::testing::{TestHome, key, open_home, reopened};
use super::super::{KeyHandle, KeyRole, Request};
use super::*;
use crate::crypto::SecretKey;

const DAY: u64 = 24 * 60 * 60 * 1_000;

struct World {
    test: TestHome,
    custodian: Arc<dyn Custodian>,
    host: KeyHandle,
}

impl World {
    fn new() -> Self {
        let (test, custodian) = open_home();
        custodian.create(&key("host/host")).unwrap();
        let host = KeyHandle::new(custodian.clone(), key("host/host")).unwrap();
        Self { test, custodian, host }
    }

    fn home(&self) -> &Home {
        &self.test.home
    }

    fn launch(&self, agent: &AgentRef, version: &str, day: u64) -> Result<AgentRecord, AgentsError> {
        self.launch_as(agent, version, day, TrustLevel::Partner, Rollback::Refused)
    }

    fn launch_as(
        &self,
        agent: &AgentRef,
        version: &str,
        day: u64,
        level: TrustLevel,
        rollback: Rollback,
    ) -> Result<AgentRecord, AgentsError> {
        let version = version.parse().unwrap();
        let capabilities = ["crypto.sign".to_owned()];
        let now = Timestamp::from_millis(day * DAY + 1);
        let sighting =
            Sighting { agent, capabilities: &capabilities, level, version: &version, rollback, now };
        register_or_load(self.home(), &*self.custodian, &self.host, &sighting)
    }

    fn file(&self, agent: &AgentRef) -> PathBuf {
        record_path(self.home(), agent)
    }
}

fn agent(author: u8, name: &str) -> AgentRef {
    AgentRef { author: SecretKey::from_seed(&[author; 32]).did(), name: name.parse().unwrap() }
}

#[test]
fn the_first_launch_makes_keys_and_a_record_and_later_ones_find_them() {
    let world = World::new();
    let notary = agent(1, "notary");
    let first = world.launch(&notary, "1.0.0", 1).unwrap();
    assert!(first.is_attested());
    assert_eq!(first.identity.registration_timestamp, Timestamp::from_millis(DAY + 1));
    assert_eq!(first.identity.capabilities, ["crypto.sign"]);
    assert_eq!(world.launch(&notary, "1.0.0", 1).unwrap(), first);
    let key = KeyName::of_agent(&notary);
    assert_eq!(key.role, KeyRole::Agent);
    assert_eq!(world.custodian.public(&key).unwrap().did, first.identity.did);
    assert_eq!(list(world.home(), &world.host.did()).unwrap(), [first]);
}

#[test]
fn a_record_has_the_fields_of_the_specifications_identity() {
    let world = World::new();
    let notary = agent(1, "notary");
    world.launch(&notary, "1.2.3", 1).unwrap();
    let envelope = Envelope::parse(&fs::read(world.file(&notary)).unwrap()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(envelope.unverified_payload()).unwrap();
    let identity = value["identity"].as_object().unwrap();
    let mut fields: Vec<&str> = identity.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected =
        ["capabilities", "did", "lastVerified", "publicKey", "registrationTimestamp", "trustLevel"];
    assert_eq!(fields, expected);
    assert_eq!(value["highestVersion"], "1.2.3");
    assert_eq!(value["agent"], notary.to_string());
}

#[test]
fn two_authors_with_one_name_are_two_agents() {
    let world = World::new();
    let (one, two) = (agent(1, "notary"), agent(2, "notary"));
    let records = [world.launch(&one, "1.0.0", 1).unwrap(), world.launch(&two, "1.0.0", 1).unwrap()];
    assert_ne!(records[0].identity.did, records[1].identity.did);
    assert_ne!(records[0].agreement_key, records[1].agreement_key);
    fs::copy(world.file(&one), world.file(&two)).unwrap();
    assert!(matches!(world.launch(&two, "1.0.0", 1), Err(AgentsError::Mismatch { .. })));
    assert!(list(world.home(), &world.host.did()).is_err());
}

#[test]
fn older_code_is_refused_unless_a_grant_allows_it_and_never_forgotten() {
    let world = World::new();
    let notary = agent(1, "notary");
    world.launch(&notary, "1.10.0", 1).unwrap();
    for older in ["1.9.9", "1.10.0-rc.1", "0.1.0"] {
        let error = world.launch(&notary, older, 1).unwrap_err();
        assert!(matches!(error, AgentsError::Rollback { .. }), "{error}");
    }
    let allowed = world.launch_as(&notary, "1.9.9", 1, TrustLevel::Partner, Rollback::Allowed).unwrap();
    assert_eq!(allowed.highest_version, Version::new(1, 10, 0));
    assert!(world.launch(&notary, "1.9.9", 1).is_err());
    assert_eq!(world.launch(&notary, "2.0.0", 1).unwrap().highest_version, Version::new(2, 0, 0));
    assert!(world.launch(&notary, "1.10.0", 1).is_err());
}

#[test]
fn a_launch_that_changes_nothing_writes_nothing() {
    let world = World::new();
    let notary = agent(1, "notary");
    world.launch(&notary, "1.0.0", 1).unwrap();
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(world.file(&notary)).unwrap());
    let before = inode();
    world.launch(&notary, "1.0.0", 1).unwrap();
    assert_eq!(inode(), before);
    let next_day = world.launch(&notary, "1.0.0", 2).unwrap();
    assert_eq!(next_day.identity.last_verified, Timestamp::from_millis(2 * DAY + 1));
    assert_ne!(inode(), before);
    assert_eq!(next_day.identity.registration_timestamp, Timestamp::from_millis(DAY + 1));
}

#[test]
fn a_clock_set_back_does_not_set_the_record_back() {
    let world = World::new();
    let notary = agent(1, "notary");
    world.launch(&notary, "1.0.0", 5).unwrap();
    let record = world.launch_as(&notary, "1.0.0", 1, TrustLevel::Trusted, Rollback::Refused).unwrap();
    assert_eq!(record.identity.last_verified, Timestamp::from_millis(5 * DAY + 1));
    assert_eq!(record.identity.trust_level, TrustLevel::Trusted);
}

#[test]
fn every_flipped_bit_of_a_record_is_refused() {
    let world = World::new();
    let notary = agent(1, "notary");
    world.launch(&notary, "1.0.0", 1).unwrap();
    let honest = fs::read(world.file(&notary)).unwrap();
    for bit in 0..honest.len() * 8 {
        let mut altered = honest.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        match record_in(&altered, &world.file(&notary), &world.host.did(), &notary) {
            Err(_) => {}
            // The name of the signer is a hint: without it, the signature is tried all the same.
            Ok(record) => {
                let honest = Envelope::parse(&honest).unwrap();
                let payload = canonical::to_canonical(&record).unwrap();
                assert_eq!(payload, honest.unverified_payload(), "bit {bit}");
            }
        }
    }
}

#[test]
fn a_record_signed_by_anybody_else_is_refused() {
    let world = World::new();
    let notary = agent(1, "notary");
    let mut record = world.launch(&notary, "2.0.0", 1).unwrap();
    record.highest_version = Version::new(0, 0, 1);
    let payload = canonical::to_canonical(&record).unwrap();
    let intruder = SecretKey::from_seed(&[66; 32]);
    let forged = Envelope::sign(RECORD_TYPE, payload, &[&intruder]).unwrap();
    fs::write(world.file(&notary), forged.to_bytes().unwrap()).unwrap();
    assert!(matches!(world.launch(&notary, "1.0.0", 1), Err(AgentsError::Signature { .. })));
}

#[test]
fn a_record_without_its_key_is_no_identity_and_gets_no_new_one() {
    let world = World::new();
    let notary = agent(1, "notary");
    let first = world.launch(&notary, "1.0.0", 1).unwrap();
    let key = KeyName::of_agent(&notary);
    world.custodian.ask(Request::Remove { key: key.clone() }).unwrap();
    let error = world.launch(&notary, "1.0.0", 1).unwrap_err();
    assert!(matches!(error, AgentsError::Custody(CustodyError::NoSuchKey { .. })), "{error}");
    let second = world.custodian.create(&key).unwrap();
    assert_ne!(second.did, first.identity.did);
    assert!(matches!(world.launch(&notary, "1.0.0", 1), Err(AgentsError::Mismatch { .. })));
}

#[test]
fn a_first_launch_cut_short_after_its_keys_finds_them_again() {
    let world = World::new();
    let notary = agent(1, "notary");
    let made = world.custodian.create(&KeyName::of_agent(&notary)).unwrap();
    let file = world.file(&notary).file_name().unwrap().to_str().unwrap().to_owned();
    for count in 0..200 {
        let left = format!(".{file}.{}-{count}.tmp", std::process::id());
        fs::write(world.home().agents().join(left), "{").unwrap();
    }
    let record = world.launch(&notary, "1.0.0", 1).unwrap();
    assert_eq!(record.identity.did, made.did);
}

#[test]
fn of_many_first_launches_at_once_all_get_one_identity() {
    let world = World::new();
    let notary = agent(1, "notary");
    let records: Vec<AgentRecord> = thread::scope(|scope| {
        let launches: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let custodian = reopened(world.home());
                    let host = KeyHandle::new(custodian.clone(), key("host/host")).unwrap();
                    let version = Version::new(1, 0, 0);
                    let sighting = Sighting {
                        agent: &notary,
                        capabilities: &[],
                        level: TrustLevel::Partner,
                        version: &version,
                        rollback: Rollback::Refused,
                        now: Timestamp::from_millis(1),
                    };
                    register_or_load(world.home(), &*custodian, &host, &sighting).unwrap()
                })
            })
            .collect();
        launches.into_iter().map(|launch| launch.join().unwrap()).collect()
    });
    assert!(records.iter().all(|record| record == &records[0]));
}

#[test]
fn an_agent_that_is_removed_is_somebody_new_and_so_is_the_version_of_its_code() {
    let (world, agent) = (World::new(), agent(1, "hello"));
    let first = world.launch(&agent, "2.0.0", 1).unwrap();
    remove(world.home(), &*world.custodian, &agent).unwrap();
    assert!(list(world.home(), &world.host.did()).unwrap().is_empty());
    let second = world.launch(&agent, "1.0.0", 2).unwrap();
    assert_ne!(second.identity.did, first.identity.did);
}

#[test]
fn what_was_removed_in_part_is_removed_by_the_next_attempt() {
    let (world, agent) = (World::new(), agent(1, "hello"));
    let first = world.launch(&agent, "1.0.0", 1).unwrap();
    fs::remove_file(world.file(&agent)).unwrap();
    remove(world.home(), &*world.custodian, &agent).unwrap();
    remove(world.home(), &*world.custodian, &agent).unwrap();
    assert_ne!(world.launch(&agent, "1.0.0", 2).unwrap().identity.did, first.identity.did);
}
