//! The numbers of a channel, and its open sockets, for operators.

use super::{ChannelCore, presence};
use crate::{
    channel::MICROS_PER_MILLI,
    counters::Anomaly,
    error::{Code, Error, Result},
    runtime,
    socket::session::Session,
    time::{from_millis, from_seconds},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use durable_event_log::{EventId, Period, SegmentUsage, Stored};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, time::SystemTime};

/// Maximum number of buckets of a timeline.
const MAX_BUCKETS: u32 = 240;

/// Maximum number of sockets of a page.
const MAX_CONNECTIONS: u32 = 1_000;

/// The number of sockets of a page without a limit.
const DEFAULT_CONNECTIONS: u32 = 100;

/// The length of the digest in the cursor of a page, in bytes.
const DIGEST_BYTES: usize = 16;

/// The largest integer that a JavaScript number represents exactly. Larger numbers are unlimited options.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The query of [`Channel::stats`](crate::Channel::stats).
///
/// ```
/// use durable_event_iterator::StatsQuery;
///
/// let query = StatsQuery::new().timeline(60);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StatsQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
}

impl StatsQuery {
    /// Returns a query without a timeline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a timeline of the retained events with this number of buckets, 1 to 240. Each bucket reads one row.
    #[must_use]
    pub fn timeline(mut self, buckets: u32) -> Self {
        self.timeline = Some(buckets);
        self
    }
}

/// The numbers of a channel, see [`Channel::stats`](crate::Channel::stats).
///
/// The counts begin when the instance of the Durable Object was constructed, at [`since`](Self::since): on first access and after
/// hibernation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChannelStats {
    /// The channel name, if the Durable Object knows it.
    pub channel: Option<String>,
    /// The open sockets of clients.
    pub sockets: u64,
    /// The open sockets with a subscription: live, during its replay, or parked.
    pub subscriptions: u64,
    /// The parked subscriptions: the client subscribes again as soon as it has read what was sent.
    pub parked: u64,
    /// The members, with presence.
    pub members: Option<u64>,
    /// The retained events.
    pub events: RetainedEvents,
    /// The tables of events, oldest first.
    pub segments: Vec<SegmentStats>,
    /// When the instance was constructed.
    #[serde(with = "iso")]
    pub since: SystemTime,
    /// The stored events.
    pub published: u64,
    /// The publishes whose idempotency key was used before.
    pub duplicates: u64,
    /// The messages with a live event, one per recipient: events when they are published, events of
    /// [`Channel::send_live`](crate::Channel::send_live), and presence events. Replayed events, snapshots, and the list of members for a
    /// new subscription are not counted.
    pub delivered: u64,
    /// The gap notifications.
    pub gaps: u64,
    /// How often a subscription was parked because its client reads more slowly than events are sent. The parts of a replay to a client
    /// of oRPC are not counted.
    pub parkings: u64,
    /// The upgrades that the Durable Object has rejected, by reason. A Worker rejects most invalid tokens itself.
    pub rejections: BTreeMap<String, u64>,
    /// The sockets that `disconnect` and `revoke` have closed.
    pub disconnected: u64,
    /// The size of the database in bytes.
    pub database_bytes: u64,
    /// The buckets of the timeline, oldest first, if the query requests it. Empty if no event is retained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Vec<TimelineBucket>>,
}

/// The retained events of a channel, and the limits of retention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RetainedEvents {
    /// The number of events.
    pub count: u64,
    /// The size in bytes, as [`Options::retained_bytes`](crate::Options::retained_bytes) counts it.
    pub bytes: u64,
    /// The id of the oldest retained event.
    pub first_id: Option<EventId>,
    /// The id of the newest event, also if it is no longer retained.
    pub last_id: Option<EventId>,
    /// [`Options::event_retention`](crate::Options::event_retention) in seconds.
    #[serde(serialize_with = "number")]
    pub retention_seconds: f64,
    /// [`Options::retained_events`](crate::Options::retained_events), at most 2⁵³ − 1.
    pub max_events: u64,
    /// [`Options::retained_bytes`](crate::Options::retained_bytes), at most 2⁵³ − 1.
    pub max_bytes: u64,
}

/// A table of events. Retention deletes whole tables, so that the oldest one may contain events that are no longer retained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SegmentStats {
    /// The id after which the table begins.
    pub after: EventId,
    /// The id of its newest event.
    pub last_id: Option<EventId>,
    /// The number of events.
    pub events: u64,
    /// The size of the events in bytes.
    pub bytes: u64,
}

/// The retained events of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TimelineBucket {
    /// The start of the period. It ends with the start of the next bucket, the last one now.
    #[serde(with = "iso")]
    pub from: SystemTime,
    /// The number of events.
    pub events: u64,
    /// The size of the events in bytes.
    pub bytes: u64,
}

