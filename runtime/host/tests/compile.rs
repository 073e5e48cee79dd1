//! The compiling child, as a real process: this program is its own compiler, so it has no harness.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without a harness reports by itself")]

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    if let Some(code) = kos_host::compile::child() {
        return code;
    }
    let tests: [(&str, fn()); 3] = [
        ("a_component_is_compiled_by_a_child", a_component_is_compiled_by_a_child),
        ("what_is_no_component_is_a_complaint", what_is_no_component_is_a_complaint),
        (
            "a_child_that_asks_for_too_much_memory_ends_alone",
            a_child_that_asks_for_too_much_memory_ends_alone,
        ),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// What the child answers to `component`, and whether it succeeded.
fn child(component: &[u8]) -> (Vec<u8>, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(kos_host::compile::CHILD_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(component).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.stdout, output.status.success())
}

fn a_component_is_compiled_by_a_child() {
    let (frame, success) = child(&wat::parse_str("(component (core module (func (export \"f\"))))").unwrap());
    assert!(success);
    assert_eq!((frame.first(), frame.last()), (Some(&b'A'), Some(&b'A')));
    assert!(frame.len() > 1000);
}

fn what_is_no_component_is_a_complaint() {
    for bytes in [b"".as_slice(), b"\0asm\x01\0\0\0", b"\x7fELF", &[0xff; 1000]] {
        let (frame, success) = child(bytes);
        assert!(success);
        assert_eq!((frame.first(), frame.last()), (Some(&b'R'), Some(&b'R')));
    }
}

/// More locals than the address space of the child has room for once they are compiled: whatever happens, it happens there.
fn a_child_that_asks_for_too_much_memory_ends_alone() {
    let function = format!("(func (local {}) (unreachable))", "i64 ".repeat(50_000));
    let (frame, success) =
        child(&wat::parse_str(format!("(component (core module {}))", function.repeat(20))).unwrap());
    assert!(!success || frame.first() == frame.last());
}
