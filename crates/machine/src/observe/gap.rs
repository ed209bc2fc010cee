//! How far a policy is from OPT.
//!
//! Compared is one string: the references that were made while the policy ran.
//!
//! ```text
//!   the policy's faults: references to pages that were loaded since their last reference
//!     = first references (cold)  +  references to pages that had been evicted (refaults)
//!   OPT's faults:        Belady on the recorded string
//!     = the same cold ones       +  its refaults
//! ```
//!
//! OPT has as many frames as ever held pages at one time, but never those that held page tables
//! just then. The machine had each page in a frame when it was referenced, never more pages than OPT
//! has frames, and loaded a page for each of its faults. That is a schedule for the string, and none
//! has fewer loads than OPT: so the policy's faults are never below.

use std::io;

use pagewalk_replacement::Belady;

use super::capacity::Capacity;
use super::recording::Recording;

/// Faults of OPT in the frames that `capacity` says, but at least `fewest` and at most `most`.
///
/// # Errors
/// If the recording cannot be read.
pub fn opt_faults(
    recording: &Recording,
    capacity: &Capacity,
    fewest: u64,
    most: u64,
) -> io::Result<u64> {
    let mut opt = Belady::new(most);
    let mut span = 0;
    for entry in recording.read() {
        let entry = entry?;
        for frames in capacity.until(&mut span, entry.time) {
            opt.set_frames(frames.clamp(fewest, most));
        }
        opt.reference(entry.page, entry.time, entry.next);
    }
    Ok(opt.faults())
}
