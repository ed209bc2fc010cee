//! The RISC-V Linux ABI: ELF loading, system calls, files and signals.
