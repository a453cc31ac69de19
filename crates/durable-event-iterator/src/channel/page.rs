//! Pages of retained events, which Workers read through a stub.

use super::{
    ChannelCore, MICROS_PER_MILLI,
    audience::AudienceRule,
    replay_row::{event_of, page_expression},
    revocation::revoked,
};
use crate::{
    counters::Anomaly,
    error::{Code, Error, Result},
    runtime::{self, Page, RpcValue},
    socket::session::Kind,
};
use durable_event_log::{EventId, Log, Param, ResumeFrom, TokenParts};
use serde::{Deserialize, Serialize};

/// Maximum number of events of a page.
pub(crate) const MAX_PAGE_EVENTS: u32 = 1_000;

/// The number of events of a page without a limit.
const DEFAULT_PAGE_EVENTS: u32 = 100;

/// Maximum size of a page in characters, except for its last event, which may exceed it.
const MAX_PAGE_SIZE: u64 = 4 * 1024 * 1024;

/// Maximum number of rows that one page reads: events for other clients are skipped.
const MAX_PAGE_ROWS: u32 = 5_000;

/// A query of a page: the argument of the RPC method `~read`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    /// The cursor: the id of the last event that the reader knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// Seconds since 1970: the events stored at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<f64>,
    /// The number of newest events, 0 to [`MAX_PAGE_EVENTS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u32>,
    /// Maximum number of events, 1 to [`MAX_PAGE_EVENTS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
    /// Whether the page contains no events, and its cursor is the one before its first event.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) position: bool,
    pub(crate) reader: Reader,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The reader of a page: which audiences include it, and where it begins without a position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Reader {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    /// The connection id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The subject of the reader's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// Whether the reader receives the events of every audience.
    pub(crate) every_audience: bool,
    /// The time of issue of the reader's token, in seconds since 1970. Without it, the reader begins with the oldest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_at: Option<f64>,
    /// The time of expiry of the reader's token, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<f64>,
    /// Whether the token is for a `DurableIterator` client.
    pub(crate) is_durable_iterator: bool,
}

impl PageQuery {
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(Code::BadRequest).message(message));
        let positions = [self.after.is_some(), self.since.is_some(), self.last.is_some()];
        if positions.into_iter().filter(|is_given| *is_given).count() > 1 {
            return invalid("Invalid read query: expected at most one of after, since and last".to_owned());
        }
        if self.since.is_some_and(|since| !since.is_finite() || since < 0.0) {
            return invalid("Invalid read query: since must be a number of seconds since 1970".to_owned());
        }
        match (self.last, self.limit) {
            (Some(_), Some(_)) => invalid("Invalid read query: limit does not apply to last".to_owned()),
            (Some(last), _) if last > MAX_PAGE_EVENTS => {
                invalid(format!("Invalid read query: last must be 0 to {MAX_PAGE_EVENTS}, got {last}"))
            }
            (_, Some(limit)) if limit == 0 || limit > MAX_PAGE_EVENTS => {
                invalid(format!("Invalid read query: limit must be 1 to {MAX_PAGE_EVENTS}, got {limit}"))
            }
            _ => Ok(()),
        }
    }

    fn from(&self, durable_iterators_start_live: bool) -> ResumeFrom<'_> {
        match (&self.after, self.since, self.reader.issued_at) {
            (Some(id), ..) => ResumeFrom::LastEventId(id),
            (_, Some(since), _) => ResumeFrom::Since(since),
            (_, _, Some(_)) if self.reader.is_durable_iterator && durable_iterators_start_live => {
                ResumeFrom::End
            }
            (_, _, Some(issued_at)) => ResumeFrom::IssuedAt(issued_at),
            _ => ResumeFrom::Start,
        }
    }
}

/// The end of a page.
struct End {
    /// The cursor of the next page.
    next: u64,
    gap: Option<EventId>,
    /// Whether there are events after the page.
    more: bool,
}

impl ChannelCore {
    /// Returns a page of retained events, as JSON text:
    /// `{"events":[{"id":"…","json":…,"meta":[…]?,"retry":n?,"comments":[…]?}],"next":"…"|null,"gap":"…"|null,"more":bool}`.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, UNAUTHORIZED if the reader's token is revoked, SERVICE_UNAVAILABLE if the storage fails while the
    /// token is checked, or another storage failure.
    pub(crate) fn read(&self, query: &PageQuery) -> Result<RpcValue> {
        query.check()?;
        if let (Some(issued_at), Some(expires_at)) = (query.reader.issued_at, query.reader.expires_at) {
            self.note_token(issued_at, expires_at);
        }
        let Reader { id, subject, issued_at, .. } = &query.reader;
        if let Some(issued_at) = *issued_at {
            let token = TokenParts { connection: id.as_deref(), subject: subject.as_deref(), issued_at };
            if self.is_token_revoked(&token)? {
                return Err(revoked());
            }
        }
        // If a statement fails because the log's tables were deleted, the log is opened again and reports the gap.
        self.read_once(query).or_else(|error| match error.is_storage_failure() {
            true => self.read_once(query),
            false => Err(error),
        })
    }

