//! What each policy is, in a sentence or two, for people who choose one.

use crate::PolicyKind;

/// A policy in words. What is said at length stands in the policy's own module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// How it chooses.
    pub idea: &'static str,
    /// Where it does badly.
    pub weakness: &'static str,
    /// Who described it, where and when; or whose it is.
    pub source: &'static str,
}

impl PolicyKind {
    /// The policy in words.
    pub const fn about(self) -> About {
        let (idea, weakness, source) = match self {
            Self::Clock => (
                "A hand goes round all frames: a referenced page loses its bit and stays, the first \
                 without it goes.",
                "One bit tells a page used once from one used always only once a turn; a long scan \
                 of pages used once drives out all others.",
                "Corbató, A Paging Experiment with the Multics System, 1968",
            ),
            Self::Fifo => (
                "The page that was loaded first goes.",
                "Use does not matter, so the hottest pages go as well; more memory can mean more \
                 faults (Belady's anomaly).",
                "Belady, A Study of Replacement Algorithms, 1966",
            ),
            Self::Random => (
                "Any page goes.",
                "It learns nothing; but no reference pattern is its worst, either.",
                "Belady, 1966",
            ),
            Self::SecondChance => (
                "FIFO, but a page at the head that was referenced goes to the tail once more.",
                "CLOCK's choices at the cost of moving queue entries.",
                "Tanenbaum, Modern Operating Systems, 3.4.4",
            ),
            Self::GClock { .. } => (
                "CLOCK with a counter of `bits` bits for each page: references count up, the hand \
                 counts down, a page at 0 goes.",
                "The wider the counters, the more turns until a page that was hot once can go.",
                "Smith, Sequentiality and Prefetching in Database Systems, 1978",
            ),
            Self::Nru { .. } => (
                "Pages are of four classes, by referenced and modified bit; one of the lowest class \
                 goes. A harvest clears the referenced bits.",
                "Within a class it does not choose; what was used just before a harvest looks unused.",
                "Tanenbaum, 3.4.2",
            ),
            Self::Aging => (
                "Eight bits of history for each page, shifted at each harvest with the referenced \
                 bit in front; the page with the lowest number goes.",
                "It forgets after eight harvests, and sees one reference a harvest.",
                "Tanenbaum, 3.4.7",
            ),
            Self::FreeBsd(_) => (
                "Queues active, inactive and cache: act_count rises with references and falls with \
                 looks in vain; inactive pages are laundered on their second trip.",
                "A page once hot needs up to 64 looks to become inactive.",
                "FreeBSD, sys/vm/vm_pageout.c, before version 7",
            ),
            Self::FreeBsdLaundry(_) => (
                "The same counters, on a clock of two hands; modified pages go to a laundry of their \
                 own, and a controller says how many clean ones are freed in an `interval`.",
                "In a shortage every active page is looked at in each run.",
                "FreeBSD 13, sys/vm/vm_pageout.c and sys/kern/subr_pidctrl.c",
            ),
            Self::Linux { .. } => (
                "Active and inactive lists for anonymous pages and for those of files; a page that \
                 comes back soon enough becomes active at once (refault distance).",
                "Active pages are not told apart; balance between the types is a guess from costs.",
                "Linux, mm/vmscan.c and mm/workingset.c",
            ),
            Self::Car => (
                "Two clocks, for pages used once and for pages used again, whose sizes adapt to \
                 which of the evicted pages come back.",
                "Two references soon after each other pass for frequent use.",
                "Bansal, Modha, CAR: Clock with Adaptive Replacement, FAST 2004",
            ),
            Self::ClockPro => (
                "One clock with hot and cold pages and three hands; a cold page whose test finds it \
                 used again becomes hot, and the share of the cold adapts.",
                "The adaptation is slow where phases are short.",
                "Jiang, Chen, Zhang, CLOCK-Pro, USENIX ATC 2005",
            ),
            Self::LirsScan { .. } => (
                "LIRS as far as bits show it: pages whose last two uses were close stay; the others, \
                 `hirs` percent of memory, go in turn, and are remembered.",
                "Between two harvests all uses are alike; a small `hirs` gives late uses no chance.",
                "Jiang, Zhang, LIRS, SIGMETRICS 2002; used as the harvest finds it",
            ),
            Self::WorkingSet { .. } => (
                "Pages used in the last `tau` cycles stay; the others are given up although no frame \
                 is wanted.",
                "tau is right for one phase of one program; use is known as exactly as harvests \
                 come.",
                "Denning, The Working Set Model for Program Behavior, 1968",
            ),
            Self::WsClock { .. } => (
                "The working set found by a clock: a page not used for `tau` cycles goes if it is \
                 clean, and is laundered if not.",
                "tau again; where few pages are old, the hand goes far for each.",
                "Carr, Hennessy, WSClock, SOSP 1981",
            ),
            Self::Pff { .. } => (
                "At a fault more than `threshold` cycles after the last, unused pages are given up; \
                 if faults come faster, it grows.",
                "It learns only at faults: between two phases it holds both.",
                "Chu, Opderbeck, The Page Fault Frequency Replacement Algorithm, 1972",
            ),
            Self::Vms { .. } => (
                "A FIFO working set before lists of standby and modified pages, `secondary` percent \
                 of all; what is used on the lists is saved, what is modified written in clusters.",
                "The hottest pages go through the lists again and again.",
                "Levy, Lipman, Virtual Memory Management in the VAX/VMS Operating System, 1982",
            ),
            Self::Mglru { .. } => (
                "Generations: a look at all pages puts those used into the youngest; pages of the \
                 oldest go.",
                "A look at all pages at once; within a generation use does not matter.",
                "Linux 6.6, mm/vmscan.c",
            ),
            Self::Lru => (
                "The page not used for the longest time goes. It sees every reference, which no \
                 hardware shows.",
                "A loop one page larger than memory faults always.",
                "Mattson and others, Evaluation Techniques for Storage Hierarchies, 1970",
            ),
            Self::Opt => (
                "The page that is used again last goes. It sees the future: what a first run of the \
                 same program found.",
                "No system can do it.",
                "Belady, 1966",
            ),
        };
        About { idea, weakness, source }
    }
}
