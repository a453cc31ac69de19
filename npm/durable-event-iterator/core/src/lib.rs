//! The core of the classes `DurableEventIteratorObject` and `DurableIteratorObject` of the npm package.

use durable_event_iterator::__private::{
    self as private,
    wasm_bindgen::{self, JsValue, prelude::wasm_bindgen},
};

/// The core of one instance of a class. The class in `src/durable-object/` of the package holds it.
#[allow(missing_debug_implementations)]
#[wasm_bindgen(wasm_bindgen = private::wasm_bindgen)]
pub struct Core(private::Core);

#[wasm_bindgen(wasm_bindgen = private::wasm_bindgen)]
impl Core {
    /// Creates a core from the `ctx` and `env` of the class, and the functions that the core calls.
    #[wasm_bindgen(constructor)]
    pub fn new(ctx: private::DurableObjectState, env: private::Env, class: JsValue) -> Self {
        Self(private::Core::new(ctx, env, class))
    }

    // `extend_core` replaces these by the event handlers of the Workers runtime, and by `operate`.

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __text)]
    pub fn text(&self, ws: JsValue, socket_id: u32, now_ms: f64, text: String) -> JsValue {
        self.0.instance().message(private::Arrival { ws, socket_id, now_ms }, private::Message::Text(text))
    }

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __bytes)]
    pub fn bytes(&self, ws: JsValue, socket_id: u32, now_ms: f64, bytes: Vec<u8>) -> JsValue {
        self.0.instance().message(private::Arrival { ws, socket_id, now_ms }, private::Message::Bytes(bytes))
    }

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __enter)]
    pub fn enter(&self, entry: u8, first: JsValue, second: JsValue) -> JsValue {
        self.0.instance().enter(entry, first, second)
    }

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __operate)]
    pub fn operate(
        &self,
        operation: u8,
        first: JsValue,
        second: JsValue,
        third: JsValue,
        fourth: JsValue,
    ) -> JsValue {
        self.0.operate(operation, [first, second, third, fourth])
    }

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __handle)]
    pub fn handle(&self, request: JsValue, namespace: JsValue, options: JsValue) -> JsValue {
        self.0.handle(request, namespace, &options)
    }

    #[doc(hidden)]
    #[wasm_bindgen(js_name = __nothing)]
    pub fn nothing() {}
}

#[wasm_bindgen(start, private, wasm_bindgen = private::wasm_bindgen)]
fn start() {
    private::extend_core(JsValue::from(Core(private::Core::none())));
}
