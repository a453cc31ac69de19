//! Serialized values: read, written and read again; and made into types and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    is_json,
    loss::{after_form, after_json},
};
use durable_event_wire::{
    BigInt, Blob, Custom, Date, MAX_DEPTH, Map, RegExp, Set, Undefined, Url, Value, from_value, serialize,
    to_value,
};

/// A body, or, where the input begins with no brace, a recipe for a value. Answers with how many bytes the value has on the
/// wire: a recipe can be shorter.
pub(super) fn check(input: &[u8]) -> usize {
    if input.first().is_none_or(|byte| *byte == b'{') {
        if let Ok(text) = str::from_utf8(input) {
            check_json(text);
        }
        return Value::from_serialized(input).map_or(0, |value| check_value(value, input.len()));
    }
    let value = match input.strip_prefix(DEEP) {
        Some(input) => Recipe { bytes: input, levels: MAX_DEPTH + 3 }.value(),
        None => Recipe { bytes: input, levels: LEVELS }.value(),
    };
    // What is too deep is refused, and nothing else. It has no size on the wire, but it has been as large.
    if serialize(&value).is_err() {
        return format!("{value:?}").len();
    }
    check_form(value.clone());
    check_value(value, input.len())
}

/// A recipe that begins so may nest its value deeper than is allowed.
const DEEP: &[u8] = b"!";

/// Any other one nests it this deep. In what is deeper, paths are long, and an input takes ten times as long.
const LEVELS: usize = 12;

/// Our reader takes what serde_json takes, and makes the same of it.
fn check_json(text: &str) {
    match (Value::from_json(text.as_bytes()), serde_json::from_str(text)) {
        (Ok(ours), Ok(theirs)) => assert_alike(&ours, &theirs),
        // It takes no lone surrogates, and no numbers beyond f64's.
        (Ok(_), Err(_)) => assert!(is_json(text), "{text}"),
        (Err(_), theirs) => assert!(theirs.is_err(), "{text}"),
    }
}

fn assert_alike(ours: &Value, theirs: &serde_json::Value) {
    match (ours, theirs) {
        (Value::Number(ours), serde_json::Value::Number(theirs)) => {
            let (ours, theirs) = (ours.as_f64(), theirs.as_f64().unwrap());
            // It misses the last bit at times.
            assert!((ours - theirs).abs() <= ours.abs() * 2.0 * f64::EPSILON, "{ours} {theirs}");
        }
        (Value::Array(ours), serde_json::Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).for_each(|(ours, theirs)| assert_alike(ours, theirs));
        }
        (Value::Object(ours), serde_json::Value::Object(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().for_each(|(key, ours)| assert_alike(ours, &theirs[key]));
        }
        (Value::String(ours), serde_json::Value::String(theirs)) => assert_eq!(ours, theirs),
        (Value::Bool(ours), serde_json::Value::Bool(theirs)) => assert_eq!(ours, theirs),
        (Value::Null, serde_json::Value::Null) => {}
        _ => panic!("{ours:?} {theirs:?}"),
    }
}

fn check_form(value: Value) {
    let body = serialize(&value).unwrap().into_http();
    let kept = if body.content_type.starts_with("multipart") { after_form(value) } else { after_json(value) };
    assert_eq!(Value::from_http(Some(&body.content_type), &body.bytes), Ok(kept));
}

fn check_value(value: Value, length: usize) -> usize {
    let serialized = serialize(&value).expect("what was read can be written");
    for text in [&serialized.json, &serialized.meta].into_iter().flatten() {
        assert!(is_json(text), "{text}");
    }
    let again = serialized.clone().into_value().expect("what was written can be read");
    assert_eq!(again, after_json(value.clone()));
    assert_eq!(serialize(&again).unwrap(), serialized, "the second time changes nothing more");

    check_types(&value, length);
    [&serialized.json, &serialized.meta].into_iter().flatten().map(String::len).sum()
}

/// As one type, chosen by the input's length: as all of them, one input would take as long as ten.
fn check_types(value: &Value, length: usize) {
    let check = match length % 12 {
        0 => check_type::<Choice>,
        1 => check_type::<Untagged>,
        2 => check_type::<Internal>,
        3 => check_type::<Adjacent>,
        4 => check_type::<(u8, Option<String>, Value)>,
        5 => check_type::<BTreeMap<String, Value>>,
        6 => check_type::<BTreeMap<i64, Option<Date>>>,
        7 => check_type::<Map<Value, Set<BigInt>>>,
        8 => check_type::<Custom<Vec<Value>, 21>>,
        9 => check_type::<Box<RawValue>>,
        10 => check_type::<serde_json::Value>,
        _ => check_type::<Everything>,
    };
    check(value);
}

