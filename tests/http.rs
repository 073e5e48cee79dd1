//! Requests go where they were granted to, with secrets that agents never have (I3, I4, I5, I6).

mod server;
mod webhook;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::{Conversation, Ended, World, agent, path_text};
use server::{Authority, Server, respond};

const SECRET: &str = "t0ken/with+marks&42";
const PLACEHOLDER: &str = "authorization:Bearer {{vault:api_key/weather}}";

/// A home that believes the authority, and has a secret.
fn world(authority: &Authority) -> World {
    let world = World::trusting("trusted");
    std::fs::write(world.home().join("trust/tls-roots.pem"), authority.pem()).unwrap();
    put(&world, "weather", SECRET);
    world
}

fn put(world: &World, name: &str, secret: &str) {
    let file = world.write("secret", secret);
    world.kos(&["vault", "put", &format!("api_key/{name}"), "--from", path_text(&file)]).succeeded();
}

/// The rules that let a courier make these requests and send these secrets.
fn rules(requests: &[String], secrets: &[String]) -> String {
    let rule = |capability: &str, scopes: &[String]| match scopes {
        [] => String::new(),
        scopes => format!("\"{capability}\" = {{ scope = {scopes:?} }}\n"),
    };
    format!("{}{}", rule("http.request", requests), rule("vault.send", secrets))
}

/// A courier that declares these rules, whatever is granted.
fn courier(world: &World, rules: &str) -> PathBuf {
    let manifest = format!("name = \"courier\"\nversion = \"1.0.0\"\n[capabilities]\n{rules}");
    world.sign(&agent("courier"), &manifest, "alice", "courier.wasm")
}

/// A courier that may do all of this.
fn granted(world: &World, requests: &[String], secrets: &[String]) -> (PathBuf, String) {
    let rules = rules(requests, secrets);
    let courier = courier(world, &rules);
    let grant = world.grant(&courier, &format!("expires = \"1d\"\n[capabilities]\n{rules}"));
    (courier, grant)
}

/// A courier that may ask this server, and send it the secret.
fn granted_for(world: &World, server: &Server) -> (PathBuf, String) {
    let audience = server.audience();
    granted(world, &[format!("{audience}/GET")], &[format!("{audience}/api_key/weather")])
}

/// What a courier prints.
fn answer(world: &World, courier: &Path, arguments: &[&str]) -> String {
    world.run(courier, arguments).succeeded().stdout
}

/// A server that says the value of `authorization` back in many ways, in parts of a few bytes.
fn echo(authority: &Authority) -> Server {
    Server::start(authority, |request, stream| {
        let token =
            request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or("none");
        let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
        let percent: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = format!(
            "plain {token}.\nbase64 {}.\nurl {}.\nhex {hex}.\npercent {percent}.\njson \"{}\".\n",
            STANDARD.encode(format!("user:{token}")),
            URL_SAFE_NO_PAD.encode(token),
            token.replace('/', "\\/"),
        );
        respond(stream, &format!("200 OK\r\nx-echo: {token}"), &body, 7)
    })
}

#[test]
fn a_secret_arrives_and_neither_it_nor_its_echo_reaches_the_agent() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let (courier, _) = granted_for(&world, &server);
    let said =
        answer(&world, &courier, &["GET", &server.url("/forecast?x=1"), PLACEHOLDER, "accept-encoding:gzip"]);
    let [request] = server.requests().try_into().unwrap();
    assert!(request.starts_with("GET /forecast?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", server.audience())), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n") && !request.contains("gzip"), "{request}");
    let stars = "*".repeat(SECRET.len());
    assert!(said.starts_with("200\n") && said.contains(&format!("x-echo: {stars}\n")), "{said}");
    assert!(said.contains(&format!("plain {stars}.\n")), "{said}");
    assert!(said.contains(&format!("hex {stars}{stars}.\n")), "{said}");
    assert!(said.contains(&format!("percent {stars}{stars}{stars}.\n")), "{said}");
    assert!(said.contains(&format!("json \"{stars}*\".\n")), "{said}");
    for form in [STANDARD.encode(format!("user:{SECRET}")), URL_SAFE_NO_PAD.encode(SECRET)] {
        // What goes before the secret is no secret.
        assert!(!said.contains(&form[8..16]) && !said.contains(&form[form.len() - 8..]), "{said}");
    }
    assert!(world.denials().is_empty());
}

#[test]
fn without_a_secret_a_response_is_passed_on_as_it_is() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let (courier, _) = granted_for(&world, &server);
    let said =
        answer(&world, &courier, &["GET", &server.url("/"), &format!("authorization:Bearer {SECRET}")]);
    assert!(said.contains(&format!("plain {SECRET}.\n")), "{said}");
    assert!(world.entries_of("vault_access").iter().all(|entry| entry["details"]["operation"] != "send"));
}

