//! Sends messages and asks other agents, and prints what comes back, a line for each argument.
//!
//! `ping "request pong echo hello" "send pong news rain" "receive" "reply hello"`: `request PEER TOPIC TEXT` prints the reply,
//! `send PEER TOPIC TEXT` prints `sent`, `receive` prints a message's topic and text, `reply TEXT` answers the last one.
//! `until WORD …` does the rest of the line until its answer begins with the word. Without arguments it asks `pong` for an echo.
#![expect(clippy::print_stdout, reason = "the answer is what it is for")]

use std::env;
use std::thread::sleep;
use std::time::Duration;

use kos_sdk::handler::Message;
use kos_sdk::messaging::{self, Error};

/// How long an answer and a message are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request waits that asks for little patience.
const IMPATIENCE: Duration = Duration::from_millis(50);

fn main() {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.is_empty() {
        arguments.push("request pong echo hello".into());
    }
    let mut last = None;
    for argument in &arguments {
        println!("{}", obey(argument, &mut last));
    }
}

fn obey(line: &str, last: &mut Option<Message>) -> String {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    match words.as_slice() {
        ["until", word, rest @ ..] => {
            let line = rest.join(" ");
            loop {
                let answer = obey(&line, last);
                if answer.starts_with(word) {
                    return answer;
                }
                sleep(IMPATIENCE);
            }
        }
        ["request", to, topic, text] => asked(to, topic, text, PATIENCE),
        ["hurry", to, topic, text] => asked(to, topic, text, IMPATIENCE),
        ["send", to, topic, text] => match messaging::send(to, topic, text.as_bytes()) {
            Ok(_) => "sent".into(),
            Err(error) => word(error),
        },
        ["receive"] => match messaging::receive(PATIENCE) {
            Ok(Some(message)) => {
                let said = format!("{} {}", message.topic, String::from_utf8_lossy(&message.payload));
                *last = Some(message);
                said
            }
            Ok(None) => "nothing".into(),
            Err(error) => error.to_string(),
        },
        ["reply", text @ ..] => {
            match last.as_ref().map(|last| messaging::reply(last, text.join(" ").as_bytes())) {
                Some(Ok(())) => "replied".into(),
                Some(Err(error)) => error.to_string(),
                None => "nothing to reply to".into(),
            }
        }
        _ => format!("what is `{line}`?"),
    }
}

fn asked(to: &str, topic: &str, text: &str, patience: Duration) -> String {
    match messaging::request(to, topic, text.as_bytes(), patience) {
        Ok(reply) => String::from_utf8_lossy(&reply).into_owned(),
        Err(error) => word(error),
    }
}

fn word(error: Error) -> String {
    match error {
        Error::Denied => "denied".into(),
        Error::Invalid(what) => format!("invalid {what}"),
        Error::Limited => "limited".into(),
        Error::Unavailable => "unavailable".into(),
        Error::Unreachable => "unreachable".into(),
        Error::TimedOut => "timed out".into(),
        Error::Failed(word) => format!("failed {}", word.unwrap_or_default()),
        error => error.to_string(),
    }
}
