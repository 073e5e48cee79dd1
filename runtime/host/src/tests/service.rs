//! Services: instances, limits for each message, their end, and what comes after it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use kos_core::clock::Clock as _;
use kos_core::crypto::{SecretKey, Signer as _};
use kos_core::custody::Request;
use kos_core::id::Did;

use super::guests;
use super::world::{Agent, World, eventually, quiet};
use crate::bindings::Error;
use crate::mailbox::{Delivery, Failed, Handled, Mailbox, Message, Unput};
use crate::{Backoff, Capacity, HostOptions, Outcome, Refusal, Run};

/// `c` replies with the count of messages, `x` does not reply, `t` traps, `l` loops, `d` is denied, `b` burns 60,000 units.
const BODY: &str = r#"
    (if (i32.eq (local.get $command) (i32.const 99)) (then
        (i32.store8 (i32.const 4) (i32.const 1)) (i32.store8 (i32.const 64) (global.get $count))
        (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 116)) (then (unreachable)))
    (if (i32.eq (local.get $command) (i32.const 108)) (then (loop (br 0))))
    (if (i32.eq (local.get $command) (i32.const 100)) (then (i32.store8 (i32.const 0) (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 98)) (then (loop $again
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))))"#;

const PER_MESSAGE: &str = "[service]\ninstances = \"per-message\"\n";

/// No service is launched again.
const ONCE: Backoff = Backoff { launches: 0, ..Backoff::STANDARD };

/// Every service is launched again at once.
const AT_ONCE: Backoff = Backoff { first: Duration::ZERO, ..Backoff::STANDARD };

/// What waits in a mailbox is taken out of it only while it may be received.
const HEARS_ALL: &str = "\"messaging.receive\" = { scope = [\"*\"] }";

/// A service that runs.
struct Served {
    world: World,
    run: Run,
    mailbox: Mailbox,
    did: Did,
}

impl Served {
    fn new(tables: &str, limits: &str, backoff: Backoff) -> Self {
        Self::with(tables, limits, |options| options.backoff = backoff)
    }

    /// A service that breaks before any message.
    fn breaking(backoff: Backoff) -> Self {
        Self::of(&breaking(), "", "", |options| options.backoff = backoff)
    }

    fn with(tables: &str, limits: &str, change: impl FnOnce(&mut HostOptions)) -> Self {
        Self::of(&guests::service(BODY), tables, limits, change)
    }

    fn of(code: &str, tables: &str, limits: &str, change: impl FnOnce(&mut HostOptions)) -> Self {
        let world = World::with(change);
        let agent = Agent { tables, ..Agent::of(code) }.declaring(HEARS_ALL);
        world.grant(agent, &format!("[capabilities]\n{HEARS_ALL}\n[limits]\n{limits}"));
        let loaded = world.host.load("agent.wasm", world.signed(agent)).unwrap();
        assert!(loaded.is_service());
        let run = world.host.start(&loaded, quiet()).unwrap();
        let did: Did = loaded.did().parse().unwrap();
        let mailbox = world.host.inner.router.find(&did).unwrap();
        Self { world, run, mailbox, did }
    }

    /// Puts a message in. Its answer comes out of the result.
    fn send(&self, payload: &str) -> mpsc::Receiver<Handled> {
        self.send_from(self.did, payload).unwrap()
    }

    fn send_from(&self, from: Did, payload: &str) -> Result<mpsc::Receiver<Handled>, Unput> {
        let (sender, answer) = mpsc::channel();
        let message = Message {
            id: "m".into(),
            sender: from,
            timestamp: self.world.clock.now(),
            topic: "test".into(),
            payload: payload.into(),
            is_request: true,
        };
        let answered = move |handled| drop(sender.send(handled));
        let delivery = Delivery { message, answer: Box::new(answered) };
        self.world.host.inner.runtime.block_on(self.mailbox.put(delivery)).map(|()| answer)
    }

    fn ask(&self, payload: &str) -> Handled {
        self.send(payload).recv().unwrap()
    }

    /// The count that the service replies.
    fn count(&self) -> u8 {
        self.ask("c").unwrap().unwrap()[0]
    }

    /// Stops it, and gives its last exit entry's details.
    fn end(self) -> (World, serde_json::Value) {
        self.run.stopper().stop();
        self.run.wait();
        let details = self.world.entries_of("agent_exit").pop().unwrap()["details"].clone();
        (self.world, details)
    }
}

/// The code of a service that traps at its start.
fn breaking() -> String {
    guests::service(BODY).replace("(global $next", "(func $start unreachable) (start $start) (global $next")
}

fn is_broken(handled: &Handled) -> bool {
    matches!(handled, Err(Failed::Broken))
}

