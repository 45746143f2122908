//! Asking for a password: never as an argument, which everybody on the machine can read.

use std::io::{BufRead, IsTerminal, stdin};

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::domain::Password;

/// More than any password has, so that an endless input ends.
const MOST_BYTES: u64 = 4_096;

/// A new password: the first line of standard input, or typed twice on a terminal without being shown.
///
/// # Errors
/// If there is none, if both differ, or if it is none of ours.
pub(super) fn ask(from_stdin: bool) -> anyhow::Result<Password> {
    let typed = if from_stdin { read_line(stdin().lock())? } else { typed_twice()? };
    Ok(typed.parse()?)
}

fn read_line(from: impl BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    from.take(MOST_BYTES).read_line(&mut line).context("no password on standard input")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn typed_twice() -> anyhow::Result<Zeroizing<String>> {
    if !stdin().is_terminal() {
        bail!("standard input is no terminal to ask on: use --password-stdin");
    }
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let first = ask("New password: ").context("no password was typed")?;
    // Told at once, not after it was typed a second time.
    first.parse::<Password>()?;
    let second = ask("The same again: ").context("no password was typed")?;
    if *first == *second { Ok(first) } else { bail!("the two are not the same") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for text in ["correct horse battery", "correct horse battery\n", "correct horse battery\r\nmore"] {
            assert_eq!(*read_line(text.as_bytes()).unwrap(), "correct horse battery");
        }
        assert_eq!(*read_line(" spaces stay \n".as_bytes()).unwrap(), " spaces stay ");
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert!(read_line(endless).unwrap().len() <= 4_096);
    }
}