/// The query of [`Channel::connections`](crate::Channel::connections).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionsQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl ConnectionsQuery {
    /// Returns a query of the first 100 sockets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum number of sockets, 1 to 1,000. Default: 100.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Continues after a page, whose [`next`](ConnectionsPage::next) is the cursor.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }
}

/// A page of open sockets, in an order that is stable while they are open: by a digest of connection id, subject and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionsPage {
    /// The sockets.
    pub connections: Vec<Connection>,
    /// The cursor of the next page, if there are further sockets.
    pub next: Option<String>,
}

/// An open socket of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Connection {
    /// The connection id that the client has sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The subject of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tags of the token.
    pub tags: Vec<String>,
    /// When the token was issued.
    #[serde(with = "iso")]
    pub issued_at: SystemTime,
    /// When the token expires.
    #[serde(with = "iso")]
    pub expires_at: SystemTime,
    /// The state of its subscription. `None` without one.
    pub subscription: Option<ConnectionState>,
    /// The member id, with presence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConnectionState {
    /// It receives live events.
    Live,
    /// It receives missed events.
    Replaying,
    /// It receives nothing until its client has read what was sent and subscribes again.
    Parked,
}

impl ConnectionState {
    fn of(session: &Session) -> Option<Self> {
        match &session.subscription {
            Some(subscription) if subscription.live => Some(Self::Live),
            Some(_) => Some(Self::Replaying),
            None => session.is_parked.then_some(Self::Parked),
        }
    }
}

/// Times as JSON: ISO 8601 in UTC with milliseconds, as JavaScript's `toISOString` writes it.
mod iso {
    use crate::time::from_millis;
    use durable_event_wire::Date;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::SystemTime;

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let date = Date::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        // The latest date of JavaScript.
        let date = if date.millis().is_some() { date } else { Date::from_millis(8_640_000_000_000_000) };
        serializer.collect_str(&date)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let date: Date = String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?;
        let millis = date.millis().and_then(|millis| u64::try_from(millis).ok());
        millis.map(from_millis).ok_or_else(|| D::Error::custom("a date before 1970"))
    }
}

/// Serializes a number as JavaScript does: without `.0`.
fn number<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let whole = *number as u64;
    if whole as f64 == *number { serializer.serialize_u64(whole) } else { serializer.serialize_f64(*number) }
}

fn invalid(message: String) -> Error {
    Error::new(Code::BadRequest).message(message)
}

impl ChannelCore {
    /// Returns the numbers of the channel.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, or a statement fails.
    pub(crate) fn stats(&self, query: &StatsQuery) -> Result<ChannelStats> {
        if let Some(buckets) = query.timeline.filter(|buckets| !(1..=MAX_BUCKETS).contains(buckets)) {
            return Err(invalid(format!(
                "Invalid stats query: timeline must be 1–{MAX_BUCKETS}, got {buckets}"
            )));
        }
        // If a statement fails because the log's tables were deleted, the log is opened again.
        let stored = self.stored(query);
        let (events, segments, timeline) = stored.or_else(|error| match error.is_storage_failure() {
            true => self.stored(query),
            false => Err(error),
        })?;
        let states = self.of_clients(|_, session| Some(ConnectionState::of(session)))?;
        let number_of = |is_counted: &dyn Fn(&ConnectionState) -> bool| {
            states.iter().flatten().filter(|state| is_counted(state)).count() as u64
        };
        let counters = &self.counters;
        let rejections = counters.rejections().into_iter();
        Ok(ChannelStats {
            channel: self.identity.name(),
            sockets: states.len() as u64,
            subscriptions: number_of(&|_| true),
            parked: number_of(&|state| *state == ConnectionState::Parked),
            members: presence::count(self)?.map(|members| members as u64),
            events,
            segments,
            since: from_millis(counters.since_ms),
            published: counters.published.get(),
            duplicates: counters.duplicates.get(),
            delivered: counters.delivered(),
            gaps: counters.occurrences(Anomaly::Gap),
            parkings: counters.occurrences(Anomaly::Parked),
            rejections: rejections.map(|(reason, count)| (reason.to_owned(), count)).collect(),
            disconnected: counters.disconnected.get(),
            database_bytes: self.storage.size()?,
            timeline,
        })
    }

