//! What a report says of segments.

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounters {
    /// Blocks that were moved, because they had to grow or were in the way.
    pub moves: u64,
    /// Bytes copied by moves.
    pub bytes_moved: u64,
    /// Compactions: free memory sufficed, but not in one block.
    pub compactions: u64,
    /// Requests refused because memory did not suffice.
    pub refused_memory: u64,
    /// Requests refused because no run of free segments, or of addresses, was long enough.
    pub refused_segments: u64,
    /// What the last refused request for memory lacked, in bytes.
    pub bytes_missing: u64,
    /// The most segments in use at once.
    pub peak_segments: u64,
    /// The most frames in use at once.
    pub peak_frames: u64,
}

/// How memory lies now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Segments in use; behind bounds, programs; without translation, runs of memory.
    pub segments: u64,
    /// Frames for programs.
    pub frames: u64,
    /// Frames that are free.
    pub frames_free: u64,
    /// Frames of the largest free block.
    pub frames_largest: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Frames in use that no region needs: internal fragmentation.
    pub frames_wasted: u64,
    /// Frames of anonymous regions.
    pub frames_anon: u64,
    /// Frames of mapped files.
    pub frames_file: u64,
}
