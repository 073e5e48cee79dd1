//! Services run until they are stopped, beside tasks that end.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::support::{World, ended, poll_until, signal};

/// A service that answers no message, as nobody sends it one.
const SILENT: &str = r#"(component
    (import "kos:agent/types@0.1.0" (instance $types
        (type $variant (variant (case "denied") (case "invalid" string) (case "limited") (case "unavailable")))
        (export "error" (type (eq $variant)))
        (type $record (record (field "id" string) (field "sender" string) (field "timestamp" u64)
            (field "topic" string) (field "payload" (list u8)) (field "is-request" bool)))
        (export "message" (type (eq $record)))))
    (alias export $types "error" (type $error))
    (alias export $types "message" (type $message))
    (core module $m
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32 i32 i32 i64 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $handle (param "message" $message) (result (result (option (list u8)) (error $error)))
        (canon lift (core func $i "handle") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
    (component $shim
        (type $variant (variant (case "denied") (case "invalid" string) (case "limited") (case "unavailable")))
        (import "error" (type $error (eq $variant)))
        (type $record (record (field "id" string) (field "sender" string) (field "timestamp" u64)
            (field "topic" string) (field "payload" (list u8)) (field "is-request" bool)))
        (import "message" (type $message (eq $record)))
        (import "handle" (func $handle
            (param "message" $message) (result (result (option (list u8)) (error $error)))))
        (export $e "error" (type $error))
        (export $r "message" (type $message))
        (export "handle" (func $handle) (func (param "message" $r) (result (result (option (list u8)) (error $e))))))
    (instance $handler (instantiate $shim
        (with "error" (type $error)) (with "message" (type $message)) (with "handle" (func $handle))))
    (export "kos:agent/handler@0.1.0" (instance $handler)))"#;

/// A task that ends at once.
const TASK: &str = r#"(component
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $command (export "run" (func $run)))
    (export "wasi:cli/run@0.2.6" (instance $command)))"#;

/// A signed agent of this code, granted nothing but its launch.
fn launchable(world: &World, name: &str, text: &str, tables: &str) -> PathBuf {
    let component =
        world.write(&format!("{name}.wasm"), wat::parse_str(text).expect("a valid text component"));
    let manifest = format!("name = \"{name}\"\nversion = \"1.0.0\"\n{tables}");
    let signed = world.sign(&component, &manifest, "alice", &format!("{name}-signed.wasm"));
    world.grant(&signed, "expires = \"30d\"\n[limits]\nduration = \"50ms\"\n");
    signed
}

fn start(world: &World, agents: &[PathBuf]) -> Child {
    let mut command = world.kos_run_command();
    command.args(agents).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a process that starts")
}

/// The names, kinds and counts that `kos ps` shows.
fn running(world: &World) -> Vec<(String, String, Option<u64>)> {
    let runs = world.kos(&["ps", "--json"]).succeeded().json();
    let text = |run: &serde_json::Value, key: &str| run[key].as_str().expect("a text").to_owned();
    let runs = runs.as_array().expect("a list").iter();
    runs.map(|run| (text(run, "name"), text(run, "kind"), run["handled"].as_u64())).collect()
}

#[test]
fn a_service_runs_beside_a_task_until_it_is_stopped() {
    let world = World::trusting("trusted");
    let service = launchable(&world, "silent", SILENT, "[service]\ninstances = \"per-message\"\n");
    let task = launchable(&world, "task", TASK, "");
    let is_alone = || running(&world) == [("silent".to_owned(), "service".to_owned(), Some(0))];

    let host = start(&world, &[service.clone(), task]);
    poll_until("the task ended and the service waits", || {
        is_alone() && world.entries_of("agent_exit").len() == 1
    });
    world.kos(&["stop", "silent"]).succeeded();
    ended(host).ended_with(137).saying("silent-signed.wasm was stopped");

    let host = start(&world, &[service]);
    poll_until("the service waits", is_alone);
    signal(&host, "-TERM");
    ended(host).ended_with(137);

    let exits = world.entries_of("agent_exit");
    let outcomes: Vec<_> = exits.iter().map(|exit| exit["details"]["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok", "killed", "killed"]);
    assert_eq!(world.entries_of("agent_launch")[0]["details"]["instances"], "per-message");
    world.kos(&["log", "verify"]).succeeded();
}
