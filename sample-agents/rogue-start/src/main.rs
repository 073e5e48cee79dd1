//! An agent that never gets as far as its `main`: a constructor that runs before it does not end. It must end by `fuel`.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "places a function among the constructors"))]

use std::hint::black_box;

/// Run by the start-up code of the C library, before `main`.
#[cfg(target_arch = "wasm32")]
#[used]
// SAFETY: the section holds function pointers of this type.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = spin;

extern "C" fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn main() {
    spin();
}
