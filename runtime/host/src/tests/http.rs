//! Requests, as far as they come without a server.

use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{Error, WasiBody};

use super::guests;
use super::world::{Agent, World, quiet};
use crate::http::{Http, Places, Tls};

type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

fn sending(http: &mut Http, method: &str, url: &str, header: &str) -> Sending {
    let body: WasiBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request =
        ::http::Request::builder().method(method).uri(url).header("x-key", header).body(body).unwrap();
    let mut table = ResourceTable::new();
    let sent = http.view(&mut table).hooks.send_request(request, None, Box::new(async { Ok(()) }));
    Box::pin(async { Pin::from(sent).await.map(drop) })
}

fn now(http: &mut Http, method: &str, url: &str, header: &str) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sending(http, method, url, header))
}

/// HTTP as a running agent has it with these rules, and the run.
fn running(world: &World, rules: &str) -> (Http, crate::Run) {
    let code = guests::main(guests::LOOPS);
    let agent = Agent::of(&code).declaring(rules);
    let limits = "[limits]\nduration = \"1h\"\ncpu = \"1000000G\"";
    world.grant(agent, &format!("[capabilities]\n{rules}\n{limits}"));
    let run = world.launch(agent, quiet()).unwrap();
    let powers = world.host.inner.runs.table().values().next().map(|run| Arc::clone(&run.powers)).unwrap();
    (Http::new(powers, Arc::new(Tls::of(&world.home)), Places::default()), run)
}

#[test]
fn a_request_is_judged_before_anything_is_reached() {
    let world = World::new();
    let (mut http, run) = running(
        &world,
        "\"http.request\" = { scope = [\"127.0.0.1:9/GET\"] }\n\"vault.send\" = { scope = [\"127.0.0.1:9/api_key/a\"] }",
    );
    let mut ask = |method: &str, url: &str, header: &str| now(&mut http, method, url, header).unwrap_err();
    assert!(matches!(ask("POST", "https://127.0.0.1:9/", ""), Error::HttpRequestDenied));
    assert!(matches!(ask("GET", "https://127.0.0.1/", ""), Error::HttpRequestDenied));
    assert!(matches!(ask("GET", "https://u@127.0.0.1:9/", ""), Error::HttpRequestUriInvalid));
    assert!(matches!(ask("GET", "http://127.0.0.1:9/", ""), Error::HttpProtocolError));
    assert!(matches!(ask("CONNECT", "https://127.0.0.1:9/", ""), Error::HttpRequestMethodInvalid));
    assert!(matches!(ask("GET", "https://127.0.0.1:9/", "{{vault:api_key/b}}"), Error::HttpRequestDenied));
    // This one is granted, and not there.
    assert!(matches!(ask("GET", "https://127.0.0.1:9/", "{{vault:api_key/a}}"), Error::HttpRequestDenied));
    assert!(matches!(ask("GET", "https://127.0.0.1:9/", "{{vault:a}}"), Error::ConfigurationError));
    run.stopper().stop();
    run.wait();
    let denied = |entry: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        (text(&entry["target"]["id"]), text(&entry["details"]["reason"]))
    };
    let denials: Vec<_> = world.entries_of("permission_denied").iter().map(denied).collect();
    for (capability, reason) in [
        ("http.request", "outside-declaration"),
        ("vault.send", "outside-declaration"),
        ("vault.send", "no-such-secret"),
    ] {
        assert!(denials.contains(&(capability.into(), reason.into())), "{denials:?}");
    }
}

#[test]
fn no_more_requests_than_the_limit_are_under_way_at_once() {
    let world = World::new();
    let (mut http, run) = running(&world, "\"http.request\" = { scope = [\"127.0.0.1:9/GET\"] }");
    let waiting: Vec<Sending> =
        (0..16).map(|_| sending(&mut http, "GET", "https://127.0.0.1:9/", "")).collect();
    assert!(matches!(now(&mut http, "GET", "https://127.0.0.1:9/", ""), Err(Error::ConnectionLimitReached)));
    drop(waiting);
    // One that was given up makes room.
    assert!(matches!(now(&mut http, "POST", "https://127.0.0.1:9/", ""), Err(Error::HttpRequestDenied)));
    run.stopper().stop();
    run.wait();
}
