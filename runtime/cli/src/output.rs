//! Answers on stdout: tables and words for a person, JSON for a program.
//!
//! Text that comes from outside (names, reasons, log details) passes [`clean`] before it reaches a terminal. Colour
//! is written always and removed where stdout is no terminal or `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde::Serialize;

use crate::failure::Failure;

/// What is in order: green.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is refused: red.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What deserves a look: yellow.
pub const CARE: Style = AnsiColor::Yellow.on_default();
/// What stands out.
pub const STRONG: Style = Style::new().bold();
/// What steps back.
pub const FAINT: Style = Style::new().dimmed();

/// Work that takes longer than this says so on a terminal.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// Where and how a command answers.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Answers as JSON or in words; `quiet` leaves out remarks.
    #[must_use]
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// The answer of a command: `value` as JSON, or the words that `human` makes.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn answer(self, value: &impl Serialize, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json {
            return self.line(serde_json::to_string_pretty(value)?);
        }
        let text = human();
        if text.is_empty() { Ok(()) } else { self.line(text.trim_end_matches('\n')) }
    }

    /// One line on stdout, whatever the form.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn line(self, text: impl Display) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// Bytes on stdout as they are.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// A remark beside the answer, on stderr; not with `--quiet`. An unwritable stderr changes nothing.
    pub fn remark(self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A line on stderr that was asked for, `--quiet` or not. An unwritable stderr changes nothing.
    pub fn raw_remark(self, text: impl Display) {
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Runs `work`, and says `doing` on a terminal when it takes over a second.
    pub fn while_working<T>(self, doing: &str, work: impl FnOnce() -> T) -> T {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return work();
        }
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || show_progress(doing, &waiting));
            let result = work();
            drop(done);
            result
        })
    }
}

fn show_progress(doing: &str, waiting: &std::sync::mpsc::Receiver<()>) {
    use std::sync::mpsc::RecvTimeoutError::Timeout;
    if waiting.recv_timeout(PROGRESS_AFTER) != Err(Timeout) {
        return;
    }
    let spinner = indicatif::ProgressBar::new_spinner().with_message(doing.to_owned());
    while waiting.recv_timeout(Duration::from_millis(100)) == Err(Timeout) {
        spinner.tick();
    }
    spinner.finish_and_clear();
}

/// `text` in a style.
#[must_use]
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from outside on one line and without control characters, so that it cannot steer a terminal or imitate a
/// line of ours.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if is_shown(character) { character } else { '\u{fffd}' }).collect()
}

/// Whether a character shows as itself: no control character and none that reorders text (Unicode TR36).
fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A table of columns without borders, as wide as its content, so that identifiers stay whole for copying.
#[derive(Debug)]
pub struct Columns {
    table: Table,
    has_rows: bool,
}

impl Columns {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !colours_wanted() {
            table.force_no_tty();
        }
        table.set_header(
            headings.iter().map(|heading| Cell::new(heading).add_attribute(comfy_table::Attribute::Bold)),
        );
        Self { table, has_rows: false }
    }

    /// A list of `name  value` lines, without headings.
    #[must_use]
    pub fn facts() -> Self {
        let mut columns = Self::new(&[]);
        columns.table = Table::new();
        columns.table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !colours_wanted() {
            columns.table.force_no_tty();
        }
        columns
    }

    /// Adds a row.
    pub fn row<I: IntoIterator<Item = Cell>>(&mut self, cells: I) {
        self.has_rows = true;
        self.table.add_row(cells);
    }

    /// Adds a `name  value` line.
    pub fn fact(&mut self, name: &str, value: impl Display) {
        self.row([cell(name).add_attribute(comfy_table::Attribute::Dim), cell(value)]);
    }

    /// The table as text, or `none` when it has no rows.
    #[must_use]
    pub fn or_else(mut self, none: &str) -> String {
        if !self.has_rows {
            return none.to_owned();
        }
        for column in self.table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<String> = self.table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

/// A cell with text that may come from outside.
#[must_use]
pub fn cell(text: impl Display) -> Cell {
    Cell::new(clean(&text.to_string()))
}

/// A cell with a number, to the right.
#[must_use]
pub fn number(value: impl Display) -> Cell {
    Cell::new(value.to_string()).set_alignment(CellAlignment::Right)
}

/// A cell that is good or bad at a glance.
#[must_use]
pub fn verdict(is_good: bool, text: impl Display) -> Cell {
    cell(text).fg(if is_good { Color::Green } else { Color::Red })
}

/// An instant to the second, for tables.
#[must_use]
pub fn to_second(instant: kos_core::clock::Timestamp) -> kos_core::clock::Timestamp {
    kos_core::clock::Timestamp::from_millis(instant.as_millis() / 1_000 * 1_000)
}

/// An identifier cut to what an eye compares, for tables; never for copying.
#[must_use]
pub fn short_did(did: &kos_core::id::Did) -> String {
    let text = did.to_string();
    let key = text.strip_prefix("did:key:").unwrap_or(&text);
    match (key.get(..8), key.get(key.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) => format!("{head}…{tail}"),
        _ => key.to_owned(),
    }
}

fn colours_wanted() -> bool {
    !matches!(anstream::AutoStream::choice(&std::io::stdout()), anstream::ColorChoice::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_do_not_reach_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d");
        assert_eq!(clean("größe ✓"), "größe ✓");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(Columns::new(&["NAME"]).or_else("no keys"), "no keys");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut columns = Columns::new(&["NAME", "LEVEL"]);
        columns.row([cell("alice"), cell("trusted")]);
        columns.row([cell("bob-the-second"), cell("external")]);
        let text = columns.or_else("");
        assert_eq!(text, "NAME            LEVEL\nalice           trusted\nbob-the-second  external");
    }
}
