//! Makes the request that it is told to, and prints the response as it comes.
//!
//! `courier METHOD URL [NAME:VALUE…] [@BODY]`, such as
//! `courier GET https://api.example.org/v1/forecast "authorization:Bearer {{vault:api_key/weather}}"`: the host puts the secret
//! where its name stands. The first line of the answer is the status, or the error's word; then come the header fields, an empty
//! line, and the body, a line at a time. A body that breaks off ends with `interrupted`.
//!
//! `courier` alone makes no request.
#![expect(clippy::print_stdout, reason = "the answer is what it is for")]

use std::env;
use std::io::{BufRead as _, BufReader};

use kos_sdk::http::{Error, Request};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((method, url, rest)) = request_line(&arguments) else {
        println!("nothing to do");
        return;
    };
    let mut request = Request::new(method, url);
    for argument in rest {
        request = match (argument.strip_prefix('@'), argument.split_once(':')) {
            (Some(body), _) => request.body(body),
            (None, Some((name, value))) => request.header(name, value),
            (None, None) => request,
        };
    }
    if let Err(error) = show(request) {
        println!("{}", word(&error));
    }
}

fn request_line(arguments: &[String]) -> Option<(&str, &str, &[String])> {
    let (method, rest) = arguments.split_first()?;
    let (url, rest) = rest.split_first()?;
    Some((method, url, rest))
}

fn show(request: Request) -> Result<(), Error> {
    let response = request.open()?;
    println!("{}", response.status);
    for (name, value) in &response.headers {
        println!("{name}: {}", String::from_utf8_lossy(value));
    }
    println!();
    for line in BufReader::new(response).split(b'\n') {
        println!("{}", String::from_utf8_lossy(&line.map_err(|_| Error::Interrupted)?));
    }
    Ok(())
}

fn word(error: &Error) -> String {
    match error {
        Error::Denied => "denied".into(),
        Error::Invalid(what) => format!("invalid {what}"),
        Error::Secret => "secret".into(),
        Error::Limited => "limited".into(),
        Error::Unavailable => "unavailable".into(),
        Error::Failed(cause) => format!("failed: {cause}"),
        Error::Interrupted => "interrupted".into(),
        Error::TooLarge => "too large".into(),
        error => error.to_string(),
    }
}
