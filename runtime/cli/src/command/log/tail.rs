//! `kos log tail`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kos_core::log::EventType;
use kos_core::log::reader::LogReader;

use super::entries::{self, Filter, Listed};
use super::source::Source;
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{FAINT, STRONG, paint};

/// How often a followed log is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// `kos log tail`.
#[derive(Debug, Args)]
pub struct Tail {
    /// Go on with each new entry, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// How many entries to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    count: u64,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    source: Source,
}

impl Tail {
    /// Of the home's log, the alerts alone.
    pub(in crate::command) fn of_alerts(follow: bool, count: u64) -> Self {
        let filter = Filter::of_type(EventType::Alert);
        Self { follow, count, filter, source: Source { dir: None } }
    }

    pub(in crate::command) fn run(&self, context: &Context) -> Ended {
        let directory = self.source.directory(context)?;
        let reader = LogReader::open(&directory)?;
        let size = reader.size()?;
        let mut next = self.print(context, &reader, size.saturating_sub(self.count), size)?;
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            std::thread::sleep(INTERVAL);
            let reader = LogReader::open(&directory)?;
            let size = reader.size()?;
            next = self.print(context, &reader, next, size)?;
        }
    }

    /// Prints the entries from `first` on, and yields where to go on.
    fn print(&self, context: &Context, reader: &LogReader, first: u64, size: u64) -> Result<u64, Failure> {
        for listed in entries::from(reader, first, size) {
            let listed = listed?;
            if self.filter.accepts(&listed.entry) {
                context.output.line(line(context, &listed))?;
            }
        }
        Ok(size.max(first))
    }
}

fn line(context: &Context, listed: &Listed) -> String {
    if context.output.is_json() {
        return listed.to_json().to_string();
    }
    format!(
        "{:>6}  {}  {}  {}  {}",
        listed.index,
        paint(FAINT, listed.time()),
        paint(STRONG, listed.entry.event_type.as_str()),
        listed.subject(),
        listed.facts()
    )
}
