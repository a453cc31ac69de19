//! `durable_object!`.

/// Exports a Durable Object class to the Workers runtime.
///
/// `durable_object!(pub ChatRoom: Chat)` exports the class `ChatRoom`, implemented by the type `Chat`, which implements
/// [`DurableEventIteratorObject`](crate::DurableEventIteratorObject). `wrangler.toml` refers to the class by this name:
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
/// Stubs of the class have the RPC method `publish(event, options?)`, and the application's
/// [RPC methods](crate::DurableEventIteratorObject::rpc_methods).
#[macro_export]
macro_rules! durable_object {
    ($(#[$attribute:meta])* $visibility:vis $class:ident: $object:ty) => {
        // There are no classes on native targets; only the type is checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = $crate::__private::is_object::<$object>();

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private as private;
            use private::wasm_bindgen::{self, prelude::*};

            $(#[$attribute])*
            #[allow(missing_docs, unreachable_pub)]
            #[wasm_bindgen(wasm_bindgen = $crate::__private::wasm_bindgen)]
            pub struct $class {
                instance: private::Instance,
            }

            #[allow(missing_docs, unreachable_pub)]
            #[wasm_bindgen(
                wasm_bindgen = $crate::__private::wasm_bindgen,
                wasm_bindgen_futures = $crate::__private::wasm_bindgen_futures,
                js_sys = $crate::__private::js_sys
            )]
            impl $class {
                #[wasm_bindgen(constructor)]
                pub fn new(ctx: private::DurableObjectState, env: private::Env) -> $class {
                    let class = ::core::stringify!($class);
                    $class { instance: private::Instance::new::<$object>(class, ctx, env) }
                }

                // `extend` removes these from the class, and defines the event handlers of the Workers runtime instead.
                #[wasm_bindgen(js_name = __text)]
                pub fn __text(
                    &self,
                    ws: JsValue,
                    socket_id: u32,
                    now_ms: f64,
                    text: ::std::string::String,
                ) -> JsValue {
                    self.instance.message(private::Arrival { ws, socket_id, now_ms }, private::Message::Text(text))
                }

                #[wasm_bindgen(js_name = __bytes)]
                pub fn __bytes(
                    &self,
                    ws: JsValue,
                    socket_id: u32,
                    now_ms: f64,
                    bytes: ::std::vec::Vec<u8>,
                ) -> JsValue {
                    self.instance.message(private::Arrival { ws, socket_id, now_ms }, private::Message::Bytes(bytes))
                }

                #[wasm_bindgen(js_name = __enter)]
                pub fn __enter(&self, entry: u8, first: JsValue, second: JsValue) -> JsValue {
                    self.instance.enter(entry, first, second)
                }

                #[wasm_bindgen(js_name = __nothing)]
                pub fn __nothing() {}
            }

            // Named after the class, because two start functions with the same name would collide.
            #[allow(non_snake_case)]
            #[wasm_bindgen(start, private, wasm_bindgen = $crate::__private::wasm_bindgen)]
            fn $class() {
                private::extend::<$object>(
                    ::core::stringify!($class),
                    JsValue::from($class { instance: private::Instance::none() }),
                );
            }
        };
    };
}
