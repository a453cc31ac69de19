//! Conversions and checks that JavaScript performs in a Worker. No function here lets a JavaScript exception escape.

mod constructors;
mod number;

pub(crate) use self::{
    constructors::{is_regexp, is_url},
    number::{number_text, read_number, single_text},
};
