use proptest::prelude::*;

use super::*;
use crate::serialize;

fn file(name: &str, content_type: &str, bytes: &[u8]) -> Blob {
    Blob::new(bytes.to_vec()).name(name).content_type(content_type)
}

#[test]
fn a_form_of_a_browser_is_decoded() {
    let body = b"--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{}\r\n--X\r\ncontent-disposition: form-data; name=\"0\"; filename=\"h\xc3\xa9 %22x%22.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n--Xno\r\n\r\n--X--\r\n";
    let fields = read(body, "X").unwrap();
    assert_eq!(fields[0], Field { name: "data".into(), content: FieldContent::Text("{}".into()) });
    assert_eq!(
        fields[1],
        Field {
            name: "0".into(),
            content: FieldContent::File(file("hé \"x\".txt", "text/plain", b"line\r\n--Xno\r\n"))
        }
    );
}

#[test]
fn an_empty_form_has_no_fields() {
    assert_eq!(read(b"--X--", "X"), Some(vec![]));
    assert_eq!(read(b"--X--\r\nepilogue", "X"), Some(vec![]));
}

#[test]
fn malformed_forms_are_rejected() {
    for body in [
        "",
        "--X",
        "--X\r\n",
        "--Y--",
        "--X\r\n\r\n--X--",
        "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb",
        "--X\r\nContent-Disposition: form-data\r\n\r\nb\r\n--X--",
        "--X\r\nContent-Type: a/b\r\n\r\nb\r\n--X--",
        "--X\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nb\r\n--X--",
        "--X\r\nno header\r\n\r\nb\r\n--X--",
        "--X\r\nContent-Disposition: form-data; name=\"a\r\n\r\nb\r\n--X--",
    ] {
        assert_eq!(read(body.as_bytes(), "X"), None, "{body:?}");
    }
    assert_eq!(
        read(b"--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\r\n--X--", "X"),
        None,
        "text that is not UTF-8"
    );
}

#[test]
fn a_boundary_is_the_first_free_one() {
    let boundary = |number: u64| format!("{BOUNDARY}{number:016x}");
    let chosen = |texts: &[String]| {
        let files: Vec<Blob> = texts.iter().map(|text| Blob::new(text.clone().into_bytes())).collect();
        boundary_for(&serialize(&files).unwrap())
    };
    assert_eq!(chosen(&[]), boundary(0));
    assert_eq!(chosen(&[boundary(0), boundary(2)]), boundary(1));
    assert_eq!(chosen(&[boundary(1) + &boundary(0)]), boundary(2));
    assert_eq!(chosen(&[boundary(1) + &boundary(0), boundary(2) + &boundary(u64::MAX)]), boundary(3));
    let overlapping = format!("{}{}", BOUNDARY.strip_suffix('-').unwrap(), boundary(0));
    assert_eq!(chosen(&[overlapping]), boundary(1));
    let as_name = Blob::default().name(boundary(0)).content_type(boundary(1));
    assert_eq!(boundary_for(&serialize(&as_name).unwrap()), boundary(2));
}

#[test]
fn a_boundary_is_found_in_a_content_type() {
    assert_eq!(boundary_of("multipart/form-data; boundary=abc"), Some("abc"));
    assert_eq!(boundary_of("multipart/form-data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
    assert_eq!(boundary_of("multipart/form-data; boundary=a; x=y"), Some("a"));
    for none in [
        "multipart/form-data",
        "multipart/form-data; x=y",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a",
    ] {
        assert_eq!(boundary_of(none), None, "{none}");
    }
    assert_eq!(boundary_of(&format!("multipart/form-data; boundary={}", "a".repeat(MAX_BOUNDARY + 1))), None);
}

#[test]
fn a_boundary_does_not_occur_in_the_content() {
    let first = write(&serialize(&Blob::new(vec![])).unwrap());
    let boundary = boundary_of(&first.content_type).unwrap();
    let second = write(&serialize(&file("a", "", boundary.as_bytes())).unwrap());
    assert_ne!(boundary_of(&second.content_type).unwrap(), boundary);
}

#[test]
fn a_file_name_cannot_inject_a_header() {
    let form = write(&serialize(&file("a\"\r\nX: 1", "", b"")).unwrap());
    let fields = read(&form.bytes, boundary_of(&form.content_type).unwrap()).unwrap();
    assert_eq!(fields[1].content, FieldContent::File(file("a\"\r\nX: 1", DEFAULT_TYPE, b"")));
}

proptest! {
    #[test]
    fn every_form_round_trips(files in prop::collection::vec((any::<Vec<u8>>(), "[^%]{0,9}", "[a-z]{1,5}/[a-z]{1,5}"), 1..5)) {
        let blobs: Vec<Blob> = files.iter().map(|(bytes, name, kind)| file(name, kind, bytes)).collect();
        let form = write(&serialize(&blobs).unwrap());
        let fields = read(&form.bytes, boundary_of(&form.content_type).unwrap()).unwrap();
        let read: Vec<Blob> = fields.into_iter().filter_map(|field| match field.content {
            FieldContent::File(blob) => Some(blob),
            FieldContent::Text(_) => None,
        }).collect();
        prop_assert_eq!(read, blobs);
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>, boundary in "[a-z]{0,3}") {
        let _ = read(&bytes, &boundary);
    }

    #[test]
    fn almost_valid_forms_never_panic(parts in prop::collection::vec(prop_oneof![
        Just("--X"), Just("\r\n"), Just("--"), Just("Content-Disposition: form-data; "), Just("name=\"a\""), Just("; filename=\"b"), Just("\"")
    ], 0..20)) {
        let _ = read(parts.concat().as_bytes(), "X");
    }

    #[test]
    fn any_content_type_never_panics(text in ".*") {
        let _ = boundary_of(&text);
    }
}

#[test]
fn a_part_with_a_type_and_no_name_is_a_file() {
    let body = b"--X\r\nContent-Disposition: form-data; name=\"0\"\r\nContent-Type: a/b\r\n\r\n\xff\r\n--X--";
    let file = Blob::new(vec![0xff]).content_type("a/b").name("");
    assert_eq!(read(body, "X").unwrap(), [Field { name: "0".into(), content: FieldContent::File(file) }]);
}
