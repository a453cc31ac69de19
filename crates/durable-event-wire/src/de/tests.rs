use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::*;
use crate::{
    BigInt, Blob, Custom, Date, Map, Number, Object, RegExp, Set, Undefined, Url, arbitrary::any_value,
    parse, to_value,
};

fn value(json: &str) -> Value {
    parse(Some(json), None).unwrap()
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, InvalidInput> {
    from_value(value(json))
}

/// Returns the first issue as `path: message`.
fn issue<T: DeserializeOwned + fmt::Debug>(json: &str) -> String {
    let error = read::<T>(json).unwrap_err();
    let issue = &error.issues()[0];
    let path: Vec<_> = issue.path().iter().map(ToString::to_string).collect();
    format!("{}: {}", path.join("."), issue.message())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Enum {
    Unit,
    Newtype(u8),
    Tuple(u8, char),
    Struct { a: bool },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Types {
    date: Date,
    bad_date: Date,
    big: BigInt,
    nan: f64,
    url: Url,
    expression: RegExp,
    set: Set<Date>,
    map: Map<String, Set<u8>>,
    file: Blob,
    user: Custom<(String, Date), 21>,
    anything: Value,
    nothing: Undefined,
    object: Object,
    number: Number,
}

fn types() -> Types {
    Types {
        date: Date::from_millis(-1),
        bad_date: Date::INVALID,
        big: "-12345678901234567890123456789".parse().unwrap(),
        nan: 1.5,
        url: "https://example.com/".parse().unwrap(),
        expression: RegExp::new("a", "g").unwrap(),
        set: Set::from_iter([Date::from_millis(0)]),
        map: Map::from_iter([("k".to_owned(), Set(vec![1, 2]))]),
        file: Blob::new(vec![1, 2]).name("a"),
        user: Custom(("Ann".into(), Date::from_millis(1))),
        anything: Value::Map(vec![(Value::from(Date::INVALID), Value::Undefined)]),
        nothing: Undefined,
        object: Object::from_iter([("x", Value::Set(vec![]))]),
        number: Number::from(7),
    }
}

#[test]
fn every_type_round_trips() {
    assert_eq!(from_value::<Types>(to_value(&types()).unwrap()).unwrap(), types());
}

#[test]
fn types_are_not_coerced() {
    assert_eq!(issue::<Date>(r#""1970-01-01T00:00:00.000Z""#), ": expected a Date, found a string");
    assert_eq!(issue::<Set<u8>>("[1]"), ": expected a Set, found an array");
    assert_eq!(issue::<Map<u8, u8>>("[[1,2]]"), ": expected a Map, found an array");
    assert_eq!(issue::<BigInt>("\"1\""), ": expected a bigint, found a string");
    assert_eq!(issue::<Blob>("{}"), ": expected a Blob, found an object");
    assert_eq!(issue::<Custom<u8, 21>>("1"), ": expected the custom type 21, found a number");
    for (json, meta) in
        [("\"1\"", "[[0]]"), ("null", "[[1]]"), ("[]", "[[6]]"), ("\"/a/\"", "[[5]]"), ("\"a:b\"", "[[4]]")]
    {
        let value = parse(Some(json), Some(meta)).unwrap();
        assert!(from_value::<String>(value.clone()).is_err(), "{value:?}");
        assert!(from_value::<Vec<u8>>(value.clone()).is_err(), "{value:?}");
        assert!(from_value::<Option<u8>>(value.clone()).is_err(), "{value:?}");
    }
}

#[test]
fn another_custom_type_is_rejected() {
    let value = Value::Custom(22, Box::new(Value::from(1)));
    let error = from_value::<Custom<u8, 21>>(value).unwrap_err();
    assert_eq!(error.issues()[0].message(), "expected the custom type 21, found 22");
}

#[test]
fn an_issue_contains_the_path() {
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[allow(dead_code)]
        items: Vec<BTreeMap<String, Inner>>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        n: u8,
    }
    assert_eq!(
        issue::<Outer>(r#"{"items":[{},{"k":{"n":"secret"}}]}"#),
        "items.1.k.n: expected an integer from 0 to 255, found a string"
    );
    assert_eq!(
        issue::<Outer>(r#"{"items":[{"k":{"n":256}}]}"#),
        "items.0.k.n: expected an integer from 0 to 255, found a number out of range"
    );
    assert_eq!(
        issue::<Outer>(r#"{"items":[{"k":{"n":1.5}}]}"#),
        "items.0.k.n: expected an integer from 0 to 255, found a number with a fraction"
    );
    assert_eq!(issue::<Outer>(r#"{"items":[{"k":{}}]}"#), "items.0.k.n: missing");
    assert_eq!(
        issue::<Outer>(r#"{"items":[{"k":{"n":1,"m":2}}]}"#),
        "items.0.k.m: unknown property, expected one of n"
    );
    assert_eq!(issue::<Outer>("null"), ": expected an object, found null");
    assert_eq!(
        issue::<Enum>(r#"{"Newtype":"x"}"#),
        "Newtype: expected an integer from 0 to 255, found a string"
    );
    let map = Value::Map(vec![(Value::from("k"), Value::from("v"))]);
    let error = from_value::<Map<String, u8>>(map).unwrap_err();
    assert_eq!(error.issues()[0].path(), [PathSegment::Index(0), PathSegment::Index(1)]);
}

#[test]
fn an_issue_names_the_expected_type_in_javascript_terms() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Pair(u8, u8);
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Flattened {
        #[serde(flatten)]
        inner: Enum,
    }
    let text = r#""x""#;
    let integer =
        |least: &str, most: &str| format!(": expected an integer from {least} to {most}, found a string");
    assert_eq!(issue::<u8>(text), integer("0", "255"));
    assert_eq!(issue::<u16>(text), integer("0", "65535"));
    assert_eq!(issue::<u32>(text), integer("0", "4294967295"));
    assert_eq!(issue::<u64>(text), integer("0", "18446744073709551615"));
    assert_eq!(issue::<i8>(text), integer("-128", "127"));
    assert_eq!(issue::<i16>(text), integer("-32768", "32767"));
    assert_eq!(issue::<i32>(text), integer("-2147483648", "2147483647"));
    assert_eq!(issue::<i64>(text), integer("-9223372036854775808", "9223372036854775807"));
    assert_eq!(issue::<usize>(text), integer("0", &usize::MAX.to_string()));
    assert_eq!(issue::<isize>(text), integer(&isize::MIN.to_string(), &isize::MAX.to_string()));
    assert_eq!(issue::<u128>(text), integer("0", &u128::MAX.to_string()));
    assert_eq!(issue::<i128>(text), integer(&i128::MIN.to_string(), &i128::MAX.to_string()));
    assert_eq!(issue::<std::num::NonZeroU8>(text), integer("1", "255"));
    assert_eq!(
        issue::<std::num::NonZeroU8>("0"),
        ": expected an integer from 1 to 255, found a number out of range"
    );
    assert_eq!(
        issue::<std::num::NonZeroI8>(text),
        ": expected an integer from -128 to 127 except 0, found a string"
    );
    assert_eq!(
        issue::<u32>("4294967296"),
        ": expected an integer from 0 to 4294967295, found a number out of range"
    );
    assert_eq!(issue::<u32>("-1"), ": expected an integer from 0 to 4294967295, found a number out of range");
    assert_eq!(issue::<f32>(text), ": expected a number, found a string");
    assert_eq!(issue::<f64>(text), ": expected a number, found a string");
    assert_eq!(
        issue::<char>(text.replace('x', "xy").as_str()),
        ": expected a string of one character, found a string"
    );
    assert_eq!(issue::<()>("1"), ": expected null or undefined, found a number");
    assert_eq!(issue::<Vec<u8>>("{}"), ": expected an array, found an object");
    assert_eq!(issue::<BTreeMap<String, u8>>("[]"), ": expected an object, found an array");
    assert_eq!(issue::<(u8, u8)>("1"), ": expected an array with 2 elements, found a number");
    assert_eq!(issue::<Pair>("1"), ": expected an array, found a number");
    assert_eq!(issue::<[u8; 2]>("1"), ": expected an array of length 2, found a number");
    assert_eq!(issue::<Flattened>("{}"), ": does not match any alternative");
    assert_eq!(issue::<crate::Custom<u8, 21>>("1"), ": expected the custom type 21, found a number");
}

#[test]
fn an_issue_reaches_the_client_as_json() {
    let error = read::<Vec<u8>>(r#"[1,"x"]"#).unwrap_err();
    assert_eq!(
        serde_json::to_string(&error).unwrap(),
        r#"{"issues":[{"message":"expected an integer from 0 to 255, found a string","path":[1]}]}"#
    );
    assert_eq!(error.to_string(), "invalid input: expected an integer from 0 to 255, found a string at /1");
}

#[test]
fn options_accept_undefined_null_and_missing_properties() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Optional {
        a: Option<u8>,
        b: Option<u8>,
        c: Undefined,
        #[serde(default)]
        d: Value,
        e: (),
    }
    let expected = Optional { a: None, b: None, c: Undefined, d: Value::Undefined, e: () };
    assert_eq!(read::<Optional>(r#"{"a":null,"e":null}"#).unwrap(), expected);
    assert_eq!(from_value::<()>(Value::Undefined), Ok(()));
    assert_eq!(from_value::<()>(Value::Null), Ok(()));
    assert_eq!(from_value::<Option<Value>>(Value::Undefined), Ok(None));
    assert!(from_value::<()>(Value::from(1)).is_err());
}

#[test]
fn rust_types_round_trip() {
    let enums = vec![Enum::Unit, Enum::Newtype(1), Enum::Tuple(2, 'é'), Enum::Struct { a: true }];
    assert_eq!(from_value::<Vec<Enum>>(to_value(&enums).unwrap()).unwrap(), enums);
    let maps = (HashMap::from([(1_u8, 'a')]), BTreeMap::from([(true, 1.5)]), [1_u8, 2]);
    assert_eq!(
        from_value::<(HashMap<u8, char>, BTreeMap<bool, f64>, [u8; 2])>(to_value(&maps).unwrap()).unwrap(),
        maps
    );
    assert!(read::<BTreeMap<u8, u8>>(r#"{"x":1}"#).is_err());
    assert!(read::<Enum>(r#"{"Unit":null,"Newtype":1}"#).is_err());
    assert!(read::<Enum>("\"Other\"").is_err());
}

#[test]
fn numbers_out_of_range_are_rejected() {
    assert_eq!(read::<u8>("255"), Ok(255));
    assert_eq!(read::<i8>("-128"), Ok(-128));
    assert_eq!(read::<u64>("1e3"), Ok(1000));
    assert_eq!(read::<f64>("1"), Ok(1.0));
    assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(read::<i128>("-1"), Ok(-1));
    assert!(read::<u8>("-1").is_err());
    assert!(read::<u8>("1.5").is_err());
    assert!(from_value::<f64>(Value::from(f64::NAN)).unwrap().is_nan());
}

#[test]
fn a_tuple_of_another_length_is_rejected() {
    assert_eq!(read::<(u8, u8)>("[1,2]"), Ok((1, 2)));
    assert!(read::<(u8, u8)>("[1]").is_err());
    assert_eq!(issue::<(u8, u8)>("[1,2,3]"), ": expected 2 items, found 3");
}

#[test]
fn buffered_types_have_their_json_form() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    let value = to_value(&Object::from_iter([("at", Date::from_millis(0))])).unwrap();
    let outer: Outer = from_value(value).unwrap();
    assert_eq!(outer.rest["at"], Value::from("1970-01-01T00:00:00.000Z"));

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        At(Date),
        Big(BigInt),
        File(Blob),
    }
    assert_eq!(
        from_value::<Untagged>(Value::from(Date::from_millis(0))),
        Ok(Untagged::At(Date::from_millis(0)))
    );
    assert_eq!(from_value::<Untagged>(Value::from(BigInt::from(7))), Ok(Untagged::Big(BigInt::from(7))));
    let file = Blob::new(vec![1]).content_type("a/b");
    assert_eq!(from_value::<Untagged>(Value::from(file.clone())), Ok(Untagged::File(file)));
}

#[test]
fn plain_json_can_be_read_as_raw_text() {
    let raw: Box<RawValue> = read(r#"{"a":[1,"x"]}"#).unwrap();
    assert_eq!(raw.get(), r#"{"a":[1,"x"]}"#);
    assert!(from_value::<Box<RawValue>>(Value::from(Date::INVALID)).is_err());
    let json: serde_json::Value = read(r#"{"a":[1,"x",null]}"#).unwrap();
    assert_eq!(json, serde_json::json!({ "a": [1, "x", null] }));
}

#[test]
fn a_file_can_be_read_as_its_bytes() {
    struct Bytes(Vec<u8>);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct BytesVisitor;
            impl Visitor<'_> for BytesVisitor {
                type Value = Bytes;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                    Ok(Bytes(bytes))
                }
            }
            deserializer.deserialize_byte_buf(BytesVisitor)
        }
    }
    assert_eq!(from_value::<Bytes>(Value::from(Blob::new(vec![1, 2]))).unwrap().0, [1, 2]);
}

proptest! {
    #[test]
    fn reading_any_value_as_any_type_never_panics(value in any_value()) {
        let _ = from_value::<Types>(value.clone());
        let _ = from_value::<Vec<Types>>(value.clone());
        let _ = from_value::<Enum>(value.clone());
        let _ = from_value::<BTreeMap<u8, Option<Date>>>(value.clone());
        let _ = from_value::<Map<Value, BigInt>>(value.clone());
        let _ = from_value::<Custom<Value, 21>>(value.clone());
        let _ = from_value::<Box<RawValue>>(value.clone());
        let _ = from_value::<serde_json::Value>(value);
    }
}

#[test]
#[allow(dead_code)] // only the names of these types matter
fn an_issue_names_no_rust_type() {
    #[derive(Debug, Deserialize)]
    struct Secret {
        a: u8,
    }
    #[derive(Debug, Deserialize)]
    struct SecretPair(u8, u8);
    #[derive(Debug, Deserialize)]
    struct SecretUnit;
    #[derive(Debug, Deserialize)]
    enum SecretEnum {
        One { a: u8 },
        Two(u8, u8),
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum SecretUntagged {
        One(u8),
    }
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind")]
    enum SecretTagged {
        One { a: u8 },
    }
    let issues = [
        issue::<Secret>("5"),
        issue::<SecretPair>("5"),
        issue::<SecretPair>("[1]"),
        issue::<SecretUnit>("5"),
        issue::<SecretEnum>("5"),
        issue::<SecretEnum>(r#"{"One":5}"#),
        issue::<SecretEnum>(r#"{"Two":[1]}"#),
        issue::<SecretEnum>(r#"{"Two":5}"#),
        issue::<SecretUntagged>("[]"),
        issue::<SecretTagged>("5"),
        issue::<SecretTagged>(r#"{"kind":"One","a":[]}"#),
    ];
    assert!(issues.iter().all(|issue| !issue.contains("Secret")), "{issues:#?}");
    assert_eq!(issues[2], ": expected an array with 2 elements, found 1");
}
