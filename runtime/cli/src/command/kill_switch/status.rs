//! `kos kill-switch status`: whether everything is stopped. It needs no key.

use std::process::ExitCode;

use clap::Args;
use kos_core::kill_switch::{self, Engagement};
use kos_core::log::engaged;
use kos_core::log::entry::Entry;
use kos_core::log::reader::LogReader;
use serde_json::{Value, json};

use crate::command::Ended;
use crate::context::Context;
use crate::output::{BAD, Columns, GOOD, clean, paint};

/// `kos kill-switch status`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0, whether it is engaged or not.")]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let file = kill_switch::file(&home);
        let found = Engagement::found(&home);
        let index = engaged(&home.log())?;
        let entry = index.and_then(|index| {
            let reader = LogReader::open(&home.log()).ok()?;
            let (_, bytes) = reader.entries(index..index.saturating_add(1)).next()?.ok()?;
            Entry::parse_unverified(&bytes).ok()
        });
        let value = json!({
            "engaged": found.is_some() || index.is_some(),
            "file": found.is_some().then_some(&file),
            "entry": index,
            "at": entry.as_ref().map(|entry| entry.timestamp),
            "reason": found.as_ref().map(|found| Value::from(&*found.reason)).or_else(|| detail(entry.as_ref(), "reason")),
            "by": found.as_ref().map(|found| Value::from(&*found.by)).or_else(|| detail(entry.as_ref(), "by")),
        });
        context.output.answer(&value, || {
            if found.is_none() && index.is_none() {
                return paint(GOOD, "not engaged: agents may be launched");
            }
            let mut facts = Columns::facts();
            for name in ["reason", "by"] {
                if let Some(text) = value.get(name).and_then(Value::as_str) {
                    facts.fact(name, clean(text));
                }
            }
            if let Some(index) = index {
                facts.fact("entry", index);
            }
            if let Some(entry) = &entry {
                facts.fact("since", entry.timestamp);
            }
            let there =
                if found.is_some() { file.display().to_string() } else { "removed; the log knows".into() };
            facts.fact("file", there);
            let head = paint(BAD, "engaged: nothing is launched until `kos kill-switch resume`");
            format!("{head}\n{}", facts.or_else(""))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn detail(entry: Option<&Entry>, name: &str) -> Option<Value> {
    entry?.details.get(name).cloned()
}
