use proptest::prelude::*;

use super::*;
use crate::{BigInt, Blob, Object};

fn request(text: &str) -> Request<'_> {
    match decode_text(text).unwrap() {
        ClientFrame::Request(request) => request,
        other => panic!("expected a request: {other:?}"),
    }
}

fn error(text: &str) -> FrameError {
    decode_text(text).unwrap_err()
}

#[test]
fn a_request_is_decoded_without_copying() {
    let request = request(
        r#"{"i":"0","p":{"u":"/call","b":{"json":{"path":["a"]},"meta":[]},"h":{"last-event-id":"7"}}}"#,
    );
    assert!(matches!((&request.id, &request.path), (Cow::Borrowed("0"), Cow::Borrowed("/call"))));
    assert_eq!(request.headers.get("last-event-id"), Some("7"));
    let Body::Json { json: Some(json), meta: Some(_) } = request.body else { panic!("expected a body") };
    assert_eq!(json, r#"{"path":["a"]}"#);
}

#[test]
fn the_order_of_keys_and_unknown_keys_do_not_matter() {
    let request = request(r#" { "p":{"x":[1],"m":"GET","b":{},"u":"/a"}, "t":1, "y":{}, "i":"9" } "#);
    assert_eq!((&*request.id, &*request.path), ("9", "/a"));
    assert_eq!(request.body.into_value(), Ok(Value::Undefined));
}

#[test]
fn a_path_is_taken_from_its_url() {
    for (url, path) in [
        ("/a/b", "/a/b"),
        ("/a?x=1&y", "/a"),
        ("/a#x?y", "/a"),
        ("http://orpc/a?b", "/a"),
        ("https://example.com:80", "/"),
        ("orpc:/a", "/a"),
        ("/a%20b/\\u00e9", "/a%20b/é"),
    ] {
        let text = format!(r#"{{"i":"0","p":{{"u":"{url}"}}}}"#);
        assert_eq!(request(&text).path, path, "{url}");
    }
    for url in ["", "a", "?", "mailto:a"] {
        assert_eq!(error(&format!(r#"{{"i":"0","p":{{"u":"{url}"}}}}"#)).id.as_deref(), Some("0"), "{url}");
    }
}

#[test]
fn an_abort_has_no_payload() {
    for text in [r#"{"i":"1","t":4}"#, r#"{"t":4,"i":"1","p":null}"#] {
        assert!(matches!(decode_text(text), Ok(ClientFrame::Abort { id }) if id == "1"));
    }
}

#[test]
fn an_acknowledgement_has_a_number() {
    for (text, expected) in [
        (r#"{"i":"1","t":5,"p":65536}"#, 65_536),
        (r#"{"p":0,"t":5,"i":"1"}"#, 0),
        (r#"{"i":"1","t":5,"p":18446744073709551615}"#, u64::MAX),
    ] {
        let Ok(ClientFrame::Acknowledgement { id, characters }) = decode_text(text) else {
            panic!("expected an acknowledgement: {text}")
        };
        assert_eq!((&*id, characters), ("1", expected));
    }
    for payload in ["-1", "1.5", "1e400", "99999999999999999999", "null", "{}", "\"1\"", "[1]"] {
        let text = format!(r#"{{"i":"1","t":5,"p":{payload}}}"#);
        assert_eq!(error(&text).kind, FrameErrorKind::Malformed, "{payload}");
    }
    assert_eq!(error(r#"{"i":"1","t":5}"#).id.as_deref(), Some("1"));
    assert_eq!(error(r#"{"i":"1","p":5}"#).id.as_deref(), Some("1"), "a request has no number");
}

#[test]
fn an_event_has_data() {
    let text =
        r#"{"i":"1","t":3,"p":{"e":"message","d":{"json":"1","meta":[[0]]},"m":{"id":"x","retry":5}}}"#;
    let Ok(ClientFrame::Event { id, event }) = decode_text(text) else { panic!("expected an event") };
    assert_eq!((&*id, event.kind), ("1", StreamEventKind::Message));
    assert_eq!(event.to_value(), Ok(Value::from(BigInt::from(1))));
    let Ok(ClientFrame::Event { event, .. }) = decode_text(r#"{"i":"1","t":3,"p":{"e":"done"}}"#) else {
        panic!("expected an event")
    };
    assert_eq!((event.kind, event.to_value()), (StreamEventKind::Done, Ok(Value::Undefined)));
}

#[test]
fn other_texts_are_malformed() {
    for text in [
        "",
        "ping",
        "null",
        "1",
        "[]",
        "{}",
        "{",
        r#"["1"]"#,
        r#"{"p":{"u":"/a"}}"#,
        r#"{"i":1,"p":{"u":"/a"}}"#,
        r#"{"i":null,"t":4}"#,
        r#"{"i":"1","t":4"#,
        r#"{"i":"1","t":4} x"#,
    ] {
        assert_eq!(error(text), FrameError { id: None, kind: FrameErrorKind::Malformed }, "{text}");
    }
}

#[test]
fn a_malformed_frame_with_a_call_id_can_be_responded_to() {
    for text in [
        r#"{"i":"1"}"#,
        r#"{"i":"1","p":[]}"#,
        r#"{"i":"1","p":{}}"#,
        r#"{"i":"1","p":{"u":1}}"#,
        r#"{"i":"1","p":{"u":"/a","h":[]}}"#,
        r#"{"i":"1","p":{"u":"/a","h":{"a":1}}}"#,
        r#"{"i":"1","p":{"u":"/a","b":"x"}}"#,
        r#"{"i":"1","p":{"u":"/a","b":[{"json":1}]}}"#,
        r#"{"i":"1","t":2,"p":{"s":200}}"#,
        r#"{"i":"1","t":"x"}"#,
        r#"{"i":"1","t":3}"#,
        r#"{"i":"1","t":3,"p":{"e":"other"}}"#,
        r#"{"i":"1","t":3,"p":{"e":"message","d":1}}"#,
        r#"{"i":"1","p":{"u":"/a","h":{"content-type":"multipart/form-data; boundary=x"}}}"#,
    ] {
        assert_eq!(
            error(text),
            FrameError { id: Some("1".into()), kind: FrameErrorKind::Malformed },
            "{text}"
        );
    }
}

#[test]
fn an_id_has_1_to_64_bytes() {
    let frame = |id: &str| format!(r#"{{"i":"{id}","t":4}}"#);
    assert!(decode_text(&frame(&"x".repeat(64))).is_ok());
    for id in [String::new(), "x".repeat(65), "é".repeat(33)] {
        assert_eq!(error(&frame(&id)), FrameError { id: None, kind: FrameErrorKind::IdTooLong });
    }
    let malformed = format!(r#"{{"i":"{}","p":1}}"#, "x".repeat(1_000));
    assert_eq!(error(&malformed).kind, FrameErrorKind::IdTooLong);
}

#[test]
fn a_binary_message_without_a_delimiter_is_json() {
    let frame = decode_binary(br#"{"i":"1","p":{"u":"/a","b":{"json":1}}}"#).unwrap();
    let ClientFrame::Request(request) = frame else { panic!("expected a request") };
    assert_eq!(request.body.into_value(), Ok(Value::from(1)));
    assert!(decode_binary(b"\xc3\x28").is_err());
    assert!(decode_binary(b"").is_err());
}

fn binary(headers: &str, attached: &[u8]) -> Vec<u8> {
    [format!(r#"{{"i":"1","p":{{"u":"/a","h":{{{headers}}}}}}}"#).as_bytes(), &[DELIMITER], attached].concat()
}

fn body(frame: &[u8]) -> Body<'_> {
    match decode_binary(frame).unwrap() {
        ClientFrame::Request(request) => request.body,
        other => panic!("expected a request: {other:?}"),
    }
}

#[test]
fn a_form_contains_data_and_files() {
    let form = b"--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"json\":{\"a\":{}},\"meta\":[],\"maps\":[[\"a\"]]}\r\n--X\r\nContent-Disposition: form-data; name=\"0\"; filename=\"f\"\r\nContent-Type: a/b\r\n\r\n\xff\xfe\r\n--X--\r\n";
    let frame = binary(r#""content-type":"multipart/form-data; boundary=X""#, form);
    let value = body(&frame).into_value().unwrap();
    let file = Blob::new(vec![0xFF, 0xFE]).name("f").content_type("a/b");
    assert_eq!(value, Value::Object(Object::from_iter([("a", file)])));
}

#[test]
fn a_form_without_data_or_file_is_rejected() {
    for form in [
        "--X--",
        "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n[]\r\n--X--",
        "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"json\":{},\"maps\":[[]]}\r\n--X--",
        "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"json\":{},\"maps\":[[]]}\r\n--X\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\ntext\r\n--X--",
    ] {
        let frame = binary(r#""content-type":"multipart/form-data; boundary=X""#, form.as_bytes());
        assert!(body(&frame).into_value().is_err(), "{form}");
    }
}

#[test]
fn a_file_outside_a_form_is_rejected() {
    let named = binary(r#""content-type":"a/b","content-disposition":"inline; filename=\"f\"""#, b"x");
    // The oldest clients send no content disposition.
    let unnamed = binary(r#""content-type":"a/b""#, b"x");
    for frame in [named, unnamed] {
        assert!(body(&frame).into_value().is_err());
    }
    // An empty file is sent in a text message.
    let text = r#"{"i":"1","p":{"u":"/a","h":{"content-disposition":"inline"}}}"#;
    assert!(request(text).body.into_value().is_err());
}

#[test]
fn a_streaming_input_is_recognised_by_its_content_type() {
    let stream = request(r#"{"i":"1","p":{"u":"/a","h":{"content-type":"text/event-stream"}}}"#);
    assert!(matches!(stream.body, Body::Stream));
    assert!(stream.body.into_value().is_err());
}

proptest! {
    #[test]
    fn any_text_never_panics(text in ".*") {
        let _ = decode_text(&text);
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode_binary(&bytes);
    }

    #[test]
    fn almost_valid_frames_never_panic(mut bytes in Just(binary(r#""content-type":"multipart/form-data; boundary=X""#, b"--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"json\":{},\"maps\":[[]]}\r\n--X--")), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut: prop::sample::Index) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()));
        if let Ok(ClientFrame::Request(request)) = decode_binary(&bytes) {
            let _ = request.body.into_value();
        }
    }
}
