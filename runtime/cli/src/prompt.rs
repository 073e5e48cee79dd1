//! Secrets that a person types, or hands over in a file or a descriptor; never in an argument or the environment.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{Explain as _, Failure};

/// A passphrase is a line; a longer one is most likely the wrong file.
const PASSPHRASE_MAX: u64 = 4096;

/// Whether there is a person to ask.
#[must_use]
pub fn is_possible() -> bool {
    std::io::stderr().is_terminal() && File::open("/dev/tty").is_ok()
}

/// Asks for a secret on the terminal, without showing it.
///
/// # Errors
/// When there is no terminal, or nothing was typed.
pub fn secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    let answer = Zeroizing::new(rpassword::prompt_password(format!("{question}: "))?);
    if answer.is_empty() { Err(Failure::new("nothing was typed, which is not accepted")) } else { Ok(answer) }
}

/// Asks for a line that is shown as it is typed.
///
/// # Errors
/// When the terminal cannot be read.
pub fn line(question: &str) -> Result<String, Failure> {
    crate::output::Output::new(false, false).remark(question);
    let mut answer = String::new();
    BufReader::new(File::open("/dev/tty")?.take(PASSPHRASE_MAX)).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a new secret twice.
///
/// # Errors
/// As [`secret`], and when the two differ.
pub fn new_secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    let first = secret(question)?;
    let second = secret("The same again")?;
    if first == second { Ok(first) } else { Err(Failure::new("the two differ")) }
}

/// Insists that a person types exactly these words on the terminal.
///
/// # Errors
/// When there is no terminal, or something else was typed.
pub fn confirm(words: &str) -> Result<(), Failure> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    write!(terminal, "Type `{words}` to do it: ")?;
    let mut typed = String::new();
    BufReader::new(terminal.take(PASSPHRASE_MAX)).read_line(&mut typed)?;
    if typed.trim_end_matches(['\n', '\r']) == words {
        Ok(())
    } else {
        Err(Failure::new(format!("`{words}` was not typed, so nothing was done")))
    }
}

/// The first line of a file: a passphrase without its line end.
///
/// # Errors
/// When the file cannot be read, or its first line is empty or too long.
pub fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let refused = || format!("cannot read a passphrase from {}", path.display());
    let file = File::open(path).doing(refused())?;
    first_line(file).doing(refused())
}

/// The first line from an open file descriptor of this process.
///
/// # Errors
/// As [`from_file`].
pub fn from_descriptor(descriptor: u32) -> Result<Zeroizing<String>, Failure> {
    from_file(Path::new(&format!("/dev/fd/{descriptor}")))
}

fn first_line(file: File) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::new());
    BufReader::new(file.take(PASSPHRASE_MAX)).read_line(&mut line)?;
    if line.len() as u64 >= PASSPHRASE_MAX {
        return Err(Failure::new(format!("its first line has {PASSPHRASE_MAX} bytes or more")));
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    if line.is_empty() { Err(Failure::new("its first line is empty")) } else { Ok(line) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Zeroizing<String>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, content).unwrap();
        from_file(&path)
    }

    #[test]
    fn a_passphrase_is_the_first_line_without_its_end() {
        assert_eq!(read("correct horse\r\nbattery\n").unwrap().as_str(), "correct horse");
        assert_eq!(read(" spaces count ").unwrap().as_str(), " spaces count ");
    }

    #[test]
    fn an_empty_or_endless_passphrase_is_refused() {
        assert!(read("").is_err());
        assert!(read("\nsecond line\n").is_err());
        assert!(read(&"x".repeat(5000)).is_err());
        assert!(read(&"x".repeat(4095)).is_ok());
    }
}
