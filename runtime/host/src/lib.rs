//! Gives a verified agent its powers, through wasmtime.
#![allow(dead_code, reason = "in progress")]

mod cache;
pub mod compile;
mod engine;
mod limits;
mod outcome;
mod output;
mod text;
