//! What happens before the first instruction.

use std::fs;

use kos_core::custody::{Request, Unlock};

use super::guests::{self, FAILS, SUCCEEDS};
use super::world::{Agent, World, captured, quiet};
use crate::{Cached, LaunchRequest, Outcome, Refusal, RunOptions, Stdin};

#[test]
fn a_launch_and_its_exit_are_in_the_log() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let agent = Agent::of(&code);
    let grant = world.grant(agent, "");
    let report = world.run(agent);
    assert_eq!((report.outcome.clone(), report.unlogged.clone()), (Outcome::Ok, None));
    assert!(report.usage.fuel > 0);
    let launch = &world.entries_of("agent_launch")[0];
    assert_eq!(launch["details"]["grants"][0], grant.to_string());
    assert_eq!(launch["details"]["host"], world.host.id());
    assert_eq!(launch["target"]["id"], world.signed(agent).digest().to_string());
    let exit = &world.entries_of("agent_exit")[0];
    assert_eq!(exit["details"]["run"], launch["details"]["run"]);
    assert_eq!(exit["details"]["outcome"], "ok");
    assert_eq!(exit["details"]["usage"]["fuel"], report.usage.fuel);
    assert!(world.log.open_runs().unwrap().is_empty());
}

#[test]
fn without_a_grant_nothing_runs_and_the_refusal_is_logged() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let refusal = world.launch(Agent::of(&code), quiet()).unwrap_err();
    assert!(matches!(refusal, Refusal::Launch(_)), "{refusal}");
    assert_eq!(refusal.exit_status(), 126);
    assert_eq!(world.entries_of("permission_denied")[0]["details"]["reason"], "no-grant");
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn while_the_keys_are_locked_nothing_is_launched_and_the_refusal_names_the_command() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let agent = Agent::of(&code);
    world.grant(agent, "");
    let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
    world.custodian.ask(Request::Lock).unwrap();
    let refusals =
        [world.launch(agent, quiet()).unwrap_err(), world.host.start(&loaded, quiet()).unwrap_err()];
    for refusal in refusals {
        assert_eq!(refusal.to_string(), "the keys are locked");
        assert_eq!(refusal.remedy().unwrap(), "kos vault unlock");
        assert_eq!(refusal.exit_status(), 125);
    }
    assert!(world.entries_of("agent_launch").is_empty());
    let with = Unlock::KeyFile(world.folder().join("key"));
    world.custodian.ask(Request::Unlock { with }).unwrap();
    assert_eq!(world.run(agent).outcome, Outcome::Ok);
}

#[test]
fn a_revoked_component_is_refused() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let agent = Agent::of(&code);
    world.grant(agent, "");
    world.revoke_component(&world.signed(agent));
    let refusal = world.launch(agent, quiet()).unwrap_err();
    assert!(matches!(refusal, Refusal::Component(_)), "{refusal}");
}

#[test]
fn an_older_version_is_refused_once_a_newer_one_ran() {
    let world = World::new();
    let (newer, older) = (guests::main(SUCCEEDS), guests::main(FAILS));
    let newer = Agent { version: "2.0.0", ..Agent::of(&newer) };
    let older = Agent { version: "1.0.0", ..Agent::of(&older) };
    world.grant(newer, "");
    world.grant(older, "");
    assert_eq!(world.run(newer).outcome, Outcome::Ok);
    let refusal = world.launch(older, quiet()).unwrap_err();
    assert_eq!(refusal.name(), "rollback", "{refusal}");
    assert_eq!(refusal.exit_status(), 126);
}

#[test]
fn a_newer_version_that_was_refused_does_not_keep_the_older_from_running() {
    let world = World::new();
    let (older, newer) = (guests::main(SUCCEEDS), guests::contract(SUCCEEDS));
    let older = Agent { version: "1.0.0", ..Agent::of(&older) };
    let newer = Agent { version: "2.0.0", ..Agent::of(&newer) };
    world.grant(older, "");
    world.grant(newer, "");
    assert_eq!(world.launch(newer, quiet()).unwrap_err().name(), "missing-permission");
    assert_eq!(world.run(older).outcome, Outcome::Ok);
}

