//! Publishing several events at once.

use super::{ChannelCore, MICROS_PER_MILLI, PublishOptions, Published, core::MESSAGE_BYTES, presence};
use crate::{
    error::{Code, Error, PublishError, Result},
    runtime::{self, Work},
};
use durable_event_log::{AppendError, Appended, BatchItem, MAX_KEY_LENGTH, Record};
use durable_event_wire::Serialized;
use std::{ops::RangeInclusive, rc::Rc};

/// The number of events of a batch.
pub(crate) const BATCH_EVENTS: RangeInclusive<usize> = 1..=1_000;

/// The maximum size of a batch, in bytes: the sum of its events, their meta and audiences.
pub(crate) const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The maximum length of an idempotency key that is shared by the events of a batch: see [`shared_key`].
const MAX_SHARED_KEY_LENGTH: usize = MAX_KEY_LENGTH - "#999".len();

/// An event and its options.
pub(crate) struct BatchEvent {
    pub(crate) body: Serialized,
    /// Its idempotency key is not used. Events may share their options.
    pub(crate) options: Rc<PublishOptions>,
    pub(crate) key: Option<String>,
}

impl BatchEvent {
    /// Returns an event with its own options.
    pub(crate) fn new(body: Serialized, mut options: PublishOptions) -> Self {
        let key = options.idempotency_key.take();
        Self { body, options: Rc::new(options), key }
    }
}

/// The texts of options to store. An audience may have megabytes.
#[derive(Clone, Default)]
struct OptionTexts {
    extra: Option<Rc<str>>,
    audience: Option<Rc<str>>,
}

impl OptionTexts {
    fn of(options: &PublishOptions) -> Result<Self> {
        let extra = options.meta()?.to_extra();
        Ok(Self { extra: extra.map(Rc::from), audience: options.audience.rule.to_text().map(Rc::from) })
    }
}

/// The texts of an event to store.
struct Texts<'a> {
    json: &'a str,
    meta: Option<&'a str>,
    options: OptionTexts,
}

impl Texts<'_> {
    /// Returns the texts of the events of a batch. Events that share their options share the texts of them.
    ///
    /// # Errors
    /// PAYLOAD_TOO_LARGE as soon as the events are larger than a batch may be, or the error of an event with its index.
    fn of_all(events: &[BatchEvent]) -> Result<Vec<Texts<'_>>> {
        let mut all: Vec<Texts<'_>> = Vec::with_capacity(events.len());
        let mut bytes = 0_usize;
        let mut previous: Option<(&Rc<PublishOptions>, OptionTexts)> = None;
        for (at, BatchEvent { body, options, .. }) in events.iter().enumerate() {
            let json = body.json.as_deref().filter(|_| body.has_plain_root());
            let json = json.ok_or_else(|| Error::from(PublishError::NotAnObject).at_event(at))?;
            let of_options = match previous.take() {
                Some((known, texts)) if Rc::ptr_eq(known, options) => texts,
                _ => OptionTexts::of(options).map_err(|error| error.at_event(at))?,
            };
            previous = Some((options, of_options.clone()));
            let texts = Texts { json, meta: body.meta.as_deref(), options: of_options };
            bytes = bytes.saturating_add(texts.bytes());
            if bytes > MAX_BATCH_BYTES {
                return Err(too_large());
            }
            all.push(texts);
        }
        Ok(all)
    }

    fn record(&self) -> Record<'_> {
        let Self { json, meta, options: OptionTexts { extra, audience } } = self;
        Record { json, meta: *meta, extra: extra.as_deref(), audience: audience.as_deref() }
    }

    fn bytes(&self) -> usize {
        let Record { json, meta, extra, audience } = self.record();
        let texts = [Some(json), meta, extra, audience].into_iter().flatten();
        texts.fold(0, |sum, text| sum.saturating_add(text.len()))
    }
}

impl ChannelCore {
    /// Publishes events in order, all or none, and returns the result of each.
    ///
    /// # Errors
    /// The errors of a publish, with the index of the event; BAD_REQUEST for a wrong number of events, and PAYLOAD_TOO_LARGE.
    pub(crate) fn publish_batch(&self, events: &[BatchEvent]) -> Result<Vec<Published>> {
        check_count(events.len())?;
        let texts = Texts::of_all(events)?;
        let now_ms = runtime::now_ms();
        let now_us = now_ms.saturating_mul(MICROS_PER_MILLI);
        let items: Vec<_> = texts
            .iter()
            .zip(events)
            .map(|(texts, event)| BatchItem { record: texts.record(), key: event.key.as_deref() })
            .collect();
        let _delivery = self.hub.begin(Work::Delivery);
        let appended = self.append(|log, sql| {
            log.append_batch(sql, now_us, &items).map_err(|failed| match failed.index {
                Some(at) => Error::from(failed.error).at_event(at),
                None => failed.error.into(),
            })
        })?;

        // The events are stored: from here on the publish must not fail. Duplicates were sent when they were stored.
        let stored: Vec<_> = appended
            .iter()
            .zip(texts.iter().zip(events))
            .filter_map(|(appended, event)| match appended {
                Appended::Stored(id) => Some((*id, event)),
                Appended::Duplicate(_) => None,
            })
            .collect();
        let duplicates = appended.len().saturating_sub(stored.len()) as u64;
        self.counters.count_many(duplicates, |counters| &counters.duplicates);
        let size = |texts: &Texts<'_>| (texts.bytes() as u64).saturating_add(MESSAGE_BYTES);
        let mut later = stored.iter().fold(0_u64, |sum, (_, (texts, _))| sum.saturating_add(size(texts)));
        let is_in_transaction = self.transactions.is_open();
        presence::hold(self, || {
            for (id, (texts, BatchEvent { options, .. })) in &stored {
                later = later.saturating_sub(size(texts));
                let (id, messages) = (*id, self.messages(*id, &texts.record()));
                if is_in_transaction {
                    let options = Rc::clone(options);
                    self.send_on_commit(Some(id), move |core| {
                        core.send(id, &messages, runtime::now_ms(), &options.audience, later);
                    })?;
                } else {
                    self.send(id, &messages, now_ms, &options.audience, later);
                }
            }
            Ok::<_, Error>(())
        })?;
        if !is_in_transaction && !stored.is_empty() {
            self.after_publish();
        }
        let published = appended.into_iter().map(|appended| match appended {
            Appended::Stored(id) => Published { id, is_duplicate: false },
            Appended::Duplicate(id) => Published { id, is_duplicate: true },
        });
        Ok(published.collect())
    }
}

