//! What an instance counts: events, deliveries and anomalies. The counts are lost with the instance.

use crate::runtime::{self, Dataset, Hub, Identity, Storage};
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// Minimum interval between two data points of an instance, in milliseconds.
const METRICS_INTERVAL_MS: u64 = 10_000;

/// Delay between the first activity and its data point, in milliseconds. The Durable Object does not hibernate meanwhile. The Workers
/// runtime hibernates it after 10 s without activity, so that a shorter delay costs nothing.
const METRICS_DELAY_MS: u64 = 5_000;

/// Minimum interval between two log lines about the same anomaly, in milliseconds.
const LINE_INTERVAL_MS: u64 = 60_000;

/// Maximum length of an index of Analytics Engine, in bytes.
const MAX_INDEX_BYTES: usize = 96;

/// Maximum length of the channel name in a data point, in bytes: that of a channel name.
const MAX_BLOB_BYTES: usize = 512;

/// The layout of the data points, their first blob.
const LAYOUT: &str = "durable-event-iterator/1";

/// An event that an operator may want to know of. Most of them are not errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    /// A client received a gap notification.
    Gap,
    /// An upgrade was rejected, for this reason.
    Rejected(&'static str),
    /// A client reads more slowly than events are sent, and must subscribe again.
    Parked,
    /// Retention has deleted events of a replay before they were sent.
    ReplayOutrun,
    /// A socket's attachment could not be read. The socket was closed.
    UnreadableAttachment,
    /// The clock of a token's issuer is ahead.
    IssuerClockAhead,
    /// A statement of the log failed.
    StorageFailure,
    /// The alarm, or setting it, failed.
    AlarmFailure,
}

impl Anomaly {
    /// Returns the name in log lines.
    const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Rejected(_) => "upgrade_rejected",
            Self::Parked => "subscription_parked",
            Self::ReplayOutrun => "replay_outrun",
            Self::UnreadableAttachment => "attachment_unreadable",
            Self::IssuerClockAhead => "issuer_clock_ahead",
            Self::StorageFailure => "storage_failure",
            Self::AlarmFailure => "alarm_failure",
        }
    }

    const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns whether the operator has to act.
    const fn is_error(self) -> bool {
        matches!(self, Self::UnreadableAttachment | Self::StorageFailure | Self::AlarmFailure)
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Gap => "a client has missed events that are no longer retained",
            Self::Rejected(_) => "an upgrade was rejected",
            Self::Parked => "a client reads more slowly than events are sent, and subscribes again",
            Self::ReplayOutrun => "retention has deleted events of a replay before they were sent",
            Self::UnreadableAttachment => "a socket was closed because its attachment cannot be read",
            Self::IssuerClockAhead => "a token was issued by a clock that is ahead",
            Self::StorageFailure => "a statement of the event log failed",
            Self::AlarmFailure => "the alarm failed",
        }
    }
}

/// The counts of an anomaly.
#[derive(Default)]
struct Tally {
    count: u64,
    /// The count in the last data point.
    written: u64,
    /// The count at the last log line.
    logged: u64,
    /// The time of the last log line, in milliseconds since 1970.
    logged_ms: Option<u64>,
}

/// A count since the instance was constructed.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    count: Cell<u64>,
    /// The count in the last data point.
    written: Cell<u64>,
}

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.count.get()
    }

    fn add(&self, more: u64) {
        self.count.set(self.count.get().saturating_add(more));
    }

    /// Returns the count since the last data point.
    fn take(&self) -> u64 {
        self.count.get().saturating_sub(self.written.replace(self.count.get()))
    }
}

/// The counts of one instance.
pub(crate) struct Counters {
    /// When the instance was constructed, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// The stored events. Those of a transaction count after its commit.
    pub(crate) published: Counter,
    /// The publishes whose idempotency key was used before.
    pub(crate) duplicates: Counter,
    /// The live events that were sent to single sockets. The hub counts those of fan-outs.
    sent_live: Counter,
    /// The messages of a hub's fan-outs in the last data point.
    written_fan_outs: Cell<u64>,
    /// The sockets that were opened.
    pub(crate) opened: Counter,
    /// The sockets that the application or an operator has disconnected.
    pub(crate) disconnected: Counter,
    anomalies: RefCell<BTreeMap<Anomaly, Tally>>,
    logs_anomalies: bool,
    hub: Rc<Hub>,
    storage: Rc<Storage>,
    identity: Rc<Identity>,
    metrics: Option<Metrics>,
}

