use super::world::*;
use crate::*;
use std::time::Instant;
const DIR: &str = "/tmp/t/guest/wasm32-wasip2/release/";

fn toml_after(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn rogue() {
    let world = World::new();
    let file = std::fs::read(format!("{DIR}rogue.wasm")).unwrap();
    let manifest = toml_after("/tmp/w/host/sample-agents/rogue/agent.toml");
    let declares =
        manifest.split("[capabilities]").nth(1).unwrap().split("[resources]").next().unwrap().to_owned();
    let agent = Agent { name: "rogue", ..Agent::of("") }.declaring(&declares);
    let permissions =
        toml_after("/tmp/w/host/sample-agents/rogue/permissions.toml").replace("expires = \"30d\"", "");
    world.grant_author(agent, &permissions);
    let component = || world.signed_file(&file, agent);
    let loaded = world.host.load("rogue.wasm", component()).unwrap();
    let (mut options, shown) = captured();
    options.arguments = vec!["list".into()];
    assert_eq!(world.host.start(&loaded, options).unwrap().wait().outcome, Outcome::Ok);
    let list = String::from_utf8(shown.lock().unwrap().clone()).unwrap();
    let mut bad = 0;
    for line in list.lines() {
        let (name, expected) = line.split_once('\t').unwrap();
        let (mut options, shown) = captured();
        options.arguments = vec![name.into()];
        let started = Instant::now();
        let report = world.host.start(&loaded, options).unwrap().wait();
        let said =
            String::from_utf8_lossy(&shown.lock().unwrap()).trim().chars().take(150).collect::<String>();
        let ok = report.outcome == Outcome::Ok || report.outcome.name() == expected;
        if !ok {
            bad += 1;
        }
        println!(
            "{} {name}: expected {expected}, {} in {:?} ({said})",
            if ok { "  " } else { "!!" },
            report.outcome,
            started.elapsed()
        );
    }
    println!("{bad} bad of {}", list.lines().count());
}

#[test]
fn measure() {
    let world = World::new();
    let file = std::fs::read(format!("{DIR}hello.wasm")).unwrap();
    let agent = Agent { name: "hello", ..Agent::of("") }.declaring(ALL);
    world.grant_author(agent, &format!("[capabilities]\n{ALL}"));
    let started = Instant::now();
    let loaded = world.host.load("hello.wasm", world.signed_file(&file, agent)).unwrap();
    println!("cold load {:?}", started.elapsed());
    let report = world.host.start(&loaded, quiet()).unwrap().wait();
    println!("{report:?}");
    let mut loads = vec![];
    for _ in 0..100 {
        let component = world.signed_file(&file, agent);
        let started = Instant::now();
        world.host.load("hello.wasm", component).unwrap();
        loads.push(started.elapsed());
    }
    loads.sort();
    println!("warm load (same host) median {:?}", loads[50]);
    let host = world.another_host();
    let started = Instant::now();
    let component = world.signed_file(&file, agent);
    let signed = started.elapsed();
    let cached = host.load("hello.wasm", component).unwrap();
    println!(
        "load from cache, new host {:?} (incl. signing {signed:?}) {:?}",
        started.elapsed(),
        cached.cached()
    );
    // raw
    let engine = world.host.raw().engine.clone();
    let command = loaded.command.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut raws = vec![];
    for _ in 0..2000 {
        let (agent, limits) = world.host.raw().bare(&loaded);
        let started = Instant::now();
        let mut store = wasmtime::Store::new(&engine, agent);
        store.set_fuel(limits.cpu).unwrap();
        store.set_epoch_deadline(1 << 60);
        let instance = runtime.block_on(command.instantiate_async(&mut store)).unwrap();
        std::hint::black_box(&instance);
        drop(store);
        raws.push(started.elapsed());
    }
    raws.sort();
    println!("raw store+instantiate+drop median {:?}", raws[1000]);
    let mut runs = vec![];
    for _ in 0..2000 {
        let (agent, limits) = world.host.raw().bare(&loaded);
        let started = Instant::now();
        let mut store = wasmtime::Store::new(&engine, agent);
        store.set_fuel(limits.cpu).unwrap();
        store.set_epoch_deadline(1 << 60);
        let r = runtime.block_on(async {
            let i = command.instantiate_async(&mut store).await?;
            i.wasi_cli_run().call_run(&mut store).await
        });
        std::hint::black_box(&r);
        drop(store);
        runs.push(started.elapsed());
    }
    runs.sort();
    println!("raw store+instantiate+run+drop median {:?}", runs[1000]);
    let mut tasks = vec![];
    for _ in 0..2000 {
        let started = Instant::now();
        let (agent, _) = world.host.raw().bare(&loaded);
        std::hint::black_box(&agent);
        drop(agent);
        tasks.push(started.elapsed());
    }
    tasks.sort();
    println!("making and dropping the task (context, gate, ids) median {:?}", tasks[1000]);
    let mut starts = vec![];
    let mut waits = vec![];
    for _ in 0..500 {
        let started = Instant::now();
        let run = world.host.start(&loaded, quiet()).unwrap();
        starts.push(started.elapsed());
        run.wait();
        waits.push(started.elapsed());
    }
    starts.sort();
    waits.sort();
    println!(
        "start (entry durable, spawned) median {:?}; start+run+exit entry durable median {:?}",
        starts[250], waits[250]
    );
    let mut appends = vec![];
    for _ in 0..500 {
        let started = Instant::now();
        world
            .log
            .append(kos_core::log::Event::new(
                kos_core::log::EventType::Alert,
                kos_core::log::PartyType::System,
                "x",
            ))
            .unwrap();
        appends.push(started.elapsed());
    }
    appends.sort();
    println!("log append alone median {:?}", appends[250]);
    // concurrent
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    loop {
                        if let Ok(run) = world.host.start(&loaded, quiet()) {
                            run.wait();
                            break;
                        }
                    }
                }
            });
        }
    });
    println!("800 launches by 8 threads: {:?} each", started.elapsed() / 800);
}

