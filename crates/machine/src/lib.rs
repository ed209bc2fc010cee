//! A whole machine: CPU, MMU, kernel, swap device, virtual clock and events.
