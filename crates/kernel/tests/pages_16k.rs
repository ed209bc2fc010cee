//! The kernel against a map of pages where the base page has 16 KiB.

#[path = "random_operations.rs"]
mod random_operations;
