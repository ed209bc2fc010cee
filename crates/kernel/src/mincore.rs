//! mincore: which pages are in memory.

use crate::{Errno, Kernel, Mapping, Platform, Pmap, SpaceId};
use pagewalk_mmu::VirtAddr;

impl<P: Pmap> Kernel<P> {
    /// One byte for each page from `start` on, 1 if the page is in memory, whether it is mapped or
    /// only in the page cache. Returns how many bytes were set: as many as there are, or pages up
    /// to the end of the region.
    ///
    /// # Errors
    /// `Enomem` if `start` is in no region.
    pub fn mincore(
        &self,
        platform: &impl Platform,
        id: SpaceId,
        start: VirtAddr,
        pages: &mut [u8],
    ) -> Result<usize, Errno> {
        let region = self.space(id).regions.find(start).ok_or(Errno::Enomem)?;
        let start = start.page_base(self.page);
        let within = (region.end.0 - start.0) >> self.page.shift();
        let count = usize::try_from(within).unwrap_or(usize::MAX).min(pages.len());
        let mut va = start;
        for byte in &mut pages[..count] {
            *byte = u8::from(self.in_memory(platform, id, va));
            va.0 += self.page.bytes();
        }
        Ok(count)
    }

    fn in_memory(&self, platform: &impl Platform, id: SpaceId, va: VirtAddr) -> bool {
        match self.space(id).pmap.lookup(platform, va) {
            Mapping::Resident(_) => true,
            Mapping::Swapped(_) => false,
            Mapping::None => {
                let region = self.space(id).regions.find(va);
                region.and_then(|region| region.file_at(va)).is_some_and(|(file, offset)| {
                    let index = (offset >> self.page.shift()) as u32;
                    self.cache.find(&self.frames, file, index).is_some()
                })
            }
        }
    }
}
