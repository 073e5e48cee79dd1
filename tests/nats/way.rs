//! Who stands on the way: what it sees, what it says, and how far a host goes to meet it (I5, I9).

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::server::{NatsServer, Seen};
use super::{ASKS_PONG, Pair, rejections, stopped};
use crate::support::{Conversation, Ended, World, path_text, permissions, poll_until};

const SECRET_TEXT: &str = "a-text-that-nobody-else-may-read";

/// What went by to the subject of one recipient, while `pong` keeps a text.
fn captured(pair: &Pair) -> Vec<Seen> {
    let mut relay = pair.server.relay();
    let pong = pair.start_pong();
    let said = pair.says(&[&format!("until sent send pong keep {SECRET_TEXT}")]);
    assert_eq!(said, ["sent"]);
    poll_until("it is handled", || pair.kept().len() == 1);
    stopped(&pair.pong, pong);
    relay.seen()
}

#[test]
fn a_relay_reads_nothing_and_what_it_alters_sends_elsewhere_or_repeats_is_rejected() {
    let pair = Pair::new();
    let seen = captured(&pair);
    assert_eq!(seen.len(), 1, "one message went by");
    let Seen { subject, payload } = &seen[0];
    let text = String::from_utf8_lossy(payload).into_owned();
    assert!(text.contains("ciphertext") && !text.contains(SECRET_TEXT) && !text.contains("keep"));
    for encoded in ["YS10ZXh0", "EtdGV4dC", "hLXRleHQ"] {
        assert!(!text.contains(encoded), "it is not there in base64 either");
    }
    let mut altered = payload.clone();
    let at = text.find("ciphertext").expect("what is sealed") + 20;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    let mut relay = pair.server.relay();
    // For `ping`, though its sender has sealed it to `pong`.
    let shown = pair.ping.kos(&["agents", "show", "ping", "--json"]).succeeded().json();
    let ping_subject: String = shown["identity"]["did"]
        .as_str()
        .expect("a DID")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    // Before and after `pong` starts anew: it has forgotten nothing.
    relay.publish(subject, payload);
    let pong = pair.start_pong();
    poll_until("the copy is rejected", || rejections(&pair.pong) == ["replayed"]);
    relay.publish(subject, payload);
    relay.publish(subject, &altered);
    relay.publish(subject, b"{}");
    poll_until("what was altered is rejected", || rejections(&pair.pong).len() == 3);
    pong.signal("-KILL");
    pong.wait();
    relay.publish(subject, payload);
    let pong = pair.start_pong();
    poll_until("the copy is rejected again", || rejections(&pair.pong).len() == 4);
    stopped(&pair.pong, pong);
    assert_eq!(rejections(&pair.pong).iter().filter(|reason| *reason == "replayed").count(), 2);
    assert_eq!(pair.kept().len(), 1, "it was handled once");
    let ping = pair.start_ping(&["until denied request nobody echo x", "until never receive"]);
    relay.publish(&format!("kos.msg.{ping_subject}"), payload);
    poll_until("what is for somebody else is rejected", || rejections(&pair.ping) == ["recipient"]);
    stopped(&pair.ping, ping);
    pair.pong.kos(&["log", "verify"]).succeeded();
    pair.ping.kos(&["log", "verify"]).succeeded();
}

fn refused(world: &World, agent: &std::path::Path, arguments: &[&str]) -> Ended {
    Ended::of(world.kos_run_command().arg(agent).args(arguments)).ended_with(125)
}

#[test]
fn a_server_on_another_machine_is_not_spoken_to_in_clear_nor_shown_a_secret_of_the_command_line() {
    let world = World::trusting("trusted");
    let ping = world.granted_with("ping", &permissions(ASKS_PONG));
    for url in ["nats://192.0.2.1:4222", "nats://0.0.0.0:4222", "nats://[::ffff:192.0.2.1]"] {
        refused(&world, &ping, &["--nats", url]).saying("is in clear: write tls://");
    }
    refused(&world, &ping, &["--nats", "nats://me:secret@localhost"]).saying("--nats-secret");
    refused(&world, &ping, &["--nats", "http://localhost"]).saying("is no message server");
    let roots = world.path("none.pem");
    refused(&world, &ping, &["--nats", "tls://localhost", "--nats-ca", path_text(&roots)])
        .saying("there is no file of certificates");
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn a_server_that_asks_who_comes_is_shown_a_secret_of_the_vault_and_the_log_says_so_first() {
    let mut pair = Pair::new();
    pair.server = NatsServer::with(&["--user", "kos", "--pass", "open-sesame"]);
    let file = pair.ping.write("password", "kos:open-sesame");
    pair.ping.kos(&["vault", "put", "password/nats", "--from", path_text(&file)]).succeeded();
    let said = pair.says(&["send pong keep x"]);
    assert_eq!(said, ["unavailable"], "nobody was shown anything");
    let mut command = pair.ping.kos_run_command();
    command.arg(&pair.ping_agent).args([
        "--nats",
        &pair.server.url(),
        "--nats-secret",
        "password/nats",
        "--",
    ]);
    let ended = Ended::of(command.arg("until sent send pong keep x")).succeeded();
    assert_eq!(ended.stdout.trim(), "sent");
    let shown = pair.ping.entries_of("vault_access");
    let entry = shown.last().expect("an entry");
    assert_eq!(
        (&entry["target"]["id"], &entry["details"]["operation"]),
        (&"password/nats".into(), &"send".into())
    );
    assert_eq!(entry["details"]["audience"], format!("127.0.0.1:{}", pair.server.port()));
}

#[test]
fn a_server_with_tls_is_believed_only_with_a_certificate_that_somebody_believed_vouches_for() {
    let mut pair = Pair::new();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let roots = pair.ping.write("roots.pem", authority.self_signed(&authority_key).unwrap().pem());
    let other = pair.ping.write("other.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, authority_key);
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let certificate = pair.ping.write("server.pem", certificate.pem());
    let key = pair.ping.write("server.key", key.serialize_pem());
    pair.server =
        NatsServer::with(&["--tls", "--tlscert", path_text(&certificate), "--tlskey", path_text(&key)]);
    let url = format!("tls://localhost:{}", pair.server.port());
    let asks = |roots: &std::path::Path| {
        let mut command = pair.ping.kos_run_command();
        command.arg(&pair.ping_agent).args(["--nats", &url, "--nats-ca", path_text(roots), "--"]);
        Conversation::with(command.arg("until sent send pong keep x"))
    };
    // The first begins before the second, and has not sent anything when that has.
    let misled = asks(&other);
    assert_eq!(asks(&roots).wait().succeeded().stdout, "sent");
    pair.ping.kos(&["stop", "--all"]).succeeded();
    assert_eq!(misled.wait().stdout, "");
}
