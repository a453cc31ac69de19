//! The conversions that JavaScript makes in a Worker. Every function here catches what JavaScript throws.

mod constructors;
mod number;

pub(crate) use self::{
    constructors::{is_regexp, is_url},
    number::{number_text, read_number, single_text},
};
