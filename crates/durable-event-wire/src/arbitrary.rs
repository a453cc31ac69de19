//! Values for property tests.

use proptest::{prelude::*, strategy::Union};

use super::{BigInt, Blob, Date, RegExp, Url, Value};

/// The first type number that oRPC does not reserve.
const CUSTOM_TYPES: u32 = 21;

/// Generates values that the wire keeps unchanged.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 64, 6, |inner| {
        let key = "[a-c\"\\\\é]{0,2}|__proto__|length|0";
        Union::new([
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array).boxed(),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Set).boxed(),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map).boxed(),
            prop::collection::vec((key, inner.clone()), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
                .boxed(),
            (CUSTOM_TYPES.., inner)
                .prop_map(|(number, content)| Value::Custom(number, Box::new(content)))
                .boxed(),
        ])
        .prop_filter("at most as many nested custom types as the parser accepts", |value| customs(value) <= 4)
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>()
            .prop_filter("the wire has no infinities", |number| !number.is_infinite())
            .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        any::<i128>().prop_map(|number| Value::from(BigInt::from(number))),
        any::<i64>()
            .prop_map(|millis| Value::from(Date::from_millis(millis.checked_div(1_000).unwrap_or_default()))),
        Just(Value::from("https://example.com/?a=b".parse::<Url>().unwrap())),
        "[a-z/]{0,5}".prop_map(|source| Value::from(RegExp::new(&source, "gi").unwrap())),
        (any::<Vec<u8>>(), "[ -~]{0,9}", prop::option::of(any::<String>())).prop_map(
            |(bytes, content_type, name)| {
                let blob = Blob::new(bytes).content_type(content_type);
                Value::from(match name {
                    Some(name) => blob.name(name),
                    None => blob,
                })
            }
        ),
    ]
}

fn customs(value: &Value) -> u32 {
    match value {
        Value::Custom(_, content) => customs(content).saturating_add(1),
        _ => 0,
    }
}
