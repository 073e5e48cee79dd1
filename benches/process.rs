//! A verified launch of `hello` as a whole process, with a warm cache, against `wasmtime run` on a precompiled `hello` of
//! its own, which greets and asks nobody who it is: time and peak memory. Needs the `wasmtime` command, version 48, on the path or named by `WASMTIME`.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

mod ratio;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ratio::Ratio;

const ROUNDS: usize = 41;

fn main() {
    let wasmtime = std::env::var_os("WASMTIME").unwrap_or_else(|| "wasmtime".into());
    if Command::new(&wasmtime).arg("--version").stdout(Stdio::null()).status().is_err() {
        println!(
            "not measured: there is no `wasmtime` command (cargo install wasmtime-cli --version 48.0.8)"
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let component = agent("hello");
    let precompiled = path("hello.cwasm");
    let (source, plain) = (path("plain.rs"), path("plain.wasm"));
    std::fs::write(&source, "fn main() { println!(\"I am hello\"); }").expect("a written file");
    done(Command::new("rustc").args(["-O", "--target", "wasm32-wasip2", "-o"]).arg(&plain).arg(&source));
    done(Command::new(&wasmtime).arg("compile").arg("-o").arg(&precompiled).arg(&plain));
    let signed = granted_hello(folder.path(), &component);

    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kos-run"));
        command.arg(&signed).env("KOS_HOME", path("home"));
        command
    };
    let limit = || {
        let mut command = Command::new(&wasmtime);
        command.args(["run", "--allow-precompiled"]).arg(&precompiled);
        command
    };
    done(&mut ours());
    Ratio::measure(ROUNDS, || done(&mut ours()), || done(&mut limit())).report("whole process, warm", 1.0, 1);
    let (ours, limit) = (peak_memory(&mut ours()), peak_memory(&mut limit()));
    println!(
        "whole process, peak memory: {ours} KiB against {limit} KiB = {:.2} × (goal <= 1.00)",
        ours as f64 / limit as f64
    );
}

/// Makes a home below `folder` in which `hello` is trusted, signed and granted; returns the signed file.
fn granted_hello(folder: &Path, component: &Path) -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-agents/hello");
    let signed = folder.join("hello.wasm");
    let kos = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kos"));
        command.env("KOS_HOME", folder.join("home"));
        command
    };
    done(kos().args(["init", "--key-file"]).arg(folder.join("root.key")));
    let made = kos().args(["key", "new", "bench", "--json"]).output().expect("kos");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("the new key");
    done(kos().args(["trust", "add", made["did"].as_str().expect("a DID"), "--level", "trusted"]));
    let mut sign = kos();
    sign.arg("sign")
        .arg(component)
        .arg("--manifest")
        .arg(sample.join("agent.toml"))
        .args(["--key", "bench", "-o"])
        .arg(&signed);
    done(&mut sign);
    done(kos().arg("grant").arg(&signed).arg(sample.join("permissions.toml")));
    signed
}

fn done(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("a command that starts");
    assert!(status.success(), "{command:?}: {status}");
}

/// The largest resident set of a command, in KiB, as the kernel accounts it.
fn peak_memory(command: &mut Command) -> u64 {
    let mut timed = Command::new("/usr/bin/env");
    timed.args(["python3", "-c", "import os,resource,subprocess,sys; subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"]);
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    let output = timed.output().expect("python3");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a size")
}

fn agent(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/wasm32-wasip2/release/{name}.wasm"));
    assert!(path.exists(), "{} is not built: run `cargo xtask agents` first", path.display());
    path
}
