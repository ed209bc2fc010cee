//! The kernel against a map of pages where the base page has 64 KiB.

#[path = "random_operations.rs"]
mod random_operations;
