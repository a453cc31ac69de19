//! The loop over the rows of a page.

use crate::runtime::{Cursor, JsError, PageRows, RpcValue};
use js_sys::Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/page.js")]
extern "C" {
    #[wasm_bindgen(js_name = Page)]
    type JsPage;

    #[wasm_bindgen(constructor, js_class = "Page", catch)]
    fn construct() -> Result<JsPage, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Page", js_name = add)]
    fn add_js(
        this: &JsPage,
        cursor: &JsValue,
        admits: &dyn Fn(String) -> bool,
        make_safe: &dyn Fn(String) -> Option<String>,
    ) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Page", js_name = finish)]
    fn finish_js(
        this: &JsPage,
        is_reversed: bool,
        next: Option<&str>,
        gap: Option<&str>,
        more: bool,
    ) -> Result<JsValue, JsValue>;
}

/// The events of a page. They do not enter WASM.
pub(crate) struct Page(JsPage);

impl Page {
    pub(crate) fn new() -> Result<Self, JsError> {
        Ok(Self(JsPage::construct()?))
    }

    /// Adds the rows of one statement. `admits` receives the stored audience of a row that has one. `make_safe` converts a marked row
    /// (see `channel/replay_row.rs`) to an event, or returns `None` to skip it.
    pub(crate) fn add(
        &mut self,
        cursor: &Cursor,
        admits: &dyn Fn(&str) -> bool,
        make_safe: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PageRows, JsError> {
        let added =
            self.0.add_js(cursor, &|audience: String| admits(&audience), &|row: String| make_safe(&row))?;
        let number = |n| added.get(n).as_f64();
        Ok(PageRows {
            rows: number(0).map_or(0, |rows| rows as u32),
            last: number(1).map(|id| id as u64),
            is_full: added.get(2).is_truthy(),
            events: number(3).map_or(0, |events| events as u32),
            size: number(4).map_or(0, |size| size as u64),
        })
    }

    /// Returns the text of the page. With `is_reversed`, the events were added newest first.
    pub(crate) fn finish(
        self,
        is_reversed: bool,
        next: Option<&str>,
        gap: Option<&str>,
        more: bool,
    ) -> Result<RpcValue, JsError> {
        Ok(self.0.finish_js(is_reversed, next, gap, more)?)
    }
}
