//! A NATS server of the test's own, on a port and a store of its own, and a relay that sees and says what it likes on it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::poll_until;

/// How long nothing comes until the relay has seen everything that is on its way.
const QUIET: Duration = Duration::from_secs(2);

/// A server, ended with the test.
pub(crate) struct NatsServer {
    child: Mutex<Child>,
    port: u16,
    store: TempDir,
    arguments: Vec<String>,
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let store = tempfile::tempdir().expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = started(port, &store, &arguments);
        let server = Self { child: Mutex::new(child), port, store, arguments };
        server.wait_until_ready();
        server
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, and starts it again on the same store.
    pub(crate) fn kill_and_start_again(&self) {
        self.kill();
        self.start_again();
    }

    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().expect("the server");
        child.kill().expect("a server that can be killed");
        child.wait().expect("its end");
    }

    pub(crate) fn start_again(&self) {
        *self.child.lock().expect("the server") = started(self.port, &self.store, &self.arguments);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        poll_until("the message server listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Somebody who reads and writes every subject.
    pub(crate) fn relay(&self) -> Relay {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let mut relay = Relay { reader: BufReader::new(stream) };
        relay.say(b"CONNECT {\"verbose\":false}\r\nSUB kos.msg.> 1\r\nPING\r\n");
        while relay.line().expect("a server that answers").trim() != "PONG" {}
        relay
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let child = self.child.get_mut().expect("the server");
        drop(child.kill());
        drop(child.wait());
    }
}

fn started(port: u16, store: &TempDir, arguments: &[String]) -> Child {
    let mut command = Command::new("nats-server");
    command
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store.path())
        .args(arguments);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.expect("nats-server, which these tests need: `cargo xtask test` installs it, or `apt-get install nats-server`")
}

/// Somebody between the hosts.
pub(crate) struct Relay {
    reader: BufReader<TcpStream>,
}

/// What went by.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

impl Relay {
    /// Everything that has gone by until nothing comes for a while.
    pub(crate) fn seen(&mut self) -> Vec<Seen> {
        self.reader.get_ref().set_read_timeout(Some(QUIET)).expect("a timeout");
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Says something on a subject.
    pub(crate) fn publish(&mut self, subject: &str, payload: &[u8]) {
        let mut said = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
        said.extend_from_slice(payload);
        said.extend_from_slice(b"\r\n");
        self.say(&said);
    }

    fn say(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("a server that listens");
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }

    fn next(&mut self) -> Option<Seen> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            let [kind @ ("MSG" | "HMSG"), subject, .., size] = words.as_slice() else { continue };
            let mut bytes = vec![0; size.parse::<usize>().expect("a size") + 2];
            self.reader.read_exact(&mut bytes).expect("the message");
            bytes.truncate(bytes.len() - 2);
            if *kind == "HMSG" {
                let head: usize = words[words.len() - 2].parse().expect("a size");
                bytes.drain(..head);
            }
            return Some(Seen { subject: (*subject).to_owned(), payload: bytes });
        }
    }
}
