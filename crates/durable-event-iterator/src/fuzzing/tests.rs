//! Every input that was kept, and those that are too large or too regular to be invented.

use std::{fs, path::Path};

use super::{Target, run};

/// Runs a target on every file of a folder of `fuzz/`, and answers how many there were.
fn replay(folder: &str, target: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder).join(target.name());
    let Ok(files) = fs::read_dir(folder) else { return 0 };
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let input = fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| run(target, &input));
        assert!(result.is_ok(), "{}", path.display());
        count += 1;
    }
    count
}

#[test]
fn every_input_that_was_kept_passes() {
    for target in Target::ALL {
        let kept = replay("corpus", target);
        assert!(kept > 10, "{kept} of {}", target.name());
    }
}

#[test]
fn every_input_that_once_failed_passes() {
    for target in Target::ALL {
        replay("failures", target);
    }
}
