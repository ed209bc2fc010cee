//! Page-table formats, page walkers and TLBs of real machines, bit for bit.
