//! What probes have in common: calls come in, words go out.
//!
//! A call is the arguments, or each line of standard input. `repeat N CALL` makes one N times. An answer is what came back, or
//! the error's word, such as `denied`; with `repeat`, how often each came.

use std::collections::BTreeMap;
use std::{env, io};

use kos_sdk::Error;

/// Makes a call.
type Make = fn(&[&str]) -> Result<String, Error>;

/// Answers every call.
pub(crate) fn hold(make: Make) -> io::Result<()> {
    let call = env::args().skip(1).collect::<Vec<_>>().join(" ");
    if !call.is_empty() {
        println!("{}", answer(&call, make));
        return Ok(());
    }
    for line in io::stdin().lines() {
        println!("{}", answer(&line?, make));
    }
    Ok(())
}

fn answer(line: &str, make: Make) -> String {
    let call: Vec<&str> = line.split_whitespace().collect();
    let ["repeat", count, call @ ..] = call.as_slice() else {
        return make(&call).unwrap_or_else(|error| word(&error).to_owned());
    };
    let mut counts = BTreeMap::new();
    for _ in 0..count.parse().unwrap_or(0_u32) {
        *counts.entry(make(call).map_or_else(|error| word(&error), |_| "ok")).or_insert(0_u32) += 1;
    }
    counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Denied => "denied",
        Error::Invalid(_) => "invalid",
        Error::Limited => "limited",
        _ => "unavailable",
    }
}
