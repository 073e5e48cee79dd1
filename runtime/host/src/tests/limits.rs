//! Each limit ends its agent with its own outcome, and nobody else.

use std::time::Instant;

use super::guests::{self, FAILS, LOOPS, SUCCEEDS, repeat};
use super::world::{ALL, Agent, World, quiet};
use crate::Outcome;

#[test]
fn an_agent_that_returns_is_ok_and_one_that_fails_is_an_error() {
    let world = World::new();
    assert_eq!(world.outcome(&guests::main(SUCCEEDS), ""), Outcome::Ok);
    assert_eq!(world.outcome(&guests::main(FAILS), ""), Outcome::Error { status: 1 });
}

#[test]
fn a_loop_ends_with_its_fuel() {
    assert_eq!(World::new().outcome(&guests::main(LOOPS), "[limits]\ncpu = \"100k\""), Outcome::Fuel);
}

#[test]
fn what_the_host_computes_for_an_agent_is_taken_from_its_fuel() {
    let world = World::new();
    let hash = "(call $hash (i32.const 1) (i32.const 0) (i32.const 60000) (i32.const 200))";
    let code = guests::contract(&format!("{} (i32.const 0)", repeat(1_000, hash)));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}\n[limits]\ncpu = \"20M\""));
    let report = world.run(agent);
    assert_eq!((report.outcome, report.usage.fuel), (Outcome::Fuel, 20_000_000));
}

#[test]
fn a_loop_ends_at_its_deadline() {
    let limits = "[limits]\nduration = \"100ms\"\ncpu = \"1000000G\"";
    assert_eq!(World::new().outcome(&guests::main(LOOPS), limits), Outcome::Deadline);
}

#[test]
fn a_loop_in_a_start_function_ends_at_its_deadline() {
    let code = guests::module("(func $start (loop (br 0))) (start $start)", SUCCEEDS);
    let limits = "[limits]\nduration = \"100ms\"\ncpu = \"1000000G\"";
    assert_eq!(World::new().outcome(&code, limits), Outcome::Deadline);
}

#[test]
fn a_loop_in_a_start_function_ends_with_its_fuel() {
    let code = guests::module("(func $start (loop (br 0))) (start $start)", SUCCEEDS);
    assert_eq!(World::new().outcome(&code, "[limits]\ncpu = \"100k\""), Outcome::Fuel);
}

#[test]
fn memory_that_grows_beyond_its_limit_ends_the_agent() {
    let code =
        guests::module("(memory 1)", "(loop (drop (memory.grow (i32.const 16))) (br 0)) (i32.const 0)");
    assert_eq!(World::new().outcome(&code, "[limits]\nmemory = \"4MiB\""), Outcome::Memory);
}

#[test]
fn memory_that_is_too_large_from_the_start_ends_the_agent() {
    let code = guests::module("(memory 1000)", SUCCEEDS);
    assert_eq!(World::new().outcome(&code, "[limits]\nmemory = \"4MiB\""), Outcome::Memory);
}

#[test]
fn memory_granted_for_reading_only_does_not_grow() {
    let code = guests::module("(memory 1)", "(drop (memory.grow (i32.const 1))) (i32.const 0)");
    assert_eq!(World::new().outcome(&code, "[resources]\nmemory = \"read\""), Outcome::Memory);
}

#[test]
fn several_memories_count_as_one_sum() {
    let code = guests::main(SUCCEEDS).replace(
        "(core instance $i",
        "(core module $store (memory 256)) (core instance (instantiate $store)) (core instance (instantiate $store)) \
         (core instance $i",
    );
    assert_eq!(World::new().outcome(&code, "[limits]\nmemory = \"24MiB\""), Outcome::Memory);
}

#[test]
fn a_table_that_grows_beyond_its_limit_ends_the_agent() {
    let code = guests::module(
        "(table $t 1 funcref)",
        "(loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0)) (i32.const 0)",
    );
    assert_eq!(World::new().outcome(&code, "[limits]\ntable = \"5000\""), Outcome::Table);
}

#[test]
fn a_table_that_is_too_large_from_the_start_ends_the_agent() {
    let code = guests::module("(table 6000 funcref)", SUCCEEDS);
    assert_eq!(World::new().outcome(&code, "[limits]\ntable = \"5000\""), Outcome::Table);
}

#[test]
fn endless_recursion_ends_with_the_stack() {
    let code = guests::module("(func $deep (call $deep) (call $deep))", "(call $deep) (i32.const 0)");
    assert_eq!(World::new().outcome(&code, ""), Outcome::Stack);
}

