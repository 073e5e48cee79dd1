//! Messages that come from outside to a service: who is heard, once, and what the log says of the others.

use std::sync::Arc;
use std::time::Duration;

use kos_core::clock::{Clock as _, Timestamp};
use kos_core::crypto::{self, SecretKey, Signer as _};
use kos_core::custody::agents::{self, Rollback, Sighting};
use kos_core::custody::{KeyHandle, KeyName, Request, Unlock};
use kos_core::id::{AgentRef, Did, TrustLevel};
use kos_core::message::{Content, Draft, SignedMessage};

use super::guests;
use super::world::{Agent, World, quiet};
use crate::router::{Router, Undelivered};
use crate::{Host, Run};

/// Replies with the count of messages.
const BODY: &str = r#"
    (i32.store8 (i32.const 4) (i32.const 1)) (i32.store8 (i32.const 64) (global.get $count))
    (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 1))"#;

/// Long enough for every answer; none of these tests waits for its end.
const PATIENCE: Duration = Duration::from_secs(60);

fn sender() -> SecretKey {
    SecretKey::from_seed(&[40; 32])
}

/// A service that hears `sender` on the topic `t`.
struct Served {
    world: World,
    run: Run,
    did: Did,
}

impl Served {
    fn new() -> Self {
        let world = World::new();
        let (run, did) = serve(&world, &world.host);
        Self { world, run, did }
    }

    fn router(&self) -> Arc<Router> {
        Arc::clone(&self.world.host.inner.router)
    }

    fn carry(&self, message: SignedMessage) -> Result<Option<SignedMessage>, Undelivered> {
        carry(&self.world.host, message)
    }

    /// A request that says it was sent at `sent`.
    fn request(&self, from: &SecretKey, topic: &str, sent: Timestamp) -> SignedMessage {
        let content = Content::request(topic.parse().unwrap(), b"x".to_vec(), None).unwrap();
        Draft::new(from, self.did, content, sent, &crypto::random().unwrap()).signed().unwrap()
    }

    /// The reasons of the rejections in the log, and the counts of the exit entry.
    fn end(self) -> (Vec<String>, serde_json::Value) {
        self.run.stopper().stop();
        self.run.wait();
        let rejected = self.world.entries_of("message_rejected");
        let reasons = rejected.iter().map(|entry| entry["details"]["reason"].as_str().unwrap().to_owned());
        let exit = self.world.entries_of("agent_exit").pop().unwrap();
        (reasons.collect(), exit["details"].clone())
    }
}

fn serve(world: &World, host: &Host) -> (Run, Did) {
    let code = guests::service(BODY);
    let hears = format!("\"messaging.receive\" = {{ scope = [\"{}/t\"] }}", sender().did());
    let agent = Agent::of(&code).declaring(&hears);
    world.grant(agent, &format!("[capabilities]\n{hears}"));
    let loaded = host.load("agent.wasm", world.signed(agent)).unwrap();
    let run = host.start(&loaded, quiet()).unwrap();
    (run, loaded.did().parse().unwrap())
}

fn carry(host: &Host, message: SignedMessage) -> Result<Option<SignedMessage>, Undelivered> {
    host.inner.runtime.block_on(host.inner.router.carry(message, PATIENCE))
}

#[test]
fn a_message_is_answered_by_its_recipient_and_received_once() {
    let served = Served::new();
    let request = served.request(&sender(), "t", served.world.clock.now());
    let answer = served.carry(request.clone()).unwrap().unwrap();
    assert_eq!((answer.header().from(), answer.header().to()), (&served.did, &sender().did()));
    assert_eq!(served.carry(request).unwrap_err(), Undelivered::Unreachable);
    let (rejected, exit) = served.end();
    assert_eq!(rejected, ["replayed"]);
    assert_eq!((&exit["usage"]["received"], &exit["usage"]["messages"]["handled"]), (&1.into(), &1.into()));
}

#[test]
fn each_kind_of_rejection_is_an_entry_once_and_then_a_count() {
    let served = Served::new();
    let now = served.world.clock.now();
    let stranger = SecretKey::from_seed(&[41; 32]);
    let old = Timestamp::from_millis(now.as_millis() - 300_000);
    for _ in 0..3 {
        for message in [
            served.request(&stranger, "t", now),
            served.request(&sender(), "other", now),
            served.request(&sender(), "t", old),
            served.request(&sender(), "t", now.saturating_add(Duration::from_secs(61))),
        ] {
            assert_eq!(served.carry(message).unwrap_err(), Undelivered::Unreachable);
        }
    }
    let (rejected, exit) = served.end();
    assert_eq!(rejected, ["denied", "stale", "future"]);
    let counts: Vec<_> =
        exit["rejections"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [6, 3, 3]);
    assert_eq!(exit["usage"]["received"], 0);
}