#[test]
fn the_entry_of_a_secret_is_durable_before_its_server_hears_of_it() {
    let authority = Authority::new();
    let world = world(&authority);
    let mut ask = world.kos_command();
    ask.args(["log", "show", "--all", "--json"]);
    let ask = Mutex::new(ask);
    let server = Server::start(&authority, move |_, stream| {
        let shown = Ended::of(&mut ask.lock().unwrap()).stdout;
        let has_entry = shown.lines().any(|line| line.contains("vault_access") && line.contains("\"send\""));
        respond(stream, "200 OK", if has_entry { "logged\n" } else { "not logged\n" }, 64)
    });
    let (courier, _) = granted_for(&world, &server);
    assert!(answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]).ends_with("\nlogged\n"));
    let entry = world
        .entries_of("vault_access")
        .into_iter()
        .find(|entry| entry["details"]["operation"] == "send")
        .unwrap();
    assert_eq!(entry["target"]["id"], "api_key/weather");
    assert_eq!(entry["details"]["audience"], server.audience());
    assert_eq!(entry["actor"]["type"], "agent");
}

#[test]
fn a_secret_is_sent_to_no_other_audience() {
    let authority = Authority::new();
    let (world, server, other) = (world(&authority), echo(&authority), echo(&authority));
    let by_name = format!("localhost:{}", server.port());
    let requests = [server.audience(), other.audience(), by_name.clone()].map(|to| format!("{to}/GET"));
    let secrets =
        [format!("{}/api_key/weather", server.audience()), format!("{}/api_key/other*", other.audience())];
    let (courier, _) = granted(&world, &requests, &secrets);
    for url in [other.url("/"), format!("https://{by_name}/")] {
        assert_eq!(answer(&world, &courier, &["GET", &url, PLACEHOLDER]), "denied\n", "{url}");
    }
    // A secret that is not there is denied like one that is not granted.
    assert_eq!(
        answer(&world, &courier, &["GET", &other.url("/"), "x-key:{{vault:api_key/other}}"]),
        "denied\n"
    );
    assert!(other.requests().is_empty() && server.requests().is_empty());
    let denials = world.denials();
    assert_eq!(denials.len(), 3, "{denials:?}");
    assert!(denials.iter().all(|(capability, _)| capability == "vault.send"), "{denials:?}");
    assert!(answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]).starts_with("200\n"));
}

#[test]
fn a_request_is_denied_where_its_server_or_method_is_not_granted() {
    let authority = Authority::new();
    let (world, server, other) = (world(&authority), echo(&authority), echo(&authority));
    let (courier, _) = granted_for(&world, &server);
    for (method, url) in [("POST", server.url("/")), ("get", server.url("/")), ("GET", other.url("/"))] {
        assert_eq!(answer(&world, &courier, &[method, &url]), "denied\n", "{method} {url}");
    }
    assert_eq!(answer(&world, &courier, &["CONNECT", &server.url("/")]), "invalid method\n");
    assert!(server.requests().is_empty() && other.requests().is_empty());
    let denials = world.denials();
    assert!(denials.contains(&("http.request".into(), "outside-declaration".into())), "{denials:?}");
}

#[test]
fn a_component_that_imports_requests_and_holds_no_grant_runs_and_is_denied() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let courier = courier(&world, "");
    world.grant(&courier, "expires = \"1d\"\n");
    assert_eq!(answer(&world, &courier, &[]), "nothing to do\n");
    assert_eq!(answer(&world, &courier, &["GET", &server.url("/")]), "denied\n");
    assert!(server.requests().is_empty());
}

#[test]
fn only_https_to_a_server_that_is_written_plainly_is_spoken() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let (courier, _) = granted_for(&world, &server);
    let port = server.port();
    let ask = |url: &str| answer(&world, &courier, &["GET", url]);
    assert_eq!(ask(&format!("http://127.0.0.1:{port}/")), "failed: protocol error\n");
    for url in ["https://user@127.0.0.1:", "https://u:p@127.0.0.1:", "https://127.1:", "https://LOCALHOST:"] {
        assert_eq!(ask(&format!("{url}{port}/")), "invalid url\n", "{url}");
    }
    assert_eq!(answer(&world, &courier, &["GET", &server.url("/"), "x-a:b\r\nx-c:d"]), "invalid header\n");
    for header in
        ["host:a.example", "connection:upgrade", "transfer-encoding:chunked", "proxy-x:y", "te:gzip"]
    {
        assert_eq!(
            answer(&world, &courier, &["GET", &server.url("/"), header]),
            "invalid header\n",
            "{header}"
        );
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_name_that_stands_for_a_private_address_is_not_connected_to() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let (courier, _) = granted(&world, &[format!("localhost:{}/GET", server.port())], &[]);
    let said = answer(&world, &courier, &["GET", &format!("https://localhost:{}/", server.port())]);
    assert!(said.contains("DestinationIpProhibited"), "{said}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_request() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (world, server) = (world(&authority), echo(&stranger));
    let (courier, _) = granted_for(&world, &server);
    let said = answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]);
    assert!(said.contains("TlsCertificateError"), "{said}");
    assert!(server.requests().is_empty());
    // Roots that cannot be read are not replaced by the system's.
    std::fs::write(world.home().join("trust/tls-roots.pem"), "nothing").unwrap();
    assert_eq!(answer(&world, &courier, &["GET", &server.url("/")]), "unavailable\n");
}

