//! Alerts that are sent to a server, by the same way as an agent's requests.

use super::server::{Authority, Server, respond};
use super::world;
use crate::support::World;

fn test_of(world: &World, url: &str) -> String {
    let rules = format!("[sinks.hook]\nkind = \"webhook\"\nurl = \"{url}\"\n");
    std::fs::write(world.home().join("alerts.toml"), rules).unwrap();
    world.kos(&["alerts", "test"]).stdout
}

#[test]
fn an_alert_reaches_a_server_that_is_vouched_for_and_no_other() {
    let authority = Authority::new();
    let world = world(&authority);
    let server = Server::start(&authority, |_, stream| respond(stream, "202 Accepted", "", 1));
    let told = test_of(&world, &server.url("/kos?team=one"));
    assert_eq!(told, "hook: it arrived\n");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /kos?team=one HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("application/cloudevents+json"), "{head}");
    let event: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&event["specversion"], &event["data"]["class_uid"]), (&"1.0".into(), &2004.into()));
    let stranger = Server::start(&Authority::new(), |_, stream| respond(stream, "202 Accepted", "", 1));
    let told = test_of(&world, &stranger.url("/"));
    assert!(told.contains("TlsCertificateError") && stranger.requests().is_empty(), "{told}");
    let redirecting =
        Server::start(&authority, |_, stream| respond(stream, "302 Found\r\nlocation: /", "", 1));
    assert!(test_of(&world, &redirecting.url("/")).contains("302"));
}
