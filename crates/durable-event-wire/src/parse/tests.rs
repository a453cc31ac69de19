use proptest::prelude::*;

use super::*;
use crate::{BigInt, Date, Object, arbitrary::any_value, loss::after_json, serialize};

fn both(json: &str, meta: &str) -> Result<Value, DeserializeError> {
    parse(Some(json), Some(meta))
}

#[test]
fn without_json_a_value_is_undefined() {
    assert_eq!(parse(None, None), Ok(Value::Undefined));
    assert_eq!(parse(Some("null"), None), Ok(Value::Null));
    assert_eq!(parse(None, Some("[[3]]")), Ok(Value::Undefined));
}

#[test]
fn a_body_has_json_and_meta() {
    assert_eq!(parse_body(b""), Ok(Value::Undefined));
    assert_eq!(parse_body(b"{}"), Ok(Value::Undefined));
    assert_eq!(parse_body(br#"{"json":null}"#), Ok(Value::Null));
    assert_eq!(parse_body(br#" {"meta":[[0]],"json":"1","x":[{}]} "#), Ok(Value::from(BigInt::from(1))));
    assert_eq!(parse_body(br#"{"json":1,"meta":null}"#), Ok(Value::from(1)));
    assert_eq!(parse_body(br#"{"json":1,"json":2}"#), Ok(Value::from(2)), "the last member is used");
    for body in
        [&b"{"[..], b"[]", b"null", b"1", b"{\"json\":}", b"{} {}", b"\xff", b"{\"json\":1,\"meta\":{}}"]
    {
        assert!(parse_body(body).is_err(), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_path_that_does_not_exist_is_rejected() {
    for (json, meta) in [
        ("{}", r#"[[1,"a"]]"#),
        ("{}", r#"[[1,"__proto__"]]"#),
        ("{}", r#"[[1,"constructor","prototype"]]"#),
        ("[]", "[[1,0]]"),
        ("[1]", r#"[[1,"0"]]"#),
        ("[1]", r#"[[1,"length"]]"#),
        (r#"{"0":1}"#, "[[1,0]]"),
        ("\"abc\"", "[[1,0]]"),
        ("1", "[[21,0]]"),
        ("[[1]]", "[[6,0],[2,0,0]]"),
    ] {
        assert_eq!(both(json, meta), Err(DeserializeError::NoSuchPath), "{json} {meta}");
    }
}

#[test]
fn a_json_form_of_another_type_is_rejected() {
    for (json, meta) in [
        ("1", "[[0]]"),
        ("\"x\"", "[[0]]"),
        ("\"\"", "[[0]]"),
        ("0", "[[1]]"),
        ("\"x\"", "[[1]]"),
        ("1", "[[2]]"),
        ("1", "[[3]]"),
        ("\"/a\"", "[[4]]"),
        ("\"a\"", "[[5]]"),
        ("{}", "[[6]]"),
        ("[1]", "[[7]]"),
        ("[[1]]", "[[7]]"),
        ("[[1,2,3]]", "[[7]]"),
        ("[]", "[[6],[6]]"),
    ] {
        assert!(matches!(both(json, meta), Err(DeserializeError::WrongForm { .. })), "{json} {meta}");
    }
}

#[test]
fn an_invalid_list_of_paths_is_rejected() {
    for meta in [
        "",
        "1",
        "{}",
        "[1]",
        "[[]]",
        "[[\"a\"]]",
        "[[-1]]",
        "[[1.5]]",
        "[[4294967296]]",
        "[[1,null]]",
        "[[1,[0]]]",
        "[[1]] x",
        "[[1,-1]]",
    ] {
        assert!(matches!(both("null", meta), Err(DeserializeError::Meta(_))), "{meta}");
    }
    assert_eq!(both("1", "null"), Ok(Value::from(1)));
    assert_eq!(both("1", "[]"), Ok(Value::from(1)));
}

#[test]
fn entries_are_applied_in_order() {
    let value =
        both(r#"{"m":[["k",["1"]]]}"#, r#"[[0,"m",0,1,0],[6,"m",0,1],[7,"m"],[21,"m"],[22]]"#).unwrap();
    let map = Value::Map(vec![(Value::from("k"), Value::Set(vec![Value::from(BigInt::from(1))]))]);
    let object = Object::from_iter([("m", Value::Custom(21, Box::new(map)))]);
    assert_eq!(value, Value::Custom(22, Box::new(Value::Object(object))));
}

#[test]
fn keys_in_paths_may_contain_escapes() {
    let value = both("{\"a\\\"\\n\":null}", "[[1,\"a\\\"\\u000a\"]]").unwrap();
    assert_eq!(value, Value::Object(Object::from_iter([("a\"\n", Date::INVALID)])));
}

#[test]
fn nested_custom_types_are_limited() {
    let meta = format!("[{}]", vec!["[21]"; 100_000].join(","));
    assert_eq!(both("1", &meta), Err(DeserializeError::TooDeep));
    // A chain at every level would exceed the depth limit.
    let depth = 100;
    let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let entries: Vec<String> =
        (0..depth).rev().flat_map(|level| vec![format!("[21{}]", ",0".repeat(level)); 4]).collect();
    assert_eq!(both(&json, &format!("[{}]", entries.join(","))), Err(DeserializeError::TooDeep));
}

#[test]
fn blobs_are_inserted_at_the_paths_in_maps() {
    let mut blobs = [Some(Blob::new(vec![1])), Some(Blob::new(vec![2]))];
    let mut read = |maps: &str| {
        parse_with_blobs(Some(r#"{"a":{},"b":[{}]}"#), None, Some(maps), |number| {
            blobs.get_mut(number)?.take()
        })
    };
    let value = read(r#"[["a"],["b",0]]"#).unwrap();
    let Value::Object(object) = value else { panic!("expected an object") };
    assert_eq!(object.get("a"), Some(&Value::from(Blob::new(vec![1]))));
    assert_eq!(read(r#"[["a"]]"#), Err(DeserializeError::NoSuchBlob { number: 0 }));
    assert_eq!(read(r#"[["c"]]"#), Err(DeserializeError::NoSuchPath));
    assert!(matches!(read(r#"["a"]"#), Err(DeserializeError::Meta(_))));
}

#[test]
fn many_entries_take_linear_time() {
    let keys = 20_000;
    let json: Vec<String> = (0..keys).map(|n| format!("\"k{n}\":null")).collect();
    let meta: Vec<String> = (0..keys).rev().map(|n| format!("[1,\"k{n}\"]")).collect();
    let value = both(&format!("{{{}}}", json.join(",")), &format!("[{}]", meta.join(","))).unwrap();
    let Value::Object(object) = value else { panic!("expected an object") };
    assert_eq!(object.len(), keys);
}

proptest! {
    #[test]
    fn any_texts_never_panic(json in ".*", meta in ".*") {
        let _ = parse(Some(&json), Some(&meta));
        let _ = parse(Some("{\"a\":[1]}"), Some(&meta));
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let _ = parse_body(&bytes);
    }

    #[test]
    fn random_paths_never_panic(
        value in any_value(),
        meta in prop::collection::vec((0_u32..24, prop::collection::vec(prop_oneof!["0|1|2", "\"[a-c]?\"", "\"(__proto__|length)\""], 0..4)), 0..6),
    ) {
        let entries: Vec<String> = meta.iter().map(|(kind, path)| {
            let segments: String = path.iter().map(|segment| format!(",{segment}")).collect();
            format!("[{kind}{segments}]")
        }).collect();
        let meta = format!("[{}]", entries.join(","));
        let serialized = serialize(&value).unwrap();
        if let Ok(value) = parse(serialized.json.as_deref(), Some(&meta)) {
            // A parsed value can be serialized.
            let _ = serialize(&value);
        }
    }

    #[test]
    fn a_body_is_parsed_like_its_parts(value in any_value().prop_filter("no blobs", |value| serialize(value).unwrap().blobs.is_empty())) {
        let serialized = serialize(&value).unwrap();
        let mut body = String::from("{");
        if let Some(json) = &serialized.json {
            body.push_str(&format!("\"json\":{json}"));
        }
        if let Some(meta) = &serialized.meta {
            body.push_str(&format!(",\"meta\":{meta}"));
        }
        body.push('}');
        prop_assert_eq!(parse_body(body.as_bytes()).unwrap(), after_json(value));
    }
}
