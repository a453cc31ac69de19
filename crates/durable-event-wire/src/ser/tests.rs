use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::{
    BigInt, Custom, Date, Map, RegExp, Set, Undefined, Url, arbitrary::any_value, from_value,
    loss::after_json, parse as parse_halves,
};

fn halves<T: Serialize>(value: &T) -> (Option<String>, Option<String>) {
    let serialized = serialize(value).unwrap();
    (serialized.json, serialized.meta)
}

fn json<T: Serialize>(value: &T) -> String {
    let (json, meta) = halves(value);
    assert_eq!(meta, None);
    json.unwrap()
}

#[test]
fn meta_lists_content_before_its_container() {
    #[derive(Serialize)]
    struct Types {
        date: Date,
        bad_date: Date,
        big: BigInt,
        nan: f64,
        infinite: f64,
        url: Url,
        expression: RegExp,
        set: Set<Value>,
        map: Map<Value, Value>,
        array: (u8, Undefined, Option<u8>, f32, [BigInt; 1]),
        user: Custom<BTreeMap<String, u8>, 21>,
    }
    let types = Types {
        date: Date::from_millis(1_577_934_245_678),
        bad_date: Date::INVALID,
        big: "12345678901234567890".parse().unwrap(),
        nan: f64::NAN,
        infinite: f64::INFINITY,
        url: "https://example.com/a?b=c#d".parse().unwrap(),
        expression: RegExp::new("a\\/b+(c)", "gi").unwrap(),
        set: Set::from_iter([Value::from(1), Value::from(Date::from_millis(0)), Value::Undefined]),
        map: Map::from_iter([
            (Value::from("k"), Value::from(BigInt::from(1))),
            (Value::Null, Value::Set(vec![Value::from(f64::NAN)])),
        ]),
        array: (1, Undefined, None, f32::NAN, [BigInt::from(2)]),
        user: Custom(BTreeMap::from([("age".to_owned(), 30)])),
    };
    let (json, meta) = halves(&types);
    assert_eq!(
        json.unwrap(),
        r#"{"date":"2020-01-02T03:04:05.678Z","bad_date":null,"big":"12345678901234567890","nan":null,"infinite":null,"url":"https://example.com/a?b=c#d","expression":"/a\\/b+(c)/gi","set":[1,"1970-01-01T00:00:00.000Z",null],"map":[["k","1"],[null,[null]]],"array":[1,null,null,null,["2"]],"user":{"age":30}}"#
    );
    assert_eq!(
        meta.unwrap(),
        r#"[[1,"date"],[1,"bad_date"],[0,"big"],[2,"nan"],[4,"url"],[5,"expression"],[1,"set",1],[3,"set",2],[6,"set"],[0,"map",0,1],[2,"map",1,1,0],[6,"map",1,1],[7,"map"],[3,"array",1],[2,"array",3],[0,"array",4,0],[21,"user"]]"#
    );
}

#[test]
fn undefined_is_omitted_in_objects_and_kept_in_arrays() {
    #[derive(Serialize)]
    struct Outer {
        first: Undefined,
        second: u8,
        third: Undefined,
        fourth: Option<Undefined>,
    }
    assert_eq!(
        json(&Outer { first: Undefined, second: 2, third: Undefined, fourth: Some(Undefined) }),
        r#"{"second":2}"#
    );
    assert_eq!(halves(&[Undefined]), (Some("[null]".into()), Some("[[3,0]]".into())));
    assert_eq!(halves(&Undefined), (None, None));
    assert_eq!(halves(&Custom::<_, 30>(Undefined)), (Some("null".into()), Some("[[3],[30]]".into())));
}

#[test]
fn a_procedure_without_a_result_returns_undefined() {
    assert_eq!(serialize_output(&()).unwrap(), Serialized::default());
    assert_eq!(serialize_output(&None::<u8>).unwrap().json.unwrap(), "null");
    assert_eq!(json(&((),)), "[null]");
}

