//! A virtual-memory kernel: frames, address spaces, faults, swap and page-out.
