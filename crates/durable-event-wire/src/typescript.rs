//! The TypeScript types of the wire's types: what a client of oRPC sends and receives.

use ts_rs::{Config, TS, TypeVisitor};

use crate::{BigInt, Blob, Custom, Date, Map, Number, Object, RegExp, Set, Undefined, Url, Value};

macro_rules! named {
    ($($rust:ty => $typescript:literal,)*) => {$(
        impl TS for $rust {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(_: &Config) -> String {
                $typescript.to_owned()
            }

            fn inline(config: &Config) -> String {
                <Self as TS>::name(config)
            }
        }
    )*};
}

named! {
    BigInt => "bigint",
    Blob => "Blob",
    Date => "Date",
    Number => "number",
    Object => "Record<string, unknown>",
    RegExp => "RegExp",
    Undefined => "undefined",
    Url => "URL",
    Value => "unknown",
}

/// `unknown`: only the application's serializers determine the class. State it for a field with `#[ts(type = "…")]`.
impl<T, const TYPE: u32> TS for Custom<T, TYPE> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &Config) -> String {
        "unknown".to_owned()
    }

    fn inline(config: &Config) -> String {
        <Self as TS>::name(config)
    }
}

impl<T: TS> TS for Set<T> {
    type WithoutGenerics = Set<()>;
    type OptionInnerType = Self;

    fn ident(_: &Config) -> String {
        "Set".to_owned()
    }

    fn name(config: &Config) -> String {
        format!("Set<{}>", T::name(config))
    }

    fn inline(config: &Config) -> String {
        format!("Set<{}>", T::inline(config))
    }

    fn visit_dependencies(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        T::visit_dependencies(visitor);
    }

    fn visit_generics(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        T::visit_generics(visitor);
        visitor.visit::<T>();
    }
}

impl<K: TS, V: TS> TS for Map<K, V> {
    type WithoutGenerics = Map<(), ()>;
    type OptionInnerType = Self;

    fn ident(_: &Config) -> String {
        "Map".to_owned()
    }

    fn name(config: &Config) -> String {
        format!("Map<{}, {}>", K::name(config), V::name(config))
    }

    fn inline(config: &Config) -> String {
        format!("Map<{}, {}>", K::inline(config), V::inline(config))
    }

    fn visit_dependencies(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        K::visit_dependencies(visitor);
        V::visit_dependencies(visitor);
    }

    fn visit_generics(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        K::visit_generics(visitor);
        visitor.visit::<K>();
        V::visit_generics(visitor);
        visitor.visit::<V>();
    }
}
