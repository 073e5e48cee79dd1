//! Agents as text: the smallest that do one thing.

/// An agent whose `main` is `body`, which leaves 0 for success and 1 for failure.
pub(super) fn main(body: &str) -> String {
    module("", body)
}

/// The same, with more definitions in its module.
pub(super) fn module(definitions: &str, body: &str) -> String {
    format!(
        r#"(component
            (core module $m {definitions} (func (export "run") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $command)))"#
    )
}

pub(super) const SUCCEEDS: &str = "(i32.const 0)";
pub(super) const FAILS: &str = "(i32.const 1)";
pub(super) const LOOPS: &str = "(loop (br 0)) (i32.const 0)";

/// An agent that uses the contract. `body` calls `$hash`, `$sign` and `$note` with their lowered signatures. Its memory has
/// 64 `a` at 0, the context `receipt` at 100, the topic `news` at 120, what is neither at 140, and a free place for results at 200.
pub(super) fn contract(body: &str) -> String {
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
                (export "hasher" (type $hasher (sub resource)))
                (export "hash" (func (param "algorithm" $algorithm) (param "data" (list u8))
                    (result (result (list u8) (error $e)))))
                (export "[static]hasher.open" (func (param "algorithm" $algorithm)
                    (result (result (own $hasher) (error $e)))))
                (export "sign" (func (param "context" string) (param "message" (list u8))
                    (result (result (list u8) (error $e)))))))
            (import "kos:agent/audit@0.1.0" (instance $audit
                (alias outer 1 $error (type $outer))
                (export "error" (type $e (eq $outer)))
                (export "note" (func (param "topic" string) (param "text" string) (result (result (error $e)))))))
            (core module $libc
                (memory (export "memory") 1 4)
                (data (i32.const 0) "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
                (data (i32.const 100) "receipt")
                (data (i32.const 120) "news")
                (data (i32.const 140) "UPPER")
                (global $next (mut i32) (i32.const 1024))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (global.get $next))
                    (global.set $next (i32.add (global.get $next) (local.get 3)))
                    (if (i32.gt_u (global.get $next) (i32.const 60000)) (then (global.set $next (i32.const 1024))))
                    (local.get $at)))
            (core instance $libc (instantiate $libc))
            (core func $hash (canon lower (func $crypto "hash")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core func $open (canon lower (func $crypto "[static]hasher.open")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core func $sign (canon lower (func $crypto "sign")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core func $note (canon lower (func $audit "note")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $m
                (import "libc" "memory" (memory 1))
                (import "kos" "hash" (func $hash (param i32 i32 i32 i32)))
                (import "kos" "open" (func $open (param i32 i32)))
                (import "kos" "sign" (func $sign (param i32 i32 i32 i32 i32)))
                (import "kos" "note" (func $note (param i32 i32 i32 i32 i32)))
                (func (export "run") (result i32) (local $i i32) {body}))
            (core instance $i (instantiate $m
                (with "libc" (instance $libc))
                (with "kos" (instance
                    (export "hash" (func $hash)) (export "open" (func $open))
                    (export "sign" (func $sign)) (export "note" (func $note))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $command)))"#
    )
}

/// The answer at 200: 0 for success, else 1 and, at 204, which error.
pub(super) const IS_ERROR: &str = "(i32.load8_u (i32.const 200))";

/// Fails unless the answer at 200 is the error number `case` (0 denied, 1 invalid, 2 limited, 3 unavailable).
pub(super) fn expects_error(case: u8) -> String {
    format!(
        "(i32.eqz (i32.and (i32.load8_u (i32.const 200)) (i32.eq (i32.load8_u (i32.const 204)) (i32.const {case}))))"
    )
}

/// `body`, this many times.
pub(super) fn repeat(times: u32, body: &str) -> String {
    format!(
        "(loop $again {body} (local.set $i (i32.add (local.get $i) (i32.const 1))) \
         (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))"
    )
}

pub(super) const HASH: &str = "(call $hash (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 200))";
pub(super) const SIGN: &str =
    "(call $sign (i32.const 100) (i32.const 7) (i32.const 0) (i32.const 64) (i32.const 200))";
pub(super) const NOTE: &str =
    "(call $note (i32.const 120) (i32.const 4) (i32.const 0) (i32.const 64) (i32.const 200))";
pub(super) const OPEN: &str = "(call $open (i32.const 1) (i32.const 200))";

/// An agent that uses the vault. `body` calls `$put`, `$mac` and `$reveal` with their lowered signatures. Its memory has 64 `a` at
/// 0, the secret's name `api_key/a` at 100, `api_key/A` at 120, and a free place for results at 200.
pub(super) fn vault(body: &str) -> String {
    format!(
        r#"(component
            (import "kos:agent/types@0.1.0" (instance $types
                (type $variant (variant (case "denied") (case "invalid" string) (case "limited") (case "unavailable")))
                (export "error" (type (eq $variant)))))
            (alias export $types "error" (type $error))
            (import "kos:agent/vault@0.1.0" (instance $vault
                (alias outer 1 $error (type $outer))
                (export "error" (type $e (eq $outer)))
                (type $enum (enum "hmac-sha256" "hmac-sha512"))
                (export "mac-algorithm" (type $algorithm (eq $enum)))
                (export "put" (func (param "name" string) (param "value" (list u8)) (param "expires" (option u64))
                    (result (result (error $e)))))
                (export "mac" (func (param "name" string) (param "algorithm" $algorithm) (param "message" (list u8))
                    (result (result (list u8) (error $e)))))
                (export "reveal" (func (param "name" string) (result (result (list u8) (error $e)))))))
            (core module $libc
                (memory (export "memory") 1 4)
                (data (i32.const 0) "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
                (data (i32.const 100) "api_key/a")
                (data (i32.const 120) "api_key/A")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
            (core instance $libc (instantiate $libc))
            (core func $put (canon lower (func $vault "put")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core func $mac (canon lower (func $vault "mac")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core func $reveal (canon lower (func $vault "reveal")
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $m
                (import "libc" "memory" (memory 1))
                (import "kos" "put" (func $put (param i32 i32 i32 i32 i32 i64 i32)))
                (import "kos" "mac" (func $mac (param i32 i32 i32 i32 i32 i32)))
                (import "kos" "reveal" (func $reveal (param i32 i32 i32)))
                (func (export "run") (result i32) (local $i i32) {body}))
            (core instance $i (instantiate $m
                (with "libc" (instance $libc))
                (with "kos" (instance
                    (export "put" (func $put)) (export "mac" (func $mac)) (export "reveal" (func $reveal))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $command)))"#
    )
}

/// Stores the 64 `a` as `api_key/a`.
pub(super) const PUT: &str = "(call $put (i32.const 100) (i32.const 9) (i32.const 0) (i32.const 64) (i32.const 0) (i64.const 0) (i32.const 200))";
/// Reveals `api_key/a`.
pub(super) const REVEAL: &str = "(call $reveal (i32.const 100) (i32.const 9) (i32.const 200))";

/// A service. `body` makes the 16 bytes of its answer at 0 of `$command`, the first byte of the payload, and leaves nothing; what
/// it does not write there is no reply and no error. `$count` is the instance's memory of earlier messages.
pub(super) fn service(body: &str) -> String {
    format!(
        r#"(component
            (import "kos:agent/types@0.1.0" (instance $types
                (type $variant (variant (case "denied") (case "invalid" string) (case "limited") (case "unavailable")))
                (export "error" (type (eq $variant)))
                (type $did string)
                (export "did" (type $d (eq $did)))
                (type $record (record (field "id" string) (field "sender" $d) (field "timestamp" u64)
                    (field "topic" string) (field "payload" (list u8)) (field "is-request" bool)))
                (export "message" (type (eq $record)))))
            (alias export $types "error" (type $error))
            (alias export $types "message" (type $message))
            (core module $m
                (memory (export "memory") 1 4)
                (global $next (mut i32) (i32.const 1024))
                (global $count (mut i32) (i32.const 0))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $next (i32.add (global.get $next) (local.get 3)))
                    (if (i32.gt_u (global.get $next) (i32.const 60000)) (then (global.set $next (i32.const 1024))))
                    (i32.sub (global.get $next) (local.get 3)))
                (func (export "handle") (param i32 i32 i32 i32 i64 i32 i32) (param $payload i32) (param i32 i32)
                    (result i32) (local $command i32) (local $i i32)
                    (local.set $command (i32.load8_u (local.get $payload)))
                    (global.set $count (i32.add (global.get $count) (i32.const 1)))
                    (i64.store (i32.const 0) (i64.const 0)) (i64.store (i32.const 8) (i64.const 0))
                    {body}
                    (i32.const 0)))
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
                (export "handle" (func $handle)
                    (func (param "message" $r) (result (result (option (list u8)) (error $e))))))
            (instance $handler (instantiate $shim
                (with "error" (type $error)) (with "message" (type $message)) (with "handle" (func $handle))))
            (export "kos:agent/handler@0.1.0" (instance $handler)))"#
    )
}

/// A service that exits with success at a message that begins with `e`.
pub(super) fn exiting() -> String {
    let import = r#"(import "wasi:cli/exit@0.2.6" (instance $exit
            (export "exit" (func (param "status" (result))))))
        (core func $exit (canon lower (func $exit "exit")))
        (core module $m (import "wasi" "exit" (func $exit (param i32)))"#;
    let exits = "(if (i32.eq (local.get $command) (i32.const 101)) (then (call $exit (i32.const 0))))";
    service(exits).replace("(core module $m", import).replace(
        "(instantiate $m))",
        r#"(instantiate $m (with "wasi" (instance (export "exit" (func $exit))))))"#,
    )
}
