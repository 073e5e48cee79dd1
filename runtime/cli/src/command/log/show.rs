//! `kos log show`.

use std::collections::VecDeque;
use std::process::ExitCode;

use clap::Args;
use kos_core::log::reader::LogReader;

use super::entries::{self, Filter, Listed};
use super::source::Source;
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, cell, clean, number};

/// What fits a few screens.
const STANDARD_COUNT: usize = 50;

/// `kos log show [INDEX]`.
#[derive(Debug, Args)]
#[command(after_help = "Shown is what the files say; `kos log verify` says whether it is true.")]
pub struct Show {
    /// Only this entry, in full.
    #[arg(value_name = "INDEX", conflicts_with_all = ["types", "agent", "since", "count", "all"])]
    index: Option<u64>,
    /// The last so many that fit the filters [default: 50].
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,
    /// All that fit the filters.
    #[arg(long, conflicts_with = "count")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    source: Source,
}

impl Show {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let reader = LogReader::open(&self.source.directory(context)?)?;
        match self.index {
            Some(index) => one(context, &reader, index)?,
            None => self.list(context, &reader)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, context: &Context, reader: &LogReader) -> Result<(), Failure> {
        let most = if self.all { usize::MAX } else { self.count.unwrap_or(STANDARD_COUNT) };
        let mut kept: VecDeque<Listed> = VecDeque::new();
        let mut matches: usize = 0;
        for listed in entries::from(reader, 0, reader.size()?) {
            let listed = listed?;
            if self.filter.accepts(&listed.entry) {
                matches = matches.saturating_add(1);
                kept.push_back(listed);
                if kept.len() > most {
                    kept.pop_front();
                }
            }
        }
        if context.output.is_json() {
            return kept.iter().try_for_each(|listed| context.output.line(listed.to_json()));
        }
        context.output.line(table(&kept))?;
        if kept.len() < matches {
            context.output.remark(format!("the last {} of {matches}; --all shows all", kept.len()));
        }
        Ok(())
    }
}

fn one(context: &Context, reader: &LogReader, index: u64) -> Result<(), Failure> {
    let missing = || Failure::new(format!("the log has no entry {index}"));
    let (index, bytes) = reader.entries(index..index.saturating_add(1)).next().ok_or_else(missing)??;
    let listed = Listed::read(index, &bytes)?;
    let pretty = serde_json::to_string_pretty(&listed.to_json())?;
    let shown: Vec<String> = pretty.lines().map(clean).collect();
    context.output.line(if context.output.is_json() { pretty } else { shown.join("\n") })
}

fn table(kept: &VecDeque<Listed>) -> String {
    let mut table = Columns::new(&["INDEX", "TIME", "EVENT", "ABOUT", "FACTS"]);
    for listed in kept {
        table.row([
            number(listed.index),
            cell(listed.time()),
            cell(listed.entry.event_type.as_str()),
            cell(listed.subject()),
            cell(listed.facts()),
        ]);
    }
    table.or_else("no entries")
}
