//! Every input that was kept, and those that are too large and too regular to be invented.
//!
//! The large ones fail by the memory they take. What takes quadratic time with one of them takes minutes.

use std::{fs, path::Path};

use super::{Target, run};

/// Runs a target on every file of a folder of `fuzz/`, and answers how many there were.
fn replay(folder: &str, target: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(target.name());
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

/// A quarter of what a frame may be, in bytes: enough for what is quadratic to take minutes, and little enough for what is
/// not to take seconds without optimization.
const LARGE: usize = 256 * 1024;

/// As many of `part` as there is room for, numbered from 0, with commas between.
fn list(part: impl Fn(usize) -> String) -> String {
    let mut list = String::new();
    for n in 0.. {
        let part = part(n);
        if list.len() + part.len() >= LARGE {
            break;
        }
        list += if n > 0 { "," } else { "" };
        list += &part;
    }
    list
}

fn body(json: &str, meta: &str) -> String {
    format!(r#"{{"json":{json},"meta":[{meta}]}}"#)
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn large_values_take_memory_and_time_in_proportion() {
    let half = |text: &str| text.get(..LARGE / 2).unwrap_or(text).rsplit_once(',').unwrap().0.to_owned();
    let deep_path = format!("[3{}]", ",0".repeat(126));
    let inputs = [
        // The same place again and again, at once and at the end of a deep path.
        body("[null]", &list(|_| "[3,0]".into())),
        body("{\"a\":1}", &list(|_| "[21,\"a\"]".into())),
        body(&(nested(126).replace("[]", "[null]")), &list(|_| deep_path.clone())),
        // Very many places: items, properties, and properties of one name.
        body(&format!("[{}]", half(&list(|_| "null".into()))), &half(&list(|n| format!("[2,{n}]")))),
        body(
            &format!("{{{}}}", half(&list(|n| format!("\"{n}\":null")))),
            &half(&list(|n| format!("[2,\"{n}\"]"))),
        ),
        body(&format!("{{{}}}", list(|_| "\"a\":1".into())), ""),
        body(&format!("{{{}}}", list(|n| format!("\"{}\":1", n % 20))), ""),
        body("[]", &list(|n| format!("[2,{n}]"))),
        // Depth, of which only some is allowed.
        nested(LARGE / 2),
        body(&nested(127), ""),
        body(&format!("[{}]", list(|_| nested(120))), ""),
        body("1", &list(|_| "[21]".into())),
        format!(r#"{{"json":1,"x":{}}}"#, nested(LARGE / 2)),
        // Texts and numbers.
        body(&format!("\"{}\"", "\\u0000".repeat(LARGE / 6)), ""),
        body(&format!("\"{}\"", "\\ud800".repeat(LARGE / 6)), ""),
        body(&"9".repeat(LARGE), ""),
        body(&format!("0.{}e-{}", "1".repeat(LARGE / 2), "1".repeat(LARGE / 2)), ""),
        body(&format!("[{}]", list(|_| "1e999".into())), ""),
        body(&format!("\"{}\"", "9".repeat(LARGE)), "[0]"),
        body(&format!("\"http://{}/\"", "a.".repeat(LARGE / 2)), "[4]"),
        body(&format!("\"http://{}\"", "@:[".repeat(LARGE / 3)), "[4]"),
        body(&format!("\"+{}\"", "0".repeat(LARGE)), "[1]"),
        body(&format!("\"2020-01-01T00:00:00.{}Z\"", "1".repeat(LARGE)), "[1]"),
        body(&format!("\"/{}/\"", "/".repeat(LARGE)), "[5]"),
        body(&format!("\"/a/{}\"", flags()), "[5]"),
        body(&format!("\"/a/{}\"", "g".repeat(LARGE)), "[5]"),
        " ".repeat(LARGE),
    ];
    for input in inputs {
        run(Target::Serializer, input.as_bytes());
        let frame = format!(r#"{{"i":"1","p":{{"u":"/echo","b":{input}}}}}"#);
        run(Target::Frames, frame.as_bytes());
    }
}

/// As many different characters as there are.
fn flags() -> String {
    ('\u{800}'..=char::MAX).take(LARGE / 4).collect()
}

#[test]
fn large_frames_take_memory_and_time_in_proportion() {
    let form = |content: &[u8]| {
        let head = r#"{"i":"1","p":{"u":"/a","h":{"content-type":"multipart/form-data; boundary=X"}}}"#;
        [head.as_bytes(), &[0xFF], content].concat()
    };
    let data = |maps: &str| {
        format!(
            "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{{\"json\":[],\"maps\":[{maps}]}}\r\n"
        )
    };
    let files = |count: usize| -> String {
        let file =
            |n| format!("--X\r\nContent-Disposition: form-data; name=\"{n}\"; filename=\"f\"\r\n\r\n\r\n");
        (0..count).map(file).collect()
    };
    let echoed = |content: &str| {
        let maps =
            "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"json\":{},\"maps\":[[]]}\r\n";
        let file = "--X\r\nContent-Disposition: form-data; name=\"0\"; filename=\"f\"\r\n\r\n";
        form(format!("{maps}{file}{content}\r\n--X--").as_bytes())
    };
    let inputs = [
        form(format!("{}{}--X--", data(&list(|n| format!("[{n}]"))), files(10)).as_bytes()),
        form(format!("{}{}--X--", data("[0]"), files(12_000)).as_bytes()),
        form("\r\n--X".repeat(LARGE / 5).as_bytes()),
        form("--X\r\n".repeat(LARGE / 5).as_bytes()),
        echoed(&"\r\n--Xno".repeat(LARGE / 7)),
        echoed(&"\r\r\n".repeat(LARGE / 3)),
        // Every boundary that we could choose, one after the other.
        echoed(&(0..LARGE / 43).map(|n| format!("----durable-event-iterator-{n:016x}")).collect::<String>()),
        echoed(&"-".repeat(LARGE)),
        form(
            format!("--X\r\nContent-Disposition: form-data; {}\r\n\r\n\r\n--X--", "a=b;".repeat(LARGE / 4))
                .as_bytes(),
        ),
        form(format!("--X\r\n{}\r\n\r\n--X--", "A: b\r\n".repeat(LARGE / 6)).as_bytes()),
        form(&vec![0xFF; LARGE]),
        format!(r#"{{"i":"1","p":{{"u":"/a","h":{{{}}}}}}}"#, list(|n| format!("\"{n}\":\"x\""))).into(),
        format!(r#"{{"i":"1","p":{{"u":"/a","h":{{{}}}}}}}"#, list(|_| "\"a\":[\"x\"]".into())).into(),
        format!(r#"{{"i":"1","p":{{"u":"/a","h":{{"a":[{}]}}}}}}"#, list(|_| "\"x\"".into())).into(),
        format!(r#"{{{}}}"#, list(|_| r#""i":"1""#.into())).into(),
        format!(r#"{{"i":"1",{}}}"#, list(|_| r#""p":{"u":"/a","b":{}}"#.into())).into(),
        format!(r#"{{"i":"{}"}}"#, "x".repeat(LARGE)).into(),
        format!(r#"{{"i":"1","p":{{"u":"/{}"}}}}"#, "/".repeat(LARGE)).into(),
    ];
    for input in inputs {
        run(Target::Frames, &input);
        run(Target::Messages, &[b"\0", input.as_slice()].concat());
    }
}

#[test]
fn large_requests_and_tokens_take_memory_and_time_in_proportion() {
    for query in [
        "token=x&".repeat(LARGE / 8) + "token={1}",
        "id=x&".repeat(LARGE / 5) + "token={2}&id=1",
        "%".repeat(LARGE),
        "%ff".repeat(LARGE / 3),
        "&".repeat(LARGE),
        "token=".to_owned() + &"x".repeat(LARGE),
    ] {
        run(Target::Upgrades, format!("websocket\n{query}\n/{query}?{query}").as_bytes());
        run(Target::Upgrades, format!("websocket\ntoken={{1}}\n{}", "/%2F".repeat(LARGE / 4)).as_bytes());
    }
    for kind in 0..4_u8 {
        for text in ["{\"chn\":\"".to_owned() + &"x".repeat(LARGE), ".".repeat(LARGE), nested(LARGE / 2)] {
            run(Target::Tokens, &[&[kind], text.as_bytes()].concat());
        }
        // What just fits into 8 KiB.
        let claims = list(|n| format!("\"{n}\":[]"));
        let claims = claims.get(..7_000).unwrap().rsplit_once(',').unwrap().0;
        run(Target::Tokens, &[&[kind], format!("{{{claims}}}").as_bytes()].concat());
    }
}