/// What fits a type is written and fits again, and is the same then.
fn check_type<T: Serialize + DeserializeOwned>(value: &Value) {
    let typed = match from_value::<T>(value.clone()) {
        Ok(typed) => typed,
        Err(misfit) => return drop(misfit.to_string()),
    };
    // Not everything of Rust's can be written: untagged and flattened Blobs cannot.
    let Ok(written) = to_value(&typed) else { return };
    let again: T = from_value(written.clone()).expect("what was written fits again");
    assert_eq!(to_value(&again).expect("it was written before"), written);
}

/// A type with all that types can have.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Everything {
    text: Option<String>,
    letter: Option<char>,
    number: Option<f64>,
    small: Option<f32>,
    unsigned: Option<u64>,
    signed: Option<i16>,
    large: Option<i128>,
    yes: bool,
    date: Option<Date>,
    big: Option<BigInt>,
    url: Option<Url>,
    expression: Option<RegExp>,
    file: Option<Blob>,
    set: Option<Set<Option<Date>>>,
    map: Option<Map<String, Vec<Url>>>,
    nothing: Undefined,
    unit: (),
    tuple: Option<(u8, String)>,
    own: Option<Custom<Custom<Date, 30>, 21>>,
    raw: Option<Box<RawValue>>,
    choice: Option<Choice>,
    untagged: Option<Untagged>,
    internal: Option<Internal>,
    adjacent: Option<Adjacent>,
    nested: Option<Box<Everything>>,
    any: Value,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
enum Choice {
    None,
    One(Date),
    Two(BigInt, Option<Url>),
    Named { at: Option<Date>, set: Set<u8> },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
    List(Vec<i8>),
    Named { name: String },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Plain,
    Named { name: String, count: u8 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Adjacent {
    Plain,
    One(Date),
    Named { set: Set<Value> },
}

/// Any value, by what the bytes say: one says which type, the next ones what is in it.
struct Recipe<'a> {
    bytes: &'a [u8],
    /// How many more levels there may be.
    levels: usize,
}

impl<'a> Recipe<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        let (bytes, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        bytes
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.byte() % 8;
        (0..count).map_while(|_| (!self.bytes.is_empty()).then(|| item(self))).collect()
    }

    fn value(&mut self) -> Value {
        let kind = self.byte();
        if self.levels == 0 {
            return self.value_of(kind % 14);
        }
        self.levels -= 1;
        let value = self.value_of(kind % 20);
        self.levels += 1;
        value
    }

    /// The first 14 kinds hold nothing else.
    fn value_of(&mut self, kind: u8) -> Value {
        match kind {
            0 => Value::Undefined,
            1 => Value::Null,
            2 => Value::Bool(self.byte().is_multiple_of(2)),
            3 => Value::from(f64::from_le_bytes(self.number())),
            4 => Value::from(i64::from_le_bytes(self.number())),
            5 => Value::from(u64::from_le_bytes(self.number())),
            6 => Value::from(f32::from_le_bytes(self.number())),
            7 => Value::String(self.text()),
            8 => Value::from(BigInt::from(i128::from_le_bytes(self.number()))),
            9 => Value::from(Date::from_millis(i64::from_le_bytes(self.number()))),
            10 => self.text().parse::<Url>().map_or(Value::Null, Value::from),
            11 => RegExp::new(&self.text(), &self.text()).map_or(Value::Null, Value::from),
            12 => self.text().parse::<Date>().map_or(Value::Null, Value::from),
            13 => {
                let blob = Blob::new(self.bytes().to_vec()).content_type(self.text());
                // A name with what stands for a quote or a line's end in a form is read as these.
                let name = self.text().replace('%', "");
                Value::from(if self.byte().is_multiple_of(2) { blob.name(name) } else { blob })
            }
            14 => Value::Array(self.items(|recipe| recipe.value())),
            15 => Value::Set(self.items(|recipe| recipe.value())),
            16 => Value::Map(self.items(|recipe| (recipe.value(), recipe.value()))),
            17 => Value::Object(self.items(|recipe| (recipe.text(), recipe.value())).into_iter().collect()),
            18 => self.text().parse::<BigInt>().map_or(Value::Null, Value::from),
            _ => {
                let number = u32::from_le_bytes(self.number()).max(8);
                match self.value() {
                    // More own types at one place are written than are read: they are an application's own.
                    content @ Value::Custom(..) => content,
                    content => Value::Custom(number, Box::new(content)),
                }
            }
        }
    }
}
