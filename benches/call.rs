//! A granted capability call against the same host call without a gate: `crypto.hash` of 64 bytes and of 4 KiB.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

mod ratio;
mod raw;
mod world;

use ratio::Ratio;
use raw::Raw;
use world::{World, quiet};

const CALLS: u32 = 50_000;

fn main() {
    let world = World::new();
    for (name, length, goal) in [("64 bytes", 64, 1.25), ("4 KiB", 4096, 1.05)] {
        let component = wat::parse_str(caller(length)).unwrap();
        let agent = format!("caller-{length}");
        let loaded = world.loaded(&agent, &component, "\"crypto.hash\" = { scope = [\"blake3\"] }\n");
        let raw = Raw::new(&component);
        Ratio::measure(
            21,
            || assert_eq!(world.host.start(&loaded, quiet()).unwrap().wait().outcome.name(), "ok"),
            || raw.run(),
        )
        .report(&format!("granted hash of {name}"), goal, CALLS);
    }
}

/// An agent that hashes `length` bytes [`CALLS`] times.
fn caller(length: u32) -> String {
    format!(
        r#"(component
            (import "kos:agent/types@0.1.0" (instance $types
                (type $variant (variant (case "denied") (case "invalid" string) (case "limited") (case "unavailable")))
                (export "error" (type (eq $variant)))))
            (alias export $types "error" (type $error))
            (import "kos:agent/crypto@0.1.0" (instance $crypto
                (alias outer 1 $error (type $outer))
                (export "error" (type $e (eq $outer)))
                (type $enum (enum "sha512" "blake3"))
                (export "algorithm" (type $algorithm (eq $enum)))
                (export "hash" (func (param "algorithm" $algorithm) (param "data" (list u8))
                    (result (result (list u8) (error $e)))))))
            (core module $libc
                (memory (export "memory") 1 4)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192)))
            (core instance $libc (instantiate $libc))
            (core func $hash (canon lower (func $crypto "hash")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $m
                (import "libc" "memory" (memory 1))
                (import "kos" "hash" (func $hash (param i32 i32 i32 i32)))
                (func (export "run") (result i32) (local $i i32)
                    (loop $again
                        (call $hash (i32.const 1) (i32.const 0) (i32.const {length}) (i32.const 16384))
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $again (i32.lt_u (local.get $i) (i32.const {CALLS}))))
                    (i32.load8_u (i32.const 16384))))
            (core instance $i (instantiate $m
                (with "libc" (instance $libc))
                (with "kos" (instance (export "hash" (func $hash))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $command)))"#
    )
}