#[test]
fn a_grant_that_ended_is_not_revived_by_a_clock_that_is_set_back_before_the_next_host() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let agent = Agent::of(&code);
    world.grant(agent, "");
    world.clock.advance(std::time::Duration::from_secs(31 * 24 * 3_600));
    assert_eq!(world.launch(agent, quiet()).unwrap_err().name(), "no-grant");
    world.clock.set(kos_core::clock::Timestamp::parse("2026-11-25T08:00:00Z").unwrap());
    let refusal = world.another_host().load("agent.wasm", world.signed(agent)).unwrap_err();
    assert_eq!(refusal.name(), "no-grant", "{refusal}");
}

#[test]
fn a_refusal_stands_in_the_log_however_much_there_is_to_say() {
    let world = World::new();
    let imports: String = (0..1_000)
        .map(|number| format!("(import \"evil:package{number}/an-interface-that-no-host-has-and-whose-name-is-as-long-as-its-author-likes-it-to-be\" (func))"))
        .collect();
    let code = guests::main(SUCCEEDS).replacen("(component", &format!("(component {imports}"), 1);
    let agent = Agent::of(&code);
    world.grant(agent, "");
    assert_eq!(world.launch(agent, quiet()).unwrap_err().name(), "unknown-import");
    assert_eq!(world.entries_of("permission_denied")[0]["details"]["reason"], "unknown-import");
}

#[test]
fn an_unknown_import_is_refused_by_its_name() {
    let world = World::new();
    let code = guests::main(SUCCEEDS).replace(
        "(component",
        r#"(component (import "wasi:http/incoming-handler@0.2.6" (instance (export "handle" (func))))"#,
    );
    let agent = Agent::of(&code);
    world.grant(agent, "");
    let refusal = world.launch(agent, quiet()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "it imports wasi:http/incoming-handler@0.2.6, which this host does not have"
    );
}

#[test]
fn a_component_without_main_is_refused() {
    let world = World::new();
    let agent = Agent::of("(component)");
    world.grant(agent, "");
    assert!(matches!(world.launch(agent, quiet()).unwrap_err(), Refusal::NoMain));
}

#[test]
fn a_component_that_is_not_there_is_not_found() {
    let refusal = crate::read_component(std::path::Path::new("/nonexistent/agent.wasm")).unwrap_err();
    assert_eq!(refusal.exit_status(), 127);
}

#[test]
fn a_second_launch_comes_from_the_cache_and_an_altered_artifact_is_an_alert() {
    let world = World::new();
    let code = guests::main(SUCCEEDS);
    let agent = Agent::of(&code);
    world.grant(agent, "");
    world.run(agent);
    let artifact = fs::read_dir(world.home.cache()).unwrap().next().unwrap().unwrap().path();
    let load = |host: &crate::Host| host.load("agent.wasm", world.signed(agent)).unwrap().cached();
    assert_eq!(load(&world.another_host()), Cached::Loaded);
    let mut altered = fs::read(&artifact).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&artifact, altered).unwrap();
    assert_eq!(load(&world.another_host()), Cached::Altered);
    assert_eq!(world.entries_of("alert")[0]["details"]["reason"], "altered-artifact");
    assert_eq!(load(&world.another_host()), Cached::Loaded, "it was compiled again");
}

#[test]
fn limits_can_be_lowered_for_a_run_and_not_raised() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, "[limits]\ncpu = \"1M\"");
    let limited = |text: &str| RunOptions {
        limits: kos_core::permission::Limits::parse_overrides(text).unwrap(),
        ..quiet()
    };
    let run = world.launch(agent, limited("cpu=100k")).unwrap();
    let report = run.wait();
    assert_eq!(report.outcome, Outcome::Fuel);
    assert!(report.usage.fuel <= 100_000);
    assert!(matches!(world.launch(agent, limited("cpu=10M")).unwrap_err(), Refusal::Limit(_)));
}

#[test]
fn a_host_that_is_full_says_so() {
    let world = World::with_capacity(crate::Capacity::ONE);
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code);
    world.grant(agent, "[limits]\ncpu = \"1000000G\"");
    let run = world.launch(agent, quiet()).unwrap();
    let refusal = world.launch(agent, quiet()).unwrap_err();
    assert!(matches!(refusal, Refusal::Full { agents: 1 }));
    assert_eq!(refusal.exit_status(), 125);
    run.stopper().stop();
    run.wait();
    let run = world.launch(agent, quiet()).unwrap();
    run.stopper().stop();
    run.wait();
}

