//! The table under libFuzzer: `KOS_FUZZ_TARGET` names the target; the arguments are libFuzzer's own.

#![no_main]

use std::sync::LazyLock;

use kos_fuzz::{Target, targets};
use libfuzzer_sys::fuzz_target;

#[expect(clippy::panic, reason = "libFuzzer calls this with no way to return an error")]
static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("KOS_FUZZ_TARGET").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| panic!("KOS_FUZZ_TARGET names no target: `{name}`"))
});

fuzz_target!(|input: &[u8]| {
    if let Err(finding) = TARGET.check(input) {
        #[expect(clippy::panic, reason = "a panic is how libFuzzer is told of a finding")]
        {
            panic!("{finding}");
        }
    }
});
