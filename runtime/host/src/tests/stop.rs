//! Stopping, reloading and revoking while an agent runs.

use kos_core::durable::Lock;

use super::guests::{self, HASH, expects_error};
use super::world::{ALL, Agent, World, eventually, quiet};
use crate::Outcome;

/// Waits on a pollable that is ready in an hour.
const SLEEPS: &str = r#"(component
    (import "wasi:io/poll@0.2.6" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $p))
    (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
        (alias outer 1 $p (type $outer))
        (export "pollable" (type $p (eq $outer)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core module $m
        (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "wasi" "block" (func $block (param i32)))
        (func (export "run") (result i32)
            (call $block (call $subscribe (i64.const 3600000000000))) (i32.const 0)))
    (core instance $i (instantiate $m (with "wasi" (instance
        (export "subscribe" (func $subscribe)) (export "block" (func $block))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $command (export "run" (func $run)))
    (export "wasi:cli/run@0.2.6" (instance $command)))"#;

const LONG: &str = "[limits]\nduration = \"1h\"\ncpu = \"1000000G\"";

#[test]
fn a_loop_and_a_sleep_end_when_they_are_stopped() {
    let looping = guests::main(guests::LOOPS);
    for code in [looping.as_str(), SLEEPS] {
        let world = World::new();
        let agent = Agent::of(code);
        world.grant(agent, LONG);
        let run = world.launch(agent, quiet()).unwrap();
        run.stopper().stop();
        assert_eq!(run.wait().outcome, Outcome::Killed);
        assert_eq!(world.entries_of("agent_exit")[0]["details"]["outcome"], "killed");
    }
}

#[test]
fn a_sleep_ends_at_the_deadline() {
    let world = World::new();
    let agent = Agent::of(SLEEPS);
    world.grant(agent, "[limits]\nduration = \"50ms\"");
    let report = world.run(agent);
    assert_eq!(report.outcome, Outcome::Deadline);
    assert_eq!(report.exit_status(), 124);
}

#[test]
fn the_next_call_after_a_revocation_is_denied() {
    let world = World::new();
    // Calls until it is denied.
    let code = guests::contract(&format!(
        "(loop $again {HASH} (br_if $again (i32.eqz (i32.load8_u (i32.const 200))))) {}",
        expects_error(0)
    ));
    let agent = Agent::of(&code).declaring(ALL);
    let grant = world.grant(agent, &format!("[capabilities]\n{ALL}\n{LONG}"));
    let run = world.launch(agent, quiet()).unwrap();
    world.revoke(grant);
    world.host.reload();
    assert_eq!(run.wait().outcome, Outcome::Ok, "the agent saw the denial");
    assert!(world.launch(agent, quiet()).is_err());
}

#[test]
fn a_component_that_is_revoked_while_it_runs_ends() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, LONG);
    let run = world.launch(agent, quiet()).unwrap();
    world.revoke_component(&world.signed(agent));
    world.host.reload();
    assert_eq!(run.wait().outcome, Outcome::Killed);
}

#[test]
fn a_loaded_component_is_judged_again_after_a_change() {
    let world = World::new();
    let code = guests::main(guests::SUCCEEDS);
    let agent = Agent::of(&code);
    let grant = world.grant(agent, "");
    let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
    assert_eq!(world.host.start(&loaded, quiet()).unwrap().wait().outcome, Outcome::Ok);
    world.revoke(grant);
    world.host.reload();
    assert!(world.host.start(&loaded, quiet()).is_err());
}

#[test]
fn a_change_that_comes_while_a_run_is_being_started_is_in_force_before_its_first_call() {
    let world = World::new();
    let code = guests::contract(&format!("{HASH} {}", expects_error(0)));
    let agent = Agent::of(&code).declaring(ALL);
    let grant = world.grant(agent, &format!("[capabilities]\n{ALL}"));
    let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
    world.revoke(grant);
    world.host.reload();
    // `Host::start` has compared the generations already, and the reload found no such run in the table.
    let run = world.host.inner.start(&loaded, quiet()).unwrap();
    assert_eq!(run.wait().outcome, Outcome::Ok, "the agent saw the denial");
}

#[test]
fn a_host_that_ends_ends_its_runs_and_logs_their_exits() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, LONG);
    for _ in 0..3 {
        drop(world.launch(agent, quiet()).unwrap());
    }
    assert_eq!(world.log.open_runs().unwrap().len(), 3);
    drop(world.host);
    assert!(world.log.open_runs().unwrap().is_empty());
    eventually("the end of all that held the log", || std::sync::Arc::strong_count(&world.log) == 1);
}

#[test]
fn stopping_all_ends_all() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, LONG);
    let runs: Vec<_> = (0..5).map(|_| world.launch(agent, quiet()).unwrap()).collect();
    world.host.stop_all();
    for run in runs {
        assert_eq!(run.wait().outcome, Outcome::Killed);
    }
    eventually("the end of all runs", || world.log.open_runs().unwrap().is_empty());
}

#[test]
fn stopping_all_ends_what_is_being_launched() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, LONG);
    let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
    let inner = &world.host.inner;
    let places = inner.places.available_permits();
    // The launch entry waits for whoever writes the log, and the run is in no table yet.
    let writing = Lock::exclusive(&inner.home.log().join("lock")).unwrap();
    std::thread::scope(|scope| {
        let launching = scope.spawn(|| world.host.start(&loaded, quiet()).unwrap().wait());
        eventually("a launch under way", || inner.places.available_permits() < places);
        world.host.stop_all();
        drop(writing);
        assert_eq!(launching.join().unwrap().outcome, Outcome::Killed);
    });
}
