#![no_main]

use durable_event_iterator::fuzzing::{Target, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(Target::Frames, input));
