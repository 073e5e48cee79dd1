//! Agents run from end to end in this process: signed, granted, launched, judged by what the log says.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

mod capabilities;
mod control;
mod guests;
mod http;
mod launch;
mod limits;
mod many;
mod network;
mod router;
mod service;
mod stop;
mod storage;
mod vault;
mod world;
