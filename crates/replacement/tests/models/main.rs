//! Each policy against a plain model, written from its paper with vectors and maps.

mod adaptive;
mod clock_pro;
mod generations;
mod harness;
mod kernels;
mod laundry;
mod lirs;
mod textbook;
mod working_sets;
