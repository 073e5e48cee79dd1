//! Where the demo plays: its folder, and how the two binaries are started there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::Build;
use crate::agents;
use crate::shell::{self, say};
use crate::workspace::Workspace;

/// `kos-run` refused to launch.
pub(crate) const REFUSED: i32 = 126;

/// The folder of the demo and the programs that play in it.
pub(crate) struct Stage {
    root: PathBuf,
    folder: PathBuf,
    binaries: PathBuf,
    components: PathBuf,
}

/// How a launch ended.
pub(crate) struct Launch {
    /// The exit status; 128 and the signal's number where a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Launch {
    /// The last line that the agent printed.
    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().next_back().unwrap_or_default()
    }

    /// Why the launch was refused or the run was ended, as the diagnostics say it.
    pub(crate) fn reason(&self) -> &str {
        let mut lines = self.stderr.lines().map(str::trim);
        let first = lines.next().unwrap_or_default();
        lines.find_map(|line| line.strip_prefix("why: ")).unwrap_or(first)
    }
}

impl Stage {
    /// An empty folder `demo` in the target directory, in place of the one of the last time.
    pub(crate) fn fresh(workspace: &Workspace, build: Build) -> Result<Self> {
        let root = workspace.root().to_path_buf();
        let folder = shorten(workspace.target().join("demo"), &root);
        let whole = root.join(&folder);
        if whole.exists() {
            fs::remove_dir_all(&whole).with_context(|| format!("cannot remove {}", whole.display()))?;
        }
        fs::create_dir_all(&whole).with_context(|| format!("cannot create {}", whole.display()))?;
        let binaries = shorten(workspace.target().join(build.folder()), &root);
        let components = shorten(agents::folder(workspace), &root);
        Ok(Self { root, folder, binaries, components })
    }

    /// The demo's folder, as short as it can be named from the workspace.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(crate) fn kos_path(&self) -> PathBuf {
        self.binaries.join("kos")
    }

    /// A path in the demo's folder, as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// An agent's unsigned component, as an argument.
    pub(crate) fn component(&self, agent: &str) -> String {
        self.components.join(format!("{agent}.wasm")).display().to_string()
    }

    /// A path of the workspace that can be opened from anywhere.
    pub(crate) fn whole(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Runs `kos` in the demo's home and shows what it says.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<()> {
        let output = self.quietly(arguments)?;
        for line in output.lines() {
            say(format!("  {line}").trim_end());
        }
        Ok(())
    }

    /// Runs `kos` in the demo's home for an answer in JSON: one value for each line, or one in all.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.command("kos");
        command.env("KOS_HOME", self.home()).args(arguments).arg("--json");
        let output = shell::output(&mut command)?;
        serde_json::from_str(&output)
            .with_context(|| format!("`{}` did not answer in JSON: {output}", shell::line(&command)))
    }

    /// Runs `kos` away from the demo's home; whether it succeeded, and the first line that it said.
    pub(crate) fn elsewhere(&self, arguments: &[&str]) -> Result<(bool, String)> {
        say(format!("$ kos {}", arguments.join(" ")));
        let mut command = self.command("kos");
        command
            .args(arguments)
            .env_remove("KOS_HOME")
            .env("HOME", "/nonexistent")
            .env_remove("XDG_DATA_HOME");
        let output = command.output().with_context(|| format!("cannot start `{}`", shell::line(&command)))?;
        let stream = if output.status.success() { output.stdout } else { output.stderr };
        let text = String::from_utf8_lossy(&stream).into_owned();
        Ok((output.status.success(), text.lines().next().unwrap_or_default().to_owned()))
    }

    /// Launches a component; what it reads is `input`, or nothing.
    pub(crate) fn launch(&self, component: &str, arguments: &[&str], input: Option<&str>) -> Result<Launch> {
        let mut command = self.command("kos-run");
        command.env("KOS_HOME", self.home()).arg(component);
        if !arguments.is_empty() {
            command.arg("--").args(arguments);
        }
        let stdin = match input {
            Some(path) => File::open(self.whole(path)).with_context(|| format!("cannot open {path}"))?.into(),
            None => Stdio::null(),
        };
        let start = Instant::now();
        let output = command
            .stdin(stdin)
            .output()
            .with_context(|| format!("cannot start `{}`", shell::line(&command)))?;
        Ok(Launch {
            status: status(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            elapsed: start.elapsed(),
        })
    }

    /// How the log says that the agent's last run ended, and where it says so.
    pub(crate) fn last_exit(&self, agent: &str) -> Result<(u64, String)> {
        let entry = self.ask(&["log", "show", "--type", "agent_exit", "--agent", agent, "-n", "1"])?;
        let index = entry.get("index").and_then(Value::as_u64).context("a log entry has no index")?;
        let outcome = text(&entry, "/details/outcome")?;
        Ok((index, outcome))
    }

    fn quietly(&self, arguments: &[&str]) -> Result<String> {
        say(format!("$ kos {}", arguments.join(" ")));
        shell::output(self.command("kos").env("KOS_HOME", self.home()).args(arguments))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join(&self.binaries).join(program));
        command.current_dir(&self.root).env_remove("KOS_KEY_FILE").env_remove("CREDENTIALS_DIRECTORY");
        command
    }
}

/// A text inside an answer.
pub(crate) fn text(value: &Value, pointer: &str) -> Result<String> {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => bail!("{pointer} is missing in {value}"),
    }
}

/// Copies a file with one bit changed, in its middle.
pub(crate) fn alter(from: &Path, to: &Path) -> Result<()> {
    let mut bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let middle = bytes.len() / 2;
    ensure!(!bytes.is_empty(), "{} is empty", from.display());
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))
}

fn shorten(path: PathBuf, root: &Path) -> PathBuf {
    path.strip_prefix(root).map(Path::to_path_buf).unwrap_or(path)
}

fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