#[test]
fn a_resident_service_remembers_and_a_fresh_instance_does_not() {
    let served = Served::new("", "", ONCE);
    assert_eq!([served.count(), served.count(), served.count()], [1, 2, 3]);
    let served = Served::new(PER_MESSAGE, "", ONCE);
    assert_eq!([served.count(), served.count(), served.count()], [1, 1, 1]);
}

#[test]
fn the_stricter_of_author_and_operator_counts() {
    let resident = "[service]\ninstances = \"resident\"\n";
    for (tables, granted) in [("", PER_MESSAGE), (resident, PER_MESSAGE), (PER_MESSAGE, resident)] {
        let served = Served::new(tables, granted, ONCE);
        assert_eq!([served.count(), served.count()], [1, 1], "{tables}{granted}");
        assert_eq!(served.world.entries_of("agent_launch")[0]["details"]["instances"], "per-message");
    }
}

#[test]
fn what_waits_is_not_handled_while_the_keys_are_locked() {
    let served = Served::new("", "", ONCE);
    served.world.custodian.ask(Request::Lock).unwrap();
    assert!(served.send("c").recv().is_err());
    assert_eq!(served.end().1["usage"]["messages"], serde_json::json!({"handled": 0, "failed": 0}));
}

#[test]
fn a_service_that_waits_needs_no_ticks() {
    for tables in ["", PER_MESSAGE] {
        let served = Served::new(tables, "", ONCE);
        assert_eq!(served.count(), 1);
        assert_eq!(served.world.host.inner.ticker.guests().count(), 0);
    }
}

#[test]
fn a_service_answers_with_a_reply_without_one_and_with_its_own_error_and_counts_them() {
    let served = Served::new("", "", ONCE);
    assert!(matches!(served.ask("x"), Ok(None)));
    assert!(matches!(served.ask("c"), Ok(Some(_))));
    assert!(matches!(served.ask("d"), Err(Failed::Error(Error::Denied))));
    let (world, exit) = served.end();
    assert_eq!(exit["outcome"], "killed");
    assert_eq!(exit["usage"]["messages"], serde_json::json!({"handled": 2, "failed": 1}));
    assert_eq!(world.entries_of("agent_launch")[0]["details"]["instances"], "resident");
}

#[test]
fn the_launch_is_in_the_log_before_the_first_message() {
    let served = Served::new("", "", ONCE);
    assert_eq!(served.world.log.open_runs().unwrap().len(), 1);
    assert_eq!(served.world.entries_of("agent_launch")[0]["details"]["run"], served.run.id());
    assert_eq!(served.count(), 1);
}

#[test]
fn a_trap_ends_a_resident_service_with_its_outcome() {
    let served = Served::new("", "", ONCE);
    assert!(is_broken(&served.ask("t")));
    let report = served.run.wait();
    assert!(matches!(report.outcome, Outcome::Trap { .. }));
    assert_eq!(report.exit_status(), 134);
    assert_eq!(report.usage.messages.unwrap().broken["trap"], 1);
}

#[test]
fn a_trap_of_a_fresh_instance_fails_its_message_alone_and_is_told_once() {
    let served = Served::new(PER_MESSAGE, "", ONCE);
    assert!(is_broken(&served.ask("t")));
    assert!(is_broken(&served.ask("t")));
    assert_eq!(served.count(), 1);
    let (world, exit) = served.end();
    let messages = serde_json::json!({"handled": 1, "failed": 2, "broken": {"trap": 2}});
    assert_eq!(exit["usage"]["messages"], messages);
    let alerts = world.entries_of("alert");
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["details"]["reason"], "trap");
}

#[test]
fn fuel_is_full_again_for_each_message() {
    for tables in ["", PER_MESSAGE] {
        let served = Served::new(tables, "cpu = \"100k\"", ONCE);
        for _ in 0..5 {
            assert!(served.ask("b").is_ok(), "{tables}");
        }
        let (_, exit) = served.end();
        assert!(exit["usage"]["fuel"].as_u64().unwrap() > 200_000, "{exit}");
    }
    let served = Served::new("", "cpu = \"100k\"", ONCE);
    assert!(is_broken(&served.ask("l")));
    assert_eq!(served.run.wait().outcome, Outcome::Fuel);
}

#[test]
fn the_time_is_that_of_a_message_and_not_of_the_service() {
    for tables in ["", PER_MESSAGE] {
        let served = Served::new(tables, "duration = \"200ms\"\ncpu = \"1000000G\"", ONCE);
        let started = Instant::now();
        assert!(served.ask("x").is_ok());
        while started.elapsed() < Duration::from_millis(300) {
            std::thread::yield_now();
        }
        assert!(served.ask("x").is_ok(), "a service outlives the time of a message");
        assert!(is_broken(&served.ask("l")));
        let (_, exit) = served.end();
        assert_eq!(exit["usage"]["messages"]["broken"]["deadline"], 1);
    }
}

