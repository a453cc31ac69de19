//! Benchmarks of the parts without a runtime: `cargo bench --package bench-parts`.

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use durable_event_log::{Cell, Database, Log, Param, Record, Retention};
use durable_event_test::Sqlite;
use durable_event_token::{SigningKeys, Token};
use durable_event_wire::{
    Date, Map,
    frame::{ClientFrame, decode_text, event_tail, response},
    parse, serialize,
};
use serde::Serialize;

/// The error of any part.
type Failure = Box<dyn std::error::Error>;

/// 2026, in milliseconds.
const NOW_MS: u64 = 1_767_225_600_000;
const NOW_US: u64 = NOW_MS * 1_000;

#[derive(Serialize)]
struct Message {
    message: String,
}

/// A hundred bytes of JSON.
fn message() -> Message {
    Message { message: "x".repeat(86) }
}

#[derive(Serialize)]
struct Order {
    number: u64,
    price: f64,
    placed: Date,
    note: Option<String>,
    lines: Map<String, u32>,
}

/// An event with types that JSON does not have.
fn order() -> Order {
    Order {
        number: 4_711,
        price: 99.95,
        placed: Date::from_millis(NOW_MS.cast_signed()),
        note: None,
        lines: [("apples".to_owned(), 3), ("pears".to_owned(), 5)].into_iter().collect(),
    }
}

fn serializer(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("serializer");
    let (plain, typed) = (message(), order());
    group.bench_function("write a message", |bencher| bencher.iter(|| serialize(black_box(&plain))));
    group.bench_function("write an order", |bencher| bencher.iter(|| serialize(black_box(&typed))));
    for (name, written) in [("read a message", serialize(&plain)?), ("read an order", serialize(&typed)?)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse(black_box(written.json.as_deref()), black_box(written.meta.as_deref())));
        });
    }
    group.finish();
    Ok(())
}

fn frames(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("frames");
    let call = r#"{"i":"7","p":{"u":"/call","b":{"json":{"path":["say"],"input":{"message":"hello"}}}}}"#;
    if !matches!(decode_text(call)?, ClientFrame::Request(_)) {
        return Err("the frame is no call".into());
    }
    group.bench_function("read a call", |bencher| bencher.iter(|| decode_text(black_box(call)).is_ok()));
    group.bench_function("write an answer", |bencher| {
        bencher.iter(|| serialize("pong").map(|body| response(black_box("7"), 200, body)));
    });
    for length in [86, 4_082] {
        let json = serialize(&Message { message: "x".repeat(length) })?.json.ok_or("nothing was written")?;
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(format!("write an event of {} B", json.len()), |bencher| {
            bencher.iter(|| event_tail(black_box(&json), None, None, black_box(NOW_US)));
        });
    }
    group.finish();
    Ok(())
}

fn tokens(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("tokens");
    let keys = SigningKeys::parse("a secret of sixteen bytes and more", None)?;
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(NOW_MS)).ok_or("a time")?;
    let token = || Token::builder("some-room").attachment(&"anna").procedures(["say", "ping"]);
    let signed = token().sign(&keys, now)?;
    keys.verify(&signed, now)?;
    group.bench_function("sign", |bencher| bencher.iter(|| token().sign(black_box(&keys), now)));
    group.bench_function("verify", |bencher| bencher.iter(|| keys.verify(black_box(&signed), now)));
    group.finish();
    Ok(())
}

/// Enough events that the start of a database is negligible.
const APPENDS: u64 = 1_000;

/// The number of events in the row of the whole, see docs/performance.md.
const MISSED: u64 = 5_000;

/// A log in an in-memory database.
struct MemoryLog {
    database: Sqlite,
    log: Log,
}

/// The defaults of a Durable Object, with a retention that is longer than all measurements.
const RETENTION: Retention = Retention {
    period: Duration::from_secs(3_600),
    events: 100_000,
    bytes: 32 * 1024 * 1024,
    keys: Duration::from_secs(300),
};

impl MemoryLog {
    fn new() -> Result<Self, Failure> {
        let database = Sqlite::in_memory()?;
        let log = Log::open(&database, "dei_", RETENTION)?;
        Ok(Self { database, log })
    }

    /// Stores an event, as publishing does, and deletes expired ones. Returns its id.
    fn append(&mut self, json: &str, now_us: u64) -> Result<u64, Failure> {
        let record = Record { json, meta: None, extra: None, audience: None };
        let id = self.log.append(&self.database, now_us, &record)?;
        self.log.delete_expired(&self.database, now_us)?;
        Ok(id.as_micros())
    }

    /// Reads the events after `after`, and returns their number.
    fn replay(&self, mut after: u64, now_us: u64) -> Result<usize, Failure> {
        let mut count = 0_usize;
        while let Some(step) = self.log.step(after, now_us, "json") {
            let rows = self.database.execute(&step.sql, &step.params.map(Param::Number))?;
            count = count.saturating_add(rows.len());
            after = step.end;
            if let Some([Cell::Number(id), ..]) = rows.last().map(Vec::as_slice) {
                after = *id as u64;
            }
        }
        Ok(count)
    }
}

fn log(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("log");
    let json = serialize(&message())?.json.ok_or("nothing was written")?;
    let mut log = MemoryLog::new()?;
    let first = log.append(&json, NOW_US)?;
    for _ in 0..MISSED {
        log.append(&json, NOW_US)?;
    }
    if log.replay(first, NOW_US)? as u64 != MISSED {
        return Err("not every event is replayed".into());
    }
    group.throughput(Throughput::Elements(APPENDS));
    group.bench_function("append 1,000", |bencher| {
        bencher.iter_batched_ref(
            MemoryLog::new,
            |log| {
                let log = log.as_mut().map_err(|error| error.to_string())?;
                for _ in 0..APPENDS {
                    log.append(black_box(&json), NOW_US).map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(MISSED));
    group.measurement_time(Duration::from_secs(8));
    group.bench_function("replay 5,000", |bencher| bencher.iter(|| log.replay(black_box(first), NOW_US)));
    group.finish();
    Ok(())
}

fn parts(criterion: &mut Criterion) {
    let all = [serializer, frames, tokens, log];
    if let Err(failure) = all.into_iter().try_for_each(|part| part(criterion)) {
        eprintln!("{failure}");
        std::process::exit(1);
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
