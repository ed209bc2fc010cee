//! The scenarios that come with the command.

/// A scenario that comes with the command.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A scenario's file.
macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        /// All of them, in the order in which they are best read.
        pub const BUILT_IN: &[BuiltIn] = &[
            $(BuiltIn {
                name: $name,
                text: include_str!(concat!("../../../scenarios/", $name, ".toml")),
            }),+
        ];
    };
}

scenarios![
    "virtual-computer",
    "isolation-lost",
    "page-tables",
    "address",
    "demand-paging",
    "copy-on-write",
    "fork",
    "shared-tables",
    "hit-and-fault",
    "allocation",
    "loading",
    "mapped-file",
    "decimal",
    "two-level",
    "four-level",
    "pae",
    "tlb",
    "asids",
    "untagged",
    "inverted",
    "hashed",
    "r3000",
    "base-and-bounds",
    "segments",
    "pmap",
    "pfault",
    "null",
    "protection",
    "dirty-and-clean",
    "swap-cache",
    "freebsd-queues",
    "swapped-out",
    "working-set",
    "thrashing",
    "belady-3",
    "belady-4",
    "fourteen-bits",
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|scenario| scenario.name == name)
}
