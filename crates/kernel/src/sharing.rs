//! What is saved where spaces map the same pages of files.
//!
//! ```text
//!   space A  text of libc ──┐
//!   space B  text of libc ──┼──► one frame: three mappings, two pages saved
//!   space C  text of libc ──┘
//! ```
//!
//! Nothing is counted as pages are mapped: faults would pay for it. Each space that ends looks once
//! at the pages of files that it maps, and at how many mappings their frames have; for each file the
//! moment at which most pages were saved is kept.

use crate::table_sharing::owners;
use crate::{FileId, Kernel, Mapping, Platform, Pmap, SpaceId, Use};
use alloc::collections::BTreeMap;
use pagewalk_mmu::VirtAddr;

/// Files that are remembered; a program may map one after the other for ever.
const FILES_MAX: usize = 1024;

/// How the pages of a file were shared when most were saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSharing {
    /// Frames that held pages of the file, of those that the space that ended mapped.
    pub pages: u64,
    /// Their mappings, in all spaces.
    pub mappings: u64,
}

impl FileSharing {
    /// Pages that would have been needed beside these, had each mapping had its own.
    pub fn saved(&self) -> u64 {
        self.mappings - self.pages
    }
}

/// By file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sharing(BTreeMap<FileId, FileSharing>);

impl<P: Pmap> Kernel<P> {
    /// The files of which several spaces mapped the same pages, each when that saved most.
    pub fn file_sharing(&self) -> impl Iterator<Item = (FileId, FileSharing)> + '_ {
        self.sharing.0.iter().map(|(&file, &sharing)| (file, sharing))
    }

    /// Looks at what a space, which is about to end, shares with others.
    pub(crate) fn note_sharing(&mut self, platform: &impl Platform, id: SpaceId) {
        let Self { spaces, frames, sharing, page, .. } = self;
        let Some(space) = &spaces[id.0 as usize] else { return };
        if space.residency.rss_file == 0 {
            return;
        }
        let mut seen: BTreeMap<FileId, FileSharing> = BTreeMap::new();
        for region in space.regions.iter().filter(|region| region.file_at(region.start).is_some()) {
            let mut at = region.start;
            while let Some((va, mapping)) = space.pmap.next_mapping(platform, at, region.end) {
                at = VirtAddr(va.0 + page.bytes());
                let Mapping::Resident(now) = mapping else { continue };
                let Use::File { file, .. } = frames.used(now.pfn) else { continue };
                let of_file = seen.entry(file).or_default();
                of_file.pages += 1;
                of_file.mappings += u64::from(owners(spaces, frames, now.pfn));
            }
        }
        for (file, now) in seen.into_iter().filter(|(_, now)| now.saved() > 0) {
            if sharing.0.len() >= FILES_MAX && !sharing.0.contains_key(&file) {
                continue;
            }
            let most = sharing.0.entry(file).or_default();
            if now.saved() > most.saved() {
                *most = now;
            }
        }
    }
}
