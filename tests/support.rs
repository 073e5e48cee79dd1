//! A home of its own for each test, and the real `kos` and `kos-run` to work on it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long something may take that happens soon.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at until then.
const POLL: Duration = Duration::from_millis(100);

/// What `kos-run` ends with when its agents were stopped.
pub(crate) const KILLED: i32 = 137;
/// `ping` may send to `pong`.
pub(crate) const ASKS_PONG: &str = "\"messaging.send\" = { scope = [\"name:pong/*\"] }\n";
/// Everybody is heard.
pub(crate) const HEARS_ALL: &str = "\"messaging.receive\" = { scope = [\"*\"] }\n";

/// A folder with a home, an author whom the home trusts, and whatever the test puts there.
pub(crate) struct World {
    folder: TempDir,
    author: String,
}

impl World {
    /// A home that starts unattended, and an author `alice` trusted at `level`.
    pub(crate) fn trusting(level: &str) -> Self {
        let world = Self::trusting_nobody();
        world.kos(&["trust", "add", &world.author, "--level", level]).succeeded();
        world
    }

    /// A home that starts unattended, and an author `alice` whom it does not know.
    pub(crate) fn trusting_nobody() -> Self {
        let mut world =
            Self { folder: tempfile::tempdir().expect("a temporary folder"), author: String::new() };
        let key_file = world.path("root.key");
        world.kos(&["init", "--key-file", path_text(&key_file)]).succeeded();
        world.author = world.new_author("alice");
        world
    }

    /// Makes an author key and returns its DID.
    pub(crate) fn new_author(&self, name: &str) -> String {
        let made = self.kos(&["key", "new", name, "--json"]).succeeded().json();
        made["did"].as_str().expect("a DID").to_owned()
    }

    /// The DID of the author `alice`.
    pub(crate) fn author(&self) -> &str {
        &self.author
    }

    /// A path inside the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home's directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Writes a file into the test's folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a written file");
        path
    }

    /// A sample agent, signed by `alice`, in the test's folder.
    pub(crate) fn signed(&self, sample: &str) -> PathBuf {
        self.signed_by("alice", sample)
    }

    /// A sample agent, signed by the author `key`, in the test's folder.
    pub(crate) fn signed_by(&self, key: &str, sample: &str) -> PathBuf {
        self.sign(&agent(sample), &manifest(sample), key, &format!("{sample}-{key}.wasm"))
    }

    /// A component, signed by the author `key` with a manifest of the test's own.
    pub(crate) fn sign(&self, component: &Path, manifest: &str, key: &str, output: &str) -> PathBuf {
        let manifest = self.write("manifest.toml", manifest);
        let output = self.path(output);
        let (component, manifest) = (path_text(component), path_text(&manifest));
        self.kos(&["sign", component, "--manifest", manifest, "--key", key, "-o", path_text(&output)])
            .succeeded();
        output
    }

    /// A sample agent, signed by `alice` and granted what its `permissions.toml` asks.
    pub(crate) fn granted(&self, sample: &str) -> PathBuf {
        let signed = self.signed(sample);
        let permissions = sample_folder(sample).join("permissions.toml");
        self.kos(&["grant", path_text(&signed), path_text(&permissions)]).succeeded();
        signed
    }

    /// A sample agent, signed by `alice` and granted what `permissions` says.
    pub(crate) fn granted_with(&self, sample: &str, permissions: &str) -> PathBuf {
        let signed = self.signed(sample);
        let file = self.write("permissions.toml", permissions);
        self.kos(&["grant", path_text(&signed), path_text(&file)]).succeeded();
        signed
    }

    /// Grants what a TOML says, and returns the grant's identifier.
    pub(crate) fn grant(&self, agent: &Path, permissions: &str) -> String {
        let file = self.write("permissions.toml", permissions);
        let granted = self.kos(&["grant", path_text(agent), path_text(&file), "--json"]).succeeded().json();
        granted["grant"].as_str().expect("the grant's identifier").to_owned()
    }

    /// A probe with exactly these rules, as TOML.
    pub(crate) fn probe(&self, rules: &str) -> PathBuf {
        self.granted_with("probe", &permissions(rules))
    }

    /// Starts an agent that answers each line of its input with one of its output.
    pub(crate) fn converse(&self, agent: &Path) -> Conversation {
        Conversation::with(self.kos_run_command().arg(agent))
    }

    /// What was denied to agents, oldest first: the capability and the reason.
    pub(crate) fn denials(&self) -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        self.entries_of("permission_denied")
            .iter()
            .map(|entry| (text(&entry["target"]["id"]), text(&entry["details"]["reason"])))
            .collect()
    }

    /// `kos` on this home, ready to start.
    pub(crate) fn kos_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_kos"))
    }

    /// `kos-run` on this home, ready to start.
    pub(crate) fn kos_run_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_kos-run"))
    }

    /// Runs `kos` with these arguments.
    pub(crate) fn kos(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.kos_command().args(arguments))
    }

    /// Runs an agent with these arguments.
    pub(crate) fn run(&self, agent: &Path, arguments: &[&str]) -> Ended {
        Ended::of(self.kos_run_command().arg(agent).arg("--").args(arguments))
    }

    /// The entries of the log, oldest first.
    pub(crate) fn entries(&self) -> Vec<serde_json::Value> {
        let shown = self.kos(&["log", "show", "--all", "--json"]).succeeded();
        shown.stdout.lines().map(|line| serde_json::from_str(line).expect("an entry as JSON")).collect()
    }

    /// The entries of this type, oldest first.
    pub(crate) fn entries_of(&self, event_type: &str) -> Vec<serde_json::Value> {
        self.entries().into_iter().filter(|entry| entry["eventType"] == event_type).collect()
    }

    /// How the runs have ended, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let exits = self.entries_of("agent_exit");
        exits.iter().map(|exit| exit["details"]["outcome"].as_str().expect("an outcome").to_owned()).collect()
    }

    /// The runs that the entries of this type tell of, oldest first.
    pub(crate) fn runs(&self, event_type: &str) -> Vec<String> {
        let runs = self.entries_of(event_type).into_iter();
        runs.map(|entry| entry["details"]["run"].as_str().expect("a run").to_owned()).collect()
    }

    /// The key that verifies the log, as text.
    pub(crate) fn verifier_key(&self) -> String {
        self.kos(&["log", "checkpoint", "--vkey-only"]).succeeded().stdout.trim().to_owned()
    }

    /// The operator's identifier.
    pub(crate) fn operator(&self) -> String {
        let keys = self.kos(&["key", "list", "--json"]).succeeded().json();
        let is_operator =
            |key: &&serde_json::Value| key["key"].as_str().unwrap_or_default().starts_with("operator/");
        let operator = keys.as_array().expect("a list").iter().find(is_operator).expect("the operator's key");
        operator["did"].as_str().expect("a DID").to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("KOS_HOME", self.home())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }
}