    /// Returns the retained events, the tables and the timeline.
    fn stored(
        &self,
        query: &StatsQuery,
    ) -> Result<(RetainedEvents, Vec<SegmentStats>, Option<Vec<TimelineBucket>>)> {
        let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
        let (usage, last_id, timeline) = self.with_log(|log, sql| {
            let timeline = query.timeline.map(|buckets| log.timeline(sql, now_us, buckets)).transpose()?;
            Ok::<_, Error>((log.usage(sql, now_us)?, log.last_id(), timeline))
        })?;
        let retention = &self.options.retention;
        let events = RetainedEvents {
            count: usage.retained.events,
            bytes: usage.retained.bytes,
            first_id: usage.first,
            last_id,
            retention_seconds: retention.period.as_secs_f64().min(MAX_INTEGER as f64),
            max_events: retention.events.min(MAX_INTEGER),
            max_bytes: retention.bytes.min(MAX_INTEGER),
        };
        let segments = usage.segments.into_iter().map(|SegmentUsage { after, last, stored }| {
            let Stored { events, bytes } = stored;
            SegmentStats { after, last_id: last, events, bytes }
        });
        let bucket_of = |Period { from_us, stored: Stored { events, bytes } }| {
            let from = from_millis(from_us / MICROS_PER_MILLI);
            TimelineBucket { from, events, bytes }
        };
        let timeline = timeline.map(|periods| periods.into_iter().map(bucket_of).collect());
        Ok((events, segments.collect(), timeline))
    }

    /// Returns a page of the open sockets of clients.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, or an error of the Workers runtime.
    pub(crate) fn connections(&self, query: &ConnectionsQuery) -> Result<ConnectionsPage> {
        let limit = query.limit.unwrap_or(DEFAULT_CONNECTIONS);
        if !(1..=MAX_CONNECTIONS).contains(&limit) {
            return Err(invalid(format!(
                "Invalid connections query: limit must be 1–{MAX_CONNECTIONS}, got {limit}"
            )));
        }
        let after = query.after.as_deref().map(Place::read).transpose()?;
        let mut clients = self.of_clients(|raw, session| Some((Place::of(session), raw)))?;
        clients.sort_by_key(|(place, _)| *place);
        let mut page = Vec::new();
        let mut before: Option<Place> = None;
        for (mut place, raw) in clients {
            if let Some(before) = before.filter(|before| before.digest == place.digest) {
                place.number = before.number.saturating_add(1);
            }
            if after.is_none_or(|after| place > after) {
                if page.len() >= limit as usize {
                    let next = before.map(|before| before.to_string());
                    return Ok(ConnectionsPage { connections: page, next });
                }
                page.extend(self.sessions.peek(&raw).ok().map(|session| self.connection(&session)));
            }
            before = Some(place);
        }
        Ok(ConnectionsPage { connections: page, next: None })
    }

    fn connection(&self, session: &Session) -> Connection {
        let claims = &session.claims;
        Connection {
            connection: session.connection.clone(),
            subject: claims.subject.as_deref().map(str::to_owned),
            tags: claims.tags.clone(),
            issued_at: from_seconds(claims.iat),
            expires_at: from_seconds(claims.exp),
            subscription: ConnectionState::of(session),
            member: presence::member_of(self, session),
        }
    }
}

/// The place of a socket in the order of [`ChannelCore::connections`]. Its text is the cursor of a page, which appears in URLs and logs: it
/// reveals no connection id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Of the connection id, the subject and the times of the token.
    digest: [u8; DIGEST_BYTES],
    /// Distinguishes sockets without a connection id that have the same digest.
    number: u32,
}

impl Place {
    fn of(session: &Session) -> Self {
        let Session { connection, claims, .. } = session;
        let hash = Sha256::new()
            .chain_update(connection.as_deref().unwrap_or_default())
            .chain_update("\n") // not part of a connection id
            .chain_update(claims.subject.as_deref().unwrap_or_default())
            .chain_update(claims.iat.to_be_bytes())
            .chain_update(claims.exp.to_be_bytes())
            .finalize();
        let mut digest = [0; DIGEST_BYTES];
        digest.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        Self { digest, number: 0 }
    }

    fn read(cursor: &str) -> Result<Self> {
        let read = || {
            let (digest, number) = cursor.split_once('.')?;
            let mut bytes = [0; DIGEST_BYTES];
            let length = URL_SAFE_NO_PAD.decode_slice(digest, &mut bytes).ok()?;
            Some(Self { digest: bytes, number: number.parse().ok()? }).filter(|_| length == DIGEST_BYTES)
        };
        read().ok_or_else(|| {
            invalid("Invalid connections query: after must be the cursor of a previous page".to_owned())
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", URL_SAFE_NO_PAD.encode(self.digest), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_cursor_is_rejected() {
        let digest = "A".repeat(22);
        assert!(Place::read(&format!("{digest}.4294967295")).is_ok());
        for cursor in [
            "",
            ".",
            "a",
            "a.0",
            &digest,
            &format!("{digest}."),
            &format!("{digest}.-1"),
            &format!("{digest}A.0"),
            &format!("{digest}AA.0"),
        ] {
            assert_eq!(Place::read(cursor).unwrap_err().status(), 400, "{cursor}");
        }
    }
}
