//! Instruction sets: RV64GC at user level, as decoded blocks.
