//! The parts without any runtime: `cargo bench --package durable-event-iterator --features bench`.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use durable_event_iterator::{
    Date, Map, SigningKeys, Token,
    bench::{self, Failure, MemoryLog},
};
use serde::Serialize;

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
    group.bench_function("write a message", |bencher| bencher.iter(|| bench::serialize(black_box(&plain))));
    group.bench_function("write an order", |bencher| bencher.iter(|| bench::serialize(black_box(&typed))));
    for (name, (json, meta)) in
        [("read a message", bench::serialize(&plain)?), ("read an order", bench::serialize(&typed)?)]
    {
        let json = json.ok_or("nothing was written")?;
        group.bench_function(name, |bencher| {
            bencher.iter(|| bench::parse(black_box(&json), black_box(meta.as_deref())));
        });
    }
    group.finish();
    Ok(())
}

fn frames(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("frames");
    let call = r#"{"i":"7","p":{"u":"/call","b":{"json":{"path":["say"],"input":{"message":"hello"}}}}}"#;
    if !bench::decode(call)? {
        return Err("the frame is no call".into());
    }
    group.bench_function("read a call", |bencher| bencher.iter(|| bench::decode(black_box(call))));
    group.bench_function("write an answer", |bencher| {
        bencher.iter(|| bench::response(black_box("7"), "pong"))
    });
    for length in [86, 4_082] {
        let (json, _) = bench::serialize(&Message { message: "x".repeat(length) })?;
        let json = json.ok_or("nothing was written")?;
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(format!("write an event of {} B", json.len()), |bencher| {
            bencher.iter(|| bench::event_tail(black_box(&json), black_box(NOW_US)));
        });
    }
    group.finish();
    Ok(())
}

fn tokens(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("tokens");
    let keys = SigningKeys::parse("a secret of sixteen bytes and more", None)?;
    let token = || Token::builder("some-room").attachment(&"anna").procedures(["say", "ping"]);
    let signed = token().sign(&keys, NOW_MS)?;
    keys.verify(&signed, NOW_MS)?;
    group.bench_function("sign", |bencher| bencher.iter(|| token().sign(black_box(&keys), NOW_MS)));
    group.bench_function("verify", |bencher| bencher.iter(|| keys.verify(black_box(&signed), NOW_MS)));
    group.finish();
    Ok(())
}

/// Enough that a database's beginning does not count.
const APPENDS: u64 = 1_000;

/// As many as the row of the whole has: see docs/performance.md.
const MISSED: u64 = 5_000;

fn log(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("log");
    let (json, _) = bench::serialize(&message())?;
    let json = json.ok_or("nothing was written")?;
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