#[test]
fn rust_types_are_written_like_serde_json() {
    #[derive(Serialize)]
    enum Enum {
        Unit,
        Newtype(u8),
        Tuple(u8, char),
        Struct { a: bool },
    }
    #[derive(Serialize)]
    struct Newtype(i64);
    #[derive(Serialize)]
    struct Unit;
    let value = (
        [Enum::Unit, Enum::Newtype(1), Enum::Tuple(2, 'é'), Enum::Struct { a: true }],
        Newtype(i64::MIN),
        Unit,
        u64::MAX,
        Some("x"),
        BTreeMap::from([(1_u8, 'a'), (2, '"')]),
        (),
        i128::from(i64::MIN),
        1.5_f32,
    );
    assert_eq!(json(&value), serde_json::to_string(&value).unwrap());
}

#[test]
fn paths_contain_variants() {
    #[derive(Serialize)]
    enum Enum {
        Newtype(Date),
        Tuple(u8, Date),
        Struct { at: Date },
    }
    let date = Date::from_millis(0);
    let (_, meta) = halves(&[Enum::Newtype(date), Enum::Tuple(1, date), Enum::Struct { at: date }]);
    assert_eq!(meta.unwrap(), r#"[[1,0,"Newtype"],[1,1,"Tuple",1],[1,2,"Struct","at"]]"#);
}

#[test]
fn flattened_types_keep_their_types() {
    #[derive(Serialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Serialize)]
    struct Inner {
        at: Date,
        user: Custom<u8, 123>,
    }
    let (json, meta) = halves(&Outer { inner: Inner { at: Date::from_millis(0), user: Custom(1) } });
    assert_eq!(json.unwrap(), r#"{"at":"1970-01-01T00:00:00.000Z","user":1}"#);
    assert_eq!(meta.unwrap(), r#"[[1,"at"],[123,"user"]]"#);
}

#[test]
fn raw_json_is_written_unchanged() {
    let raw = RawValue::from_string(r#"{"a": [1, "x"]}"#.into()).unwrap();
    assert_eq!(json(&[&raw]), r#"[{"a": [1, "x"]}]"#);
    assert_eq!(json(&serde_json::json!({ "a": null, "b": [1.5, -1] })), r#"{"a":null,"b":[1.5,-1]}"#);
}

#[test]
fn a_blob_is_separate_from_the_json_and_has_a_path() {
    let blob = Blob::new(vec![1]);
    let serialized = serialize(&BTreeMap::from([("a", vec![Some(&blob), None])])).unwrap();
    assert_eq!(serialized.json.unwrap(), r#"{"a":[{},null]}"#);
    assert_eq!(serialized.blobs, [(r#"["a",0]"#.to_owned(), blob.clone())]);
    let root = serialize(&blob).unwrap();
    assert_eq!((root.json.unwrap().as_str(), root.blobs[0].0.as_str()), ("{}", "[]"));
}

#[test]
fn keys_are_strings() {
    assert_eq!(json(&BTreeMap::from([("a\"\n", 1)])), r#"{"a\"\n":1}"#);
    assert_eq!(json(&BTreeMap::from([(true, 1)])), r#"{"true":1}"#);
    assert!(serialize(&BTreeMap::from([((1, 2), 1)])).is_err());
    assert!(serialize(&BTreeMap::from([(None::<u8>, 1)])).is_err());
}

#[test]
fn integers_beyond_64_bits_are_rejected() {
    assert!(serialize(&u128::MAX).is_err());
    assert!(serialize(&i128::MIN).is_err());
    assert_eq!(json(&u128::from(u64::MAX)), "18446744073709551615");
}

#[test]
fn an_error_of_a_serialize_implementation_is_returned() {
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("not today"))
        }
    }
    assert_eq!(serialize(&[Failing]).unwrap_err().to_string(), "not today");
}

#[test]
fn depth_is_limited_as_in_parsing() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |value, _| Value::Array(vec![value]));
    let deepest = serialize(&nested(MAX_DEPTH)).unwrap();
    assert!(parse_halves(deepest.json.as_deref(), None).is_ok());
    assert!(serialize(&nested(MAX_DEPTH + 1)).is_err());
    let customs = (0..=MAX_DEPTH).fold(Value::Null, |value, _| Value::Custom(21, Box::new(value)));
    assert!(serialize(&customs).is_err());
}

#[test]
fn a_blob_counts_as_a_level() {
    let nested =
        |levels| (0..levels).fold(Value::from(Blob::default()), |value, _| Value::Array(vec![value]));
    let deepest = nested(MAX_DEPTH - 1);
    assert_eq!(to_value(&deepest).unwrap(), deepest);
    assert!(serialize(&nested(MAX_DEPTH)).is_err());
}

#[test]
fn an_empty_map_counts_as_one_level_next_to_a_custom_type() {
    let deepest = (0..MAX_DEPTH - 1).fold(Value::Map(vec![]), |value, _| Value::Array(vec![value]));
    // With custom types, levels are counted a second time.
    let both = |value: &Value| Value::Array(vec![value.clone(), Value::Custom(21, Box::new(Value::Null))]);
    let Value::Array(mut inner) = deepest else { panic!("expected an array") };
    let both = both(&inner.pop().unwrap());
    assert_eq!(to_value(&both).unwrap(), both);
}

#[test]
fn a_date_at_the_deepest_level_round_trips() {
    let deepest =
        (0..MAX_DEPTH).fold(Value::from(Date::from_millis(0)), |value, _| Value::Array(vec![value]));
    assert_eq!(to_value(&deepest).unwrap(), deepest);
}

proptest! {
    #[test]
    fn every_value_round_trips(value in any_value()) {
        prop_assert_eq!(to_value(&value).unwrap(), after_json(value));
    }

    #[test]
    fn every_value_is_unchanged_by_from_value(value in any_value()) {
        prop_assert_eq!(from_value::<Value>(value.clone()).unwrap(), value.clone());
        let [again] = from_value::<[Value; 1]>(Value::Array(vec![value.clone()])).unwrap();
        prop_assert_eq!(again, value);
    }

    #[test]
    fn the_output_is_valid_json(value in any_value()) {
        let serialized = serialize(&value).unwrap();
        for half in [serialized.json, serialized.meta].into_iter().flatten() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&half).is_ok(), "{}", half);
        }
    }

    #[test]
    fn plain_data_is_written_like_serde_json(value in any::<Vec<(String, i64, Option<bool>)>>()) {
        prop_assert_eq!(json(&value), serde_json::to_string(&value).unwrap());
    }
}

#[test]
fn only_objects_and_arrays_are_plain_roots() {
    let has_plain_root = |json: &str, meta: Option<&str>| {
        let (json, meta) = (Some(json.to_owned()), meta.map(str::to_owned));
        Serialized { json, meta, blobs: Vec::new() }.has_plain_root()
    };
    for json in ["", " ", "1", "\"{}\"", "null", "true", "\u{a0}{}"] {
        assert!(!has_plain_root(json, None), "{json:?}");
    }
    for meta in ["[[7]]", "[[6]]", "[[1,0],[7]]", "[[20]]"] {
        assert!(!has_plain_root("[]", Some(meta)), "{meta}");
    }
    for json in ["{}", "[]", " \n{}"] {
        assert!(has_plain_root(json, None), "{json:?}");
    }
    for meta in ["", "[]", "[[1,\"a\"]]", "[[1,7]]", "[[1,\"[7\"]]", "[[1,\"a[\",7]]", "[[1,\"[7]]\"]]"] {
        assert!(has_plain_root("{}", Some(meta)), "{meta}");
    }
    assert!(!Serialized::default().has_plain_root(), "undefined");
}
