//! The memory manager of machines without pages.

mod allocator;
mod calls;
mod growth;
mod mock;
mod random;
