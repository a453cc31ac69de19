#![no_main]

use fuzz_checks::{Target, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(Target::Upgrades, input));
