//! `durable_object!`.

/// Exports an object as a Durable Object class.
///
/// `durable_object!(pub ChatRoom: Chat)` makes the class `ChatRoom` from a `Chat` that implements
/// [`DurableEventIteratorObject`](crate::DurableEventIteratorObject). The name is the one in `wrangler.toml`:
///
/// ```toml
/// [[durable_objects.bindings]]
/// name = "CHAT_ROOM"
/// class_name = "ChatRoom"
///
/// [[migrations]]
/// tag = "v1"
/// new_sqlite_classes = ["ChatRoom"]
/// ```
///
/// The class can be reached through stubs: `publish(event, options?)`, and what the object lists in
/// [`methods`](crate::DurableEventIteratorObject::methods).
#[macro_export]
macro_rules! durable_object {
    ($(#[$attribute:meta])* $visibility:vis $class:ident: $object:ty) => {
        const _: () = {
            use $crate::__private as private;
            use private::wasm_bindgen::{self, prelude::*};

            $(#[$attribute])*
            #[allow(missing_docs, unreachable_pub)]
            #[wasm_bindgen(wasm_bindgen = $crate::__private::wasm_bindgen)]
            pub struct $class {
                // None only in the instance that shows the class to `extend`.
                host: ::core::option::Option<::std::rc::Rc<dyn private::AnyHost>>,
            }

            #[allow(missing_docs, unreachable_pub)]
            #[wasm_bindgen(
                wasm_bindgen = $crate::__private::wasm_bindgen,
                wasm_bindgen_futures = $crate::__private::wasm_bindgen_futures,
                js_sys = $crate::__private::js_sys
            )]
            impl $class {
                #[wasm_bindgen(constructor)]
                pub fn new(
                    ctx: private::DurableObjectState,
                    env: private::Env,
                ) -> ::core::result::Result<$class, JsValue> {
                    let host = private::host::<$object>(::core::stringify!($class), ctx, env)?;
                    ::core::result::Result::Ok($class { host: ::core::option::Option::Some(host) })
                }

                #[wasm_bindgen(js_name = fetch)]
                pub fn fetch(&self, request: private::Request) -> ::core::result::Result<JsValue, JsValue> {
                    match &self.host {
                        ::core::option::Option::Some(host) => host.fetch(request),
                        ::core::option::Option::None => ::core::result::Result::Err(JsValue::UNDEFINED),
                    }
                }

                // Those that begin with two underscores are taken off the class by `extend`, which defines the platform's
                // own in their place.
                #[wasm_bindgen(js_name = __alarm)]
                pub fn __alarm(&self) -> ::core::result::Result<JsValue, JsValue> {
                    match self.host.clone() {
                        ::core::option::Option::Some(host) => host.alarm(),
                        ::core::option::Option::None => ::core::result::Result::Err(JsValue::UNDEFINED),
                    }
                }

                #[wasm_bindgen(js_name = __text)]
                pub fn __text(&self, ws: JsValue, text: ::std::string::String) -> JsValue {
                    match self.host.clone() {
                        ::core::option::Option::Some(host) => host.message(ws, private::Message::Text(text)),
                        ::core::option::Option::None => JsValue::UNDEFINED,
                    }
                }

                #[wasm_bindgen(js_name = __bytes)]
                pub fn __bytes(&self, ws: JsValue, bytes: ::std::vec::Vec<u8>) -> JsValue {
                    match self.host.clone() {
                        ::core::option::Option::Some(host) => host.message(ws, private::Message::Bytes(bytes)),
                        ::core::option::Option::None => JsValue::UNDEFINED,
                    }
                }

                #[wasm_bindgen(js_name = webSocketClose)]
                pub fn web_socket_close(&self, ws: JsValue, code: JsValue) {
                    if let ::core::option::Option::Some(host) = &self.host {
                        host.close(ws, code);
                    }
                }

                #[wasm_bindgen(js_name = webSocketError)]
                pub fn web_socket_error(&self, ws: JsValue) {
                    if let ::core::option::Option::Some(host) = &self.host {
                        host.error(ws);
                    }
                }

                #[wasm_bindgen(js_name = publish)]
                pub fn publish(
                    &self,
                    event: JsValue,
                    options: JsValue,
                ) -> ::core::result::Result<JsValue, JsValue> {
                    match &self.host {
                        ::core::option::Option::Some(host) => host.publish(event, options),
                        ::core::option::Option::None => ::core::result::Result::Err(JsValue::UNDEFINED),
                    }
                }

                #[wasm_bindgen(js_name = __dispatch)]
                pub fn __dispatch(
                    &self,
                    name: ::std::string::String,
                    arguments: JsValue,
                ) -> ::core::result::Result<JsValue, JsValue> {
                    match self.host.clone() {
                        ::core::option::Option::Some(host) => host.dispatch(name, arguments),
                        ::core::option::Option::None => ::core::result::Result::Err(JsValue::UNDEFINED),
                    }
                }
            }

            // Named after the class: two start functions of one name would collide.
            #[allow(non_snake_case)]
            #[wasm_bindgen(start, private, wasm_bindgen = $crate::__private::wasm_bindgen)]
            fn $class() {
                private::extend::<$object>(
                    ::core::stringify!($class),
                    JsValue::from($class { host: ::core::option::Option::None }),
                );
            }
        };
    };
}