#[test]
fn a_service_is_stopped_while_it_waits_and_while_it_handles() {
    for tables in ["", PER_MESSAGE] {
        let served = Served::new(tables, "duration = \"1h\"\ncpu = \"1000000G\"", AT_ONCE);
        served.run.stopper().stop();
        assert_eq!(served.run.wait().outcome, Outcome::Killed);

        let limits = "mailbox = \"1\"\nduration = \"1h\"\ncpu = \"1000000G\"";
        let served = Served::new(tables, limits, AT_ONCE);
        let handling = served.send("l");
        // There is room for it only when the first is out of the mailbox.
        let waiting = served.send("x");
        served.run.stopper().stop();
        assert_eq!(served.run.wait().outcome, Outcome::Killed);
        assert!(matches!(handling.recv().unwrap(), Err(Failed::Stopped)));
        assert!(waiting.recv().is_err(), "nobody is left to answer");
        assert_eq!(served.world.entries_of("agent_launch").len(), 1);
        assert!(served.world.host.inner.router.find(&served.did).is_none());
    }
}

#[test]
fn a_service_that_broke_is_launched_again_and_keeps_what_waits() {
    let served = Served::new("", "", AT_ONCE);
    let first = served.send("t");
    let (second, third) = (served.send("c"), served.send("c"));
    assert!(is_broken(&first.recv().unwrap()));
    assert_eq!(second.recv().unwrap().unwrap().unwrap(), [1], "a new instance");
    assert_eq!(third.recv().unwrap().unwrap().unwrap(), [2]);
    let (world, exit) = served.end();
    assert_eq!(exit["outcome"], "killed");
    let (launches, exits) = (world.entries_of("agent_launch"), world.entries_of("agent_exit"));
    assert_eq!((launches.len(), exits.len()), (2, 2));
    assert_ne!(launches[0]["details"]["run"], launches[1]["details"]["run"]);
    assert_eq!(exits[0]["details"]["outcome"], "trap");
}

#[test]
fn who_breaks_a_service_again_and_again_is_refused_and_the_others_are_served() {
    let hour = Duration::from_secs(3_600);
    let charging = Backoff { first: hour, longest: hour, forgiven: 2, launches: 1, ..Backoff::STANDARD };
    let served = Served::new("", "", charging);
    let quiet: Did = SecretKey::from_seed(&[50; 32]).did();
    for _ in 0..2 {
        assert!(is_broken(&served.ask("t")));
        assert!(served.ask("c").is_ok(), "it is forgiven");
    }
    let (third, waiting) = (served.send("t"), served.send("c"));
    let other = served.send_from(quiet, "c").unwrap();
    assert!(is_broken(&third.recv().unwrap()) && other.recv().unwrap().is_ok());
    eventually("its refusal", || served.send_from(served.did, "c").is_err());
    assert!(waiting.recv().is_ok(), "answered, one way or the other");
    for _ in 0..20 {
        assert!(served.send_from(quiet, "c").unwrap().recv().unwrap().is_ok());
    }
    assert_eq!(served.send_from(served.did, "c").unwrap_err(), Unput::Refused);
    assert_eq!(served.end().0.entries_of("agent_launch").len(), 4);
}

#[test]
fn a_message_at_which_a_service_exits_well_does_not_stop_it() {
    let served = Served::new(PER_MESSAGE, "", AT_ONCE);
    assert!(served.ask("c").is_ok());
    let served = Served::of(&guests::exiting(), "", "", |options| options.backoff = AT_ONCE);
    for _ in 0..3 {
        assert!(is_broken(&served.ask("e")));
    }
    assert!(served.ask("x").is_ok());
    let (world, _) = served.end();
    let exits = world.entries_of("agent_exit");
    let outcomes: Vec<_> = exits.iter().map(|exit| exit["details"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "ok", "ok", "killed"]);
}

#[test]
fn what_all_agents_share_is_not_had_anew_by_breaking() {
    let served = Served::new(
        "",
        "note-bytes = \"1KiB\"\nsecret-bytes = \"1KiB\"\naccesses-per-minute = \"1\"",
        AT_ONCE,
    );
    let powers = || {
        let table = served.world.host.inner.runs.table();
        table.values().next().map(|run| std::sync::Arc::clone(&run.powers)).unwrap()
    };
    let first = powers();
    assert!(first.admits_secret(1024) && first.admits_access() && first.admits_note(1024).unwrap());
    assert!(is_broken(&served.ask("t")));
    assert_eq!(served.count(), 1);
    let second = powers();
    assert_ne!(first.subject.run, second.subject.run);
    assert!(!second.admits_secret(1) && !second.admits_access() && second.admits_note(1).is_err());
    served.end();
}

