//! What a command is: a name, its usage, and a function from words to an exit status.

use std::ffi::OsString;

use crate::client::ClientError;

/// A command and what it says of itself.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// What follows the name, one form a line.
    pub usage: &'static [&'static str],
    /// More for `--help`; empty or ending in a newline.
    pub details: &'static str,
    pub run: fn(Vec<OsString>) -> Result<u8, Failure>,
}

impl Command {
    /// As BSD prints it after a wrong option.
    pub fn usage_text(&self) -> String {
        let mut text = String::new();
        for (i, form) in self.usage.iter().enumerate() {
            let lead = if i == 0 { "usage:" } else { "      " };
            text.push_str(format!("{lead} {} {form}", self.name).trim_end());
            text.push('\n');
        }
        text
    }

    pub fn help(&self) -> String {
        let gap = if self.details.is_empty() { "" } else { "\n" };
        format!("{}: {}\n{}{gap}{}", self.name, self.summary, self.usage_text(), self.details)
    }
}

/// Why a command ended early: its exit status and the one line for standard error.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u8,
    /// Names the word that was wrong; empty when the usage says it all.
    pub message: String,
    /// The usage follows the message.
    pub usage: bool,
}

impl Failure {
    /// Exit status 1.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { status: 1, message: message.into(), usage: false }
    }

    /// Exit status 1, with the usage.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { status: 1, message: message.into(), usage: true }
    }

    pub fn with_status(self, status: u8) -> Failure {
        Failure { status, ..self }
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Failure {
        Failure::new(e.to_string())
    }
}

/// The words as text; what these commands take is never anything else.
pub fn texts(words: Vec<OsString>) -> Result<Vec<String>, Failure> {
    words
        .into_iter()
        .map(|w| w.into_string().map_err(|w| Failure::new(format!("{}: not UTF-8", w.to_string_lossy()))))
        .collect()
}