/// Writes what is on standard input to standard output, by WASI streams.
const ECHO: &str = r#"(component
    (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $e))
    (import "wasi:io/streams@0.2.6" (instance $streams
        (alias outer 1 $e (type $outer))
        (export "error" (type $e (eq $outer)))
        (export "input-stream" (type $in (sub resource)))
        (export "output-stream" (type $out (sub resource)))
        (type $se (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $se)))
        (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64)
            (result (result (list u8) (error $stream-error)))))
        (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out))
            (param "contents" (list u8)) (result (result (error $stream-error)))))))
    (alias export $streams "input-stream" (type $in))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdin@0.2.6" (instance $stdin
        (alias outer 1 $in (type $outer)) (export "input-stream" (type $t (eq $outer)))
        (export "get-stdin" (func (result (own $t))))))
    (import "wasi:cli/stdout@0.2.6" (instance $stdout
        (alias outer 1 $out (type $outer)) (export "output-stream" (type $t (eq $outer)))
        (export "get-stdout" (func (result (own $t))))))
    (core module $libc (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $libc (instantiate $libc))
    (core func $get-in (canon lower (func $stdin "get-stdin")))
    (core func $get-out (canon lower (func $stdout "get-stdout")))
    (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (core module $m
        (import "libc" "memory" (memory 1))
        (import "wasi" "in" (func $in (result i32)))
        (import "wasi" "out" (func $out (result i32)))
        (import "wasi" "read" (func $read (param i32 i64 i32)))
        (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
        (func (export "run") (result i32)
            (call $read (call $in) (i64.const 4000) (i32.const 0))
            (call $write (call $out) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 16))
            (i32.load8_u (i32.const 16))))
    (core instance $i (instantiate $m (with "libc" (instance $libc))
        (with "wasi" (instance (export "in" (func $get-in)) (export "out" (func $get-out))
            (export "read" (func $read)) (export "write" (func $write))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $command (export "run" (func $run)))
    (export "wasi:cli/run@0.2.6" (instance $command)))"#;

#[test]
fn output_is_clean_and_carries_the_agents_name() {
    let world = World::new();
    let agent = Agent::of(ECHO);
    world.grant(agent, "");
    let (mut options, shown) = captured();
    options.stdin = Stdin::Bytes(b"hello \x1b[2Jworld\n".to_vec());
    options.prefix = Some("echo".into());
    let report = world.launch(agent, options).unwrap().wait();
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(String::from_utf8_lossy(&shown.lock().unwrap()), "[echo] hello world\n");
    assert_eq!(report.usage.output, 16);
}

#[test]
fn output_beyond_its_limit_ends_the_agent() {
    let world = World::new();
    let agent = Agent::of(ECHO);
    world.grant(agent, "[limits]\noutput = \"1KiB\"");
    let options = RunOptions { stdin: Stdin::Bytes(vec![b'x'; 1025]), ..quiet() };
    assert_eq!(world.launch(agent, options).unwrap().wait().outcome, Outcome::Output);
}

#[test]
fn if_the_log_cannot_be_written_nothing_runs() {
    let world = World::new();
    let agent = Agent::of(ECHO);
    world.grant(agent, "");
    let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
    let moved = world.folder().join("moved");
    fs::rename(world.home.log(), &moved).unwrap();
    fs::write(world.home.log(), "not a directory").unwrap();
    let (mut options, shown) = captured();
    options.stdin = Stdin::Bytes(b"it ran\n".to_vec());
    let request = LaunchRequest { shown: "agent.wasm".into(), component: world.signed(agent), options };
    match world.host.start(&loaded, request.options) {
        Err(refusal) => assert_eq!(refusal.exit_status(), 125, "{refusal}"),
        // The log holds its files open: then the entry must be in them.
        Ok(run) => {
            run.wait();
            assert!(fs::read_dir(&moved).unwrap().count() > 0);
            return;
        }
    }
    assert!(shown.lock().unwrap().is_empty());
}