#[test]
fn calls() {
    let world = World::new();
    for (what, body) in [
        ("granted hash 64 B", guests_hash()),
        ("loop alone", String::from("(drop (i32.const 1))")),
        ("sign 64 B", String::from(super::guests::SIGN)),
    ] {
        let times: u32 = if what.starts_with("sign") { 2000 } else { 200_000 };
        let code = super::guests::contract(&format!("{} (i32.const 0)", super::guests::repeat(times, &body)));
        let file = wat::parse_str(&code).unwrap();
        let agent = Agent { name: "calls", ..Agent::of("") }.declaring(ALL);
        world.grant_author(agent, &format!("[capabilities]\n{ALL}"));
        let loaded = world.host.load("calls.wasm", world.signed_file(&file, agent)).unwrap();
        let report = world.host.start(&loaded, quiet()).unwrap();
        let started = Instant::now();
        let report = report.wait();
        println!(
            "{what}: {} ns each ({:?})",
            started.elapsed().as_nanos() / u128::from(times),
            report.outcome
        );
    }
    let started = Instant::now();
    for _ in 0..200_000 {
        std::hint::black_box(blake3::hash(std::hint::black_box(&[b'a'; 64])));
    }
    println!("blake3 of 64 B alone: {} ns", started.elapsed().as_nanos() / 200_000);
}
fn guests_hash() -> String {
    super::guests::HASH.to_owned()
}
#[test]
fn wats() {
    let world = World::new();
    for entry in std::fs::read_dir("/tmp/w/guest/sample-agents/rogue/wat").unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file = wat::parse_str(&text).unwrap();
        let agent = Agent { name: "rogue", ..Agent::of("") };
        world.grant_author(agent, "[limits]\nmemory = \"32MiB\"\ncpu = \"2G\"\nduration = \"3s\"");
        let first = text.lines().next().unwrap();
        match world
            .host
            .load("x", world.signed_file(&file, agent))
            .and_then(|l| world.host.start(&l, quiet()))
        {
            Ok(run) => println!("{path:?} {first} -> {}", run.wait().outcome),
            Err(error) => println!("{path:?} {first} -> refused {error}"),
        }
    }
}