/// An agent that is running, and answers each line of its input with one of its output.
pub(crate) struct Conversation {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
    command: String,
}

impl Conversation {
    /// Starts a command that talks this way.
    pub(crate) fn with(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process that starts");
        let answers = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, answers, command: format!("{command:?}") }
    }

    /// The process that runs it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{line}").expect("an agent that listens");
    }

    /// Waits for an answer.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        self.answers.next().expect("an answer").expect("an answer in UTF-8")
    }

    /// Waits for an answer; none where the process has ended.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        self.answers.next()?.ok()
    }

    /// Says a line and waits for the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Asks again until the answer is this one.
    #[track_caller]
    pub(crate) fn ask_until(&mut self, line: &str, answer: &str) {
        poll_until(&format!("{line} is answered by {answer}"), || self.ask(line) == answer);
    }

    /// Sends the process a signal, as `kill` takes it.
    pub(crate) fn signal(&self, signal: &str) {
        self::signal(&self.child, signal);
    }

    /// Ends the input, which ends the agent.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        self.wait()
    }

    /// Waits for the agent's end, with its input still open.
    pub(crate) fn wait(mut self) -> Ended {
        let _input = self.child.stdin.take();
        let said: Vec<String> = self.answers.map(|line| line.expect("an answer in UTF-8")).collect();
        let output = self.child.wait_with_output().expect("a process that ends");
        Ended { stdout: said.join("\n"), ..Ended::from_output(self.command, output) }
    }
}

/// How a process ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

impl Ended {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("a process that starts");
        Self::from_output(format!("{command:?}"), output)
    }

    /// What a command that was started elsewhere has come to.
    pub(crate) fn from_output(command: String, output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default());
        Self {
            status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command,
        }
    }

    /// Insists on success.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Insists on an exit status.
    #[track_caller]
    pub(crate) fn ended_with(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    /// Insists on words of the diagnostics.
    #[track_caller]
    pub(crate) fn saying(self, words: &str) -> Self {
        assert!(
            self.stderr.contains(words),
            "`{words}` is not in the diagnostics of {}:\n{}",
            self.command,
            self.stderr
        );
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in the output of {}:\n{}", self.command, self.stdout))
    }
}

/// Looks until something is so, and insists that it comes to be so.
#[track_caller]
pub(crate) fn poll_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it does not happen that {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits for the end of a `kos-run`.
pub(crate) fn ended(child: Child) -> Ended {
    Ended::from_output("kos-run".to_owned(), child.wait_with_output().expect("a process that ends"))
}

/// Sends a process a signal, such as `-TERM`.
pub(crate) fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// Every file below a folder in which these bytes are.
pub(crate) fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if std::fs::read(&path)
            .is_ok_and(|read| read.windows(bytes.len()).any(|window| window == bytes))
        {
            found.push(path);
        }
    }
    found
}

/// Permissions of a day with exactly these rules, as TOML.
pub(crate) fn permissions(rules: &str) -> String {
    format!("expires = \"1d\"\n[capabilities]\n{rules}\n")
}

/// The built component of a sample agent.
pub(crate) fn agent(sample: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_kos")).ancestors().nth(2).expect("the target folder");
    let path = target.join("wasm32-wasip2/release").join(format!("{sample}.wasm"));
    assert!(path.exists(), "{} is not built: run `cargo xtask agents` first", path.display());
    path
}

/// The manifest of a sample agent.
pub(crate) fn manifest(sample: &str) -> String {
    std::fs::read_to_string(sample_folder(sample).join("agent.toml")).expect("the manifest")
}

/// The sources of a sample agent.
pub(crate) fn sample_folder(sample: &str) -> PathBuf {
    project().join("sample-agents").join(sample)
}

/// The project's own folder.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path as an argument.
pub(crate) fn path_text(path: &(impl AsRef<OsStr> + ?Sized)) -> &str {
    path.as_ref().to_str().expect("a path in UTF-8")
}
