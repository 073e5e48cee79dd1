//! Many agents in one host: each gets its turn, and costs little while it waits.

use std::sync::Arc;
use std::time::Duration;

use kos_core::clock::Clock as _;
use kos_core::crypto::{self, SecretKey, Signer as _};
use kos_core::id::Did;
use kos_core::message::{Content, Draft};

use super::guests;
use super::world::{Agent, World, quiet};
use crate::{Capacity, Outcome, Run};

/// More than any host of these tests has threads for.
const LOOPING: u32 = 16;

/// Long enough for every answer; none of these tests waits for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replies with the count of messages.
const COUNTS: &str = r#"
    (i32.store8 (i32.const 4) (i32.const 1)) (i32.store8 (i32.const 64) (global.get $count))
    (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 1))"#;

fn sender() -> SecretKey {
    SecretKey::from_seed(&[60; 32])
}

/// Services that hear [`sender`].
struct Crowd {
    world: World,
    agents: Vec<(Did, Run)>,
}

impl Crowd {
    /// So many agents, each running so many times.
    fn of(agents: u32, times: u32) -> Self {
        let world = World::with_capacity(Capacity::of(agents.saturating_mul(times)));
        let mut crowd = Self { world, agents: Vec::new() };
        (0..agents).for_each(|number| crowd.join(number, times));
        crowd
    }

    fn join(&mut self, number: u32, times: u32) {
        let (code, name) = (guests::service(COUNTS), format!("agent-{number}"));
        let hears = format!("\"messaging.receive\" = {{ scope = [\"{}/t\"] }}", sender().did());
        let agent = Agent { name: &name, ..Agent::of(&code) }.declaring(&hears);
        self.world.grant(agent, &format!("[capabilities]\n{hears}"));
        let loaded = self.world.host.load("agent.wasm", self.world.signed(agent)).unwrap();
        for _ in 0..times {
            let run = self.world.host.start(&loaded, quiet()).unwrap();
            self.agents.push((loaded.did().parse().unwrap(), run));
        }
    }

    /// Asks each agent, and insists on its own answer.
    fn ask_all(&self) {
        let (inner, key, now) = (&self.world.host.inner, sender(), self.world.clock.now());
        for (did, _) in &self.agents {
            let content = Content::request("t".parse().unwrap(), b"x".to_vec(), None).unwrap();
            let request = Draft::new(&key, *did, content, now, &crypto::random().unwrap()).signed().unwrap();
            let answer = inner.runtime.block_on(inner.router.carry(request, PATIENCE)).unwrap().unwrap();
            assert_eq!(answer.header().from(), did);
        }
    }

    fn end(self) -> World {
        self.world.host.stop_all();
        for (_, run) in self.agents {
            assert_eq!(run.wait().outcome, Outcome::Killed);
        }
        self.world
    }
}

/// Bytes of memory that this process has resident.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn crowd_is_served(agents: u32, times: u32) {
    Crowd::of(1, 1).end();
    let before = resident();
    let crowd = Crowd::of(agents, times);
    crowd.ask_all();
    let (after, runs) = (resident(), u64::from(agents) * u64::from(times));
    println!("{runs} resident runs: {} KiB each", after.saturating_sub(before) / 1024 / runs);
    assert_eq!(crowd.end().entries_of("agent_exit").len() as u64, runs);
}

#[test]
fn a_hundred_resident_agents_answer_in_one_host() {
    crowd_is_served(50, 2);
}

#[test]
#[ignore = "minutes: run it alone"]
fn ten_thousand_resident_runs_answer_in_one_host() {
    crowd_is_served(200, 50);
}

#[test]
fn an_agent_gets_its_turn_however_many_others_loop() {
    let world = World::with_capacity(Capacity::of(LOOPING + 1));
    let code = guests::main(guests::LOOPS);
    let looping = Agent { name: "looping", ..Agent::of(&code) };
    world.grant(looping, "[limits]\nduration = \"1h\"\ncpu = \"1000000G\"");
    let others: Vec<Run> = (0..LOOPING).map(|_| world.launch(looping, quiet()).unwrap()).collect();
    assert_eq!(world.outcome(&guests::main(guests::SUCCEEDS), ""), Outcome::Ok);
    assert_eq!(world.entries_of("agent_exit").len(), 1, "all the others still loop");
    world.host.stop_all();
    for run in others {
        assert_eq!(run.wait().outcome, Outcome::Killed);
    }
}

#[test]
fn of_two_runs_of_one_agent_the_second_receives_once_the_first_has_left() {
    let mut crowd = Crowd { world: World::new(), agents: Vec::new() };
    crowd.join(0, 2);
    let (did, first) = crowd.agents.remove(0);
    let router = Arc::clone(&crowd.world.host.inner.router);
    crowd.ask_all();
    first.stopper().stop();
    first.wait();
    // The second has come in its place.
    crowd.ask_all();
    assert!(router.find(&did).is_some());
    crowd.end();
    assert!(router.find(&did).is_none());
}
