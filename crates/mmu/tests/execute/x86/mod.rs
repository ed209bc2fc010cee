//! The x86 family: which states are executed, on which machines, and what is compared.
//!
//! [`layout`] draws memory, [`pages`] what mappings lead to, [`bits`] an entry, [`space`] what
//! there is to choose from, [`states`] the choices; [`expected`] asks our walker, [`machine`] the
//! guest, [`compare`] both.

mod bits;
mod compare;
mod expected;
mod layout;
mod machine;
mod pages;
mod space;
mod states;

pub use compare::compare;
pub use layout::Mode;
pub use machine::{Failure, Machine, Model};