    fn read_once(&self, query: &PageQuery) -> Result<RpcValue> {
        let mut page = Page::new()?;
        let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
        let end = match query.last {
            Some(last) => self.read_last(&mut page, query, last, now_us)?,
            None => self.read_next(&mut page, query, now_us)?,
        };
        if end.gap.is_some() {
            self.counters.report(Anomaly::Gap);
        }
        let has_events = self.last_event_id()?.is_some();
        let next = Some(EventId::saturating(end.next)).filter(|_| has_events && end.next > 0);
        let text = |id: Option<EventId>| id.map(|id| id.to_string());
        let is_reversed = query.last.is_some();
        Ok(page.finish(is_reversed, text(next).as_deref(), text(end.gap).as_deref(), end.more)?)
    }

    /// Reads the events after a position, oldest first.
    fn read_next(&self, page: &mut Page, query: &PageQuery, now_us: u64) -> Result<End> {
        let from = query.from(self.options.durable_iterators_start_live);
        let resume = self.with_log(|log, sql| log.resume(sql, now_us, from))?;
        if query.position {
            return Ok(End { next: resume.after, gap: resume.gap, more: true });
        }
        let limit = query.limit.unwrap_or(DEFAULT_PAGE_EVENTS);
        let event = page_expression();
        let next = self.read_rows(page, query, limit, resume.after, |log, after, rows, room| {
            log.page(after, now_us, rows, room, &event)
        })?;
        let more = self.with_log(|log, _| Ok::<_, Error>(log.page(next, now_us, 1, 0, "id").is_some()))?;
        Ok(End { next, gap: resume.gap, more })
    }

    /// Reads the newest events, newest first.
    fn read_last(&self, page: &mut Page, query: &PageQuery, last: u32, now_us: u64) -> Result<End> {
        let end = self.with_log(|log, sql| log.resume(sql, now_us, ResumeFrom::End))?;
        let event = page_expression();
        let before = self.read_rows(page, query, last, u64::MAX, |log, before, rows, room| {
            log.page_before(before, now_us, rows, room, &event)
        })?;
        if query.position {
            *page = Page::new()?;
            let next = if before == u64::MAX { end.after } else { before.saturating_sub(1) };
            return Ok(End { next, gap: None, more: true });
        }
        Ok(End { next: end.after, gap: None, more: false })
    }

    /// Reads rows from a position on, until the page is full or there are no more rows. Returns the position after them.
    fn read_rows(
        &self,
        page: &mut Page,
        query: &PageQuery,
        limit: u32,
        from: u64,
        statement: impl Fn(&Log, u64, u32, u64) -> Option<durable_event_log::Page>,
    ) -> Result<u64> {
        let reader = &query.reader;
        let admits = |audience: &str| {
            reader.every_audience
                || AudienceRule::stored(Some(audience)).admits(reader.id.as_deref(), &reader.tags, false)
        };
        let make_safe = |row: &str| self.safe_tail(row, Kind::Client).and_then(|tail| event_of(&tail));
        let (mut at, mut rows, mut events, mut room) = (from, MAX_PAGE_ROWS, limit, MAX_PAGE_SIZE);
        loop {
            let wanted = events.min(rows);
            if wanted == 0 || room == 0 {
                return Ok(at);
            }
            let opened = self.with_log(|log, sql| {
                let Some(statement) = statement(log, at, wanted, room) else { return Ok(None) };
                let params: Vec<_> = statement.params.iter().copied().map(Param::Number).collect();
                Ok::<_, Error>(Some((statement.end, sql.open(&statement.sql, &params)?)))
            })?;
            let Some((end, cursor)) = opened else { return Ok(at) };
            let read = page.add(&cursor, &admits, &make_safe)?;
            at = match read.last {
                Some(last) if read.is_full || read.rows >= wanted => last,
                _ => end,
            };
            rows = rows.saturating_sub(read.rows);
            events = limit.saturating_sub(read.events);
            room = MAX_PAGE_SIZE.saturating_sub(read.size);
            if read.is_full && read.events > 0 {
                return Ok(at);
            }
        }
    }
}