/// The data points of an instance.
struct Metrics {
    dataset: Dataset,
    is_scheduled: Cell<bool>,
    /// When the last data point was written, or the instance was constructed, in milliseconds since 1970.
    written_ms: Cell<u64>,
    has_written: Cell<bool>,
}

impl Counters {
    pub(crate) fn new(
        logs_anomalies: bool,
        hub: Rc<Hub>,
        storage: Rc<Storage>,
        identity: Rc<Identity>,
        dataset: Option<Dataset>,
    ) -> Self {
        let since_ms = runtime::now_ms();
        let metrics = dataset.map(|dataset| Metrics {
            dataset,
            is_scheduled: Cell::new(false),
            written_ms: Cell::new(since_ms),
            has_written: Cell::new(false),
        });
        Self {
            since_ms,
            published: Counter::default(),
            duplicates: Counter::default(),
            sent_live: Counter::default(),
            written_fan_outs: Cell::new(0),
            opened: Counter::default(),
            disconnected: Counter::default(),
            anomalies: RefCell::default(),
            logs_anomalies,
            hub,
            storage,
            identity,
            metrics,
        }
    }

    /// Counts, and writes the next data point soon.
    pub(crate) fn count(self: &Rc<Self>, counter: impl FnOnce(&Self) -> &Counter) {
        self.count_many(1, counter);
    }

    /// Counts several at once.
    pub(crate) fn count_many(self: &Rc<Self>, number: u64, counter: impl FnOnce(&Self) -> &Counter) {
        counter(self).add(number);
        self.schedule();
    }

    /// Counts a live event that was sent to one socket.
    pub(crate) fn count_live(self: &Rc<Self>) {
        self.count(|counters| &counters.sent_live);
    }

    /// Returns the number of messages with a live event.
    pub(crate) fn delivered(&self) -> u64 {
        self.hub.delivered().saturating_add(self.sent_live.get())
    }

    /// Returns how often an anomaly has occurred.
    pub(crate) fn occurrences(&self, anomaly: Anomaly) -> u64 {
        self.anomalies.try_borrow().map_or(0, |tallies| tallies.get(&anomaly).map_or(0, |tally| tally.count))
    }