#[test]
fn whoever_is_not_heard_leaves_no_trace_and_hears_what_it_would_of_nobody() {
    let served = Served::new();
    let (now, stranger) = (served.world.clock.now(), SecretKey::from_seed(&[41; 32]));
    let remembered = |world: &World| {
        let files = std::fs::read_dir(world.home.messages()).unwrap().map(|file| file.unwrap().path());
        files.map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(served.carry(served.request(&stranger, "t", now)).unwrap_err(), Undelivered::Unreachable);
    assert!(remembered(&served.world).is_empty(), "nothing is opened for a stranger");
    assert!(served.carry(served.request(&sender(), "t", now)).is_ok());
    served.run.stopper().stop();
    let Served { world, run, .. } = served;
    run.wait();
    let before = remembered(&world);
    let (run, did) = serve(&world, &world.host);
    let served = Served { world, run, did };
    for sent in [now, now.saturating_add(Duration::from_secs(1))] {
        for topic in ["t", "other"] {
            let refused = served.carry(served.request(&stranger, topic, sent)).unwrap_err();
            assert_eq!(refused, Undelivered::Unreachable);
        }
    }
    assert_eq!(remembered(&served.world), before);
    let known = served.carry(served.request(&sender(), "t", now)).unwrap_err();
    assert_eq!(known, Undelivered::Unavailable, "whoever is heard hears why");
    served.world.custodian.ask(Request::Lock).unwrap();
    let later = now.saturating_add(Duration::from_secs(1));
    assert_eq!(served.carry(served.request(&stranger, "t", later)).unwrap_err(), Undelivered::Unreachable);
    let known = served.request(&sender(), "t", later);
    assert_eq!(served.carry(known.clone()).unwrap_err(), Undelivered::Unavailable);
    let with = Unlock::KeyFile(served.world.folder().join("key"));
    served.world.custodian.ask(Request::Unlock { with }).unwrap();
    assert!(served.carry(known).is_ok(), "what met locked keys was not received");
    assert_eq!(served.end().0, ["denied", "denied", "behind-floor", "custody"]);
}

#[test]
fn a_revoked_sender_is_refused_from_the_next_message_on() {
    let served = Served::new();
    let now = served.world.clock.now();
    assert!(served.carry(served.request(&sender(), "t", now)).is_ok());
    served.world.revoke_key(sender().did());
    served.world.host.reload();
    assert_eq!(served.carry(served.request(&sender(), "t", now)).unwrap_err(), Undelivered::Unreachable);
    assert_eq!(served.end().0, ["revoked"]);
}

#[test]
fn nobody_is_heard_while_it_is_not_known_who_is_who() {
    let served = Served::new();
    let now = served.world.clock.now();
    let stray = served.world.home.agents().join("stray.json");
    std::fs::write(&stray, "{}").unwrap();
    served.world.host.reload();
    assert_eq!(served.carry(served.request(&sender(), "t", now)).unwrap_err(), Undelivered::Unreachable);
    std::fs::remove_file(&stray).unwrap();
    served.world.host.reload();
    assert!(served.carry(served.request(&sender(), "t", now)).is_ok());
    assert_eq!(served.end().0, ["untrusted"]);
}

#[test]
fn of_two_hosts_with_the_same_agent_the_first_that_hears_of_it_receives() {
    let served = Served::new();
    let other = served.world.another_host();
    let (run, _) = serve(&served.world, &other);
    let now = served.world.clock.now();
    assert!(served.carry(served.request(&sender(), "t", now)).is_ok());
    assert_eq!(carry(&other, served.request(&sender(), "t", now)).unwrap_err(), Undelivered::Unavailable);
    let stranger = SecretKey::from_seed(&[41; 32]);
    assert_eq!(carry(&other, served.request(&stranger, "t", now)).unwrap_err(), Undelivered::Unreachable);
    run.stopper().stop();
    run.wait();
    assert_eq!(served.end().0, ["unrecorded", "denied"]);
}

#[test]
fn nobody_is_there_once_the_service_has_ended() {
    let served = Served::new();
    let request = served.request(&sender(), "t", served.world.clock.now());
    served.world.host.stop_all();
    let Served { world, run, .. } = served;
    run.wait();
    assert_eq!(carry(&world.host, request).unwrap_err(), Undelivered::Unreachable);
}

#[test]
fn a_name_that_two_agents_have_names_neither() {
    let served = Served::new();
    assert_eq!(served.router().peer("agent", "t").forms, served.router().forms(&served.did, "t"));
    let forms = served.router().forms(&served.did, "t");
    assert_eq!(forms, [format!("{}/t", served.did), "name:agent/t".to_owned(), "level:trusted/t".to_owned()]);
    register(&served.world, "agent");
    served.world.host.reload();
    assert_eq!(served.router().peer("agent", "t").forms, ["name:agent/t"], "nobody's but the text's own");
    let forms = served.router().forms(&served.did, "t");
    assert_eq!(forms, [format!("{}/t", served.did), "level:trusted/t".to_owned()]);
}

#[test]
fn a_stranger_has_no_name_and_no_level() {
    let served = Served::new();
    assert_eq!(served.router().forms(&sender().did(), "t"), [format!("{}/t", sender().did())]);
    assert_eq!(served.router().peer("nobody", "t").forms, ["name:nobody/t"]);
}

/// The record of an agent of another author.
fn register(world: &World, name: &str) {
    let agent = AgentRef { author: SecretKey::from_seed(&[42; 32]).did(), name: name.parse().unwrap() };
    let host: KeyName = "host/default".parse().unwrap();
    let host = KeyHandle::new(Arc::clone(&world.custodian), host).unwrap();
    let sighting = Sighting {
        agent: &agent,
        capabilities: &[],
        level: TrustLevel::Partner,
        version: &"1.0.0".parse().unwrap(),
        rollback: Rollback::Refused,
        now: world.clock.now(),
    };
    agents::register_or_load(&world.home, &*world.custodian, &host, &sighting).unwrap();
}