#[test]
fn a_host_of_one_agent_launches_its_service_again_on_the_thread_that_waits() {
    let served = Served::with("", "", |options| {
        (options.capacity, options.backoff) = (Capacity::ONE, AT_ONCE);
    });
    let (first, second) = (served.send("t"), served.send("c"));
    let Served { world, run, .. } = served;
    let stopper = run.stopper();
    let waiting = std::thread::spawn(move || run.wait());
    assert!(is_broken(&first.recv().unwrap()));
    assert_eq!(second.recv().unwrap().unwrap().unwrap(), [1]);
    stopper.stop();
    assert_eq!(waiting.join().unwrap().outcome, Outcome::Killed);
    assert_eq!(world.entries_of("agent_exit").len(), 2);
}

#[test]
fn a_service_that_breaks_at_each_start_is_given_up() {
    let served = Served::breaking(Backoff { launches: 3, ..AT_ONCE });
    assert!(matches!(served.run.wait().outcome, Outcome::Trap { .. }));
    assert_eq!(served.world.entries_of("agent_launch").len(), 4);
}

#[test]
fn a_service_is_stopped_between_two_runs() {
    let hour = Duration::from_secs(3_600);
    let served = Served::breaking(Backoff { first: hour, longest: hour, ..Backoff::STANDARD });
    eventually("the end of the first run", || served.world.log.open_runs().unwrap().is_empty());
    assert_eq!(served.world.host.inner.runs.stop_all(), 1, "it is still in the table");
    assert!(matches!(served.run.wait().outcome, Outcome::Trap { .. }));
    assert_eq!(served.world.entries_of("agent_launch").len(), 1);
}

#[test]
fn a_service_that_is_revoked_between_two_runs_is_not_launched_again() {
    let hour = Duration::from_secs(3_600);
    let served = Served::breaking(Backoff { first: hour, longest: hour, ..Backoff::STANDARD });
    eventually("the end of the first run", || served.world.log.open_runs().unwrap().is_empty());
    let code = breaking();
    served.world.revoke_component(&served.world.signed(Agent::of(&code)));
    served.world.host.reload();
    assert!(matches!(served.run.wait().outcome, Outcome::Trap { .. }));
    assert_eq!(served.world.entries_of("agent_launch").len(), 1);
}

#[test]
fn a_service_whose_component_was_revoked_is_not_launched_again() {
    let served = Served::new("", "", AT_ONCE);
    let code = guests::service(BODY);
    served.world.revoke_component(&served.world.signed(Agent::of(&code)));
    served.world.host.reload();
    assert_eq!(served.run.wait().outcome, Outcome::Killed);
    assert_eq!(served.world.entries_of("agent_launch").len(), 1);
}

#[test]
fn a_sender_has_half_of_the_places_that_the_limit_gives() {
    let served = Served::new("", "mailbox = \"4\"\nduration = \"1h\"\ncpu = \"1000000G\"", ONCE);
    let _handled = served.send("l");
    let _waiting = [served.send("x"), served.send("x")];
    let message = Message {
        id: "m".into(),
        sender: served.did,
        timestamp: served.world.clock.now(),
        topic: "test".into(),
        payload: Vec::new(),
        is_request: false,
    };
    let fourth = served.mailbox.put(Delivery { message, answer: Box::new(drop) });
    let runtime = &served.world.host.inner.runtime;
    let waited = runtime.block_on(async { tokio::time::timeout(Duration::ZERO, fourth).await });
    assert!(waited.is_err(), "the fourth waits");
}

#[test]
fn what_is_a_task_and_a_service_at_once_is_refused() {
    let world = World::new();
    let task = r#"(core module $n (func (export "run") (result i32) (i32.const 0)))
        (core instance $n (instantiate $n))
        (func $run (result (result)) (canon lift (core func $n "run")))
        (instance $command (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $command)))"#;
    let service = guests::service(BODY);
    let code = format!("{}{task}", service.strip_suffix(')').unwrap());
    let agent = Agent::of(&code);
    world.grant(agent, "");
    let refusal = world.launch(agent, quiet()).unwrap_err();
    assert!(matches!(refusal, Refusal::TwoMains));
    assert_eq!((refusal.name(), refusal.exit_status()), ("two-mains", 126));
}
