//! Ways out of the sandbox: environment, files, network, other agents.

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process;

use wasip2::filesystem::preopens;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::{ErrorCode, resolve_addresses};

use crate::Attack;
use crate::verdict::Verdict;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("environment", "denied", environment),
    Attack::new("preopened-directories", "denied", preopened_directories),
    Attack::new("read-system-files", "denied", || {
        read(&["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/dev/urandom"])
    }),
    Attack::new("read-by-relative-path", "denied", || {
        read(&["Cargo.toml", "./agent.toml", "../../../../etc/passwd", ".", ""])
    }),
    Attack::new("read-the-keys-of-the-host", "denied", || {
        read(&["keys/host", "/var/lib/kos/slots.json", "../keys/host.json"])
    }),
    Attack::new("read-the-storage-of-another", "denied", || {
        read(&["../hello/data", "/storage/hello/data", "storage/notary"])
    }),
    Attack::new("list-directories", "denied", || {
        Verdict::agreed(["/", ".", "..", "/proc/self/fd"].map(|path| Verdict::of_file(fs::read_dir(path))))
    }),
    Attack::new("write-files", "denied", write_files),
    Attack::new("connect-loopback", "denied", || {
        Verdict::agreed(
            ["127.0.0.1:22", "[::1]:80", "0.0.0.0:80"].map(|to| Verdict::of_io(TcpStream::connect(to))),
        )
    }),
    Attack::new("connect-private-network", "denied", || {
        Verdict::agreed(
            ["169.254.169.254:80", "10.0.0.1:80"].map(|to| Verdict::of_io(TcpStream::connect(to))),
        )
    }),
    Attack::new("listen", "denied", || {
        Verdict::agreed(["127.0.0.1:0", "0.0.0.0:0"].map(|on| Verdict::of_io(TcpListener::bind(on))))
    }),
    Attack::new("send-datagram", "denied", send_datagram),
    Attack::new("look-up-name", "denied", look_up_name),
    Attack::new("exit-status", "error", || process::exit(7)),
    #[expect(clippy::panic, reason = "that is the attack")]
    Attack::new("panic", "trap", || panic!("rogue\u{1b}[2J panics on purpose")),
    Attack::new("abort", "trap", || process::abort()),
];

fn environment() -> Verdict {
    match (env::vars_os().count(), env::current_dir()) {
        (0, Ok(here)) if here.as_os_str() == "/" => Verdict::Denied,
        (0, Err(_)) => Verdict::Denied,
        (count, here) => Verdict::Succeeded(format!("{count} variables, working in {here:?}")),
    }
}

fn preopened_directories() -> Verdict {
    match preopens::get_directories().len() {
        0 => Verdict::Denied,
        count => Verdict::Succeeded(format!("{count} directories")),
    }
}

fn read(paths: &[&str]) -> Verdict {
    Verdict::agreed(paths.iter().map(|path| Verdict::of_file(fs::read(path))))
}

fn write_files() -> Verdict {
    let written = ["/tmp/rogue", "rogue", "../rogue"].map(|path| Verdict::of_file(fs::write(path, "a")));
    let made =
        [Verdict::of_file(fs::create_dir("rogue.d")), Verdict::of_file(fs::remove_file("/etc/hostname"))];
    Verdict::agreed(written.into_iter().chain(made))
}

fn send_datagram() -> Verdict {
    Verdict::of_io(UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"a", "127.0.0.1:53")))
}

/// A local name, so that a host that resolves names needs no network to be caught.
fn look_up_name() -> Verdict {
    let refused = |code| {
        matches!(
            code,
            ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure | ErrorCode::NotSupported
        )
    };
    let network = instance_network();
    let answer = match resolve_addresses(&network, "localhost") {
        Ok(addresses) => {
            addresses.subscribe().block();
            addresses.resolve_next_address()
        }
        Err(code) => Err(code),
    };
    match answer {
        Err(code) if refused(code) => Verdict::Denied,
        Err(code) => Verdict::Unexpected(code.to_string()),
        Ok(address) => Verdict::Succeeded(format!("{address:?}")),
    }
}
