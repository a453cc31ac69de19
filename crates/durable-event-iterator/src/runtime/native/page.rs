//! The loop over the rows of a page. It does what `page.js` does on the Workers runtime.

use super::{Cursor, RpcValue};
use crate::runtime::{JsError, PageRows};
use durable_event_log::Cell;

/// The events of a page.
#[derive(Default)]
pub(crate) struct Page {
    events: Vec<String>,
    size: u64,
}

#[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime they may fail")]
impl Page {
    pub(crate) fn new() -> Result<Self, JsError> {
        Ok(Self::default())
    }

    /// Adds the rows of one statement. `admits` receives the stored audience of a row that has one. `make_safe` converts a marked row
    /// (see `channel/replay_row.rs`) to an event, or returns `None` to skip it.
    pub(crate) fn add(
        &mut self,
        cursor: &Cursor,
        admits: &dyn Fn(&str) -> bool,
        make_safe: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PageRows, JsError> {
        let mut read = PageRows { rows: 0, last: None, is_full: false, events: 0, size: 0 };
        for row in cursor {
            let [Cell::Number(id), event, audience] = row.as_slice() else {
                return Err(JsError::new("a row of a page must be an id, an event and an audience"));
            };
            if *event == Cell::Null && read.rows > 0 {
                read.is_full = true;
                break;
            }
            read.rows = read.rows.saturating_add(1);
            read.last = Some(*id as u64);
            let is_admitted = match audience {
                Cell::Null => true,
                Cell::Text(audience) => admits(audience),
                Cell::Number(_) => false,
            };
            let Cell::Text(event) = event else { continue };
            let event = if event.starts_with('{') { Some(event.clone()) } else { make_safe(event) };
            let Some(event) = event.filter(|_| is_admitted) else { continue };
            self.size = self.size.saturating_add(event.encode_utf16().count() as u64);
            self.events.push(event);
        }
        read.events = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        read.size = self.size;
        Ok(read)
    }

    /// Returns the text of the page. With `is_reversed`, the events were added newest first.
    pub(crate) fn finish(
        mut self,
        is_reversed: bool,
        next: Option<&str>,
        gap: Option<&str>,
        more: bool,
    ) -> Result<RpcValue, JsError> {
        if is_reversed {
            self.events.reverse();
        }
        let id = |text: Option<&str>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let (events, next, gap) = (self.events.join(","), id(next), id(gap));
        let text = format!(r#"{{"events":[{events}],"next":{next},"gap":{gap},"more":{more}}}"#);
        Ok(RpcValue::String(text))
    }
}