#[test]
fn a_server_without_tls_1_3_gets_no_request() {
    let (world, server) = (world(&Authority::new()), Server::start_old());
    let (courier, _) = granted_for(&world, &server);
    let said = answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]);
    assert!(said.contains("TlsProtocolError"), "{said}");
    assert!(server.requests().iter().all(String::is_empty), "{:?}", server.requests());
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let authority = Authority::new();
    let (world, other) = (world(&authority), echo(&authority));
    let location = format!("302 Found\r\nlocation: {}", other.url("/"));
    let server = Server::start(&authority, move |_, stream| respond(stream, &location, "", 1));
    let audiences = [server.audience(), other.audience()];
    let secrets = audiences.clone().map(|to| format!("{to}/api_key/weather"));
    let (courier, _) = granted(&world, &audiences.map(|to| format!("{to}/GET")), &secrets);
    let said = answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]);
    assert!(said.starts_with("302\n"), "{said}");
    assert!(other.requests().is_empty());
}

#[test]
fn a_placeholder_is_replaced_in_header_values_alone() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let audience = server.audience();
    let (courier, _) = granted(&world, &[format!("{audience}/*")], &[format!("{audience}/api_key/weather")]);
    let path = "/{{vault:api_key/weather}}?q={{vault:api_key/weather}}";
    let said = answer(&world, &courier, &["POST", &server.url(path), "@{{vault:api_key/weather}}"]);
    assert!(said.starts_with("200\n"), "{said}");
    let [request] = server.requests().try_into().unwrap();
    assert!(
        !request.contains(SECRET) && request.matches("{{vault:api_key/weather}}").count() == 3,
        "{request}"
    );
    for value in
        ["{{vault:api_key/weather}}{{vault:api_key/weather}}", "{{vault:weather}}", "{{vault:api_key/weather"]
    {
        assert_eq!(
            answer(&world, &courier, &["GET", &server.url("/"), &format!("x-key:{value}")]),
            "secret\n"
        );
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_secret_that_could_not_be_recognised_is_not_sent() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    put(&world, "short", "1234567");
    put(&world, "lines", "12345678\r\nx-more: yes");
    let audience = server.audience();
    let (courier, _) = granted(&world, &[format!("{audience}/*")], &[format!("{audience}/api_key/*")]);
    for name in ["short", "lines"] {
        let header = format!("x-key:{{{{vault:api_key/{name}}}}}");
        assert_eq!(answer(&world, &courier, &["GET", &server.url("/"), &header]), "secret\n", "{name}");
    }
    assert_eq!(
        answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER, "range:bytes=7-8"]),
        "secret\n"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn a_response_in_which_a_secret_could_hide_is_refused() {
    let authority = Authority::new();
    let world = world(&authority);
    let server = Server::start(&authority, |_, stream| {
        respond(stream, "200 OK\r\ncontent-encoding: gzip", "\u{1f}", 1)
    });
    let (courier, _) = granted_for(&world, &server);
    let said = answer(&world, &courier, &["GET", &server.url("/"), PLACEHOLDER]);
    assert!(said.contains("HttpResponseContentCoding"), "{said}");
    assert!(answer(&world, &courier, &["GET", &server.url("/")]).starts_with("200\n"));
}

#[test]
fn a_response_breaks_off_when_its_grant_is_revoked() {
    let authority = Authority::new();
    let world = world(&authority);
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = Server::start(&authority, move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst\n")?;
        stream.flush()?;
        told.lock().unwrap().recv().unwrap();
        write!(stream, "more")?;
        stream.flush()
    });
    let (courier, grant) = granted_for(&world, &server);
    let mut command = world.kos_run_command();
    command.arg(&courier).arg("--").args(["GET", &server.url("/"), PLACEHOLDER]);
    let mut courier = Conversation::with(&mut command);
    while courier.hear() != "first" {}
    world.kos(&["grants", "revoke", &grant]).succeeded();
    go_on.send(()).unwrap();
    assert_eq!(courier.hear(), "interrupted");
    courier.end().succeeded();
}

#[test]
fn a_scope_that_does_not_name_its_server_whole_is_not_granted() {
    let authority = Authority::new();
    let (world, server) = (world(&authority), echo(&authority));
    let (courier, _) = granted_for(&world, &server);
    for scope in ["http.request:*", "http.request:api.*", "vault.send:*", "vault.send:127.0.0.1*"] {
        let refused = world.kos(&["grant", path_text(&courier), "--allow", scope, "--for", "1d"]);
        assert_ne!(refused.status, 0, "{scope}");
        refused.saying("write HOST:PORT/");
    }
}