    /// Returns the rejected upgrades by reason.
    pub(crate) fn rejections(&self) -> BTreeMap<&'static str, u64> {
        let Ok(tallies) = self.anomalies.try_borrow() else { return BTreeMap::new() };
        tallies.iter().filter_map(|(anomaly, tally)| Some((anomaly.reason()?, tally.count))).collect()
    }

    /// Counts an anomaly. With [`Options::log_anomalies`], logs one line per anomaly and minute, with the number since the last line.
    pub(crate) fn report(self: &Rc<Self>, anomaly: Anomaly) {
        let Ok(mut tallies) = self.anomalies.try_borrow_mut() else { return };
        let tally = tallies.entry(anomaly).or_default();
        tally.count = tally.count.saturating_add(1);
        if self.logs_anomalies {
            let now_ms = runtime::now_ms();
            let is_due = tally.logged_ms.is_none_or(|at| now_ms.saturating_sub(at) >= LINE_INTERVAL_MS);
            if is_due {
                let count = tally.count.saturating_sub(tally.logged);
                (tally.logged, tally.logged_ms) = (tally.count, Some(now_ms));
                self.log(anomaly, count);
            }
        }
        drop(tallies);
        self.schedule();
    }

    fn log(&self, anomaly: Anomaly, count: u64) {
        /// A log line. It contains no token, key, subject or attachment.
        #[derive(Serialize)]
        struct Line<'a> {
            message: String,
            anomaly: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            channel: Option<String>,
            count: u64,
        }

        let line = Line {
            message: format!("durable-event-iterator: {}", anomaly.message()),
            anomaly: anomaly.name(),
            reason: anomaly.reason(),
            channel: self.identity.name(),
            count,
        };
        if let Ok(json) = serde_json::to_string(&line) {
            runtime::log_object(&json, anomaly.is_error());
        }
    }

    /// Writes the next data point soon, unless it is scheduled already or there are no metrics.
    fn schedule(self: &Rc<Self>) {
        let Some(metrics) = &self.metrics else { return };
        if metrics.is_scheduled.replace(true) {
            return;
        }
        let due_ms = match metrics.has_written.get() {
            true => metrics.written_ms.get().saturating_add(METRICS_INTERVAL_MS),
            false => 0,
        };
        let wait_ms = due_ms.saturating_sub(runtime::now_ms()).max(METRICS_DELAY_MS);
        let counters = Rc::downgrade(self);
        runtime::spawn(async move {
            let _ = runtime::pause(wait_ms).await; // if the pause fails, the data point is only sooner
            if let Some(counters) = counters.upgrade() {
                counters.write();
            }
        });
    }

    /// Writes a data point with the counts since the last one.
    fn write(&self) {
        /// The argument of `writeDataPoint`.
        #[derive(Serialize)]
        struct DataPoint<'a> {
            indexes: [&'a str; 1],
            blobs: [&'a str; 3],
            doubles: [f64; 16],
        }

        let Some(metrics) = &self.metrics else { return };
        metrics.is_scheduled.set(false);
        metrics.has_written.set(true);
        let now_ms = runtime::now_ms();
        let span_ms = now_ms.saturating_sub(metrics.written_ms.replace(now_ms));
        let fan_outs = self.hub.delivered();
        let fan_outs = fan_outs.saturating_sub(self.written_fan_outs.replace(fan_outs));
        let mut rejections: BTreeMap<&str, u64> = BTreeMap::new();
        let mut anomalies: BTreeMap<&str, u64> = BTreeMap::new();
        if let Ok(mut tallies) = self.anomalies.try_borrow_mut() {
            for (anomaly, tally) in tallies.iter_mut() {
                let new = tally.count.saturating_sub(tally.written);
                tally.written = tally.count;
                if new == 0 {
                    continue;
                }
                let sum = anomalies.entry(anomaly.name()).or_default();
                *sum = sum.saturating_add(new);
                if let Some(reason) = anomaly.reason() {
                    rejections.insert(reason, new);
                }
            }
        }
        let of = |anomaly: Anomaly| anomalies.get(anomaly.name()).copied().unwrap_or_default() as f64;
        let channel = self.identity.name().unwrap_or_default();
        let rejections = match rejections.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&rejections).unwrap_or_default(),
        };
        let point = DataPoint {
            indexes: [truncated(&channel, MAX_INDEX_BYTES)],
            blobs: [LAYOUT, truncated(&channel, MAX_BLOB_BYTES), &rejections],
            doubles: [
                span_ms as f64 / 1_000.0,
                self.published.take() as f64,
                self.duplicates.take() as f64,
                fan_outs.saturating_add(self.sent_live.take()) as f64,
                self.hub.held().map_or(0.0, |sockets| sockets as f64),
                self.opened.take() as f64,
                self.disconnected.take() as f64,
                of(Anomaly::Rejected("")),
                of(Anomaly::Gap),
                of(Anomaly::Parked),
                of(Anomaly::ReplayOutrun),
                of(Anomaly::UnreadableAttachment),
                of(Anomaly::IssuerClockAhead),
                of(Anomaly::StorageFailure),
                of(Anomaly::AlarmFailure),
                self.storage.size().map_or(0.0, |bytes| bytes as f64),
            ],
        };
        let written = serde_json::to_string(&point).map_err(|error| error.to_string());
        let written =
            written.and_then(|point| metrics.dataset.write(&point).map_err(|error| error.to_string()));
        if let Err(error) = written {
            runtime::log_error(&format!("writing a data point failed: {error}"));
        }
    }
}

/// Returns the beginning of a text, at most `limit` bytes.
fn truncated(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}