/// Checks the number of events of a batch.
pub(crate) fn check_count(count: usize) -> Result<()> {
    if BATCH_EVENTS.contains(&count) {
        return Ok(());
    }
    let (least, most) = (BATCH_EVENTS.start(), BATCH_EVENTS.end());
    let got = if count == 0 { "none" } else { "more" };
    let message = format!("a batch must have {least}–{most} events, got {got}");
    Err(Error::new(Code::BadRequest).message(message))
}

/// Returns the error for a batch that is too large.
pub(crate) fn too_large() -> Error {
    Error::new(Code::PayloadTooLarge)
        .message(format!("a batch must have at most {MAX_BATCH_BYTES} bytes, got more"))
}

/// Returns the idempotency key of the event at an index, if one key makes the whole batch idempotent: that of the first event is the
/// key, that of others is `<key>#<index>`.
///
/// # Errors
/// [`Error::is_invalid_key`] if the key is so long that the keys of a batch of maximum size would be too long.
pub(crate) fn shared_key(key: &str, index: usize) -> Result<String> {
    if key.len() > MAX_SHARED_KEY_LENGTH {
        return Err(Error::from(AppendError::InvalidKey).message(format!(
            "idempotency key of a batch must be 1–{MAX_SHARED_KEY_LENGTH} visible ASCII characters"
        )));
    }
    Ok(if index == 0 { key.to_owned() } else { format!("{key}#{index}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Audience, channel::event_body};

    fn event() -> Serialized {
        event_body(&serde_json::json!({ "n": 1 })).unwrap()
    }

    #[test]
    fn shared_options_are_written_once_and_count_for_each_event() {
        let audience = Audience::everyone().to_connections((0..2_000).map(|n| format!("connection-{n}")));
        let options = Rc::new(PublishOptions::from(audience));
        let batch = |count: usize| -> Vec<BatchEvent> {
            let one = |_| BatchEvent { body: event(), options: Rc::clone(&options), key: None };
            (0..count).map(one).collect()
        };
        let some = batch(100);
        let texts = Texts::of_all(&some).unwrap();
        let audiences: Vec<_> = texts.iter().filter_map(|texts| texts.options.audience.as_ref()).collect();
        assert_eq!(audiences.len(), 100);
        assert!(audiences.iter().all(|audience| Rc::ptr_eq(audience, audiences[0])));
        assert_eq!(Texts::of_all(&batch(1_000)).err().unwrap().status(), 413);
    }

    #[test]
    fn an_event_has_its_own_options() {
        let tagged = |tag: &str| BatchEvent::new(event(), Audience::everyone().tagged(tag).into());
        let events = [tagged("a"), tagged("b"), BatchEvent::new(event(), PublishOptions::new())];
        let texts = Texts::of_all(&events).unwrap();
        let audiences: Vec<_> = texts.iter().map(|texts| texts.options.audience.as_deref()).collect();
        assert_eq!(audiences, [Some(r#"{"tagged":["a"]}"#), Some(r#"{"tagged":["b"]}"#), None]);
    }

    #[test]
    fn the_keys_of_the_largest_batch_are_valid() {
        let key = "k".repeat(MAX_SHARED_KEY_LENGTH);
        let last = BATCH_EVENTS.end() - 1;
        assert_eq!(shared_key(&key, last).unwrap().len(), MAX_KEY_LENGTH);
        assert_eq!(shared_key(&key, 0).unwrap(), key);
        assert_eq!(shared_key("a", 7).unwrap(), "a#7");
        let error = shared_key(&format!("{key}k"), 0).unwrap_err();
        assert!(error.is_invalid_key());
        assert_eq!(
            error.public_message(),
            "idempotency key of a batch must be 1–251 visible ASCII characters"
        );
    }

    #[test]
    fn a_batch_has_1_to_1000_events() {
        assert!(check_count(1).is_ok() && check_count(1_000).is_ok());
        let error = check_count(1_001).unwrap_err();
        assert_eq!(
            (error.status(), error.public_message()),
            (400, "a batch must have 1–1000 events, got more")
        );
        assert!(check_count(0).is_err());
    }
}