#[test]
fn a_broken_agent_is_a_trap_with_its_cause() {
    let Outcome::Trap { message } = World::new().outcome(&guests::main("unreachable"), "") else {
        unreachable!("it breaks")
    };
    assert!(message.contains("unreachable"), "{message}");
}

#[test]
fn more_core_instances_than_the_limit_end_the_agent() {
    let code = guests::main(SUCCEEDS).replace(
        "(core instance $i (instantiate $m))",
        "(core instance (instantiate $m)) (core instance (instantiate $m)) (core instance $i (instantiate $m))",
    );
    assert_eq!(World::new().outcome(&code, "[limits]\ninstances = \"2\""), Outcome::Instances);
}

fn contract_outcome(body: &str, limits: &str) -> Outcome {
    let world = World::new();
    let code = guests::contract(body);
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}\n[limits]\n{limits}"));
    world.run(agent).outcome
}

#[test]
fn handles_beyond_their_limit_end_the_agent() {
    let body = format!("{} (i32.const 0)", repeat(1000, guests::OPEN));
    assert_eq!(contract_outcome(&body, "handles = \"100\""), Outcome::Handles);
}

#[test]
fn a_list_larger_than_a_call_may_carry_ends_the_agent() {
    let body = "(call $hash (i32.const 1) (i32.const 0) (i32.const 50000) (i32.const 200)) (i32.const 0)";
    assert_eq!(contract_outcome(body, "payload = \"32KiB\""), Outcome::Payload);
}

#[test]
fn a_text_larger_than_a_call_may_carry_ends_the_agent() {
    let body = "(call $note (i32.const 120) (i32.const 4) (i32.const 0) (i32.const 50000) (i32.const 200)) (i32.const 0)";
    assert_eq!(contract_outcome(body, "payload = \"32KiB\""), Outcome::Payload);
}

#[test]
fn a_list_outside_of_the_memory_is_a_trap() {
    let body = "(call $hash (i32.const 1) (i32.const 65000) (i32.const 5000) (i32.const 200)) (i32.const 0)";
    assert!(matches!(contract_outcome(body, ""), Outcome::Trap { .. }));
}

#[test]
fn an_algorithm_that_is_none_is_a_trap() {
    let body = "(call $hash (i32.const 77) (i32.const 0) (i32.const 5) (i32.const 200)) (i32.const 0)";
    assert!(matches!(contract_outcome(body, ""), Outcome::Trap { .. }));
}

#[test]
fn notes_beyond_their_size_end_the_agent() {
    let body = format!("{} (i32.const 0)", repeat(50, guests::NOTE));
    assert_eq!(contract_outcome(&body, "note-bytes = \"1KiB\""), Outcome::Notes);
}

#[test]
fn notes_beyond_their_rate_are_limited() {
    let body = format!("{} {}", repeat(4, guests::NOTE), guests::IS_ERROR);
    assert_eq!(contract_outcome(&body, "notes-per-minute = \"3\""), Outcome::Error { status: 1 });
}

#[test]
fn a_neighbours_deadline_changes_nothing_for_others() {
    let world = World::new();
    let short = guests::main(LOOPS);
    let short = Agent { name: "short", ..Agent::of(&short) };
    let long = guests::main("(drop (i32.const 7)) (loop (br 0)) (i32.const 0)");
    let long = Agent { name: "long", ..Agent::of(&long) };
    world.grant(short, "[limits]\nduration = \"50ms\"\ncpu = \"1000000G\"");
    world.grant(long, "[limits]\nduration = \"1h\"\ncpu = \"300M\"");
    let long_run = world.launch(long, quiet()).unwrap();
    for _ in 0..4 {
        assert_eq!(world.run(short).outcome, Outcome::Deadline);
    }
    assert_eq!(long_run.wait().outcome, Outcome::Fuel, "it ran to the end of its own budget");
}

#[test]
fn agents_that_loop_share_the_processor_with_agents_that_do_not() {
    let world = World::new();
    let looping = guests::main(LOOPS);
    let looping = Agent { name: "looping", ..Agent::of(&looping) };
    world.grant(looping, "[limits]\nduration = \"1h\"\ncpu = \"1000000G\"");
    let loops: Vec<_> = (0..6).map(|_| world.launch(looping, quiet()).unwrap()).collect();
    let started = Instant::now();
    assert_eq!(world.outcome(&guests::main(SUCCEEDS), ""), Outcome::Ok);
    assert!(started.elapsed().as_secs() < 20, "it was starved");
    for run in loops {
        run.stopper().stop();
        assert_eq!(run.wait().outcome, Outcome::Killed);
    }
}
